"""``python -m benchmarks filter``: vector search confined to some of the rows, from most of them to almost none.

The recall is that of the filtered truth: an engine that filters its own list of near rows loses answers here.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from benchmarks import data
from benchmarks.data import Vectors
from benchmarks.dense import allowed_rows
from benchmarks.peers import DENSE
from benchmarks.session import Entry, Session
from benchmarks.truth import DenseTruth

__all__ = ["add_options", "run"]

_QUERIES = 1000  # more than a slice of single queries asks, warming included: none that is timed was asked just before
_OWN_CACHES = 1 << 20  # bytes: fewer stay in those of a core, whatever happens between two slices
_FILTERING = ("sightline", "numpy", "faiss-flat", "faiss-hnsw")  # the engines that take a set of rows


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000], help="generated rows")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.1, 0.01, 0.001], help="rows let through")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--check", type=int, default=100)
    parser.add_argument("--approximate", action="store_true", help="also the graph of faiss")


def run(session: Session) -> None:
    options = session.options
    sets = [
        data.generated_vectors(
            "embedding", rows, options.dim, max([*options.batches, options.check, _QUERIES]), options.seed
        )
        for rows in options.rows
    ]
    if options.data:
        sets = [data.load_vectors(options.data)]
    for found in sets:
        run_on(session, found, approximate=options.approximate)


def run_on(session: Session, found: Vectors, *, approximate: bool) -> None:
    options = session.options
    print(f"\nfilter: {found.described()}, {session.threads} threads", flush=True)
    table = {name: DENSE[name] for name in _FILTERING if approximate or name != "faiss-hnsw"}
    masks = {share: allowed_rows(len(found.rows), share, options.seed) for share in options.shares}
    files: dict[str, np.typing.NDArray[np.int64]] = {f"filter-{share}": mask for share, mask in masks.items()}
    with (
        session.inputs("filter", found.described(), rows=found.rows, queries=found.queries, **files) as inputs,
        session.started("filter", found.described(), table, inputs) as engines,
    ):
        for share, mask in masks.items():
            truth = session.once(
                ("filtered truth", found.described(), share),
                partial(DenseTruth, found.rows, found.queries[: options.check], max(options.k), mask),
            )
            for k in options.k:
                if k > len(mask):
                    continue
                for batch in options.batches:
                    entries = []
                    for engine in engines:
                        settings = engine.built["settings"] if engine.built else [{"exact": False}]
                        # Of a graph, a setting in the middle of its sweep.
                        numbers = range(len(settings)) if settings[0]["exact"] else [len(settings) // 2]
                        for number in numbers:
                            case = {
                                "what": "search",
                                "setting": number,
                                "k": k,
                                "batch": batch,
                                "filter": f"filter-{share}.npy",
                            }
                            entries.append(Entry(engine, case, number, settings[number]["exact"]))
                    session.compare(
                        "filter",
                        found.described(),
                        f"{share:.1%} of the rows, {batch} {'query' if batch == 1 else 'queries'}, k = {k}",
                        entries,
                        truth,
                        queries=batch,
                        k=k,
                        count=len(mask),
                        identical=True,
                        # Each row let through is read once, by its first four bits a dimension.
                        bytes_read=len(mask) * found.rows.shape[1] / 2,
                        pace="long" if found.rows[:1].nbytes * len(mask) > _OWN_CACHES else "usual",
                    )
