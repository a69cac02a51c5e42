"""``python -m benchmarks run``: every suite in one run. The quick profile ends within five minutes on two CPUs; the
steady one, for figures that are to be compared, does the same three times as often.
"""

from __future__ import annotations

import argparse
import importlib
import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import sightline as sl
from benchmarks import command, data, peers
from benchmarks.peers import SLOW_BUILDS
from benchmarks.session import Session

__all__ = ["main", "profile_options"]

# What each suite's options are in a profile, beyond its defaults. "smoke" is the quick one on sizes that say nothing
# about speed, for tests of the harness.
_PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {
        "common": {
            "seconds": 0.8,
            "passes": 8,
            "processes": 1,
            "longest": 1.0,
            "minutes": 4.5,
            "slow_builds": SLOW_BUILDS,
        },
        "dense": {"rows": [5_000, 20_000], "batches": [1, 100], "approximate": True},
        "lexical": {"batches": [1, 100], "max_queries": 300},
        "hybrid": {"documents": 20_000, "check": 50},
        "ingest": {"rows": [20_000], "documents": 10_000, "index_documents": 10_000, "seconds": 1.6},
        "open": {"rows": [20_000], "opens": 24, "documents": 10_000, "seconds": 1.6},
        "filter": {"rows": [20_000], "shares": [0.1, 0.001], "batches": [1], "seconds": 2.4},
        "quality": {"max_queries": 300},
    },
    "full": {
        "common": {"seconds": 8.0, "passes": 1},
        "dense": {"rows": [10_000, 100_000, 300_000], "approximate": True, "k": [10, 100]},
        "lexical": {},
        "hybrid": {},
        "ingest": {"rows": [300_000], "approximate": True, "documents": 100_000},
        "open": {"rows": [300_000]},
        "filter": {"rows": [300_000], "approximate": True},
        "quality": {},
    },
    "smoke": {
        "common": {"repeats": 2, "seconds": 0.5, "passes": 2, "processes": 1},
        "dense": {"rows": [2000], "dim": 32, "batches": [1, 10], "vectors": ["embedding"], "check": 20},
        "lexical": {"documents": 500, "max_queries": 40, "batches": [1, 10], "check": 20, "index_documents": 100},
        "hybrid": {"documents": 500, "check": 10},
        "ingest": {"rows": [2000], "dim": 32, "documents": 300, "index_documents": 100},
        "open": {"rows": [2000], "dim": 32, "opens": 2, "documents": 300},
        "filter": {"rows": [2000], "dim": 32, "shares": [0.05], "batches": [1], "check": 10},
        "quality": {"documents": 500, "max_queries": 30},
    },
}
# The steady profile: a shared machine is slow for seconds and for minutes, so it takes passes spread over many of them.
_STEADY_TIMES = 3
_STEADY_OPTIONS = ("seconds", "repeats", "passes", "minutes", "opens")
_PASSES_OF_A_PROCESS = 4  # then new ones are started, which lie elsewhere in memory
_UNTIMED = ("quality",)  # answers are the same each time
_MOST_TIME = 4.0  # times the seconds of a profile, where few of the engines are installed or asked for
# How a profile's minutes are shared out among its suites: by what they take where every peer is installed.
_WEIGHTS = {"dense": 38, "lexical": 10, "hybrid": 10, "ingest": 12, "open": 15, "filter": 4, "quality": 11}


def profile_options(profile: str, suite: str, given: argparse.Namespace) -> argparse.Namespace:
    """A suite's options: its defaults, the profile's, then what the command line says."""
    module = importlib.import_module(f"benchmarks.{command.SUITES[suite][0]}")
    parser = argparse.ArgumentParser()
    command.add_common_options(parser)
    module.add_options(parser)
    options = parser.parse_args([])
    steady = profile == "steady"
    table = _PROFILES["quick" if steady else profile]
    for name, value in {**table["common"], **table[suite]}.items():
        setattr(options, name, value)
    for name in _STEADY_OPTIONS if steady else ():
        if hasattr(options, name):
            setattr(options, name, _STEADY_TIMES * getattr(options, name))
    for name, value in vars(given).items():
        if value is not None and (hasattr(options, name) or name in ("minutes", "passes")):
            setattr(options, name, value)
    options.threads = given.threads or command.SUITES[suite][2] or sl.cpu_info()["cpus"]
    if given.seconds is None:
        factor = min(_MOST_TIME, len(peers.ALL) / max(1, len(_present(given.peers))))
        options.seconds *= factor
    return options


def _present(wanted: list[str] | None) -> set[str]:
    """The engines that a run measures: fewer of them have more time each."""
    tables = (peers.DENSE, peers.LEXICAL, peers.HYBRID)
    return {n for table in tables for n, m in peers.chosen(table, wanted).items() if not peers.missing(m)}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks run", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *command.SUITES], help="only these (default: all)")
    command.add_common_options(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--steady", dest="profile", action="store_const", const="steady", help="the quick profile, three times as long"
    )
    which.add_argument("--full", dest="profile", action="store_const", const="full", help="larger, most of an hour")
    which.add_argument("--smoke", dest="profile", action="store_const", const="smoke", help="tiny: tests the harness")
    parser.add_argument("--rows", type=int, nargs="+", help="generated rows, in every suite with vectors")
    parser.add_argument("--dim", type=int)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--k", type=int, nargs="+")
    parser.add_argument(
        "--minutes",
        type=float,
        help="where the run is behind, cases have three rounds only, and say so (default: 4.5, or 13.5 with --steady)",
    )
    parser.add_argument(
        "--passes",
        type=int,
        help="do all suites so often, and pool the rounds (default: 8, or 24 with --steady, as far as time allows)",
    )
    parser.set_defaults(profile="quick", repeats=None, seconds=None, precision=None, processes=None)
    given = parser.parse_args(argv)
    if given.passes is not None and given.passes < 1:
        parser.error(f"--passes: expected at least 1, got {given.passes}")
    profile = given.profile
    suites = given.suites or list(command.SUITES)
    options = argparse.Namespace(**vars(given))
    options.threads = given.threads or sl.cpu_info()["cpus"]

    by_suite = {suite: profile_options(profile, suite, given) for suite in suites}
    for suite, chosen in by_suite.items():
        if given.data and not _fits(suite, given):
            print(f"{suite}: {given.data.name} is not data for it, so it uses its own")
            chosen.data = None
    command.measure(options, " ".join(["run", *argv]), profile, partial(_passes, by_suite))
    return 0


def _passes(by_suite: Mapping[str, argparse.Namespace], session: Session) -> None:
    """All suites, again and again; after the first pass only those for which the profile's minutes will do."""
    session.settings.clear()
    session.settings.update({suite: command.published_settings(options) for suite, options in by_suite.items()})
    some = next(iter(by_suite.values()))
    session.passes = some.passes
    minutes = getattr(some, "minutes", None) or math.inf
    taken: dict[str, float] = {}
    for number in range(session.passes):
        # What a suite takes is known from the pass before; the first does more than twice of what is done later.
        expected = {suite: seconds / (2 if number == 1 else 1) for suite, seconds in taken.items()}
        passed = time.perf_counter() - session.started_at
        if number and passed + min(expected.values(), default=math.inf) > 60 * minutes:
            session.shortened |= number == 1
            print(f"\n{number} of {session.passes} passes: {minutes:g} minutes are not enough for more")
            return
        session.number = number
        if number % _PASSES_OF_A_PROCESS == 0:
            session.renew()
        if session.passes > 1:
            print(f"\npass {number + 1} of {session.passes}, {passed:.0f} s after the start")
        for at, suite in enumerate(by_suite, start=1):
            began = time.perf_counter()
            if number and began - session.started_at + expected.get(suite, math.inf) > 60 * minutes:
                continue
            session.options = by_suite[suite]
            session.due = 1.0
            if number == 0:
                done = sum(_WEIGHTS[s] for s in list(by_suite)[:at]) / sum(_WEIGHTS[s] for s in by_suite)
                session.due = done / 2 if session.passes > 1 else done
            importlib.import_module(f"benchmarks.{command.SUITES[suite][0]}").run(session)
            if suite not in _UNTIMED:
                taken[suite] = time.perf_counter() - began


def _fits(suite: str, given: argparse.Namespace) -> bool:
    """Vectors alone serve suites of vectors; texts with vectors serve all."""
    texts = data.has_texts(given.data)
    vectors = not texts or (given.data / "docs.npy").exists()
    judged = texts and any((given.data / "qrels").glob("*.tsv*"))
    needs = {"dense": vectors, "filter": vectors, "lexical": texts, "quality": judged}
    return needs.get(suite, (texts and vectors) or suite in ("ingest", "open"))
