"""Runs ``sightline_native_bench``: single kernels and single steps of the engines, each beside a reference loop."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

__all__ = ["About", "Case", "about", "cases", "count_instructions", "default_program", "has_valgrind", "measure"]

# Whatever else the machine does, a run takes seconds.
_TIMEOUT_SECONDS = 300
_CALLS_COUNTED = 2


@dataclass(frozen=True)
class About:
    """The compiler that made the program, and the kernel tables that it can run here, best first."""

    compiler: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What was measured of one case: nanoseconds a call, and of the reference loop in between."""

    name: str
    reference: str
    bytes: float
    operations: float
    unit: str
    ns: tuple[float, ...]
    reference_ns: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Time of a call by that of the reference loop, each at its least: what the machine allows undisturbed."""
        return min(self.ns) / min(self.reference_ns)

    def joined(self, earlier: Case | None) -> Case:
        """This measurement with the samples of an earlier one."""
        if earlier is None:
            return self
        return replace(self, ns=earlier.ns + self.ns, reference_ns=earlier.reference_ns + self.reference_ns)


@cache
def default_program() -> Path:
    """Build the program where the native tests are built."""
    from tests.native_build import build

    return build("sightline_native_bench")


def _run(command: Sequence[str | Path], table: str | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "SIGHTLINE_ISA"}
    if table is not None:
        environment["SIGHTLINE_ISA"] = table
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def about(program: Path) -> About:
    found = json.loads(_run([program, "--about"], None))
    return About(found["compiler"], tuple(found["tables"]))


def cases(program: Path, table: str) -> list[str]:
    """The cases under one kernel table: its own, and those that depend on none."""
    return _run([program, "--list"], table).split()


def _parse(line: str) -> Case:
    fields = json.loads(line)
    fields |= {key: tuple(fields[key]) for key in ("ns", "reference_ns")}
    return Case(**fields)


def measure(program: Path, table: str, names: Sequence[str], *, samples: int, slow: str | None = None) -> list[Case]:
    """Time the cases. ``slow`` names one that shall do three times its work: an artificial regression."""
    options = [f"--samples={samples}", *([f"--slow={slow}"] if slow in names else [])]
    return [_parse(line) for line in _run([program, *options, *names], table).splitlines()]


def has_valgrind() -> bool:
    return shutil.which("valgrind") is not None


def count_instructions(program: Path, table: str, names: Sequence[str], *, slow: str | None = None) -> dict[str, int]:
    """The instructions that a few calls of each case execute, counted by callgrind: the same on any machine and under
    any load, for one build of the program. The table must be one that valgrind emulates: it knows no AVX-512.
    """
    options = [f"--calls={_CALLS_COUNTED}", *([f"--slow={slow}"] if slow in names else [])]
    function = "sightline_bench_measured"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        tool = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}"]
        watch = [f"--toggle-collect={function}", f"--dump-after={function}"]
        printed = _run([*tool, *watch, program, *options, *names], table).splitlines()
        # One file after each case, numbered from 1.
        dumps = [(out.with_name(f"out.{i + 1}")).read_text("utf-8") for i in range(len(printed))]
    counts: dict[str, int] = {}
    for line, dump in zip(printed, dumps, strict=True):
        total = re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE)
        if total is None or int(total[1]) == 0:
            raise RuntimeError(f"callgrind reported no instructions for {_parse(line).name}")
        counts[_parse(line).name] = int(total[1])
    return counts
