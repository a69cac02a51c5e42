"""Paired, interleaved rounds, so that a machine that slows down slows both engines of a pair; medians, spreads, ratios.

A slice of an engine is one call that is not counted, then so many timed ones as take about 25 ms, each over another
query. In a round, each engine's slice lies directly before or after one of the reference (Sightline), over the same
queries, and which of both goes first alternates: of two slices a tenth of a second apart, a slow phase of a shared
machine hits both or neither, and a drift cancels out. A slice ends when the threads of its engine sleep, because those
of OpenMP and BLAS spin for milliseconds after a call and would take the next engine's CPUs. The uncounted call wakes an
engine's own and brings its data back into the caches, as they are in a server that answers one query after another.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

__all__ = [
    "LEAST_ROUNDS",
    "Ratio",
    "Timing",
    "calls_per_round",
    "interleave",
    "measure",
    "paired_ratio",
    "run_round",
    "settle",
]

LEAST_ROUNDS = 3
_SLICE_SECONDS = 0.025
_MOST_CALLS = 1024
_WARM_SECONDS = 0.1  # a call that is longer needs no other before it
_LEAST_PAUSE_SECONDS = 0.002
_MOST_PAUSE_SECONDS = 0.2
_BLIND_PAUSE_SECONDS = 0.05  # where the states of threads cannot be read
_RESAMPLES = 1000

RoundOf = Callable[[int, int], float]  # (number of the first call, calls) -> milliseconds of one call


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: each round's median, and what the reference took beside it in the same round."""

    rounds: tuple[float, ...]
    beside: tuple[float, ...] = ()

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
    """One slice: calls number ``first`` (not counted) to ``first + calls``; the median in milliseconds."""
    start = time.perf_counter()
    call(first)
    warming = time.perf_counter() - start
    times = np.empty(calls)
    if calls == 1 and warming > _WARM_SECONDS:
        times[0] = warming
    else:
        for number in range(calls):
            start = time.perf_counter()
            call(first + 1 + number)
            times[number] = time.perf_counter() - start
    settle()
    return float(np.median(times)) * 1e3


def settle() -> None:
    """Return when the other threads of this process sleep, after a fifth of a second at the latest."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        time.sleep(_BLIND_PAUSE_SECONDS)
        return
    end = time.perf_counter() + _MOST_PAUSE_SECONDS
    quiet = 0
    while quiet < 2 and time.perf_counter() < end:  # seen twice, so that one who is about to hand over is not missed
        time.sleep(_LEAST_PAUSE_SECONDS)
        quiet = quiet + 1 if _others_sleep(tasks) else 0


def _others_sleep(tasks: Path) -> bool:
    own = str(threading.get_native_id())
    for task in os.listdir(tasks):
        if task == own:
            continue
        try:
            state = (tasks / task / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:  # it has ended
            continue
        if state == b"R":
            return False
    return True


def calls_per_round(seconds_a_call: float) -> int:
    """A power of two, so that two runs nearly always measure over the same queries."""
    wanted = np.clip(_SLICE_SECONDS / max(seconds_a_call, 1e-9), 1, _MOST_CALLS)
    return int(2 ** np.floor(np.log2(wanted)))


def interleave(
    rounds_of: Mapping[str, RoundOf],
    *,
    repeats: int,
    seconds: float,
    reference: str | None = None,
    estimates: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Time each engine in ``repeats`` rounds; with a ``reference`` each slice has one of it directly beside.

    ``rounds_of`` gives for each engine what ``run_round`` does with its call; ``estimates`` are milliseconds of a call
    where they are known already. An engine that has used up ``seconds`` sits out the rounds that remain, but each has
    three. The order rotates from round to round.
    """
    known = estimates or {}
    calls = {
        name: calls_per_round((known[name] if name in known else one_round(0, 1)) / 1e3)
        for name, one_round in rounds_of.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in rounds_of}
    beside: dict[str, list[float]] = {name: [] for name in rounds_of}
    spent = dict.fromkeys(rounds_of, 0.0)
    others = [name for name in rounds_of if name != reference] or list(rounds_of)
    paired = reference in rounds_of and reference not in others
    for number in range(repeats):
        at = number % len(others)
        first = number * (_MOST_CALLS + 1)
        of_reference = []
        for name in others[at:] + others[:at]:
            if number >= LEAST_ROUNDS and spent[name] > seconds:
                continue
            start = time.perf_counter()
            for turn in _turns(name, reference if paired else None, number):
                milliseconds = rounds_of[turn](first, calls[turn])
                if turn == name:
                    taken[name].append(milliseconds)
                else:
                    beside[name].append(milliseconds)
                    of_reference.append(milliseconds)
            spent[name] += time.perf_counter() - start
        if reference is not None and of_reference:
            taken[reference].append(float(np.median(of_reference)))
    return {name: Timing(tuple(taken[name]), tuple(beside[name])) for name in rounds_of}


def _turns(name: str, reference: str | None, number: int) -> tuple[str, ...]:
    if reference is None:
        return (name,)
    return (reference, name) if number % 2 == 0 else (name, reference)


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """``interleave`` for calls of this process that are the same each time; ``seconds`` are those of all together."""

    def numbered(call: Callable[[], object], first: int, count: int) -> float:
        return run_round(lambda _: call(), first, count)

    rounds_of = {name: partial(numbered, call) for name, call in calls.items()}
    return interleave(rounds_of, repeats=repeats, seconds=seconds / max(1, len(calls)))


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
