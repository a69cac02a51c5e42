"""Interleaved timing, so that a machine that slows down slows every engine down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "measure"]

# OpenMP and BLAS threads spin for some milliseconds after a call, on the cores that the next engine is timed on.
_SETTLE_SECONDS = 0.05


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median over the repeats, and their extremes."""

    median: float
    least: float
    most: float


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """Time each call, round robin, after one warm-up each, until ``repeats`` rounds or ``seconds`` in all are
    over, but not before two rounds. A pause before each call lets the threads of the engine before go to sleep.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    begin = time.perf_counter()
    for done in range(repeats):
        if done >= 2 and time.perf_counter() - begin > seconds:
            break
        for name, call in calls.items():
            time.sleep(_SETTLE_SECONDS)
            start = time.perf_counter()
            call()
            samples[name].append((time.perf_counter() - start) * 1e3)
    return {name: Timing(float(np.median(ms)), min(ms), max(ms)) for name, ms in samples.items()}
