"""``python -m benchmarks ingest``: from arrays, texts and documents to an index that answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import data, hybrid, lexical
from benchmarks.peers import DENSE, EXACT, HYBRID
from benchmarks.session import Entry, Session

__all__ = ["add_options", "run"]

_VECTOR_ENGINES = {name: DENSE[name] for name in (*EXACT, "faiss-hnsw", "hnswlib") if name in DENSE}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000], help="generated rows")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--index-documents", type=int, default=20_000)
    parser.add_argument("--index-threads", type=int, default=2)
    parser.add_argument("--approximate", action="store_true", help="also graphs")


def run(session: Session) -> None:
    options = session.options
    for count in options.rows:
        found = data.generated_vectors("embedding", count, options.dim, 1, options.seed)
        if options.data and not data.has_texts(options.data):
            found = data.load_vectors(options.data)
        table = {n: m for n, m in _VECTOR_ENGINES.items() if n in EXACT or options.approximate}
        with session.inputs("ingest", found.described(), rows=found.rows, queries=found.queries[:1]) as inputs:
            # At the least, all must be read.
            work = ("read_gb_s", float(found.rows.nbytes))
            _builds(session, table, inputs, found.described(), "vectors to an index in memory", len(found.rows), work)
    collection = lexical.collection(session)
    lexical.index_texts(session, "ingest", collection)
    with hybrid.inputs_of(session, collection) as (inputs, described):
        _builds(session, HYBRID, inputs, described, "documents with vectors", len(collection.texts), None)


def _builds(
    session: Session,
    table: dict[str, str],
    inputs: Path,
    described: str,
    case: str,
    count: int,
    work: tuple[str, float] | None,
) -> None:
    """Build with each engine once in a process of its own, for memory and bytes on disk, then again in paired rounds.

    ``work`` is Sightline's, as in ``Session.compare``; None: what is on the disk afterwards had to be written.
    """
    if not session.worthwhile(table):
        return
    print(f"\ningest: {described}, {session.threads} threads", flush=True)
    # New processes each pass: whether a copy of the rows holds one huge page more or less, and so some 500 faults of
    # small pages less or more, is decided by where the process has its memory.
    with session.started("ingest", described, table, inputs, changed=True) as engines:
        ours = engines[0].built
        if work is None and ours is not None and ours.get("disk_bytes"):
            work = ("write_gb_s", float(ours["disk_bytes"]))
        entries = [Entry(engine, {"what": "build"}) for engine in engines]
        session.compare("ingest", described, case, entries, None, queries=0, k=0, count=count, work=work, pace="builds")
