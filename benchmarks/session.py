"""One run of the suites: compares engines case by case, answers first, and keeps every figure."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.limits import Limits
from benchmarks.results import EngineRecord, Row
from benchmarks.timing import Timing, interleave, paired_ratio
from benchmarks.truth import Truth, WrongAnswer
from benchmarks.workers import Contender, WorkerError, contenders

__all__ = ["Entry", "Session", "input_folder"]

_OURS = "sightline"


@dataclass(frozen=True)
class Entry:
    """An engine in a case, with one of its settings."""

    contender: Contender
    case: dict[str, Any]
    setting: int = 0
    exact: bool = False
    judged: bool = True  # whether the truth of the case is what this engine looks for


@dataclass
class Session:
    """What all suites of a run share."""

    options: argparse.Namespace
    limits: Limits
    rows: list[Row] = field(default_factory=list)
    engines: list[EngineRecord] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def threads(self) -> int:
        return int(self.options.threads)

    @contextmanager
    def started(
        self, suite: str, data: str, table: dict[str, str], inputs: Path, threads: int | None = None
    ) -> Iterator[list[Contender]]:
        """Every engine of ``table`` that ``--peers`` wants, built one after another, with a record of each."""
        wanted = peers.chosen(table, self.options.peers)
        with contenders(wanted, inputs, threads or self.threads) as found:
            for contender in found:
                record = self._record(suite, data, contender)
                print(f"  {_engine_line(record)}", flush=True)
                self.engines.append(record)
            yield found

    @contextmanager
    def unbuilt(self, table: dict[str, str], inputs: Path, threads: int | None = None) -> Iterator[list[Contender]]:
        """The same, not built and without records: for cases that measure building itself."""
        wanted = peers.chosen(table, self.options.peers)
        with contenders(wanted, inputs, threads or self.threads, build=False) as found:
            yield found

    @staticmethod
    def _record(suite: str, data: str, contender: Contender) -> EngineRecord:
        record = EngineRecord(suite, data, contender.name, version=contender.version or "")
        if contender.built is None:
            record.status = "missing" if contender.version is None else "failed"
            record.problem = contender.problem or ""
            return record
        for name in ("build_seconds", "peak_bytes", "resident_bytes", "disk_bytes", "description"):
            setattr(record, name, contender.built[name])
        return record

    def compare(
        self,
        suite: str,
        data: str,
        case_name: str,
        entries: Sequence[Entry],
        truth: Truth | None,
        *,
        queries: int,
        k: int,
        count: int,
        identical: bool = False,
        bytes_read: float | None = None,
        operations: float | None = None,
    ) -> list[Row]:
        """Check every answer, then time all entries in interleaved rounds. Engines that are missing become gaps.

        ``queries``: how many one call answers. ``identical``: Sightline's ids must be the true ones in the true order.
        ``bytes_read``, ``operations``: what one call of Sightline must read or multiply and add with 8 bits, for its
        share of the machine's limit; an engine that counts bytes itself is asked.
        Raises WrongAnswer if an engine that promises exact answers gives another one.
        """
        rows: dict[str, Row] = {}
        timed: dict[str, Entry] = {}
        for entry in entries:
            contender = entry.contender
            row = Row(suite, data, case_name, contender.name, exact=entry.exact, queries=queries, k=k, count=count)
            if contender.worker is None:
                row.status = "missing" if contender.version is None else "failed"
                row.problem = contender.problem or ""
                rows[contender.name] = row
                continue
            label = contender.label(entry.setting)
            row.setting = label.removeprefix(contender.name).strip()
            rows[label] = row
            try:
                if truth is not None and entry.judged:
                    counted = self._check(row, entry, truth, identical and contender.name == _OURS)
                    if contender.name == _OURS:
                        row.share = _work(operations, bytes_read if counted is None else counted)
                timed[label] = entry
            except WorkerError as error:
                row.status, row.problem = "failed", str(error)
        for label, entry in list(timed.items()):  # before anything is timed: a failure must not stop the others
            problem = _first_round(entry)
            if problem:
                rows[label].status, rows[label].problem = "failed", problem
                del timed[label]
        times = interleave(
            {label: partial(entry.contender.round, entry.case) for label, entry in timed.items()},
            repeats=self.options.repeats,
            seconds=self.options.seconds,
        )
        self.finish(list(rows.values()), {rows[label].name: timing for label, timing in times.items()})
        return list(rows.values())

    def _check(self, row: Row, entry: Entry, truth: Truth, identical: bool) -> int | None:
        found, bytes_read = entry.contender.ids(entry.case, len(truth))
        row.recall = truth.recall(found, row.k)
        if entry.exact and row.recall < 1:
            raise WrongAnswer(
                f"WRONG ANSWER: {row.name} promises exact answers, but its recall@{row.k} is {row.recall:.6f} "
                f"({row.suite}, {row.data}, {row.case})"
            )
        if identical:
            truth.check_identical(found, row.k, row.name)
        return bytes_read

    def finish(self, rows: list[Row], times: dict[str, Timing]) -> None:
        """Fill in times and ratios, keep the rows and show them."""
        ours = next((times[row.name] for row in rows if row.engine == _OURS and row.name in times), None)
        for row in rows:
            timing = times.get(row.name)
            if timing is not None:
                row.rounds = list(timing.rounds)
                row.median, row.least, row.most = timing.median, timing.least, timing.most
                if ours is not None and timing is not ours:
                    row.set_ratio(paired_ratio(timing.rounds, ours.rounds))
        if rows:
            print(f" {rows[0].suite}: {rows[0].data}: {rows[0].case}")
        for row in rows:
            self._share(row)
            print(f"    {_row_line(row)}", flush=True)
        self.rows += rows

    def _share(self, row: Row) -> None:
        """Turn the work of a call into its share of the machine's limit."""
        if row.share is not None and row.median is not None:
            limit = self.limits.as_dict()[row.share["of"]] * 1e9
            row.share = {"of": row.share["of"], "value": row.share["work"] / (row.median / 1e3) / limit}
        else:
            row.share = None


@contextmanager
def input_folder(**files: Any) -> Iterator[Path]:
    """A temporary folder with the inputs of the workers: arrays as .npy, the rest as .json."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, value in files.items():
            if isinstance(value, np.ndarray):
                np.save(folder / f"{stem}.npy", value)
            else:
                (folder / f"{stem}.json").write_text(json.dumps(value), encoding="utf-8")
        yield folder


def _first_round(entry: Entry) -> str:
    """Run one round that is not kept; return what went wrong."""
    try:
        entry.contender.round(entry.case, 0, 1)
    except WorkerError as error:
        return str(error)
    return ""


def _work(operations: float | None, bytes_read: float | None) -> dict[str, Any] | None:
    if operations is not None:
        return {"of": "int8_gop_s", "work": operations}
    return None if bytes_read is None else {"of": "read_gb_s", "work": bytes_read}


def _engine_line(record: EngineRecord) -> str:
    if record.status != "ok":
        return f"{record.engine}: {record.problem}"
    parts = [f"{record.engine} {record.version} ({record.description}): built in {record.build_seconds:.2f} s"]
    for name, value in (("peak", record.peak_bytes), ("resident", record.resident_bytes), ("disk", record.disk_bytes)):
        if value is not None:
            parts.append(f"{name} {value / 1e6:.1f} MB")
    return ", ".join(parts)


def _row_line(row: Row) -> str:
    if row.status != "ok" or row.median is None:
        return f"{row.name:32} {row.problem or row.status}"
    parts = [f"{row.name:32} {row.median:10.3f} {row.unit} [{row.least:.3f} to {row.most:.3f}]"]
    if row.recall is not None:
        parts.append(f"recall@{row.k} {row.recall:.4f}")
    if row.ratio is not None:
        parts.append(f"ratio {row.ratio['median']:.2f} [{row.ratio['low']:.2f} to {row.ratio['high']:.2f}]")
    if row.share is not None:
        parts.append(f"{row.share['value']:.0%} of {row.share['of']}")
    return ", ".join(parts)
