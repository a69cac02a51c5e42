"""What a run leaves: rows of figures, the engines, the machine; as JSON of ``results.schema.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratios import NOISY, Ratio, paired_ratio

__all__ = ["SCHEMA_VERSION", "EngineRecord", "Row", "Run", "merge", "read", "write"]

SCHEMA_VERSION = 3
# Of the environment: what differs from run to run.
_OF_A_RUN = ("load_before", "cpu_of_others", "cpu_stolen", "shortened", "passes")


@dataclass
class Row:
    """One engine in one case: what it found, how long it took, and against Sightline in the same rounds.

    ``ratio`` is its time over Sightline's: above 1, Sightline is faster. ``rounds`` are milliseconds (or values of
    another ``unit``), ``beside`` Sightline's in the same rounds; from both ``compare`` takes the noise.
    """

    suite: str
    data: str
    case: str
    engine: str
    setting: str = ""
    status: str = "ok"  # or "missing", "failed", "left out"
    problem: str = ""
    exact: bool = False
    recall: float | None = None
    unit: str = "ms"
    median: float | None = None
    least: float | None = None
    most: float | None = None
    rounds: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)  # which pass or pair of processes each round is of
    disturbed: int = 0  # rounds that are left out because others had the CPUs
    ratio: dict[str, float] | None = None
    share: dict[str, Any] | None = None  # {"of": a limit of the machine, "value": 0..1}
    queries: int = 0  # in one call
    k: int = 0
    count: int = 0  # rows or documents searched
    resident_bytes: int | None = None

    @property
    def name(self) -> str:
        return f"{self.engine} {self.setting}".strip()

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.suite, self.data, self.case, self.name)

    def set_rounds(self, rounds: Sequence[float], beside: Sequence[float], processes: Sequence[int]) -> None:
        """Take these rounds for the row's own, and figures of all of them."""
        self.rounds, self.beside, self.processes = list(rounds), list(beside), list(processes)
        if self.share is not None and self.median is not None:
            self.share["value"] *= self.median / float(np.median(self.rounds))
        self.median, self.least, self.most = float(np.median(self.rounds)), min(self.rounds), max(self.rounds)
        if self.beside:
            self.ratio = asdict(paired_ratio(self.rounds, self.beside, self.processes))

    def pool(self, other: Row) -> None:
        """Add the rounds that a later pass measured, numbered as of other processes. What failed once counts as
        failed; an engine that was left out in one of two passes has the figures of the other.
        """
        if other.status == "failed" and self.status != "failed":
            self.status, self.problem = other.status, other.problem
            self.median = self.least = self.most = self.ratio = self.share = None
        if self.status != "ok" or other.status != "ok" or not other.rounds:
            return
        after = 1 + max(self.processes, default=-1)
        self.set_rounds(
            self.rounds + other.rounds,
            self.beside + other.beside,
            self.processes + [after + number for number in other.processes],
        )
        self.disturbed += other.disturbed

    def ratio_shown(self) -> str:
        """The ratio with its interval, and whether that is wide; empty where there is none."""
        if self.ratio is None:
            return ""
        ratio = Ratio(**self.ratio)
        noisy = ", noisy" if ratio.error > NOISY else ""
        return f"{ratio.value:.2f} [{ratio.low:.2f} to {ratio.high:.2f}]{noisy}"

    def per_second(self) -> float | None:
        return self.queries / self.median * 1e3 if self.queries and self.median and self.unit == "ms" else None


@dataclass
class EngineRecord:
    """One engine built once in a process of its own."""

    suite: str
    data: str
    engine: str
    status: str = "ok"
    problem: str = ""
    version: str = ""
    description: str = ""
    build_seconds: float | None = None
    peak_bytes: int | None = None
    resident_bytes: int | None = None
    disk_bytes: int | None = None


@dataclass
class Run:
    """Everything of one run."""

    command: str
    profile: str
    created: str
    environment: dict[str, Any]
    limits: dict[str, float]
    settings: dict[str, Any]
    engines: list[EngineRecord] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION


def write(run: Run, path: Path) -> None:
    text = json.dumps(_rounded(asdict(run)), indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Run:
    """Raise ValueError for another schema version: figures of another meaning must not be compared."""
    loaded = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict) or loaded.get("schema_version") != SCHEMA_VERSION:
        got = loaded.get("schema_version") if isinstance(loaded, dict) else type(loaded).__name__
        raise ValueError(f"{path}: expected a run of schema_version {SCHEMA_VERSION}, got {got}; measure it again")
    rows = [Row(**row) for row in loaded.pop("rows")]
    engines = [EngineRecord(**engine) for engine in loaded.pop("engines")]
    return Run(**loaded, rows=rows, engines=engines)


def merge(runs: Sequence[Run]) -> Run:
    """Join runs of different suites, made one after another on the same machine.

    Raises ValueError if machine, build or packages differ, or if two of them hold the same case: its rows would look as
    if they had been measured side by side.
    """
    first = runs[0]
    known = [{k: v for k, v in run.environment.items() if k not in _OF_A_RUN} for run in runs]
    for other, run in zip(known, runs, strict=True):
        if other != known[0]:
            raise ValueError(
                f"expected runs on one machine with one build; '{first.command}' and '{run.command}' differ"
            )
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        cases = {(row.suite, row.data, row.case) for row in run.rows}
        if cases & seen:
            raise ValueError(f"two runs hold the same case: {sorted(cases & seen)[0]}")
        seen |= cases
    worst = {
        name: max((value for run in runs if (value := run.environment.get(name)) is not None), default=None)
        for name in _OF_A_RUN
    }
    return replace(
        first,
        environment=first.environment | worst,
        command=" && python -m benchmarks ".join(run.command for run in runs),
        # A limit is what was possible at best.
        limits={name: max(run.limits[name] for run in runs) for name in first.limits},
        engines=[engine for run in runs for engine in run.engines],
        rows=[row for run in runs for row in run.rows],
        cases=[case for run in runs for case in run.cases],
    )


def _rounded(value: Any) -> Any:
    """Five significant digits: more is noise, and makes files that people read long."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
