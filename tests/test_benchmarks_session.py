"""One case of a run with made-up engines: gaps, what takes too long, shares of limits, the time of a profile."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import command, environment
from benchmarks.limits import Limits
from benchmarks.results import Row, Run
from benchmarks.session import Entry, Session
from benchmarks.workers import Contender, WorkerError

LIMITS = Limits(
    read_gb_s=20.0, read_one_gb_s=10.0, int8_gop_s=500.0, float32_gflop_s=90.0, write_gb_s=1.0, syncs_s=2000.0
)


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else uses the CPUs of a test's machine is none of its business."""
    monkeypatch.setattr("benchmarks.session.others_seconds", lambda: 0.0)


class Made(Contender):
    """An engine whose calls take so many milliseconds, by its own word."""

    def __init__(self, name: str, milliseconds: float, fails: bool = False) -> None:
        super().__init__(name, name, version="1", built={"settings": [{"label": "", "exact": True}]})
        self.worker: Any = object()
        self.milliseconds = milliseconds
        self.fails = fails
        self.asked: list[int] = []
        self.paces: set[str] = set()

    def round(self, case: dict[str, Any], first: int, calls: int, process: int = 0) -> float:
        if self.fails:
            raise WorkerError("ValueError: broken")
        self.asked.append(calls)
        self.paces |= {case["pace"]} if "pace" in case else set()  # a first look has none
        return self.milliseconds


def made_session(**options: Any) -> Session:
    defaults = {"threads": 2, "repeats": 5, "seconds": 1.0, "precision": 0.03, "processes": 1}
    defaults |= {"longest": None, "minutes": None}
    return Session(argparse.Namespace(**{**defaults, **options}), LIMITS)


def compare(session: Session, *engines: Contender, **options: Any) -> dict[str, Row]:
    entries = [Entry(engine, {"what": "search"}) for engine in engines]
    given: dict[str, Any] = {"queries": 10, "k": 10, "count": 100, **options}
    rows = session.compare("dense", "data", "case", entries, None, **given)
    return {row.name: row for row in rows}


def test_ratios_are_paired_with_sightline() -> None:
    rows = compare(made_session(), Made("sightline", 2.0), Made("peer", 6.0))
    assert rows["peer"].ratio == pytest.approx({"value": 3.0, "low": 3.0, "high": 3.0})
    assert rows["peer"].beside == rows["sightline"].rounds == pytest.approx([2.0] * 5)
    assert rows["peer"].processes == [0] * 5
    assert rows["sightline"].ratio is None


@pytest.mark.parametrize(("pace", "calls"), [("usual", 8), ("long", 32), ("builds", 128)])
def test_a_pace_decides_how_many_calls_a_slice_has_and_reaches_the_engine(pace: str, calls: int) -> None:
    peer = Made("peer", 1.0)
    compare(made_session(), Made("sightline", 1.0), peer, pace=pace)
    assert peer.paces == {pace}
    assert max(peer.asked) == calls


def test_a_call_that_takes_too_long_is_a_visible_gap_and_is_asked_no_more() -> None:
    session = made_session(longest=1.0)
    slow = Made("peer", 1500.0)
    row = compare(session, Made("sightline", 5000.0), slow)["peer"]  # never Sightline itself
    assert (row.status, row.problem) == ("left out", "left to --full: one call takes 1.5 s")
    assert (row.median, row.ratio) == (None, None)
    asked = len(slow.asked)
    assert compare(session, Made("sightline", 1.0), slow, queries=100)["peer"].problem.endswith("15.0 s")
    assert len(slow.asked) == asked  # what it takes a query is known by then
    assert compare(made_session(), Made("sightline", 1.0), Made("peer", 1500.0))["peer"].status == "ok"


def test_slow_builds_are_left_out_unless_they_are_asked_for() -> None:
    table = {"sightline": "", "numpy": "", "hnswlib": ""}
    assert made_session(peers=None).left_out(table) == {}
    assert list(made_session(peers=None, slow_builds=("hnswlib",)).left_out(table)) == ["hnswlib"]
    assert made_session(peers=["hnswlib"], slow_builds=("hnswlib",)).left_out(table) == {}
    late = made_session(peers=None, minutes=1.0)
    late.started_at = time.perf_counter() - 61
    assert late.left_out(table).keys() == {"numpy", "hnswlib"}
    assert "minutes of this profile are over" in late.left_out(table)["numpy"]


def test_a_failure_is_a_gap_of_its_own() -> None:
    rows = compare(made_session(), Made("sightline", 1.0), Made("peer", 1.0, fails=True), Made("other", 2.0))
    assert (rows["peer"].status, rows["peer"].problem) == ("failed", "ValueError: broken")
    assert rows["other"].ratio is not None


@pytest.mark.parametrize(
    ("threads", "options", "share"),
    [
        (2, {"bytes_read": 20e6}, {"of": "read_gb_s", "value": 0.5}),
        (1, {"bytes_read": 20e6}, {"of": "read_one_gb_s", "value": 1.0}),
        (2, {"operations": 5e8}, {"of": "int8_gop_s", "value": 0.5}),
        (1, {"work": ("syncs_s", 1.0)}, {"of": "syncs_s", "value": 0.25}),
        (2, {"work": ("write_gb_s", 2e6)}, {"of": "write_gb_s", "value": 1.0}),
        (2, {}, None),
    ],
)
def test_shares_of_the_limit_that_binds(threads: int, options: dict[str, Any], share: Any) -> None:
    row = compare(made_session(threads=threads), Made("sightline", 2.0), **options)["sightline"]
    assert row.share == (share if share is None else share | {"value": pytest.approx(share["value"])})


def test_a_run_that_is_behind_has_three_rounds_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    session = made_session(minutes=1.0)
    session.due = 0.5
    assert len(compare(session, Made("sightline", 1.0))["sightline"].rounds) == 5
    session.started_at = time.perf_counter() - 31
    assert len(compare(session, Made("sightline", 1.0))["sightline"].rounds) == 3
    assert session.shortened
    assert capsys.readouterr().out.count("behind the 1 minutes") == 1


def test_passes_are_pooled_in_one_row() -> None:
    session = made_session(repeats=6, seconds=60.0)
    session.passes = 2
    first = compare(session, Made("sightline", 2.0), Made("peer", 6.0))["peer"]
    assert (len(first.rounds), first.processes) == (3, [0] * 3)
    session.number = 1
    second = compare(session, Made("sightline", 2.0), Made("peer", 8.0))["peer"]
    assert second is first
    assert (second.rounds, second.processes) == (pytest.approx([6.0] * 3 + [8.0] * 3), [0] * 3 + [1] * 3)
    assert second.median == pytest.approx(7.0)
    assert (second.least, second.most) == (6.0, 8.0)
    assert second.ratio is not None
    assert second.ratio["low"] == pytest.approx(3.0)  # passes differ, and the interval says so
    assert second.ratio["high"] == pytest.approx(4.0)
    assert [row.name for row in session.rows] == ["sightline", "peer"]
    assert session.precision() == pytest.approx(0.03 * 2**0.5)


def test_fewer_rounds_than_passes_are_measured_in_some_of_them() -> None:
    session = made_session(repeats=1)
    session.passes = 3
    for session.number in range(3):
        row = compare(session, Made("sightline", 2.0), Made("peer", 6.0))["peer"]
    assert (row.rounds, row.median, row.status) == ([6.0], 6.0, "ok")
    assert row.ratio is not None
    assert row.ratio["value"] == pytest.approx(3.0)


def test_rounds_that_others_disturb_are_left_out_of_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = iter([True, False, False] * 4)
    state = {"now": 0.0, "looks": 0}

    def others() -> float:
        state["looks"] += 1
        if state["looks"] % 2 == 0 and next(disturbed):  # the look at the end of a round
            state["now"] += 10.0
        return state["now"]

    monkeypatch.setattr("benchmarks.session.others_seconds", others)
    session = made_session(repeats=6)
    session.passes = 2
    for session.number in range(2):
        row = compare(session, Made("sightline", 2.0), Made("peer", 6.0))["peer"]
    assert (len(row.rounds), row.disturbed) == (4, 2)


def test_shares_are_those_of_all_passes() -> None:
    session = made_session()
    session.passes = 2
    compare(session, Made("sightline", 2.0), bytes_read=20e6)
    session.number = 1
    row = compare(session, Made("sightline", 6.0), bytes_read=20e6)["sightline"]
    assert row.median == pytest.approx(4.0)
    assert row.share == {"of": "read_gb_s", "value": pytest.approx(0.25)}


def test_a_failure_in_any_pass_shows_and_who_is_left_out_of_one_keeps_the_others() -> None:
    session = made_session(repeats=6)
    session.passes = 3
    compare(session, Made("sightline", 1.0), Made("peer", 2.0), Made("other", 2.0))
    session.number = 1
    gone = Contender("other", "other", version="1", problem="no time", left_out=True)
    rows = compare(session, Made("sightline", 1.0), Made("peer", 2.0, fails=True), gone)
    assert (rows["peer"].status, rows["peer"].problem, rows["peer"].ratio) == ("failed", "ValueError: broken", None)
    assert (rows["other"].status, len(rows["other"].rounds)) == ("ok", 2)
    session.number = 2
    asked = Made("peer", 2.0)
    assert compare(session, Made("sightline", 1.0), asked)["peer"].status == "failed"
    assert asked.asked == []
    assert len(session.rows) == 3


def test_what_later_passes_need_is_made_once() -> None:
    session = made_session()
    made: list[int] = []
    for _ in range(2):  # one pass: nothing is kept in memory
        session.once("key", lambda: made.append(1))
    assert len(made) == 2
    session.passes = 2
    assert session.once("key", lambda: "first") == session.once("key", lambda: "second") == "first"


def test_engines_and_their_inputs_wait_for_the_next_pass_while_there_is_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = np.eye(4, dtype=np.float32)
    table = {"sightline": "sightline_dense", "numpy": "numpy_dense"}
    session = made_session(peers=None, threads=1)
    session.passes = 4
    left = 0.9
    monkeypatch.setattr("benchmarks.session.memory_left", lambda: left)

    def one_pass(*, changed: bool = False) -> tuple[Path, Any]:
        with (
            session.inputs("dense", "data", rows=rows, queries=rows) as inputs,
            session.started("dense", "data", table, inputs, changed=changed) as engines,
        ):
            assert engines[0].round({"what": "search", "setting": 0, "k": 1, "batch": 1}, 0, 1) > 0
            return inputs, engines[0].worker

    first = one_pass()
    assert len(session.engines) == 2
    session.number = 1
    assert one_pass() == first
    session.renew()
    assert not first[0].exists()
    second = one_pass()
    assert second[1] is not first[1]
    assert len(session.engines) == 2  # they are described once
    session.renew()
    one_pass(changed=True)
    assert [kept for kept in session._kept.values() if not isinstance(kept, Path)] == []
    session.renew()
    left = 0.1
    assert not one_pass()[0].exists()
    left, session.number = 0.9, 3  # the last
    assert not one_pass()[0].exists()


def test_later_passes_leave_out_what_has_nobody_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.missing", lambda module: ["absent"] if module == "gone" else [])
    session = made_session(peers=None)
    assert session.worthwhile({"sightline": "there", "peer": "gone"})
    session.number = 1
    assert not session.worthwhile({"sightline": "there", "peer": "gone"})
    assert session.worthwhile({"sightline": "there", "peer": "there"})


def test_strict_runs_end_with_an_error_where_something_failed_or_is_missing() -> None:
    def run(**rows: str) -> Run:
        made = [Row("dense", "data", "case", name, status=status, problem="why") for name, status in rows.items()]
        made[0].exact, made[0].recall = True, 1.0
        return Run("c", "quick", "2026-01-01", {}, {}, {}, rows=made)

    command._refuse_gaps(run(sightline="ok", numpy="ok", scann="missing", svs="left out"), {"sightline", "numpy"})
    for bad in (run(sightline="ok", numpy="failed"), run(sightline="ok", numpy="missing")):
        with pytest.raises(SystemExit, match="dense, case: numpy: why"):
            command._refuse_gaps(bad, {"sightline", "numpy"})
    with pytest.raises(SystemExit, match="no exact answer was compared"):
        command._refuse_gaps(run(sightline="missing"), {"numpy"})


def test_own_children_are_not_others() -> None:
    if not os.path.exists("/proc/thread-self/children"):
        pytest.skip("Linux tells who the children are")
    before, counted = environment._living_children(), environment._cpu_seconds()
    code = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        end = time.monotonic() + 60
        while environment._living_children() < before + 0.25:
            assert time.monotonic() < end
            time.sleep(0.02)
        now = environment._cpu_seconds()
        child.kill()
    assert counted is not None
    assert now is not None
    assert now[3] - counted[3] >= 0.24  # as this process's family, not as others
    assert np.isfinite(environment.others_seconds())


def test_who_else_used_the_cpus() -> None:
    shares = environment.Others().shares()
    assert set(shares) == {"cpu_of_others", "cpu_stolen"}
    if os.path.exists("/proc/stat"):
        assert all(value is not None and 0 <= value <= 1 for value in shares.values())
    assert np.isfinite([value for value in shares.values() if value is not None]).all()
