"""What the gate compares with: a file of ratios and instruction counts, and how far from them is too far."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Baseline", "Finding", "Machine", "Ratio", "judge", "judge_count", "read", "spread_of", "write"]

SCHEMA = 2
# What code that did not change may differ by, beside the spread that was measured: where the linker puts a loop.
LEAST_TOLERANCE = 0.15
# How many times the spread of repeated runs, taken between the quartiles: now and then a run is disturbed from
# beginning to end, which the gate meets by measuring again.
SPREADS = 3.0
MOST_TOLERANCE = 0.3
# From which factor on a slower case fails, beside the reference loop. What shares the core or its caches for minutes
# (another virtual machine, say) slows some loops by half and others not at all, so less than this is no evidence: it is
# shown, and what the compiler made of the code is held closely by the counts of instructions.
SLOWER_FACTOR = 1.75
# The same on a CPU, or with a compiler, whose ratios nobody measured.
FOREIGN_FACTOR = 2.5
# Of instruction counts, which do not vary by themselves: what another version of the C library changes.
INSTRUCTION_TOLERANCE = 0.03


@dataclass(frozen=True)
class Ratio:
    """The median of several runs, and by which share of it a case may be slower without being worth a word."""

    ratio: float
    tolerance: float


@dataclass(frozen=True)
class Machine:
    """What ratios depend on."""

    cpu: str
    compiler: str


@dataclass(frozen=True)
class Baseline:
    """Ratios by machine, and instruction counts by compiler, which hold on any CPU."""

    ratios: Mapping[Machine, Mapping[str, Ratio]]
    instructions: Mapping[str, Mapping[str, int]]

    def joined(self, newer: Baseline) -> Baseline:
        """These figures with those of ``newer`` in place of the same machine's and the same compiler's."""
        return Baseline({**self.ratios, **newer.ratios}, {**self.instructions, **newer.instructions})

    def ratio_of(self, name: str, machine: Machine) -> tuple[Ratio | None, bool]:
        """The ratio of a case on this machine, or else on any other; and whether it is this one's."""
        own = self.ratios.get(machine, {}).get(name)
        if own is not None:
            return own, True
        others = (ratios[name] for ratios in self.ratios.values() if name in ratios)
        return next(others, None), False

    def has_work(self, name: str) -> bool:
        """Whether a case was ever measured, under whatever kernel table."""
        work = name.partition("/")[2]
        return any(known.partition("/")[2] == work for ratios in self.ratios.values() for known in ratios)


@dataclass(frozen=True)
class Finding:
    """What the gate thinks of one measured case. ``kind`` is one of

    "ok"; "faster"; "suspect": slower than its tolerance, which the same code may be; "slower": which it may not;
    "unmeasured": new to this kernel table, on no machine yet; "unknown": not in the baseline at all.
    """

    name: str
    kind: str
    text: str

    @property
    def failed(self) -> bool:
        return self.kind in ("slower", "unknown")


def spread_of(ratios: Sequence[float]) -> Ratio:
    """The baseline of a case from the ratios of at least two runs, those on a loaded machine among them."""
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    tolerance = SPREADS * (high - low) / middle
    return Ratio(round(middle, 5), round(min(MOST_TOLERANCE, max(LEAST_TOLERANCE, tolerance)), 3))


def judge(name: str, measured: float, baseline: Baseline, machine: Machine) -> Finding:
    """Compare one ratio with what is known of it."""
    known, own = baseline.ratio_of(name, machine)
    if known is None:
        kind = "unmeasured" if baseline.has_work(name) else "unknown"
        return Finding(name, kind, f"{name}: {measured:.4f}, and no baseline")
    change = measured / known.ratio
    worth_a_word = 1 + known.tolerance if own else FOREIGN_FACTOR
    limit = SLOWER_FACTOR if own else FOREIGN_FACTOR
    kind = "slower" if change > limit else "suspect" if change > worth_a_word else "ok"
    if change < 1 / worth_a_word:
        kind = "faster"
    where = "" if own else " of another machine"
    return Finding(name, kind, f"{name}: {change:.2f} times the baseline{where} ({known.ratio:.4f}), at most {limit}")


def judge_count(name: str, counted: int, known: int | None) -> Finding:
    """Compare one instruction count with its baseline."""
    if known is None:
        return Finding(name, "unknown", f"{name}: {counted} instructions, and no baseline")
    change = counted / known
    kind = "slower" if change > 1 + INSTRUCTION_TOLERANCE else "faster" if change < 1 - INSTRUCTION_TOLERANCE else "ok"
    text = f"{name}: {change:.3f} times the instructions of the baseline ({known}), at most {1 + INSTRUCTION_TOLERANCE}"
    return Finding(name, kind, text)


def read(path: Path) -> Baseline:
    """Read a file of baselines; ValueError where it is of another schema."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if document.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} has schema {document.get('schema')!r}, expected {SCHEMA}: make it again with 'update'"
        )
    ratios = {
        Machine(entry["cpu"], entry["compiler"]): {name: Ratio(**ratio) for name, ratio in entry["ratios"].items()}
        for entry in document["machines"]
    }
    return Baseline(ratios, {entry["compiler"]: entry["instructions"] for entry in document["compilers"]})


def _lines(entry: Mapping[str, Any]) -> str:
    """A JSON object with a line for each case."""
    lines = []
    for key, value in entry.items():
        if isinstance(value, str):
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
        else:
            inner = ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(value.items()))
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n  }}")
    return " {\n  " + ",\n  ".join(lines) + "\n }"


def write(path: Path, baseline: Baseline) -> None:
    """Write a file of baselines, one case a line, so that changes are read easily."""
    machines = [
        {"cpu": m.cpu, "compiler": m.compiler, "ratios": {name: asdict(ratio) for name, ratio in ratios.items()}}
        for m, ratios in baseline.ratios.items()
    ]
    compilers = [{"compiler": name, "instructions": counts} for name, counts in baseline.instructions.items()]
    parts = {"machines": ",\n".join(map(_lines, machines)), "compilers": ",\n".join(map(_lines, compilers))}
    body = "".join(f', "{key}": [\n{text}\n]' for key, text in parts.items())
    path.write_text(f'{{"schema": {SCHEMA}{body}}}\n', "utf-8")
