"""Paired, interleaved rounds, so that a machine that slows down slows both engines of a pair; medians and spreads.

A slice of an engine is some calls that are not counted, then so many timed ones as take about 10 ms, each over another
query. In a round, an engine's slice lies between two of the reference (Sightline) of half that length, over the same
queries: of slices some 10 ms apart a slow phase of a shared machine hits all or none, a drift cancels out, and what an
engine leaves behind in caches and CPUs counts for the slice after it as much as for the one before. A slice ends when
the threads of its engine sleep, because those of OpenMP and BLAS spin for milliseconds after a call and would take the
next engine's CPUs. The uncounted calls wake an engine's own and bring its data back into the caches, as they are in a
server that answers one query after another.

Why so short: calls of one slice resemble each other (quarters of a slice of 20 ms correlate at 0.8 on a virtual machine
of two CPUs) but not those of the next round, from which they differ by 10 to 15 %. It is slices that must be many.

Two kinds of cases have another pace. Where each query reads rows of its own that fill much of the caches, what an
engine has there depends on how long it was idle, and comes back over a hundred queries, not by one: slices are four
times as long, after calls over other queries for six times as long. And a build takes as long as what memory the system
has at hand: of a short one a slice has several, so that its median does not see the one that had to wait for the host
of a virtual machine.

A round in which other processes had much of the CPUs is left out, so that a machine need not be quite idle. That is
decided by their time, never by what was measured.

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
    "PACES",
    "Pace",
    "Timing",
    "calls_per_round",
    "interleave",
    "measure",
    "run_round",
    "settle",
]

LEAST_ROUNDS = 3
_SURE_ROUNDS = 8  # an interval of fewer is too often narrow by chance
_LOOK_EVERY = 4  # rounds: who looks after each ends too early by chance
_MOST_CALLS = 4096
_LONG_SECONDS = 0.1  # a call that is longer needs no other before it
_LEAST_PAUSE_SECONDS = 0.001
_MOST_PAUSE_SECONDS = 0.2
_BLIND_PAUSE_SECONDS = 0.05  # where the states of threads cannot be read
_DISTURBED = 0.2  # of all CPU time in a round, by others
_CLOCK_SECONDS = 0.03  # the kernel's count of CPU time is not finer than that
_CPUS = os.cpu_count() or 1
_MOST_SHARE = 3.0  # of ``seconds`` that a noisy engine may take where others need less

RoundOf = Callable[[int, int, int], float]  # (number of the first call, calls, process) -> milliseconds of one call


@dataclass(frozen=True)
class Pace:
    """How long a slice is, how long the uncounted calls before it take at the least, and whether these ask other
    queries, too.
    """

    slice_seconds: float = 0.01
    warm_seconds: float = 0.005
    other_queries: bool = False


# By the name that a case gives as its "pace".
PACES = {
    "usual": Pace(),
    "long": Pace(slice_seconds=0.04, warm_seconds=0.03, other_queries=True),
    "builds": Pace(slice_seconds=0.1),
}


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: each round's median, what the reference took beside it in the same round, and which
    pair of processes it was. ``disturbed``: how many rounds were left out because others had the CPUs.
    """

    rounds: tuple[float, ...]
    beside: tuple[float, ...] = ()
    processes: tuple[int, ...] = ()
    disturbed: int = 0

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


def run_round(call: Callable[[int], object], first: int, calls: int, pace: Pace = PACES["usual"]) -> float:
    """One slice: call number ``first``, again and again (or those before it) until all is warm, which is not counted,
    then those numbered after it; the median in milliseconds.
    """
    begin = time.perf_counter()
    call(first)
    warming = time.perf_counter() - begin
    times = np.empty(calls)
    if calls == 1 and warming > _LONG_SECONDS:
        times[0] = warming
    else:
        before = 0
        while time.perf_counter() - begin < pace.warm_seconds:
            before += pace.other_queries
            call(first - before)
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


def calls_per_round(seconds_a_call: float, parts: int = 1, pace: Pace = PACES["usual"]) -> int:
    """A power of two, so that two runs nearly always measure over the same queries. ``parts``: slices in a round."""
    wanted = np.clip(pace.slice_seconds / parts / max(seconds_a_call, 1e-9), 1, _MOST_CALLS)
    return int(2 ** np.round(np.log2(wanted)))


def interleave(
    rounds_of: Mapping[str, RoundOf],
    *,
    repeats: int,
    seconds: float,
    precision: float = 0.0,
    reference: str | None = None,
    estimates: Mapping[str, float] | None = None,
    processes: int = 1,
    start: int = 0,
    others: Callable[[], float] = lambda: 0.0,
    least: int = LEAST_ROUNDS,
    pace: Pace = PACES["usual"],
) -> dict[str, Timing]:
    """Time each engine in at most ``repeats`` rounds; with a ``reference`` each has slices of it before and after.

    ``rounds_of`` gives for each engine what ``run_round`` does with its call; ``estimates`` are milliseconds of a call
    where they are known already. An engine has three rounds, and more until the interval of its ratio is within
    ``precision`` of it, ``seconds`` an engine are used up by all together, or it alone has used up three times as much.
    The order rotates from round to round, and so does the number of the process that is asked, of ``processes``.
    ``start`` is the number of the first round: another one asks other queries.
    ``others`` gives the CPU seconds that other processes have used so far; rounds that they disturbed are left out if
    ``least`` others are there. ``pace`` says how many calls a slice has.
    """
    known = estimates or {}
    usual = {name: (known[name] if name in known else one(0, 1, 0)) / 1e3 for name, one in rounds_of.items()}
    calls = {name: calls_per_round(value, 2 if name == reference else 1, pace) for name, value in usual.items()}
    rounds: dict[str, list[_Round]] = {name: [] for name in rounds_of}
    spent = dict.fromkeys(rounds_of, 0.0)
    rivals = [name for name in rounds_of if name != reference] or list(rounds_of)
    partner = reference if reference in rounds_of and reference not in rivals else None

    def done(name: str) -> bool:
        if len(rounds[name]) < LEAST_ROUNDS:
            return False
        if sum(spent.values()) > seconds * len(rivals) or spent[name] > seconds * _MOST_SHARE:
            return True
        known = _timing(rounds[name], least)
        if not precision or len(known.rounds) < _SURE_ROUNDS or len(known.rounds) % _LOOK_EVERY:
            return False
        against = known.beside or (1.0,) * len(known.rounds)
        return paired_ratio(known.rounds, against, known.processes).error <= precision

    for number in range(repeats):
        at = number % len(rivals)
        first, process = (start + number) * (_MOST_CALLS + 1), number % processes
        of_reference = []
        for name in rivals[at:] + rivals[:at]:
            if done(name):
                continue
            before, began = others(), time.perf_counter()
            turns = (name,) if partner is None else (partner, name, partner)
            found = [rounds_of[turn](first, calls[turn], process) for turn in turns]
            taken = time.perf_counter() - began
            beside = None if partner is None else float(np.sqrt(found[0] * found[-1]))
            disturbed = others() - before > max(_DISTURBED * taken * _CPUS, _CLOCK_SECONDS)
            rounds[name].append(_Round(found[len(found) // 2], beside, process, disturbed))
            of_reference.append(rounds[name][-1])
            spent[name] += taken
        if partner is not None and of_reference:
            quiet = [one for one in of_reference if not one.disturbed]
            middle = float(np.median([one.beside for one in quiet or of_reference]))  # type: ignore[arg-type]
            rounds[partner].append(_Round(middle, None, process, not quiet))
    return {name: _timing(found, least) for name, found in rounds.items()}


@dataclass(frozen=True)
class _Round:
    milliseconds: float
    beside: float | None
    process: int
    disturbed: bool


def _timing(rounds: Sequence[_Round], least: int) -> Timing:
    """The rounds that were not disturbed; all, where fewer than ``least`` are left."""
    kept = [one for one in rounds if not one.disturbed]
    if len(kept) < least:
        kept = list(rounds)
    return Timing(
        tuple(one.milliseconds for one in kept),
        tuple(one.beside for one in kept if one.beside is not None),
        tuple(one.process for one in kept),
        len(rounds) - len(kept),
    )


def measure(calls: Mapping[str, Callable[[], object]], *, repeats: int, seconds: float) -> dict[str, Timing]:
    """``interleave`` for calls of this process that are the same each time; ``seconds`` are those of all together."""

    def numbered(call: Callable[[], object], first: int, count: int, process: int) -> float:
        return run_round(lambda _: call(), first, count)

    rounds_of = {name: partial(numbered, call) for name, call in calls.items()}
    return interleave(rounds_of, repeats=repeats, seconds=seconds / max(1, len(calls)))
