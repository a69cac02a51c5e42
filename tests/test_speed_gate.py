"""The gate against regressions of speed: what it compares, that a slow case closes it, that it knows every kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks.micro import gate, native
from benchmarks.micro.baseline import (
    LEAST_TOLERANCE,
    MOST_TOLERANCE,
    Baseline,
    Ratio,
    judge,
    judge_count,
    read,
    spread_of,
    write,
)

import native_build

# Kernels that a table may lack, by the comments of kernels.h.
OPTIONAL_KERNELS = {"scan_block_planes"}
BASELINE = Baseline("a CPU", "g++ 12.2", {"t/fast": Ratio(0.5, 0.15), "t/noisy": Ratio(2.0, 0.4)}, {"avx2/fast": 1000})


@pytest.fixture(scope="module")
def program() -> Path:
    return native_build.build("sightline_native_bench")


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "same_machine", "kind"),
    [
        (0.5, True, "ok"),
        (0.574, True, "ok"),
        (0.576, True, "slower"),
        (0.44, True, "ok"),
        (0.43, True, "faster"),
        (1.2, False, "ok"),
        (1.3, False, "slower"),
    ],
)
def test_a_ratio_is_held_within_its_tolerance(measured: float, same_machine: bool, kind: str) -> None:
    assert judge("t/fast", measured, BASELINE.ratios["t/fast"], same_machine=same_machine).kind == kind


def test_a_wide_tolerance_is_not_narrowed_on_another_machine() -> None:
    assert judge("x", 3.9, Ratio(1.0, 3.0), same_machine=False).kind == "ok"


@pytest.mark.parametrize(("count", "kind"), [(1000, "ok"), (1029, "ok"), (1031, "slower"), (969, "faster")])
def test_instructions_are_held_closely(count: int, kind: str) -> None:
    assert judge_count("avx2/fast", count, BASELINE.instructions["avx2/fast"]).kind == kind


def test_what_has_no_baseline_is_not_passed_over() -> None:
    assert judge("new", 1.0, None, same_machine=True).kind == "unknown"
    assert judge_count("new", 1, None).kind == "unknown"


def test_the_tolerance_follows_the_spread_of_the_runs() -> None:
    assert spread_of([1.0, 1.01, 0.99]) == Ratio(1.0, LEAST_TOLERANCE)
    assert spread_of([0.95, 0.96, 1.0, 1.04, 9.0]) == Ratio(1.0, 0.24)  # one run disturbed altogether
    assert spread_of([0.5, 1.0, 1.5]) == Ratio(1.0, MOST_TOLERANCE)


def test_baselines_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    other = Baseline("another", "clang++ 17.0", {}, {})
    write(path, [BASELINE, other])
    assert read(path) == [BASELINE, other]


def test_another_schema_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"schema": 0, "baselines": []}), "utf-8")
    with pytest.raises(ValueError, match="schema 0, expected 1"):
        read(path)


# --- the program ------------------------------------------------------------------------------------------------------


def test_every_kernel_has_a_case(program: Path) -> None:
    header = (native_build.ROOT / "cpp" / "simd" / "kernels.h").read_text("utf-8")
    kernels = set(re.findall(r"\(\*(\w+)\)\(", header))
    assert len(kernels) > 15
    for table in native.about(program).tables:
        listed = set(native.cases(program, table))
        missing = {kernel for kernel in kernels if f"{table}/{kernel}" not in listed}
        assert missing <= OPTIONAL_KERNELS


def test_the_committed_baseline_has_exactly_the_cases_of_the_program(program: Path) -> None:
    for baseline in read(gate.BASELINE):
        for table in [*native.about(program).tables, "common"]:
            known = {name for name in baseline.ratios if name.startswith(f"{table}/")}
            listed = {
                name
                for name in native.cases(program, native.about(program).tables[0] if table == "common" else table)
                if name.startswith(f"{table}/")
            }
            assert not known or known == listed


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
    # Of this machine: the least of some runs, and limits between their noise and half as much work again.
    runs = [native.measure(program, table, names, samples=200) for _ in range(9)]
    least = {case[0].name: Ratio(min(run.ratio for run in case), 0.25) for case in zip(*runs, strict=True)}
    baseline = Baseline(gate.cpu_name(), native.about(program).compiler, least, {})
    findings, _ = gate.check(program, [baseline], names=names)
    assert {f.name: f.kind for f in findings if f.kind == "slower"} == {}
    for slow in names:
        findings, _ = gate.check(program, [baseline], names=names, slow=slow)
        assert [f.name for f in findings if f.kind == "slower"] == [slow]


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
    assert slowed[names[1]] > 1.4 * first[names[1]]
