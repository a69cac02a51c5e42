"""Interleaved timing, so that a machine that slows down slows every engine down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "measure"]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median over the repeats, and their extremes."""

    median: float
    least: float
    most: float


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """Time each call, round robin, after one warm-up each; stop after ``repeats`` rounds or ``seconds`` in all, but not
    before two rounds."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    begin = time.perf_counter()
    for done in range(repeats):
        if done >= 2 and time.perf_counter() - begin > seconds:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            samples[name].append((time.perf_counter() - start) * 1e3)
    return {name: Timing(float(np.median(ms)), min(ms), max(ms)) for name, ms in samples.items()}
