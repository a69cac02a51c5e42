"""``python -m benchmarks dense``: VectorIndex against faiss IndexFlatIP (at both BLAS thresholds) and NumPy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sightline as sl
from benchmarks import limits, vectors
from benchmarks.dense_cases import run_cases
from benchmarks.timing import measure

FloatArray = npt.NDArray[np.float32]
Results = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def numpy_search(rows: FloatArray, queries: FloatArray, k: int) -> Results:
    """matmul + argpartition, a few hundred queries at a time so that the scores fit memory."""
    parts = []
    for start in range(0, len(queries), 250):
        scores = queries[start : start + 250] @ rows.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        parts.append((np.take_along_axis(values, order, axis=1), np.take_along_axis(best, order, axis=1)))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def truth(rows: FloatArray, queries: FloatArray, k: int) -> Results:
    """Brute force in float64, ties by ascending id."""
    scores = np.empty((len(queries), k), dtype=np.float32)
    ids = np.empty((len(queries), k), dtype=np.int64)
    wide = queries.astype(np.float64)
    exact = np.empty((len(queries), len(rows)), dtype=np.float32)
    for start in range(0, len(rows), 65536):
        exact[:, start : start + 65536] = wide @ rows[start : start + 65536].astype(np.float64).T
    for i, row in enumerate(exact):
        best = np.argpartition(row, -k)[-k:]
        candidates = np.flatnonzero(row >= row[best].min())
        order = np.lexsort((candidates, -row[candidates]))[:k]
        ids[i], scores[i] = candidates[order], row[candidates[order]]
    return scores, ids


def recall(found: npt.NDArray[np.int64], expected: npt.NDArray[np.int64]) -> float:
    return float(np.mean([len(np.intersect1d(f, e)) / len(e) for f, e in zip(found, expected, strict=True)]))


def engines(
    rows: FloatArray, k: int, with_numpy: bool
) -> tuple[sl.VectorIndex, dict[str, Callable[[FloatArray], Results]]]:
    index = sl.VectorIndex(rows.shape[1], "ip")
    index.add(rows)
    calls: dict[str, Callable[[FloatArray], Results]] = {"sightline": lambda q: index.search(q, k)}
    try:
        import faiss
    except ImportError:
        print("faiss is not installed (pip install 'sightline[bench]'): its columns are missing")
    else:
        faiss.omp_set_num_threads(sl.get_num_threads())
        flat = faiss.IndexFlatIP(rows.shape[1])
        flat.add(rows)

        def search_faiss(queries: FloatArray, threshold: int) -> Results:
            faiss.cvar.distance_compute_blas_threshold = threshold
            found: Results = flat.search(queries, k)
            return found

        calls["faiss blas=20"] = lambda q: search_faiss(q, 20)
        calls["faiss blas=1"] = lambda q: search_faiss(q, 1)
    if with_numpy:
        calls["numpy"] = lambda q: numpy_search(rows, q, k)
    return index, calls


def compare(name: str, rows: FloatArray, queries: FloatArray, options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"\n{name}: {rows.shape[0]:,} x {rows.shape[1]}, k = {options.k}, {sl.get_num_threads()} threads")
    index, calls = engines(rows, options.k, not options.no_numpy)
    machine = limits.measure_limits()
    isa = sl.cpu_info()["isa"]
    print(f"limits: read {machine.read_gb_s:.1f} GB/s, int8 {machine.int8_gop_s:.0f} GOP/s (kernels: {isa})")
    checked = queries[: options.check]
    _, expected = truth(rows, checked, options.k)
    for engine, call in calls.items():
        found = call(checked)[1]
        if engine == "sightline" and not np.array_equal(found, expected):
            raise SystemExit(f"WRONG ANSWER: {engine} differs from float64 brute force on {name}")
        print(f"  recall@{options.k} of {engine}: {recall(found, expected):.4f}")
    report = []
    for batch in options.batches:
        part = queries[:batch]
        times = measure(
            {engine: partial(call, part) for engine, call in calls.items()},
            repeats=options.repeats,
            seconds=options.seconds,
        )
        ours = times["sightline"].median
        _, _, stats = index.search(part, options.k, stats=True)
        bandwidth = stats["bytes"] / ours / 1e6 if batch == 1 else 0.0
        operations = 2.0 * rows.size * batch / ours / 1e6
        row: dict[str, Any] = {"data": name, "queries": batch, "sightline_ms": ours, "stats": stats}
        spread = f"[{times['sightline'].least:.2f} to {times['sightline'].most:.2f}]"
        line = f"  {batch:5} queries: sightline {ours:9.2f} ms {spread}"
        faiss_ms = [t.median for engine, t in times.items() if engine.startswith("faiss")]
        if faiss_ms:
            row["faiss_ms"], row["ratio_faiss"] = min(faiss_ms), min(faiss_ms) / ours
            line += f" | faiss {min(faiss_ms):9.2f} ms: {row['ratio_faiss']:6.2f} times"
        if "numpy" in times:
            row["numpy_ms"], row["ratio_numpy"] = times["numpy"].median, times["numpy"].median / ours
            line += f" | numpy {times['numpy'].median:9.2f} ms: {row['ratio_numpy']:6.2f} times"
        if batch == 1:
            row["share_of_bandwidth"] = bandwidth / machine.read_gb_s
            line += f" | {bandwidth:.1f} GB/s, {row['share_of_bandwidth']:.0%} of the limit"
        else:
            row["share_of_int8_peak"] = operations / machine.int8_gop_s
            line += f" | {row['share_of_int8_peak']:.0%} of the int8 limit"
        print(f"{line} | exact scores a query: {stats['rows_exact'] / batch:.0f}")
        report.append(row)
    if options.cases:
        report += run_cases(rows, queries, index, repeats=options.repeats)
    return report


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks dense", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="Gaussian rows, 0 for none (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=768, help="their dimension (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="a folder with docs.npy and queries.npy to search as well")
    parser.add_argument("--enlarge", type=int, default=0, help="also search that data grown to this many rows")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--check", type=int, default=20, help="queries compared with float64 brute force")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=40, help="at most this long a row of the table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-numpy", action="store_true")
    parser.add_argument("--cases", action="store_true", help="also masks, large k, threads, adding and the worst cases")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    report = []
    if options.rows:
        rows, queries = vectors.gaussian(options.rows, options.dim, max(options.batches), options.seed)
        report += compare("Gaussian", rows, queries, options)
        del rows
    if options.data:
        rows, queries = vectors.load(options.data)
        report += compare("real", rows, queries, options)
        if options.enlarge > len(rows):
            report += compare("real, enlarged", vectors.enlarge(rows, options.enlarge, options.seed), queries, options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))
    return 0
