"""What this machine can do at best, measured in the same run: the denominators of every share that we print."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

from sightline import _core

__all__ = ["Limits", "measure_limits"]


@dataclass(frozen=True)
class Limits:
    """Read bandwidth of memory in GB/s and 8-bit multiply-adds in GOP/s (two operations each), with all our threads."""

    read_gb_s: float
    int8_gop_s: float


@cache
def measure_limits() -> Limits:
    """Measure both, the best of several runs. A quarter of a gigabyte a pass, which no cache holds."""
    size = 256 << 20
    read, operations = 0.0, 0.0
    buffer = _core.ReadProbe(size)
    for _ in range(8):
        start = time.perf_counter()
        buffer.read()
        read = max(read, size / (time.perf_counter() - start) / 1e9)
        start = time.perf_counter()
        done = _core.int8_probe(4_000_000)
        operations = max(operations, done / (time.perf_counter() - start) / 1e9)
    return Limits(read, operations)
