"""What all commands share: options, threads, the session, the file that a run leaves."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import sightline as sl
from benchmarks import environment, peers, results
from benchmarks.limits import Limits
from benchmarks.results import Run
from benchmarks.session import Session
from benchmarks.timing import PACES
from benchmarks.workers import environment_for

__all__ = ["SUITES", "add_common_options", "measure", "published_settings", "run_suite"]

# Command -> module below benchmarks, what it measures, threads unless said otherwise (None: all CPUs).
# In the order in which a run does them: where its minutes are over, the last ones are left out.
SUITES: dict[str, tuple[str, str, int | None]] = {
    "dense": ("dense", "vector search, exact and approximate", None),
    "filter": ("filtering", "vector search confined to some of the rows", None),
    "lexical": ("lexical", "BM25 over the same tokens, and indexing from text", 1),
    "hybrid": ("hybrid", "documents with text, vector and metadata against embedded engines", None),
    "ingest": ("ingest", "from arrays, texts and documents to an index", None),
    "open": ("opening", "from a saved index to its first answer", None),
    "quality": ("quality", "nDCG@10 on judged collections", None),
}


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="a BEIR folder, ann-benchmarks HDF5, .fvecs, .bvecs or .npy")
    parser.add_argument(
        "--peers", nargs="*", choices=peers.ALL, help="only these engines besides Sightline (default: all installed)"
    )
    parser.add_argument("--threads", type=int, help="for every engine alike")
    parser.add_argument("--repeats", type=int, default=200, help="rounds at most (default: %(default)s)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=8,
        help="for each engine of a case; who needs less leaves the rest to others (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        type=float,
        default=0.03,
        help="enough rounds are made when the interval of a ratio is within this of it (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=3,
        help="of each engine that builds within two seconds, asked in turns (default: %(default)s)",
    )
    parser.add_argument("--longest", type=float, help="leave out, visibly, a peer one call of which takes more seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 if an engine fails, or one of --peers or Sightline is missing",
    )
    parser.add_argument("--json", type=Path, help="write the run to this file")


def run_suite(name: str, argv: list[str]) -> int:
    """One suite as a command of its own."""
    module_name, description, threads = SUITES[name]
    module = importlib.import_module(f"benchmarks.{module_name}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__ or description)
    add_common_options(parser)
    module.add_options(parser)
    options = parser.parse_args(argv)
    options.threads = options.threads or threads or sl.cpu_info()["cpus"]
    measure(options, f"{name} {' '.join(argv)}".strip(), name, lambda session: module.run(session))
    return 0


def measure(options: argparse.Namespace, command: str, profile: str, body: Any) -> Run:
    """Measure the machine's limits, run ``body`` with a session, and write the run if that is asked for.

    A wrong answer leaves as SystemExit; what was measured before is still written, and says by its rows how far it got.
    """
    sl.set_num_threads(options.threads)
    others = environment.Others()
    start = time.perf_counter()
    machine = limits_of(options.threads)
    session = Session(options, machine, started_at=start, settings=published_settings(options))
    run = Run(
        command=_published(command),
        profile=profile,
        created=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        environment=environment.record(options.threads),
        limits=machine.as_dict(),
        settings=session.settings,
        engines=session.engines,
        rows=session.rows,
        cases=session.cases,
    )
    print(
        f"{run.environment['cpu']}, kernels {run.environment['isa']}, {options.threads} thread(s); limits: "
        f"read {machine.read_gb_s:.1f} GB/s (one thread {machine.read_one_gb_s:.1f}), "
        f"int8 {machine.int8_gop_s:.0f} GOP/s, float32 {machine.float32_gflop_s:.0f} GFLOP/s, "
        f"write {machine.write_gb_s:.2f} GB/s, {machine.syncs_s:.0f} syncs/s",
        flush=True,
    )
    signal.signal(signal.SIGTERM, _leave)  # who is told to stop still closes its workers and keeps what it measured
    try:
        body(session)
    finally:
        run.environment |= others.shares() | {"shortened": session.shortened, "passes": session.number + 1}
        run.environment["paces"] = list(PACES)
        if options.json:  # before anything else may fail
            results.write(run, options.json)
        session.renew()
    gaps = [row for row in run.rows if row.status != "ok"]
    shown = "".join(f"; {sum(row.status == kind for row in gaps)} {kind}" for kind in sorted({r.status for r in gaps}))
    print(f"\n{len(run.rows)} rows in {time.perf_counter() - start:.0f} s{shown}")
    if run.environment["cpu_of_others"]:
        print(f"other processes had {run.environment['cpu_of_others']:.0%} of the CPUs meanwhile")
    if options.strict:
        _refuse_gaps(run, {"sightline", *(options.peers or ())})
    return run


def _refuse_gaps(run: Run, wanted: set[str]) -> None:
    """Raise SystemExit for what failed, for what was wanted and is missing, and for a run without any exact answer."""
    gaps = [
        (row.suite, row.case, row.name, row.problem)
        for row in run.rows
        if row.status == "failed" or (row.status == "missing" and row.engine in wanted)
    ]
    if not any(row.exact and row.recall == 1 and row.status == "ok" for row in run.rows):
        gaps.append(("all", "all", "all", "no exact answer was compared"))
    if gaps:
        raise SystemExit("\n".join(f"{suite}, {case}: {name}: {problem}" for suite, case, name, problem in gaps))


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def limits_of(threads: int) -> Limits:
    """The limits in a process of its own, because a BLAS reads its number of threads when it is loaded."""
    code = (
        "import json, os, sys\n"
        "from benchmarks import limits\n"
        "cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_setaffinity') else []\n"
        "if cpus: os.sched_setaffinity(0, cpus[:int(sys.argv[1])])\n"
        "print(json.dumps(limits.measure_limits().as_dict()))\n"
    )
    command = [sys.executable, "-c", code, str(threads)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment_for(threads))
    return Limits(**json.loads(out.stdout))


def published_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What is set, without the paths of this machine."""
    given = sorted(vars(options).items())
    return {name: value for name, value in given if value is not None and not isinstance(value, Path)}


def _published(command: str) -> str:
    """The command as it can be published: without the output file, and of a path only its last part."""
    kept: list[str] = []
    words = iter(command.split())
    for word in words:
        if word == "--json":
            next(words, None)
        elif not word.startswith("--json="):
            kept.append(Path(word).name if os.sep in word else word)
    return " ".join(kept)
