"""What else a search must be good at: masks, large k, many threads, adding, and data that nothing prunes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import sightline as sl
from benchmarks.timing import Timing, measure
from benchmarks.workers import environment_for

FloatArray = npt.NDArray[np.float32]

__all__ = ["run_cases"]


def run_cases(rows: FloatArray, queries: FloatArray, *, repeats: int) -> list[dict[str, Any]]:
    """Measure each case as a ratio of two calls in one run; print and return them."""
    report = []
    index = sl.VectorIndex(rows.shape[1], "ip")
    index.add(rows)

    def ratio(name: str, slow: str, fast: str, times: dict[str, Timing], wanted: str) -> None:
        value = times[slow].median / times[fast].median
        shown = ", ".join(f"{call} {times[call].median:.2f} ms" for call in (slow, fast))
        print(f"  {name}: {value:.2f} ({shown}; wanted: {wanted})")
        report.append({"case": name, "ratio": value, "wanted": wanted})

    one, hundred = queries[:1], queries[:100]
    rng = np.random.default_rng(7)
    allowed = np.sort(rng.choice(index.ids, max(1, len(rows) // 100), replace=False))
    bits = np.isin(index.ids, allowed)
    expected = index.search(one, 10, mask=allowed)
    if not np.array_equal(index.search(one, 10, mask=bits)[1], expected[1]):
        raise SystemExit("WRONG ANSWER: a mask of bits and the same mask of ids differ")
    times = measure(
        {
            "no mask": lambda: index.search(one, 10),
            "1 % mask": lambda: index.search(one, 10, mask=allowed),
            "1 % mask as bits": lambda: index.search(one, 10, mask=bits),
        },
        repeats=repeats,
        seconds=20,
    )
    ratio("1 % mask, 1 query", "no mask", "1 % mask", times, "at least 10")
    ratio("1 % mask as bits, 1 query", "no mask", "1 % mask as bits", times, "at least 10")

    for name, part in (("1 query", one), ("100 queries", hundred)):
        times = measure(
            {"k = 1000": partial(index.search, part, 1000), "k = 10": partial(index.search, part, 10)},
            repeats=repeats,
            seconds=20,
        )
        ratio(f"k = 1000 against k = 10, {name}", "k = 1000", "k = 10", times, "at most 2")

    def from_threads() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: index.search(hundred[i], 10), range(len(hundred))))

    def one_by_one() -> None:
        for i in range(len(hundred)):
            index.search(hundred[i], 10)

    times = measure(
        {"8 Python threads": from_threads, "one call": lambda: index.search(hundred, 10), "one by one": one_by_one},
        repeats=max(3, repeats // 3),
        seconds=30,
    )
    ratio("100 queries from 8 threads, one a call", "8 Python threads", "one call", times, "at most 1.5")
    ratio(
        "100 queries from 8 threads, one a call",
        "8 Python threads",
        "one by one",
        times,
        "at most 1: no oversubscription",
    )

    many = np.resize(queries, (800, rows.shape[1]))

    def batches_from_threads() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: index.search(many[i : i + 100], 10), range(0, len(many), 100)))

    times = measure(
        {"8 Python threads": batches_from_threads, "one call": lambda: index.search(many, 10)},
        repeats=max(3, repeats // 3),
        seconds=30,
    )
    ratio("800 queries from 8 threads, 100 a call", "8 Python threads", "one call", times, "at most 1.5")

    def add() -> None:
        sl.VectorIndex(rows.shape[1], "ip").add(rows)

    times = measure({"add": add, "copy": lambda: rows.copy()}, repeats=3, seconds=30)
    ratio("adding against copying the array", "add", "copy", times, "at most 2")
    report.append(peak_memory(len(rows), rows.shape[1]))
    worst_case(rows.shape[1], min(len(rows), 200_000), ratio, repeats)
    return report


def peak_memory(count: int, dim: int) -> dict[str, Any]:
    """Peak resident memory of a fresh process while it adds, over the bytes of the finished index, without input."""
    code = (
        "import numpy as np, sightline as sl, sys\n"
        "from benchmarks import memory\n"
        "count, dim = int(sys.argv[1]), int(sys.argv[2])\n"
        "rows = np.random.default_rng(0).random((count, dim), dtype=np.float32)\n"
        "sl.VectorIndex(dim).add(rows[:64])\n"
        "memory.reset_peak()\n"
        "before = memory.resident_bytes()\n"
        "ix = sl.VectorIndex(dim); ix.add(rows)\n"
        "print((memory.peak_bytes() - before) / sum(ix.memory().values()))\n"
    )
    command = [sys.executable, "-c", code, str(count), str(dim)]
    environment = environment_for(sl.get_num_threads())
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    value = float(out.stdout)
    print(f"  peak memory while adding over the final index: {value:.2f} (wanted: at most 1.3)")
    return {"case": "peak memory while adding", "ratio": value, "wanted": "at most 1.3"}


def worst_case(
    dim: int, count: int, ratio: Callable[[str, str, str, dict[str, Timing], str], None], repeats: int
) -> None:
    """Rows that no bound separates: all equal, and equal up to noise far below the codes' step."""
    rng = np.random.default_rng(3)
    base = rng.standard_normal(dim).astype(np.float32)
    noise = (rng.standard_normal((count, dim)) * 1e-5).astype(np.float32)
    for name, rows in (("equal rows", np.tile(base, (count, 1))), ("nearly equal rows", base + noise)):
        index = sl.VectorIndex(dim, "ip")
        index.add(rows)
        queries = rng.standard_normal((100, dim)).astype(np.float32)
        for batch in (1, 100):
            part = queries[:batch]

            def plain(part: FloatArray = part, rows: FloatArray = rows) -> object:
                scores = part @ rows.T
                return np.argpartition(scores, -10, axis=1)

            times = measure(
                {"sightline": partial(index.search, part, 10), "plain float32 scan": plain},
                repeats=repeats,
                seconds=15,
            )
            ratio(f"{name}, {batch} queries", "sightline", "plain float32 scan", times, "at most 1.3")
