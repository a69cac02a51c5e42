"""What the gate compares with: a file of ratios and instruction counts, and how far from them is too far."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Baseline", "Finding", "Ratio", "judge", "read", "spread_of", "write"]

SCHEMA = 1
# What code that did not change may differ by, beside the spread that was measured: where the linker puts a loop.
LEAST_TOLERANCE = 0.15
# How many times the spread of repeated runs, taken between the quartiles: now and then a run is disturbed from
# beginning to end, which the gate meets by measuring again. Never so much that half as much work again would pass.
SPREADS = 3.0
MOST_TOLERANCE = 0.3
# How much slower, beside the reference loop, a case may be on a CPU, or built by a compiler, that nobody measured.
FOREIGN_FACTOR = 2.5
# Of instruction counts, which do not vary by themselves: what another version of the C library changes.
INSTRUCTION_TOLERANCE = 0.03


@dataclass(frozen=True)
class Ratio:
    """The median of several runs, and by which share of it a case may be slower."""

    ratio: float
    tolerance: float


@dataclass(frozen=True)
class Baseline:
    """Ratios of one CPU and compiler; instruction counts of that compiler, which hold on any CPU."""

    cpu: str
    compiler: str
    ratios: Mapping[str, Ratio]
    instructions: Mapping[str, int]


@dataclass(frozen=True)
class Finding:
    """What the gate thinks of one measured case. ``kind`` is "ok", "slower", "faster" or "unknown"."""

    name: str
    kind: str
    text: str


def spread_of(ratios: Sequence[float]) -> Ratio:
    """The baseline of a case from the ratios of at least two runs, those on a loaded machine among them."""
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    tolerance = SPREADS * (high - low) / middle
    return Ratio(round(middle, 5), round(min(MOST_TOLERANCE, max(LEAST_TOLERANCE, tolerance)), 3))


def judge(name: str, measured: float, known: Ratio | None, *, same_machine: bool) -> Finding:
    """Compare one ratio with its baseline."""
    if known is None:
        return Finding(name, "unknown", f"{name}: {measured:.4f}, and no baseline")
    change = measured / known.ratio
    limit = 1 + known.tolerance if same_machine else max(FOREIGN_FACTOR, 1 + known.tolerance)
    kind = "slower" if change > limit else "faster" if change < 1 / limit else "ok"
    text = f"{name}: {change:.2f} times the baseline (of {known.ratio:.4f}), allowed {limit:.2f}"
    return Finding(name, kind, text)


def judge_count(name: str, counted: int, known: int | None) -> Finding:
    """Compare one instruction count with its baseline."""
    if known is None:
        return Finding(name, "unknown", f"{name}: {counted} instructions, and no baseline")
    change = counted / known
    kind = "slower" if change > 1 + INSTRUCTION_TOLERANCE else "faster" if change < 1 - INSTRUCTION_TOLERANCE else "ok"
    text = f"{name}: {change:.3f} times the instructions of the baseline ({known}), allowed {1 + INSTRUCTION_TOLERANCE}"
    return Finding(name, kind, text)


def read(path: Path) -> list[Baseline]:
    """Read a file of baselines; ValueError where it is of another schema."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if document.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} has schema {document.get('schema')!r}, expected {SCHEMA}: make it again with 'update'"
        )
    return [
        Baseline(
            entry["cpu"],
            entry["compiler"],
            {name: Ratio(**ratio) for name, ratio in entry["ratios"].items()},
            entry["instructions"],
        )
        for entry in document["baselines"]
    ]


def write(path: Path, baselines: Sequence[Baseline]) -> None:
    """Write a file of baselines, one case a line, so that changes are read easily."""
    parts = []
    for baseline in baselines:
        entry = asdict(baseline)
        lines = [f"{json.dumps(key)}: {json.dumps(entry[key])}" for key in ("cpu", "compiler")]
        for key in ("ratios", "instructions"):
            inner = ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(entry[key].items()))
            lines.append(f'"{key}": {{\n{inner}\n  }}')
        parts.append("{\n  " + ",\n  ".join(lines) + "\n }")
    path.write_text(f'{{"schema": {SCHEMA}, "baselines": [\n ' + ",\n ".join(parts) + "\n]}\n", "utf-8")
