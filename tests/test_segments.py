"""Which segments of an index on disk merge when."""

from __future__ import annotations

import random

from sightline.segments import merge_group
from sightline.store_format import Segment


def _segments(rows: list[int]) -> list[Segment]:
    found, first = [], 0
    for number, count in enumerate(rows):
        found.append(Segment(number, first, first + count - 1, count, count // 2))
        first += count
    return found


def _settle(rows: list[int], most_rows: int) -> tuple[list[int], int]:
    """Merge until nothing is left to do; return the rows of the segments, and how many rows were rewritten."""
    written = 0
    while group := merge_group(_segments(rows), [0] * len(rows), most_rows):
        first, last = group[0].number, group[-1].number
        merged = sum(rows[first : last + 1])
        written += merged
        rows = [*rows[:first], merged, *rows[last + 1 :]]
    return rows, written


def test_segments_are_few_and_a_row_is_rewritten_seldom() -> None:
    source = random.Random(2)
    rows: list[int] = []
    written = total = 0
    for _ in range(2000):
        count = source.randrange(1, 50)
        total += count
        rows, more = _settle([*rows, count], 10**9)
        written += more
    assert len(rows) <= 20
    assert written <= 12 * total
    assert sum(rows) == total


def test_no_merge_takes_more_rows_than_allowed() -> None:
    rows: list[int] = []
    for _ in range(500):
        rows, _ = _settle([*rows, 10], 400)
        assert max(rows) <= 400
    assert sum(rows) == 5000
    assert len(rows) <= 60  # several of the largest that may come to be, and the small ones after them
    assert merge_group(_segments([300, 300, 300, 300, 900]), [0] * 5, 10**9)
    assert not merge_group(_segments([300, 300, 300, 300, 900]), [0] * 5, 400)


def test_a_segment_with_many_dead_rows_is_rewritten_whatever_its_size() -> None:
    segments = _segments([1000, 100])
    assert merge_group(segments, [250, 0], 10) == []
    assert merge_group(segments, [251, 0], 10) == [segments[0]]
