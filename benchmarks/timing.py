"""Interleaved rounds, so that a machine that slows down slows every engine down; medians, spreads and paired ratios.

A round of one engine is a pause, one call that is not counted, then several timed ones. The pause lets the threads of
the engine before go to sleep (OpenMP and BLAS spin for milliseconds after a call); the call that is not counted wakes
this engine's own and brings its data back into the caches, as they are in a server that answers one query after
another. It is the same for every engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

__all__ = ["Ratio", "Timing", "calls_per_round", "interleave", "measure", "paired_ratio", "run_round"]

_PAUSE_SECONDS = 0.05
_ROUND_SECONDS = 0.1  # as many calls a round as take about so long, between one and _MOST_CALLS
_MOST_CALLS = 50
_LEAST_ROUNDS = 3
_RESAMPLES = 1000


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: each round's median, the median over them, and their extremes."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


@dataclass(frozen=True)
class Ratio:
    """The median over rounds of one engine's time over another's in the same round, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float


def run_round(call: Callable[[int], object], first: int, calls: int) -> float:
    """One round: calls number ``first`` (not counted) to ``first + calls``; the median in milliseconds."""
    time.sleep(_PAUSE_SECONDS)
    call(first)
    times = np.empty(calls)
    for number in range(calls):
        start = time.perf_counter()
        call(first + 1 + number)
        times[number] = (time.perf_counter() - start) * 1e3
    return float(np.median(times))


def calls_per_round(seconds_a_call: float) -> int:
    return int(np.clip(_ROUND_SECONDS / max(seconds_a_call, 1e-9), 1, _MOST_CALLS))


def interleave(
    rounds_of: Mapping[str, Callable[[int, int], float]], *, repeats: int, seconds: float
) -> dict[str, Timing]:
    """Time each engine round robin, each round begun by the next one, until ``repeats`` rounds are done.

    ``rounds_of`` gives for each engine what ``run_round`` does with its call: (first, calls) -> milliseconds. An
    engine that has used its share of ``seconds`` sits out the rounds that remain, but each has three.
    """
    names = list(rounds_of)
    calls = {name: calls_per_round(rounds_of[name](0, 1) / 1e3) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    spent = dict.fromkeys(names, 0.0)
    for number in range(repeats):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            if number >= _LEAST_ROUNDS and spent[name] > seconds / len(names):
                continue
            start = time.perf_counter()
            taken[name].append(rounds_of[name](number * (_MOST_CALLS + 1), calls[name]))
            spent[name] += time.perf_counter() - start
    return {name: Timing(tuple(milliseconds)) for name, milliseconds in taken.items()}


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """``interleave`` for calls of this process that are the same each time."""

    def numbered(call: Callable[[], object], first: int, count: int) -> float:
        return run_round(lambda _: call(), first, count)

    return interleave({name: partial(numbered, call) for name, call in calls.items()}, repeats=repeats, seconds=seconds)


def paired_ratio(slow: Sequence[float], fast: Sequence[float]) -> Ratio:
    """How many times longer ``slow`` takes than ``fast``, round by round, so that what slows both cancels out."""
    rounds = min(len(slow), len(fast))
    ratios = np.asarray(slow[:rounds]) / np.asarray(fast[:rounds])
    low, high = bootstrap_interval(ratios)
    return Ratio(float(np.median(ratios)), low, high)


def bootstrap_interval(values: np.typing.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the median by resampling, with a fixed seed: the same figures give the same interval."""
    picks = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), (0.025, 0.975))
    return float(low), float(high)
