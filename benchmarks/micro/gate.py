"""The gate against regressions of speed: ``python -m benchmarks.micro.gate check``, and ``update`` after a change.

No limit is a time. A case fails if callgrind counts more instructions than ``baseline.json`` says; or if it is much
slower, in proportion to a loop that never changes and runs in between, and stays so when it is measured again. What is
slower by less is shown, for a reader to judge. Ratios depend on the CPU, so on one that is not in the baseline the
limits are wider, and the output says so.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.micro import native
from benchmarks.micro.baseline import Baseline, Finding, Machine, Ratio, judge, judge_count, read, spread_of, write

__all__ = ["check", "main", "update"]

BASELINE = Path(__file__).with_name("baseline.json")
# Samples of each case: few at first, more for those that seem to have changed, with pauses, since what disturbs case or
# reference may last for seconds. The samples of all attempts are taken together.
_SAMPLES = (200, 200, 400, 400, 800, 800)
_PAUSE_SECONDS = 0.5
# The kernel tables whose instructions valgrind can execute.
_COUNTED_TABLES = ("avx2", "scalar")


def cpu_name() -> str:
    """What the operating system calls this CPU, with its family and model where it says."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = [re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE) for key in ("model name", "cpu family", "model")]
    if any(match is None for match in found):
        return platform.machine()
    name, family, model = (match[1].strip() for match in found if match is not None)
    return f"{name}, family {family}, model {model}"


def _of_table(program: Path, tables: Sequence[str], names: Sequence[str] | None) -> Iterator[tuple[str, list[str]]]:
    """Each table with the cases to measure under it; what depends on no table is measured under the best one."""
    for table in tables:
        own = [name for name in native.cases(program, table) if name.startswith(f"{table}/") or table == tables[0]]
        chosen = [name for name in own if names is None or name in names]
        if chosen:
            yield table, chosen


def _counted(tables: Sequence[str]) -> list[str]:
    return [table for table in tables if table in _COUNTED_TABLES] if native.has_valgrind() else []


def _check_ratios(
    program: Path,
    tables: Sequence[str],
    baseline: Baseline,
    machine: Machine,
    names: Sequence[str] | None,
    slow: str | None,
) -> list[Finding]:
    findings: dict[str, Finding] = {}
    sampled: dict[str, native.Case] = {}
    for table, chosen in _of_table(program, tables, names):
        pending = chosen
        for attempt, samples in enumerate(_SAMPLES):
            time.sleep(_PAUSE_SECONDS if attempt else 0)
            for case in native.measure(program, table, pending, samples=samples, slow=slow):
                case = sampled[case.name] = case.joined(sampled.get(case.name))
                findings[case.name] = judge(case.name, case.ratio, baseline, machine)
            pending = [name for name in pending if findings[name].kind in ("slower", "suspect", "faster")]
            if not pending:
                break
    return list(findings.values())


def _check_counts(
    program: Path, tables: Sequence[str], known: Mapping[str, int], names: Sequence[str] | None, slow: str | None
) -> list[Finding]:
    return [
        judge_count(name, count, known.get(name))
        for table, chosen in _of_table(program, _counted(tables), names)
        for name, count in native.count_instructions(program, table, chosen, slow=slow).items()
    ]


def check(
    program: Path, baseline: Baseline, *, names: Sequence[str] | None = None, slow: str | None = None
) -> tuple[list[Finding], list[str]]:
    """Measure and compare: what was found, and what could not be compared, in words.

    ``names`` confines it to some cases; ``slow`` slows one down on purpose.
    """
    facts = native.about(program)
    machine = Machine(cpu_name(), facts.compiler)
    notes = []
    if machine not in baseline.ratios:
        notes.append(f"no ratios of {machine.cpu} with {machine.compiler}: limits of other machines, which are wide")
    findings = _check_ratios(program, facts.tables, baseline, machine, names, slow)
    if not native.has_valgrind():
        notes.append("valgrind is not installed: no instruction counts")
    elif facts.compiler not in baseline.instructions:
        notes.append(f"no instruction counts of {facts.compiler}")
    else:
        findings += _check_counts(program, facts.tables, baseline.instructions[facts.compiler], names, slow)
    return findings, notes


def update(program: Path, *, runs: int, names: Sequence[str] | None = None) -> Baseline:
    """Measure this machine: every case ``runs`` times, with the samples of a first look, and instructions once."""
    facts = native.about(program)
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for table, chosen in _of_table(program, facts.tables, names):
            for case in native.measure(program, table, chosen, samples=_SAMPLES[0]):
                found.setdefault(case.name, []).append(case.ratio)
    counts: dict[str, int] = {}
    for table, chosen in _of_table(program, _counted(facts.tables), names):
        counts |= native.count_instructions(program, table, chosen)
    ratios: dict[str, Ratio] = {name: spread_of(values) for name, values in found.items()}
    return Baseline({Machine(cpu_name(), facts.compiler): ratios}, {facts.compiler: counts} if counts else {})


def _report(findings: Sequence[Finding], notes: Sequence[str], *, verbose: bool) -> int:
    for finding in findings:
        if verbose or finding.kind != "ok":
            print(f"{finding.kind:8} {finding.text}")
    for note in notes:
        print(f"!!! NOT CHECKED: {note}")
    bad = [finding for finding in findings if finding.failed]
    suspects = sum(finding.kind == "suspect" for finding in findings)
    print(f"{len(findings)} comparisons, {len(bad)} failed, {suspects} slower within what a disturbed machine does")
    if bad:
        print("Where slower is meant, or a case is new: python -m benchmarks.micro.gate update, and say why.")
    return 1 if bad or not findings else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro.gate", description=__doc__)
    parser.add_argument("command", choices=("check", "update"))
    parser.add_argument("--program", type=Path, help="sightline_native_bench; default: built from this tree")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--runs", type=int, default=12, help="of update: runs that give median and spread")
    parser.add_argument(
        "--slow", metavar="CASE", help="of check: make this case thrice the work, to see the gate close"
    )
    parser.add_argument("--verbose", action="store_true", help="print what is unchanged, too")
    parser.add_argument("names", nargs="*", metavar="CASE", help="of check: these cases only")
    options = parser.parse_args(arguments)
    program = options.program or native.default_program()
    known = read(options.baseline) if options.baseline.exists() else Baseline({}, {})
    if options.command == "check":
        if not known.ratios:
            parser.error(f"there is no baseline {options.baseline}; make one with 'update'")
        return _report(*check(program, known, names=options.names or None, slow=options.slow), verbose=options.verbose)
    made = update(program, runs=options.runs)
    write(options.baseline, known.joined(made))
    tolerances = [ratio.tolerance for ratios in made.ratios.values() for ratio in ratios.values()]
    middle = statistics.median(tolerances)
    print(f"{len(tolerances)} ratios, tolerance {middle:.2f} at the median, {max(tolerances):.2f} at most")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
