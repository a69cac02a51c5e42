"""What paired rounds say: how many times longer one engine takes than another, and how sure that is.

Of the rounds of one pair of processes it is the midmean (the mean of the middle half) of the logarithms of their
ratios. Like a median it does not see a quarter of outliers on either side; but where a machine has two states (threads
on one CPU or on two, memory in huge pages or in small ones) a median jumps from one to the other when their shares pass
a half, and a midmean does not. A ratio is the mean of that over the pairs of processes (or over passes, between which
minutes went by): each counts as much as any other, however many rounds it had.

The interval is the bootstrap's, on two levels: processes are drawn again, then rounds within each, because rounds of
one process have its memory layout in common and say nothing about that of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

__all__ = ["NOISY", "Ratio", "estimate", "midmean", "paired_logs", "paired_ratio", "resampled"]

NOISY = 0.05  # a ratio whose interval is wider than this to either side is called so
_RESAMPLES = 1000
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Ratio:
    """One engine's time over another's, and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Half the interval, as a share of the ratio."""
        return float(np.sqrt(self.high / self.low)) - 1


def paired_ratio(slow: Sequence[float], fast: Sequence[float], processes: Sequence[int] = ()) -> Ratio:
    """How many times longer ``slow`` takes than ``fast``, round by round, so that what slows both cancels out.

    ``processes``: which pair of processes each round was measured in; empty if there was one only.
    """
    logs = paired_logs(slow, fast)
    low, high = np.exp(np.quantile(resampled(logs, processes), _INTERVAL))
    return Ratio(float(np.exp(estimate(logs, processes))), float(low), float(high))


def paired_logs(slow: Sequence[float], fast: Sequence[float]) -> Floats:
    rounds = min(len(slow), len(fast))
    return np.asarray(np.log(np.asarray(slow[:rounds]) / np.asarray(fast[:rounds])), dtype=np.float64)


def midmean(values: Floats) -> Floats:
    """The mean of the middle half along the last axis; of fewer than four values, of all."""
    count = values.shape[-1]
    cut = count // 4
    middle = np.sort(values, axis=-1)[..., cut : count - cut]
    return np.asarray(middle.mean(axis=-1))


def estimate(logs: Floats, processes: Sequence[int] = ()) -> float:
    """The mean of the processes' midmeans."""
    return float(np.mean([midmean(part) for part in _parts(logs, processes)]))


def _parts(logs: Floats, processes: Sequence[int]) -> list[Floats]:
    """The rounds by process."""
    numbers = np.asarray(processes[: len(logs)]) if len(processes) else np.zeros(len(logs), dtype=np.int64)
    return [logs[numbers == number] for number in np.unique(numbers)]


def resampled(logs: Floats, processes: Sequence[int] = (), *, seed: int = 0) -> Floats:
    """Estimates from as many rounds drawn with replacement, of processes drawn with replacement; always the same."""
    rng = np.random.default_rng(seed)
    parts = _parts(logs, processes)
    of_each = []  # midmeans of drawn rounds, so many of each process as all may be needed
    for part in parts:
        at = rng.integers(0, len(part), (_RESAMPLES, len(parts), len(part)))
        of_each.append(midmean(part[at]))
    drawn = rng.integers(0, len(parts), (_RESAMPLES, len(parts)))
    table = np.stack(of_each)
    rows, columns = np.indices(drawn.shape)
    return np.asarray(table[drawn, rows, columns].mean(axis=-1))
