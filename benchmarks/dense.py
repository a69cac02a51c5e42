"""``python -m benchmarks dense``: exact and approximate nearest neighbours, by batch, k and size."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import data, dense_cases, vectors
from benchmarks.data import Vectors
from benchmarks.peers import DENSE, EXACT
from benchmarks.session import Entry, Session
from benchmarks.truth import DenseTruth
from benchmarks.workers import Contender

__all__ = ["add_options", "data_sets", "run", "run_on"]

_SWEEP_BATCH = (
    100  # approximate engines are swept over their settings at this batch, elsewhere one setting stands for all
)
_GOOD_RECALL = 0.95
_COMPUTE_BOUND = 100  # queries from which Sightline's scan is bound by arithmetic instead of by reading


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000], help="generated rows; several sizes; 0: none")
    parser.add_argument("--dim", type=int, default=384, help="their dimension (default: %(default)s)")
    parser.add_argument(
        "--vectors",
        choices=("embedding", "gaussian"),
        nargs="+",
        default=["embedding", "gaussian"],
        help="generated like sentence embeddings; Gaussian, the worst case (default: both)",
    )
    parser.add_argument(
        "--enlarge", type=int, default=0, help="also search the vectors of --data grown to this many rows"
    )
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--check", type=int, default=100, help="queries compared with float64 brute force")
    parser.add_argument("--approximate", action="store_true", help="also the approximate peers, with their long builds")
    parser.add_argument("--no-numpy", action="store_true", help="leave NumPy out")
    parser.add_argument("--cases", action="store_true", help="also masks, large k, threads, adding and the worst cases")


def data_sets(session: Session) -> list[Vectors]:
    """What the options ask for: generated sizes and kinds, then the files of ``--data``."""
    options = session.options
    count = max(options.batches)
    found = [
        data.generated_vectors(kind, rows, options.dim, count, options.seed)
        for kind in options.vectors
        for rows in options.rows
        # One size of the worst case is enough: brute force over it grows as it must.
        if rows and (kind == "embedding" or rows == max(options.rows))
    ]
    if options.data:
        loaded = data.load_vectors(options.data)
        found.append(loaded)
        if options.enlarge > len(loaded.rows):
            grown = vectors.enlarge(loaded.rows, options.enlarge, options.seed)
            found.append(Vectors(f"{loaded.name}, enlarged", grown, loaded.queries))
    return found


def run(session: Session) -> None:
    sets = data_sets(session)
    for found in sets:
        # Graphs take minutes to build: of generated sets, the largest of embeddings stands for all.
        largest = len(found.rows) == max(len(other.rows) for other in sets if other.name == found.name)
        worth = largest and not found.name.startswith("Gaussian")
        run_on(session, found, approximate=session.options.approximate and worth)


def run_on(session: Session, found: Vectors, *, approximate: bool) -> None:
    options = session.options
    print(f"\ndense: {found.described()}, {session.threads} threads", flush=True)
    table = {
        name: module
        for name, module in DENSE.items()
        if (approximate or name in EXACT or (options.peers and name in options.peers))
        and not (options.no_numpy and name == "numpy")
    }
    batches = [batch for batch in options.batches if batch <= len(found.queries)]
    checked = found.queries[: options.check]
    truth = session.once(("dense truth", found.described()), lambda: DenseTruth(found.rows, checked, max(options.k)))
    with (
        session.inputs(
            "dense", found.described(), rows=found.rows, queries=found.queries[: max([*batches, len(checked)])]
        ) as inputs,
        session.started("dense", found.described(), table, inputs) as engines,
    ):
        good: dict[str, int] = {}
        for k in options.k:
            for batch in sorted(batches, key=lambda size: size != _SWEEP_BATCH):
                entries = _entries(engines, batch, k, good, sweep=batch == _SWEEP_BATCH)
                name = f"{batch} {'query' if batch == 1 else 'queries'}, k = {k}"
                rows = session.compare(
                    "dense",
                    found.described(),
                    name,
                    entries,
                    truth,
                    queries=batch,
                    k=k,
                    count=len(found.rows),
                    identical=True,
                    operations=2.0 * found.rows.size * batch if batch >= _COMPUTE_BOUND else None,
                )
                for entry, row in zip(entries, rows, strict=True):
                    if row.recall is not None and row.recall >= _GOOD_RECALL:
                        good.setdefault(row.engine, entry.setting)
    if options.cases and session.first:
        session.cases += dense_cases.run_cases(found.rows, found.queries, repeats=min(options.repeats, 15))


def _entries(engines: list[Contender], batch: int, k: int, good: dict[str, int], *, sweep: bool) -> list[Entry]:
    entries = []
    for engine in engines:
        settings = engine.built["settings"] if engine.built else [{"exact": False}]
        for number, setting in enumerate(settings):
            if not setting["exact"] and not sweep and number != good.get(engine.name, len(settings) - 1):
                continue
            case = {"what": "search", "setting": number, "k": k, "batch": batch}
            entries.append(Entry(engine, case, number, setting["exact"]))
    return entries


def allowed_rows(count: int, share: float, seed: int) -> np.typing.NDArray[np.int64]:
    """Rows that a filter of this selectivity lets through, at random, ascending."""
    chosen = np.random.default_rng(seed).choice(count, max(1, round(count * share)), replace=False)
    return np.sort(chosen).astype(np.int64)
