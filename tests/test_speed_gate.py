"""The gate against regressions of speed: what it compares, that a slow case closes it, that it knows every kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks.micro import gate, native
from benchmarks.micro.baseline import (
    FOREIGN_FACTOR,
    LEAST_TOLERANCE,
    MOST_TOLERANCE,
    SLOWER_FACTOR,
    Baseline,
    Machine,
    Ratio,
    judge,
    judge_count,
    read,
    spread_of,
    write,
)

import native_build

# Kernels that a table may lack, by the comments of kernels.h.
OPTIONAL_KERNELS = {"scan_block_planes", "dot_row"}
HERE, ELSEWHERE = Machine("a CPU", "g++ 12.2"), Machine("another CPU", "g++ 12.2")
BASELINE = Baseline(
    {ELSEWHERE: {"t/fast": Ratio(4.0, 0.15), "t/theirs": Ratio(1.0, 0.15)}, HERE: {"t/fast": Ratio(0.5, 0.15)}},
    {"g++ 12.2": {"avx2/fast": 1000}},
)


@pytest.fixture(scope="module")
def program() -> Path:
    return native_build.build("sightline_native_bench")


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "kind"),
    [
        (0.5, "ok"),
        (0.574, "ok"),
        (0.576, "suspect"),
        (0.87, "suspect"),
        (0.88, "slower"),
        (0.44, "ok"),
        (0.43, "faster"),
    ],
)
def test_a_ratio_is_held_within_its_limits(measured: float, kind: str) -> None:
    finding = judge("t/fast", measured, BASELINE, HERE)
    assert finding.kind == kind
    assert finding.failed == (kind == "slower")


@pytest.mark.parametrize(("measured", "kind"), [(2.4, "ok"), (2.6, "slower"), (0.41, "ok"), (0.39, "faster")])
def test_the_limits_of_another_machine_are_wide(measured: float, kind: str) -> None:
    assert judge("t/theirs", measured, BASELINE, HERE).kind == kind
    assert judge("t/theirs", measured, BASELINE, Machine("a third", "clang++ 17.0")).kind == kind


@pytest.mark.parametrize(("count", "kind"), [(1000, "ok"), (1029, "ok"), (1031, "slower"), (969, "faster")])
def test_instructions_are_held_closely(count: int, kind: str) -> None:
    assert judge_count("avx2/fast", count, 1000).kind == kind


def test_what_has_no_baseline_is_not_passed_over() -> None:
    new = judge("t/new", 1.0, BASELINE, HERE)
    assert (new.kind, new.failed) == ("unknown", True)
    assert judge_count("new", 1, None).failed
    # Of a kernel table that no measured machine has, a case that others have: shown, no failure.
    other_table = judge("wide/fast", 1.0, BASELINE, HERE)
    assert (other_table.kind, other_table.failed) == ("unmeasured", False)


def test_the_tolerance_follows_the_spread_of_the_runs() -> None:
    assert spread_of([1.0, 1.01, 0.99]) == Ratio(1.0, LEAST_TOLERANCE)
    assert spread_of([0.95, 0.96, 1.0, 1.04, 9.0]) == Ratio(1.0, 0.24)  # one run disturbed altogether
    assert spread_of([0.5, 1.0, 1.5]) == Ratio(1.0, MOST_TOLERANCE)
    assert 1 + MOST_TOLERANCE < SLOWER_FACTOR < FOREIGN_FACTOR


def test_baselines_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write(path, BASELINE)
    assert read(path) == BASELINE


def test_a_new_measurement_replaces_those_of_its_machine_and_compiler_only() -> None:
    new = Baseline({HERE: {"t/other": Ratio(1.0, 0.2)}}, {"clang++ 17.0": {"avx2/fast": 7}})
    joined = BASELINE.joined(new)
    assert joined.ratios == {ELSEWHERE: BASELINE.ratios[ELSEWHERE], HERE: new.ratios[HERE]}
    assert joined.instructions == {**BASELINE.instructions, **new.instructions}


def test_another_schema_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"schema": 0, "baselines": []}), "utf-8")
    with pytest.raises(ValueError, match="schema 0, expected 2"):
        read(path)


class Measured:
    """Stands for the program: a case takes what is said of each look at it, in order, the last for ever after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks: dict[str, list[float]]) -> None:
        self.looks, self.asked = looks, []
        monkeypatch.setattr(native, "about", lambda program: native.About(HERE.compiler, ("t",)))
        monkeypatch.setattr(native, "cases", lambda program, table: list(looks))
        monkeypatch.setattr(native, "has_valgrind", lambda: False)
        monkeypatch.setattr(native, "measure", self.measure)
        monkeypatch.setattr(gate, "cpu_name", lambda: HERE.cpu)
        monkeypatch.setattr(gate, "_PAUSE_SECONDS", 0.0)

    def measure(
        self, program: Path, table: str, names: list[str], *, samples: int, slow: str | None
    ) -> list[native.Case]:
        self.asked.append(list(names))
        found = []
        for name in names:
            looks = self.looks[name]
            found.append(native.Case(name, "r", 1, 1, "u", (looks.pop(0) if len(looks) > 1 else looks[0],), (1.0,)))
        return found


def test_a_passing_disturbance_is_measured_again_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Measured(monkeypatch, {"t/fast": [2.0, 1.5, 0.5, 9.0], "t/theirs": [1.0]})
    findings, _ = gate.check(Path(), BASELINE)
    assert {f.name: f.kind for f in findings} == {"t/fast": "ok", "t/theirs": "ok"}
    assert fake.asked == [["t/fast", "t/theirs"], ["t/fast"], ["t/fast"]]


def test_what_stays_slow_closes_the_gate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = Measured(monkeypatch, {"t/fast": [2.0, 1.0], "t/theirs": [1.0]})
    findings, notes = gate.check(Path(), BASELINE)
    assert {f.name: f.kind for f in findings} == {"t/fast": "slower", "t/theirs": "ok"}
    assert len(fake.asked) == len(gate._SAMPLES)
    assert gate._report(findings, notes, verbose=False) == 1
    assert "2 comparisons, 1 failed" in capsys.readouterr().out


# --- the program ------------------------------------------------------------------------------------------------------


def test_every_kernel_has_a_case(program: Path) -> None:
    header = (native_build.ROOT / "cpp" / "simd" / "kernels.h").read_text("utf-8")
    kernels = set(re.findall(r"\(\*(\w+)\)\(", header))
    assert len(kernels) > 15
    for table in native.about(program).tables:
        listed = set(native.cases(program, table))
        missing = {kernel for kernel in kernels if f"{table}/{kernel}" not in listed}
        assert missing <= OPTIONAL_KERNELS


def test_the_committed_baseline_knows_the_cases_of_the_program(program: Path) -> None:
    baseline = read(gate.BASELINE)
    tables = native.about(program).tables
    listed = {name for table in tables for name in native.cases(program, table)}
    assert [name for name in sorted(listed) if not baseline.has_work(name)] == []
    for known in [*baseline.ratios.values(), *baseline.instructions.values()]:
        here = {name for name in known if name.partition("/")[0] in (*tables, "common")}
        assert sorted(here - listed) == []
    counted = {name for name in listed if name.partition("/")[0] in (*gate._COUNTED_TABLES, "common")}
    for compiler, counts in baseline.instructions.items():
        assert sorted(counted - set(counts)) == [], compiler


@pytest.mark.parametrize(
    "argument", ["--samples=0", "--samples=x", "--calls=-1", "--fast", "no/such", "--slow=no/such"]
)
def test_a_wrong_argument_is_refused(program: Path, argument: str) -> None:
    done = native_build.run(program, argument)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_gate_closes_for_a_slow_case_and_only_for_it(program: Path) -> None:
    table = native.about(program).tables[0]
    names = [f"{table}/dot_f64", "common/xxh64", "common/decode_postings", f"{table}/encode_row"]
    # Of this machine, now: what is thrice the work must be told from the same work, whatever else the machine does.
    baseline = gate.update(program, runs=5, names=names)
    findings, _ = gate.check(program, baseline, names=names)
    assert [f.text for f in findings if f.failed] == []
    for slow in (names[1], names[3]):
        findings, _ = gate.check(program, baseline, names=names, slow=slow)
        assert {f.name for f in findings if f.failed} == {slow}


@pytest.mark.skipif(not native.has_valgrind(), reason="needs valgrind")
def test_instruction_counts_repeat_and_rise_with_the_work(program: Path) -> None:
    table = next((t for t in native.about(program).tables if t in gate._COUNTED_TABLES), None)
    if table is None:
        pytest.skip("valgrind emulates none of the kernel tables of this machine")
    names = [f"{table}/dot_f64", "common/decode_postings"]
    first = native.count_instructions(program, table, names)
    assert native.count_instructions(program, table, names) == first
    slowed = native.count_instructions(program, table, names, slow=names[1])
    assert slowed[names[0]] == first[names[0]]
    assert slowed[names[1]] > 2.5 * first[names[1]]
