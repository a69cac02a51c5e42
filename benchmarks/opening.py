"""``python -m benchmarks open``: from a saved index to its first answer, in a process that has just started."""

from __future__ import annotations

import argparse
import math
import tempfile
from functools import partial
from pathlib import Path

import sightline as sl
from benchmarks import data, hybrid, lexical
from benchmarks.environment import others_seconds
from benchmarks.peers import DENSE, HYBRID, LEXICAL, chosen
from benchmarks.results import Row
from benchmarks.session import Session
from benchmarks.timing import LEAST_ROUNDS, Timing, interleave
from benchmarks.workers import Contender, Worker, WorkerError, contenders

__all__ = ["add_options", "run"]

_DENSE = ("sightline", "numpy", "faiss-flat")
_LEXICAL = ("sightline", "bm25s-numpy", "tantivy")  # numba would compile for seconds before its first answer
_HYBRID = ("sightline", "lancedb", "zvec")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000], help="generated rows")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--opens", type=int, default=30, help="rounds of new processes at most (default: %(default)s)")


def run(session: Session) -> None:
    options = session.options
    for count in options.rows:
        found = data.generated_vectors("embedding", count, options.dim, 10, options.seed)
        if options.data and not data.has_texts(options.data):
            found = data.load_vectors(options.data)
        with session.inputs("open", found.described(), rows=found.rows, queries=found.queries) as inputs:
            table = {name: DENSE[name] for name in _DENSE}
            _open(session, table, inputs, found.described(), "vectors: open to first answer", len(found.rows))
    collection = lexical.collection(session)
    analyzer = sl.Analyzer("english")
    tokens = analyzer.batch(collection.texts)
    words = [query for query in analyzer.batch(collection.queries[:20]) if query]
    with session.inputs("open", collection.described(), tokens=tokens, query_tokens=words) as inputs:
        table = {name: LEXICAL[name] for name in _LEXICAL}
        _open(session, table, inputs, collection.described(), "words: open to first answer", len(tokens))
    with hybrid.inputs_of(session, collection) as (inputs, described):
        table = {name: HYBRID[name] for name in _HYBRID}
        _open(session, table, inputs, described, "documents: open to first answer", len(tokens))


def _open(session: Session, table: dict[str, str], inputs: Path, described: str, case: str, count: int) -> None:
    if not session.worthwhile(table):
        return
    print(f"\nopen: {described}, {session.threads} threads", flush=True)
    rows: list[Row] = []
    times: dict[str, Timing] = {}
    wanted = chosen(table, session.options.peers)
    with (
        tempfile.TemporaryDirectory() as folder,
        contenders(wanted, inputs, session.threads, folder=Path(folder), left_out=session.left_out(wanted)) as engines,
    ):
        there = {}
        for engine in engines:
            row = Row("open", described, case, engine.name, queries=1, k=10, count=count)
            rows.append(row)
            if engine.worker is None or engine.built is None or engine.folder is None:
                row.status = engine.gap
                row.problem = engine.problem or ""
                continue
            engine.worker.close()  # the builder must not hold what a new process opens
            engine.worker = None
            there[engine.name] = (engine, row)
            if engine.name == "sightline" and engine.built["disk_bytes"]:
                row.share = {"of": "read_gb_s", "work": engine.built["disk_bytes"]}  # checksums are verified
        if "sightline" in there:
            times = _rounds(session, there, inputs)
    session.finish(rows, {name: timing for name, timing in times.items() if timing.rounds})


def _rounds(session: Session, there: dict[str, tuple[Contender, Row]], inputs: Path) -> dict[str, Timing]:
    """Each engine opens in new processes, with one of Sightline before and one after them."""

    def opened(name: str, first: int, calls: int, process: int) -> float:
        engine, row = there[name]
        if row.status != "ok" or engine.folder is None:
            return float("nan")
        worker = Worker(engine.module, session.threads, inputs, engine.folder)
        try:
            reply = worker.ask("open")
        except WorkerError as error:
            row.status, row.problem = "failed", str(error)
            return float("nan")
        finally:
            worker.close()
        row.resident_bytes = reply["resident_bytes"]
        milliseconds: float = reply["seconds"] * 1e3
        return milliseconds

    for name in there:  # not counted: it reads the libraries and the index from the disk
        opened(name, 0, 1, 0)
    found = interleave(
        {name: partial(opened, name) for name in there},
        repeats=LEAST_ROUNDS
        if session.late() or len(there) == 1
        else math.ceil(session.options.opens / session.passes),
        seconds=session.options.seconds * 4 / session.passes,  # most of it goes into starting processes
        precision=session.precision(),
        reference="sightline",
        estimates=dict.fromkeys(there, 1e3),
        others=others_seconds,
    )
    return {name: timing for name, timing in found.items() if there[name][1].status == "ok"}
