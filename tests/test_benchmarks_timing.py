"""Interleaved rounds, when they end, and what counts as having moved between two runs."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import compare, results, timing
from benchmarks.ratios import paired_ratio
from benchmarks.results import Row, Run
from benchmarks.timing import PACES, Pace, calls_per_round, interleave, run_round

COLD = Pace(warm_seconds=0.0)  # calls are warm after the first


def test_a_round_does_not_count_its_first_calls():
    seen = []
    run_round(seen.append, 7, 3, COLD)
    assert seen == [7, 8, 9, 10]


class Clock:
    """Stands for ``time`` in timing.py: it goes on only where a test says so."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def test_a_slice_begins_when_all_is_warm(clock):
    seen = []

    def call(number):
        seen.append(number)
        clock.sleep(0.001)

    run_round(call, 7, 2)
    assert seen == [7, 7, 7, 7, 7, 8, 9]
    seen.clear()
    run_round(call, 7, 2, Pace(warm_seconds=0.004, other_queries=True))  # none that is timed was asked before
    assert seen == [7, 6, 5, 4, 8, 9]


def test_a_long_call_needs_no_other_before_it(monkeypatch):
    seen = []
    monkeypatch.setattr(timing, "_LONG_SECONDS", 0.0)
    run_round(seen.append, 7, 1, COLD)
    assert seen == [7]
    run_round(seen.append, 20, 2, COLD)  # several calls: the first is not counted all the same
    assert seen == [7, 20, 21, 22]


def recorded(order, name, milliseconds):
    def one_round(first, calls, process):
        order.append((name, first, calls, process))
        return milliseconds

    return one_round


def test_engines_take_turns_in_rotating_order():
    order = []
    engines = {"a": recorded(order, "a", 1.0), "b": recorded(order, "b", 2.0)}
    times = interleave(engines, repeats=4, seconds=10)
    assert [turn[0] for turn in order[2:]] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    # Both see the same queries in a round, and others in the next.
    assert [turn[1] for turn in order[2::2]] == [turn[1] for turn in order[3::2]]
    assert len({turn[1] for turn in order[2:]}) == 4
    assert times["a"].rounds == (1.0,) * 4
    assert times["a"].beside == ()
    asked = {turn[1] for turn in order}
    order.clear()
    interleave(engines, repeats=4, seconds=10, start=4, estimates={"a": 1.0, "b": 2.0})  # a later pass asks others
    assert asked.isdisjoint({turn[1] for turn in order})


def test_slices_lie_between_two_of_the_reference():
    order = []
    engines = {name: recorded(order, name, value) for name, value in {"ours": 1.0, "a": 2.0, "b": 400.0}.items()}
    times = interleave(engines, repeats=4, seconds=10, reference="ours", estimates={"ours": 1.0, "a": 2.0}, processes=3)
    assert order.pop(0) == ("b", 0, 1, 0)  # only what is not known is tried
    names = [turn[0] for turn in order]
    round_a, round_b = ["ours", "a", "ours"], ["ours", "b", "ours"]
    assert names == 2 * (round_a + round_b + round_b + round_a)
    # Powers of two, about 10 ms in a round, of ours in both slices together.
    assert {turn[0]: turn[2] for turn in order} == {"ours": 4, "a": 4, "b": 1}
    assert [turn[3] for turn in order[::6]] == [0, 1, 2, 0]  # all of a round ask processes of the same number
    assert times["a"].beside == times["b"].beside == (1.0,) * 4
    assert times["ours"].rounds == (1.0,) * 4
    assert times["ours"].beside == ()
    assert times["b"].rounds == (400.0,) * 4
    assert times["a"].processes == times["ours"].processes == (0, 1, 2, 0)


def test_a_slow_phase_hits_both_of_a_pair():
    """The machine becomes four times slower in the middle of the run; ratios do not see it."""
    passed = 0

    def engine(milliseconds):
        def one_round(first, calls, process):
            nonlocal passed
            passed += 1
            return milliseconds * (4 if passed > 18 else 1)

        return one_round

    engines = {"ours": engine(1.0), "a": engine(2.0), "b": engine(3.0)}
    times = interleave(engines, repeats=7, seconds=10, reference="ours", estimates=dict.fromkeys(engines, 1.0))
    assert paired_ratio(times["a"].rounds, times["a"].beside).value == pytest.approx(2.0)
    assert paired_ratio(times["b"].rounds, times["b"].beside).value == pytest.approx(3.0)
    assert times["a"].median == pytest.approx(8.0)


def test_a_drift_and_what_comes_after_another_engine_cancel_out():
    """Each slice takes a hundredth longer than the one before, and Sightline's twice as long after another engine's."""
    passed, last = 0, ""

    def engine(name, milliseconds):
        def one_round(first, calls, process):
            nonlocal passed, last
            passed += 1
            after_another, last = last not in (name, ""), name
            return milliseconds * 1.01**passed * (2 if name == "ours" and after_another else 1)

        return one_round

    engines = {name: engine(name, value) for name, value in {"ours": 1.0, "a": 4.0}.items()}
    times = interleave(engines, repeats=20, seconds=10, reference="ours", estimates=dict.fromkeys(engines, 1.0))
    ratios = np.array(times["a"].rounds) / times["a"].beside
    assert ratios == pytest.approx([4 / 2**0.5] * 20)


def noisy(seed, spread):
    rng = np.random.default_rng(seed)

    def one_round(first, calls, process):
        return float(np.exp(spread * rng.standard_normal()))

    return one_round


def test_rounds_end_when_the_ratio_is_known_well_enough():
    engines = {"ours": noisy(1, 0.001), "sure": noisy(2, 0.001), "unsure": noisy(3, 0.1)}
    given = {"repeats": 300, "seconds": 60, "reference": "ours", "estimates": dict.fromkeys(engines, 1.0)}
    times = interleave(engines, **given, precision=0.03)
    assert len(times["sure"].rounds) == 8
    assert 8 < len(times["unsure"].rounds) < 300
    assert paired_ratio(times["unsure"].rounds, times["unsure"].beside).error <= 0.03
    assert {len(timing.rounds) for timing in interleave(engines, **given).values()} == {300}  # without a precision


def test_time_that_is_not_needed_goes_to_noisy_engines(clock):
    def slow(inner):
        def one_round(*arguments):
            clock.sleep(0.002)
            return inner(*arguments)

        return one_round

    engines = {name: slow(noisy(at, 0.001)) for at, name in enumerate(("ours", "a", "b", "c"))}
    engines["noisy"] = slow(noisy(9, 1.0))
    times = interleave(
        engines,
        repeats=1000,
        seconds=0.2,
        precision=0.03,
        reference="ours",
        estimates=dict.fromkeys(engines, 1.0),
    )
    assert len(times["a"].rounds) == len(times["b"].rounds) == len(times["c"].rounds) == 8
    assert 0.59 < len(times["noisy"].rounds) * 0.006 < 0.65  # three times its own 0.2 s, of the 0.8 s of all


def test_rounds_in_which_others_had_the_cpus_are_left_out(monkeypatch):
    """Every third round of the peer is disturbed, and takes twice as long: it is the others' time that decides."""
    used = 0.0
    turns = 0
    monkeypatch.setattr(timing, "_CPUS", 1)

    def engine(milliseconds, disturbs):
        def one_round(first, calls, process):
            nonlocal used, turns
            time.sleep(0.001)
            if not disturbs:
                return milliseconds
            turns += 1
            used += 10.0 if turns % 3 == 0 else 0.0
            return milliseconds * (2 if turns % 3 == 0 else 1)

        return one_round

    engines = {"ours": engine(1.0, False), "peer": engine(4.0, True)}
    given = {"repeats": 12, "seconds": 10, "reference": "ours", "estimates": dict.fromkeys(engines, 1.0)}
    times = interleave(engines, **given, others=lambda: used)
    assert times["peer"].rounds == (4.0,) * 8
    assert (times["peer"].disturbed, len(times["peer"].beside), len(times["peer"].processes)) == (4, 8, 8)
    assert times["ours"].disturbed == 4
    always = interleave(engines, **given, others=lambda: time.perf_counter() * 2)
    assert len(always["peer"].rounds) == 12  # nothing else is left
    assert always["peer"].disturbed == 0


def test_an_engine_that_takes_its_time_has_three_rounds(clock):
    def slow(first, calls, process):
        clock.sleep(0.02)
        return 20.0

    times = interleave({"slow": slow, "fast": lambda *_: 0.1}, repeats=6, seconds=0.025)
    assert len(times["slow"].rounds) == len(times["fast"].rounds) == 3
    times = interleave({"slow": slow, "fast": lambda *_: 0.1}, repeats=6, seconds=0.035)  # the fast one's time, too
    assert len(times["slow"].rounds) == 4


def test_a_slice_ends_when_the_threads_of_its_engine_sleep():
    if not Path("/proc/self/task").exists():
        pytest.skip("the states of threads are read from Linux's /proc")
    end = time.perf_counter() + 0.06

    def spin():
        while time.perf_counter() < end:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    timing.settle()
    assert time.perf_counter() >= end
    thread.join()


def test_calls_a_round():
    assert calls_per_round(10.0) == 1
    assert calls_per_round(1e-9) == 4096
    assert calls_per_round(0.002) == calls_per_round(0.0025) == 4
    assert calls_per_round(0.002, parts=2) == 2
    assert calls_per_round(0.002, 1, PACES["long"]) == 16


def make_run(ratio: float, noise: float, seed: int, *, recall: float = 1.0, ours: float = 1.0) -> Run:
    rng = np.random.default_rng(seed)
    mine = ours * np.exp(noise * rng.standard_normal(9))
    theirs = mine * ratio * np.exp(noise * rng.standard_normal(9))
    rows = []
    for name, rounds in (("sightline", mine), ("peer", theirs)):
        row = Row("dense", "data", "case", name, exact=True, recall=recall, queries=1)
        row.set_rounds(rounds.tolist(), () if name == "sightline" else mine.tolist(), [0] * 9)
        rows.append(row)
    return Run("c", "quick", "2026-01-01", {"cpu": "x"}, {}, {}, rows=rows)


def verdict(old: Run, new: Run, figure: str = "ratio") -> str:
    (change,) = [change for change in compare.changes(old, new, 0.10) if change.figure == figure]
    return "worse" if change.worse else "better" if change.moved else "same"


def test_compare_tells_changes_from_noise():
    base = make_run(4.0, 0.02, 1)
    assert verdict(base, make_run(4.0, 0.02, 2)) == "same"
    assert verdict(base, make_run(3.0, 0.02, 3)) == "worse"
    assert verdict(base, make_run(5.0, 0.02, 4)) == "better"
    assert verdict(base, make_run(4.25, 0.001, 5)) == "same"  # sure, but below the threshold
    assert verdict(make_run(4.0, 0.8, 6), make_run(3.3, 0.8, 7)) == "same"  # large, but within this noise
    assert verdict(base, make_run(4.0, 0.02, 8, ours=2.0), "time") == "worse"


def test_compare_takes_any_loss_of_recall_for_real():
    assert verdict(make_run(4, 0.02, 1), make_run(4, 0.02, 2, recall=0.99), "recall") == "worse"


def test_compare_does_not_compare_times_of_two_machines():
    other = make_run(4, 0.02, 2)
    other.environment["cpu"] = "y"
    assert {change.figure for change in compare.changes(make_run(4, 0.02, 1), other, 0.1)} == {"ratio", "recall"}


def test_compare_command_exits_non_zero_on_request_only(tmp_path, capsys):
    for name, ratio in (("old", 4.0), ("new", 2.0)):
        results.write(make_run(ratio, 0.02, 1), tmp_path / f"{name}.json")
    paths = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    assert compare.main(paths) == 0
    assert "apart" not in capsys.readouterr().out
    assert compare.main([*paths, "--reproduce"]) == 1
    assert "apart  dense | data | case | peer: ratio 3.999 -> 1.999, factor 0.50" in capsys.readouterr().out
    assert compare.main([paths[0], paths[0], "--reproduce"]) == 0
    assert compare.main([*paths, "--fail-on-worse"]) == 1
    assert compare.main([*reversed(paths), "--fail-on-worse"]) == 0
    out = capsys.readouterr().out
    assert "1 worse" in out
    assert "ratio columns: 0 of 1 differ by less than 10%; median difference 100.0%" in out


def test_compare_names_a_peer_that_is_gone(tmp_path, capsys):
    old = make_run(4, 0.02, 1)
    new = make_run(4, 0.02, 1)
    new.rows[1] = replace(new.rows[1], status="missing", problem="not installed: peer", median=None, rounds=[])
    results.write(old, tmp_path / "old.json")
    results.write(new, tmp_path / "new.json")
    compare.main([str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert "measured before, now not installed: peer" in capsys.readouterr().out


def test_a_run_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"schema_version": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match="schema_version 3, got 99"):
        results.read(path)


def test_merge_refuses_what_was_not_measured_side_by_side():
    first, second = make_run(4, 0.02, 1), make_run(4, 0.02, 2)
    with pytest.raises(ValueError, match="same case"):
        results.merge([first, second])
    for row in second.rows:
        row.case = "another"
    assert len(results.merge([first, second]).rows) == 4
    second.environment["cpu"] = "y"
    with pytest.raises(ValueError, match="on one machine"):
        results.merge([first, second])
