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

from sightline import _core

__all__ = ["Limits", "measure_limits"]

_READ_BYTES = 256 << 20  # no cache holds it
_WRITE_BYTES = 128 << 20
_SIDE = 2048
_SECONDS = 1.0
_LEAST_RUNS = 3


@dataclass(frozen=True)
class Limits:
    """With all threads: GB/s read from memory, 8-bit multiply-adds in GOP/s (two operations each), float32 in GFLOP/s
    as NumPy's BLAS reaches it in a product of 2048 x 2048 matrices, and GB/s written to the temporary folder and
    fsync'ed.
    """

    read_gb_s: float
    int8_gop_s: float
    float32_gflop_s: float
    write_gb_s: float

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
    return Limits(
        read_gb_s=_READ_BYTES / read / 1e9,
        int8_gop_s=operations * rounds / int8 / 1e9,
        float32_gflop_s=2 * _SIDE**3 / product / 1e9,
        write_gb_s=_WRITE_BYTES / _fastest(_write) / 1e9,
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


def _write() -> None:
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "probe").open("wb") as file:
        block = bytes(1 << 20)
        for _ in range(_WRITE_BYTES >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
