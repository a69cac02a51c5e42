"""The ratio of paired rounds and its interval, with made-up samples."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ratios import estimate, midmean, paired_logs, paired_ratio, resampled


def test_a_midmean_is_the_mean_of_the_middle_half():
    assert midmean(np.array([1.0, 2.0, 4.0])) == pytest.approx(7 / 3)
    assert midmean(np.array([100.0, 1.0, 3.0, -50.0])) == 2.0
    assert midmean(np.array([[8.0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 0, 0, 1e9, -1e9]])).tolist() == [4.5, 0.0]


def test_ratios_are_paired_so_a_machine_that_slows_down_cancels_out():
    fast = np.array([1.0, 1.1, 5.0, 1.0, 0.9])  # the third round was disturbed for both
    ratio = paired_ratio((fast * 3).tolist(), fast.tolist())
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3, 3, 3))
    assert ratio.error == pytest.approx(0)
    noisy = paired_ratio([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
    assert noisy.low < noisy.value < noisy.high


def test_a_quarter_of_the_rounds_may_be_wild():
    slow = [2.0] * 12 + [900.0] * 4
    assert paired_ratio(slow, [1.0] * 16).value == pytest.approx(2)
    assert paired_ratio(slow, [1.0] * 16, [0, 1] * 8).value == pytest.approx(2)


def test_two_states_do_not_make_the_ratio_jump():
    """One round more in the second state moves a median from one state to the other, a midmean by a little."""
    even, other = ([1.0] * count + [2.0] * (21 - count) for count in (10, 11))
    assert abs(np.median(even) - np.median(other)) == 1
    assert paired_ratio(even, [1.0] * 21).value == pytest.approx(paired_ratio(other, [1.0] * 21).value, rel=0.08)


def test_intervals_hold_what_they_promise():
    """Of many made-up measurements of the same thing, about 95 % have it in their interval."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = paired_ratio((3 * np.exp(0.1 * rng.standard_normal(30))).tolist(), [1.0] * 30)
        held += found.low <= 3 <= found.high
    assert 0.88 * 200 <= held <= 199


def test_what_differs_between_processes_widens_the_interval():
    """Three processes that differ by 20 % say little about the next one, however many rounds each has."""
    rng = np.random.default_rng(2)
    processes = np.arange(60) % 3
    logs = np.log([0.8, 1.0, 1.25])[processes] + 0.01 * rng.standard_normal(60)
    slow, fast = np.exp(logs).tolist(), [1.0] * 60
    assert paired_ratio(slow, fast, processes.tolist()).error > 0.1
    alike = np.exp(0.01 * rng.standard_normal(60)).tolist()
    assert paired_ratio(alike, fast, processes.tolist()).error < 0.01


def test_each_process_counts_as_much_as_another():
    logs = paired_logs([1.0] * 30 + [4.0] * 3, [1.0] * 33)
    assert np.exp(estimate(logs, [0] * 30 + [1] * 3)) == pytest.approx(2.0)
    assert np.exp(estimate(logs)) == pytest.approx(1.0)  # of one process, those three would be outliers
    assert paired_ratio([1.0] * 30 + [4.0] * 3, [1.0] * 33, [0] * 30 + [1] * 3).value == pytest.approx(2.0)


def test_processes_with_different_numbers_of_rounds_are_drawn_alike():
    logs = paired_logs([1.0] * 9 + [4.0], [1.0] * 10)
    draws = resampled(logs, [0] * 9 + [1])
    assert set(np.round(np.exp(draws), 6)) == {1.0, 2.0, 4.0}  # both of the first, one of each, both of the second
    assert np.array_equal(draws, resampled(logs, [0] * 9 + [1]))
    assert not np.array_equal(draws, resampled(logs, [0] * 9 + [1], seed=1))
