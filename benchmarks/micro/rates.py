"""Achieved rates as extra columns of pytest-benchmark."""

from __future__ import annotations

from typing import Any

__all__ = ["report"]


def report(benchmark: Any, unit: str, operations: float, bytes_: float = 0) -> None:
    """Add what the best round reached: bytes/s and operations/s; ``operations`` and ``bytes_`` are those of one call.

    Nothing is added where benchmarks are switched off (``--benchmark-disable``), which runs each call once.
    """
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["unit"] = unit
    benchmark.extra_info["operations_per_second"] = operations / seconds
    if bytes_:
        benchmark.extra_info["bytes_per_second"] = bytes_ / seconds
