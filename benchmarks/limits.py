"""What this machine can do at best, measured in the same run: the denominators of every share that we print."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

import sightline as sl
from sightline import _core

__all__ = ["Limits", "measure_limits"]

_READ_BYTES = 256 << 20  # no cache holds it
_WRITE_BYTES = 128 << 20
_SIDE = 2048
_SYNC_BYTES = 4096
_SECONDS = 0.7  # for each, at the least
_LEAST_RUNS = 3


@dataclass(frozen=True)
class Limits:
    """With all threads, or one: GB/s read from memory. With all threads: 8-bit multiply-adds in GOP/s (two operations
    each) by the instructions that the kernels in use have for it, float32 in GFLOP/s as NumPy's BLAS reaches it in a
    product of 2048 x 2048 matrices. GB/s written to the temporary folder and fsync'ed, and how often a second 4 KB can
    be appended and fsync'ed there.
    """

    read_gb_s: float
    read_one_gb_s: float
    int8_gop_s: float
    float32_gflop_s: float
    write_gb_s: float
    syncs_s: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@cache
def measure_limits() -> Limits:
    """Measure all, each the best of several runs: a limit is what is possible, not what is usual."""
    buffer = _core.ReadProbe(_READ_BYTES)
    left, right = (np.random.default_rng(seed).random((_SIDE, _SIDE), dtype=np.float32) for seed in (1, 2))
    read = _fastest(buffer.read)
    operations = _core.int8_probe(1)
    rounds = max(1, int(1e10 / operations))
    int8 = _fastest(lambda: _core.int8_probe(rounds))
    product = _fastest(lambda: left @ right)
    threads = sl.get_num_threads()
    sl.set_num_threads(1)
    read_one = _fastest(buffer.read)
    sl.set_num_threads(threads)
    return Limits(
        read_gb_s=_READ_BYTES / read / 1e9,
        read_one_gb_s=_READ_BYTES / read_one / 1e9,
        int8_gop_s=operations * rounds / int8 / 1e9,
        float32_gflop_s=2 * _SIDE**3 / product / 1e9,
        write_gb_s=_WRITE_BYTES / _fastest(_write) / 1e9,
        syncs_s=1 / _fastest_sync(),
    )


def _fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of many calls, over so long that a neighbour on the machine is unlikely to slow all."""
    best = np.inf
    begin = time.perf_counter()
    runs = 0
    while runs < _LEAST_RUNS or time.perf_counter() - begin < _SECONDS:
        runs += 1
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return float(best)


def _fastest_sync() -> float:
    """Seconds to append a page to a file and have it on the disk: what each acknowledged write waits for at least."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "probe").open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(bytes(_SYNC_BYTES))
            os.fsync(file.fileno())

        return _fastest(sync)


def _write() -> None:
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "probe").open("wb") as file:
        block = bytes(1 << 20)
        for _ in range(_WRITE_BYTES >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
