"""Single kernels of every table and single steps of the engines, timed by the native program."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from benchmarks.micro import native
from benchmarks.micro.rates import report

_SAMPLES = 100


class ReplayedClock:
    """A timer for pytest-benchmark that moves by what the native program has measured, in place of real time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, nanoseconds: Iterator[float]) -> None:
        self.seconds += next(nanoseconds) * 1e-9


CLOCK = ReplayedClock()


def _all_cases() -> list[tuple[str, str]]:
    """(table, case); what depends on no table is measured under the best one."""
    program = native.default_program()
    tables = native.about(program).tables
    return [
        (table, name)
        for table in tables
        for name in native.cases(program, table)
        if name.startswith(f"{table}/") or table == tables[0]
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = _all_cases()
    metafunc.parametrize(("table", "name"), found, ids=[name for _, name in found])


@pytest.mark.benchmark(timer=CLOCK)
def test_native(benchmark: Any, table: str, name: str) -> None:
    (case,) = native.measure(native.default_program(), table, [name], samples=_SAMPLES)
    assert len(case.ns) == len(case.reference_ns) == _SAMPLES
    assert min(case.ns) > 0
    benchmark.group = name.partition("/")[2]
    benchmark.pedantic(CLOCK.advance, args=(cycle(case.ns),), rounds=_SAMPLES)
    benchmark.extra_info["ratio_to_reference"] = case.ratio
    report(benchmark, case.unit, case.operations, case.bytes)
