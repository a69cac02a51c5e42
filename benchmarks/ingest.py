"""``python -m benchmarks ingest``: from arrays, texts and documents to an index that answers, in fresh processes."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import data, hybrid, lexical
from benchmarks.peers import DENSE, EXACT, HYBRID, chosen
from benchmarks.results import Row
from benchmarks.session import Session, input_folder
from benchmarks.timing import Timing
from benchmarks.workers import contenders

__all__ = ["add_options", "run"]

_VECTOR_ENGINES = {name: DENSE[name] for name in (*EXACT, "faiss-hnsw", "hnswlib") if name in DENSE}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000], help="generated rows")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--index-documents", type=int, default=20_000)
    parser.add_argument("--index-threads", type=int, default=2)
    parser.add_argument("--builds", type=int, default=3, help="fresh processes for each engine")
    parser.add_argument("--approximate", action="store_true", help="also graphs")


def run(session: Session) -> None:
    options = session.options
    for count in options.rows:
        found = data.generated_vectors("embedding", count, options.dim, 1, options.seed)
        if options.data and not data.has_texts(options.data):
            found = data.load_vectors(options.data)
        table = {n: m for n, m in _VECTOR_ENGINES.items() if n in EXACT or options.approximate}
        print(f"\ningest: {found.described()}, {session.threads} threads", flush=True)
        with input_folder(rows=found.rows, queries=found.queries[:1]) as inputs:
            _builds(session, table, inputs, found.described(), "vectors to an index in memory", count)
    collection = lexical.collection(session)
    lexical.index_texts(session, "ingest", collection)
    with hybrid.inputs_of(session, collection) as (inputs, described):
        _builds(session, HYBRID, inputs, described, "documents with vectors", len(collection.texts))


def _builds(session: Session, table: dict[str, str], inputs: Path, described: str, case: str, count: int) -> None:
    """Build each engine several times in turns, each time in a new process."""
    rows: dict[str, Row] = {}
    seconds: dict[str, list[float]] = {}
    disk: dict[str, int] = {}
    for _ in range(session.options.builds):
        for name, module in chosen(table, session.options.peers).items():
            with contenders({name: module}, inputs, session.threads) as engines:
                for engine in engines:
                    row = rows.setdefault(engine.name, Row("ingest", described, case, engine.name, count=count))
                    if engine.built is None:
                        row.status = "missing" if engine.version is None else "failed"
                        row.problem = engine.problem or ""
                    else:
                        seconds.setdefault(engine.name, []).append(engine.built["build_seconds"] * 1e3)
                        row.resident_bytes = engine.built["resident_bytes"]
                        disk[engine.name] = engine.built["disk_bytes"] or 0
    ours = rows.get("sightline")
    # What is durable must be written once at least; vectors in memory are not, so nothing is claimed for them.
    if ours is not None and disk.get("sightline") and case.startswith("documents"):
        ours.share = {"of": "write_gb_s", "work": disk["sightline"]}
    session.finish(list(rows.values()), {name: Timing(tuple(times)) for name, times in seconds.items()})
