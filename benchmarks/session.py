"""One run of the suites: compares engines case by case, answers first, and keeps every figure."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import peers
from benchmarks.environment import memory_left, others_seconds
from benchmarks.limits import Limits
from benchmarks.results import EngineRecord, Row
from benchmarks.timing import LEAST_ROUNDS, PACES, Timing, interleave
from benchmarks.truth import Truth, WrongAnswer
from benchmarks.workers import Contender, WorkerError, contenders

__all__ = ["Entry", "Session"]

_Made = TypeVar("_Made")

_OURS = "sightline"
_ROUNDS_OF_A_PASS = 1000  # more than it can have: each asks from another query on
_MEMORY_LEFT = 0.5  # of the machine's: with less of it, engines do not wait for the next pass
_SHORT_BUILD_SECONDS = 2.0  # engines that start and build within it are measured in several processes


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
    """What all suites of a run share.

    A run may do its suites in several passes: each has part of the time, and its rounds are pooled with those before
    it. What a machine is like for a minute is then not one case's luck but part of every one. Engines wait for the next
    pass while there is memory, or are started anew; ``renew`` ends them all.
    """

    options: argparse.Namespace
    limits: Limits
    rows: list[Row] = field(default_factory=list)
    engines: list[EngineRecord] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    started_at: float = field(default_factory=time.perf_counter)
    due: float = 1.0  # the share of a profile's minutes that may have passed when the present suite ends
    shortened: bool = False
    passes: int = 1
    number: int = 0  # of the present pass
    _known: dict[tuple[str, str, str, str], Row] = field(default_factory=dict)  # the rows by their keys
    _usual: dict[tuple[str, str, str, str], float] = field(default_factory=dict)  # milliseconds of a call
    _made: dict[Hashable, Any] = field(default_factory=dict)
    _kept: dict[Hashable, Any] = field(default_factory=dict)  # engines that wait for the next pass, and their inputs
    _open: ExitStack = field(default_factory=ExitStack)
    _per_query: dict[str, float] = field(default_factory=dict)  # label -> milliseconds

    @property
    def threads(self) -> int:
        return int(self.options.threads)

    @property
    def first(self) -> bool:
        """Whether this is the first pass, in which answers are checked and engines described."""
        return self.number == 0

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gives, kept for later passes if there are any."""
        if self.passes == 1:
            return make()
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    def worthwhile(self, table: dict[str, str]) -> bool:
        """Whether this pass adds something: where there is nobody to compare with, the first one says all."""
        return self.first or self._compared(table)

    def _compared(self, table: dict[str, str]) -> bool:
        wanted = peers.chosen(table, self.options.peers)
        return any(name != _OURS and not peers.missing(module) for name, module in wanted.items())

    @contextmanager
    def _waiting(
        self, key: Hashable, made: Callable[[], AbstractContextManager[_Made]], wanted: bool
    ) -> Iterator[_Made]:
        """What was kept under ``key``; else what is made, and kept if that is wanted and there is memory for it."""
        if key in self._kept:
            yield self._kept[key]
        elif wanted and self.number + 1 < self.passes and memory_left() > _MEMORY_LEFT:
            self._kept[key] = self._open.enter_context(made())
            yield self._kept[key]
        else:
            with made() as value:
                yield value

    def _lasts(self, inputs: Path) -> bool:
        return any(value == inputs for value in self._kept.values())

    def renew(self) -> None:
        """End all processes that wait: those of the next pass are new ones."""
        self._kept.clear()
        self._open.close()

    @contextmanager
    def inputs(self, *key: Hashable, **files: Any) -> Iterator[Path]:
        """A temporary folder with the inputs of workers: arrays as .npy, the rest as .json; for later passes, too."""
        with self._waiting(("inputs", *key), lambda: _input_folder(**files), True) as folder:
            yield folder

    @contextmanager
    def started(
        self, suite: str, data: str, table: dict[str, str], inputs: Path, *, changed: bool = False
    ) -> Iterator[list[Contender]]:
        """Every engine of ``table`` that ``--peers`` wants, built one after another, with a record of each.

        ``changed``: some case changes their indexes, or measures what the place of a process's memory decides, so that
        a later pass needs new ones.
        """
        wanted = peers.chosen(table, self.options.peers)
        make = partial(
            contenders,
            wanted,
            inputs,
            self.threads,
            left_out=self.left_out(wanted),
            processes=1 if self.late() else self.options.processes,
            seconds=_SHORT_BUILD_SECONDS,
            described=self.first,
        )
        with self._waiting(
            ("started", suite, data), make, self._compared(table) and not changed and self._lasts(inputs)
        ) as found:
            for contender in found if self.first else ():
                record = self._record(suite, data, contender)
                print(f"  {_engine_line(record)}", flush=True)
                self.engines.append(record)
            yield found

    @contextmanager
    def unbuilt(
        self, name: str, table: dict[str, str], inputs: Path, threads: int | None = None, *, changed: bool = False
    ) -> Iterator[list[Contender]]:
        """The same, not built and without records: for cases that measure building itself."""
        wanted = peers.chosen(table, self.options.peers)
        left_out = self.left_out(wanted)
        make = partial(
            contenders, wanted, inputs, threads or self.threads, build=False, left_out=left_out, described=self.first
        )
        with self._waiting(
            ("unbuilt", name), make, self._compared(table) and not changed and self._lasts(inputs)
        ) as found:
            yield found

    @staticmethod
    def _record(suite: str, data: str, contender: Contender) -> EngineRecord:
        record = EngineRecord(suite, data, contender.name, version=contender.version or "")
        if contender.built is None:
            record.status = contender.gap
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
        work: tuple[str, float] | None = None,
        pace: str = "usual",
    ) -> list[Row]:
        """Check every answer, then time all entries in interleaved rounds. Engines that are missing become gaps.

        ``queries``: how many one call answers. ``identical``: Sightline's ids must be the true ones in the true order.
        ``bytes_read``, ``operations``: what one call of Sightline must read or multiply and add with 8 bits, for its
        share of the machine's limit; an engine that counts bytes itself is asked. ``work``: the same for another limit,
        by its name in ``Limits``. ``pace``: of the slices, in ``timing.PACES``.
        Raises WrongAnswer if an engine that promises exact answers gives another one.
        """
        rows: dict[str, Row] = {}
        timed: dict[str, Entry] = {}
        estimates: dict[str, float] = {}
        for entry in entries:
            contender = entry.contender
            row = Row(suite, data, case_name, contender.name, exact=entry.exact, queries=queries, k=k, count=count)
            if contender.worker is None:
                row.status = contender.gap
                row.problem = contender.problem or ""
                rows[contender.name] = row
                continue
            label = contender.label(entry.setting)
            row.setting = label.removeprefix(contender.name).strip()
            rows[label] = row
            known = None if self.first else self._known.get(row.key)
            if known is not None and known.status != "ok":
                row.status, row.problem = known.status, known.problem
                continue
            expected = queries * self._per_query.get(label, 0.0)
            if self._too_long(row, expected):
                continue
            try:
                usual = None
                if not self.first:
                    usual = self._usual.get(row.key)
                    contender.round(entry.case, 0, 1)  # what it prepares for its first call is not counted
                elif truth is not None and entry.judged:
                    counted, usual = self._check(row, entry, truth, identical and contender.name == _OURS)
                    if contender.name == _OURS:
                        row.share = _share_of(work, operations, bytes_read if counted is None else counted)
                elif contender.name == _OURS:
                    row.share = _share_of(work, operations, bytes_read)
                if usual is None:  # two rounds: the first may have had something to prepare
                    usual = min(contender.round(entry.case, 0, 1) for _ in range(2))
            except WorkerError as error:  # before anything is timed: a failure must not stop the others
                row.status, row.problem = "failed", str(error)
                continue
            self._usual.setdefault(row.key, usual)
            if queries:
                self._per_query[label] = min(usual / queries, self._per_query.get(label, np.inf))
            if not self._too_long(row, usual):
                timed[label], estimates[label] = entry, usual
        times = interleave(
            {label: partial(entry.contender.round, entry.case | {"pace": pace}) for label, entry in timed.items()},
            repeats=self.repeats(alone=all(entry.contender.name == _OURS for entry in timed.values())),
            seconds=self.options.seconds / self.passes,
            precision=self.precision(),
            start=self.number * _ROUNDS_OF_A_PASS,
            processes=1 + max((len(entry.contender.more) for entry in timed.values()), default=0),
            reference=next((label for label, entry in timed.items() if entry.contender.name == _OURS), None),
            estimates=estimates,
            others=others_seconds,
            least=LEAST_ROUNDS if self.passes == 1 else 1,  # of a pass: there are others
            pace=PACES[pace],
        )
        return self.finish(list(rows.values()), {rows[label].name: timing for label, timing in times.items()})

    def left_out(self, table: dict[str, str]) -> dict[str, str]:
        """Engines that a quick profile has no time to build, with the reason: slow builders that ``--peers`` does not
        name; all but Sightline once the profile's minutes are over, so that it ends.
        """
        minutes = getattr(self.options, "minutes", None)
        if minutes and time.perf_counter() - self.started_at > 60 * minutes:
            self.shortened = True
            reason = f"left to --full: the {minutes:g} minutes of this profile are over"
            return dict.fromkeys((name for name in table if name != _OURS), reason)
        names = getattr(self.options, "slow_builds", None) or ()
        wanted = self.options.peers or ()
        return {name: "left to --full, or to --peers: it builds for long" for name in names if name not in wanted}

    def repeats(self, *, alone: bool = False) -> int:
        """Rounds of a case in this pass; the least that is sensible once a run is behind its ``minutes``. ``alone``: of
        one that is not in all passes, since Sightline has nobody to compare with.
        """
        before, after = (self.options.repeats * number // self.passes for number in (self.number, self.number + 1))
        wanted = int(self.options.repeats if alone else after - before)
        return min(wanted, LEAST_ROUNDS) if self.late() else wanted

    def precision(self) -> float:
        """What is enough in a pass: less than in a run, since rounds of all are pooled."""
        return float(self.options.precision) * math.sqrt(self.passes)

    def late(self) -> bool:
        """Whether the time that ``minutes`` allows up to and with the present suite is over; it then says so once."""
        minutes = getattr(self.options, "minutes", None)
        if not minutes or time.perf_counter() - self.started_at <= 60 * minutes * self.due:
            return False
        if not self.shortened:
            self.shortened = True
            print(f"    behind the {minutes:g} minutes of this profile: {LEAST_ROUNDS} rounds a case and pass")
        return True

    def _too_long(self, row: Row, milliseconds: float) -> bool:
        """Leave out, visibly, an engine one call of which takes longer than ``longest`` seconds; never Sightline."""
        longest = getattr(self.options, "longest", None)
        if not longest or milliseconds <= longest * 1e3 or row.engine == _OURS:
            return False
        row.status = "left out"
        row.problem = f"left to --full: one call takes {milliseconds / 1e3:.1f} s"
        return True

    def _check(self, row: Row, entry: Entry, truth: Truth, identical: bool) -> tuple[int | None, float | None]:
        found, bytes_read, usual = entry.contender.ids(entry.case, len(truth))
        row.recall = truth.recall(found, row.k)
        if entry.exact and row.recall < 1:
            raise WrongAnswer(
                f"WRONG ANSWER: {row.name} promises exact answers, but its recall@{row.k} is {row.recall:.6f} "
                f"({row.suite}, {row.data}, {row.case})"
            )
        if identical:
            truth.check_identical(found, row.k, row.name)
        return bytes_read, usual

    def finish(self, rows: list[Row], times: dict[str, Timing]) -> list[Row]:
        """Fill in times and ratios, pool them with those of earlier passes, keep and show what comes of it."""
        kept = []
        for row in rows:
            timing = times.get(row.name)
            if timing is not None and timing.rounds:  # none if there are fewer --repeats than passes
                row.set_rounds(timing.rounds, timing.beside, timing.processes)
                row.disturbed = timing.disturbed
            self._share(row)
            known = None if self.first else self._known.get(row.key)
            if known is not None:
                known.pool(row)
            elif self.first or row.status != "left out":  # who is out in one pass has figures of others
                self.rows.append(row)
                self._known[row.key] = row
            kept.append(known or row)
        if kept:
            print(f" {kept[0].suite}: {kept[0].data}: {kept[0].case}")
        for row in kept:
            print(f"    {_row_line(row)}", flush=True)
        return kept

    def _share(self, row: Row) -> None:
        """Turn the work of a call into its share of the machine's limit."""
        if row.share is not None and row.median is not None:
            name = row.share["of"]
            if name == "read_gb_s" and self.threads == 1:
                name = "read_one_gb_s"
            limit = self.limits.as_dict()[name] * (1 if name == "syncs_s" else 1e9)
            row.share = {"of": name, "value": row.share["work"] / (row.median / 1e3) / limit}
        else:
            row.share = None


@contextmanager
def _input_folder(**files: Any) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, value in files.items():
            if isinstance(value, np.ndarray):
                np.save(folder / f"{stem}.npy", value)
            else:
                (folder / f"{stem}.json").write_text(json.dumps(value), encoding="utf-8")
        yield folder


def _share_of(
    work: tuple[str, float] | None, operations: float | None, bytes_read: float | None
) -> dict[str, Any] | None:
    """The limit that binds a call, and how much of it the call needs."""
    if work is not None:
        return {"of": work[0], "work": work[1]}
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
        parts.append(f"ratio {row.ratio_shown()}, {len(row.rounds)} rounds")
    if row.disturbed:
        parts.append(f"{row.disturbed} disturbed rounds left out")
    if row.share is not None:
        parts.append(f"{row.share['value']:.0%} of {row.share['of']}")
    return ", ".join(parts)
