"""Paired, interleaved rounds, so that a machine that slows down slows both engines of a pair; medians and spreads.

A slice of an engine is some calls that are not counted, then so many timed ones as take 20 to 40 ms, each over another
query. In a round, an engine's two slices lie between two of the reference (Sightline), over the same queries:
reference, engine, engine, reference. Of slices a tenth of a second apart a slow phase of a shared machine hits all or
none, a drift cancels out, and both engines stand once after the other. A slice ends when the threads of its engine
sleep, because those of OpenMP and BLAS spin for milliseconds after a call and would take the next engine's CPUs. The
uncounted calls wake an engine's own and bring its data back into the caches, as they are in a server that answers one
query after another.

Rounds go on until the ratio is known well enough, or its time is over: time goes where the noise is.
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

from benchmarks.ratios import paired_ratio

__all__ = [
    "LEAST_ROUNDS",
    "Timing",
    "calls_per_round",
    "interleave",
    "measure",
    "run_round",
    "settle",
]

LEAST_ROUNDS = 3
_SURE_ROUNDS = 8  # an interval of fewer is too often narrow by chance
_SLICE_SECONDS = 0.02
_MOST_CALLS = 4096
_WARM_SECONDS = 0.005
_LONG_SECONDS = 0.1  # a call that is longer needs no other before it, and not two of it in a round
_LEAST_PAUSE_SECONDS = 0.002
_MOST_PAUSE_SECONDS = 0.2
_BLIND_PAUSE_SECONDS = 0.05  # where the states of threads cannot be read
_MOST_SHARE = 3.0  # of ``seconds`` that a noisy engine may take where others need less

RoundOf = Callable[[int, int, int], float]  # (number of the first call, calls, process) -> milliseconds of one call


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: each round's median, what the reference took beside it in the same round, and which
    pair of processes it was.
    """

    rounds: tuple[float, ...]
    beside: tuple[float, ...] = ()
    processes: tuple[int, ...] = ()

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


def run_round(call: Callable[[int], object], first: int, calls: int) -> float:
    """One slice: call number ``first``, again and again until all is warm (not counted), then those numbered after it;
    the median in milliseconds.
    """
    begin = time.perf_counter()
    call(first)
    warming = time.perf_counter() - begin
    times = np.empty(calls)
    if calls == 1 and warming > _LONG_SECONDS:
        times[0] = warming
    else:
        while time.perf_counter() - begin < _WARM_SECONDS:
            call(first)
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
    return int(2 ** np.ceil(np.log2(wanted)))


def interleave(
    rounds_of: Mapping[str, RoundOf],
    *,
    repeats: int,
    seconds: float,
    precision: float = 0.0,
    reference: str | None = None,
    estimates: Mapping[str, float] | None = None,
    processes: int = 1,
) -> dict[str, Timing]:
    """Time each engine in at most ``repeats`` rounds; with a ``reference`` each has slices of it before and after.

    ``rounds_of`` gives for each engine what ``run_round`` does with its call; ``estimates`` are milliseconds of a call
    where they are known already. An engine has three rounds, and more until the interval of its ratio is within
    ``precision`` of it, ``seconds`` an engine are used up by all together, or it alone has used up three times as much.
    The order rotates from round to round, and so does the number of the process that is asked, of ``processes``.
    """
    known = estimates or {}
    usual = {
        name: (known[name] if name in known else one_round(0, 1, 0)) / 1e3 for name, one_round in rounds_of.items()
    }
    calls = {name: calls_per_round(value) for name, value in usual.items()}
    taken: dict[str, list[float]] = {name: [] for name in rounds_of}
    beside: dict[str, list[float]] = {name: [] for name in rounds_of}
    asked: dict[str, list[int]] = {name: [] for name in rounds_of}
    spent = dict.fromkeys(rounds_of, 0.0)
    others = [name for name in rounds_of if name != reference] or list(rounds_of)
    partner = reference if reference in rounds_of and reference not in others else None

    def done(name: str) -> bool:
        rounds = len(taken[name])
        if rounds < LEAST_ROUNDS:
            return False
        if sum(spent.values()) > seconds * len(others) or spent[name] > seconds * _MOST_SHARE:
            return True
        if not precision or rounds < _SURE_ROUNDS:
            return False
        against = beside[name] or [1.0] * rounds
        return paired_ratio(taken[name], against, asked[name]).error <= precision

    for number in range(repeats):
        at = number % len(others)
        first, process = number * (_MOST_CALLS + 1), number % processes
        of_reference = []
        for name in others[at:] + others[:at]:
            if done(name):
                continue
            start = time.perf_counter()
            found: dict[str, list[float]] = {}
            for turn in _turns(name, partner, long=usual[name] > _LONG_SECONDS):
                found.setdefault(turn, []).append(rounds_of[turn](first, calls[turn], process))
            taken[name].append(_geometric_mean(found[name]))
            asked[name].append(process)
            if partner is not None:
                beside[name].append(_geometric_mean(found[partner]))
                of_reference.append(beside[name][-1])
            spent[name] += time.perf_counter() - start
        if partner is not None and of_reference:
            taken[partner].append(float(np.median(of_reference)))
            asked[partner].append(process)
    return {name: Timing(tuple(taken[name]), tuple(beside[name]), tuple(asked[name])) for name in rounds_of}


def _turns(name: str, reference: str | None, *, long: bool) -> tuple[str, ...]:
    if reference is None:
        return (name,)
    return (reference, name, reference) if long else (reference, name, name, reference)


def _geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """``interleave`` for calls of this process that are the same each time; ``seconds`` are those of all together."""

    def numbered(call: Callable[[], object], first: int, count: int, process: int) -> float:
        return run_round(lambda _: call(), first, count)

    rounds_of = {name: partial(numbered, call) for name, call in calls.items()}
    return interleave(rounds_of, repeats=repeats, seconds=seconds / max(1, len(calls)))
