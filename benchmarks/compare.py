"""``python -m benchmarks compare OLD.json NEW.json``: what moved, with noise taken into account.

Ratios are compared, because they hold across machines and days; Sightline's own times only say something where both
runs are of one machine. A figure has moved if the 95 % interval of its change leaves out "none" and the change exceeds
the threshold. The interval is made from the same draws as those that the runs show (``benchmarks.ratios``).

``--reproduce`` takes both as runs of the same code, best made with ``run --steady``: it names each ratio column that
differs by 10 % or more, and then exits with 1.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.ratios import estimate, paired_logs, resampled
from benchmarks.results import Row, Run

__all__ = ["Change", "changes", "main"]

_RECALL_STEP = 0.001
_AGREEMENT = 0.10
_Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Change:
    """A figure in both runs. ``factor``: new over old, above 1 is better for Sightline; ``moved`` beyond noise."""

    key: _Key
    figure: str  # "ratio", "time", "recall", "nDCG@10"
    old: float
    new: float
    factor: float
    low: float
    high: float
    moved: bool

    @property
    def worse(self) -> bool:
        return self.moved and self.factor < 1


def changes(old: Run, new: Run, threshold: float) -> list[Change]:
    """Every figure that both runs have."""
    before, after = _by_key(old), _by_key(new)
    found = []
    for key in before.keys() & after.keys():
        first, second = before[key], after[key]
        if first.status != "ok" or second.status != "ok":
            continue
        if first.unit != "ms":
            if first.engine == "sightline" and first.median and second.median:
                found.append(_plain(key, first.unit, first.median, second.median))
            continue
        if first.engine == "sightline":
            if old.environment.get("cpu") == new.environment.get("cpu"):
                found.append(_timed(key, "time", first, second, threshold, sign=-1))
            if first.recall is not None and second.recall is not None:
                found.append(_plain(key, "recall", first.recall, second.recall))
        elif first.beside and second.beside:
            found.append(_timed(key, "ratio", first, second, threshold, sign=1))
    return sorted(found, key=lambda change: change.factor)


def _by_key(run: Run) -> dict[_Key, Row]:
    return {(row.suite, row.data, row.case, row.name): row for row in run.rows}


def _timed(key: _Key, figure: str, old: Row, new: Row, threshold: float, *, sign: int) -> Change:
    """The factor between two estimates, with the interval of the difference of their draws."""
    logs = [paired_logs(row.rounds, row.beside or [1.0] * len(row.rounds)) for row in (old, new)]
    draws = [resampled(logs[at], row.processes, seed=at) for at, row in enumerate((old, new))]
    low, high = np.exp(np.quantile(sign * (draws[1] - draws[0]), (0.025, 0.975)))
    values = [estimate(part, row.processes) for part, row in zip(logs, (old, new), strict=True)]
    factor = float(np.exp(sign * (values[1] - values[0])))
    moved = bool((low > 1 or high < 1) and abs(np.log(factor)) > np.log1p(threshold))
    return Change(key, figure, *(float(np.exp(v)) for v in values), factor, float(low), float(high), moved)


def _plain(key: _Key, figure: str, old: float, new: float) -> Change:
    """A figure without noise: the same data and the same code give the same."""
    factor = new / old if old else 1.0
    return Change(key, figure, old, new, factor, factor, factor, abs(new - old) >= _RECALL_STEP)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=0.10, help="changes up to here are noise (default: 0.10)")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit with 1 if something got worse beyond noise")
    parser.add_argument("--reproduce", action="store_true", help="exit with 1 if ratio columns differ by 10 %% or more")
    parser.add_argument("--all", action="store_true", help="also what did not move")
    options = parser.parse_args(argv)
    try:
        old, new = results.read(options.old), results.read(options.new)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for name in ("cpu", "isa", "threads", "sightline", "compiler", "packages", "passes", "paces"):
        if old.environment.get(name) != new.environment.get(name):
            print(f"{name} differs: {old.environment.get(name)} -> {new.environment.get(name)}")
    found = changes(old, new, options.threshold)
    if not found:
        print("the runs have no figure in common: were they made with the same profile and data?")
        return 1 if options.fail_on_worse else 0
    for change in found:
        if change.moved or options.all:
            word = "worse " if change.worse else "better" if change.moved else "same  "
            print(
                f"{word} {' | '.join(change.key)}: {change.figure} {change.old:.4g} -> {change.new:.4g}, "
                f"factor {change.factor:.2f} [{change.low:.2f} to {change.high:.2f}]"
            )
    old_gaps, new_gaps = ({key for key, row in _by_key(run).items() if row.status != "ok"} for run in (old, new))
    for key in sorted((new_gaps - old_gaps) & _by_key(old).keys()):
        print(f"gap    {' | '.join(key)}: measured before, now {_by_key(new)[key].problem}")
    worse = sum(change.worse for change in found)
    better = sum(change.moved for change in found) - worse
    print(f"{len(found)} figures in both: {better} better, {worse} worse, {len(found) - better - worse} within noise")
    apart = _agreement([change for change in found if change.figure == "ratio"], named=options.reproduce)
    return 1 if (worse and options.fail_on_worse) or (apart and options.reproduce) else 0


def _agreement(ratios: list[Change], *, named: bool) -> int:
    """Print how well two runs of the same code agree in their ratio columns; how many do not, whatever their noise."""
    if not ratios:
        return 0
    off = sorted(((abs(float(np.log(change.factor))), change) for change in ratios), key=lambda pair: -pair[0])
    apart = [change for value, change in off if value > np.log1p(_AGREEMENT)]
    if named:
        for change in apart:
            print(
                f"apart  {' | '.join(change.key)}: ratio {change.old:.4g} -> {change.new:.4g}, "
                f"factor {change.factor:.2f} [{change.low:.2f} to {change.high:.2f}]"
            )
    median = np.median([value for value, _ in off])
    print(
        f"ratio columns: {len(off) - len(apart)} of {len(off)} differ by less than {_AGREEMENT:.0%}; "
        f"median difference {np.expm1(median):.1%}, largest {np.expm1(off[0][0]):.1%}"
    )
    return len(apart)
