"""An obvious float64 model of VectorIndex: a dict from id to vector, and every search scores everything.

The library promises float64 scores, clamped to the range of float32 and rounded to it once. Two float64 sums of the
same products differ by their order, so the model knows each score as an interval: its own float64 value, give or take
``RELATIVE_ERROR`` of the sum of the absolute terms. Where both ends round to the same float32, which is nearly always,
the interval is that one number and nothing but it is accepted.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
FLOAT_MAX = float(np.finfo(np.float32).max)
RELATIVE_ERROR = 1e-12


def to_score(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Clamp float64 scores to the range of float32 and round them once. The sum turns -0 into 0."""
    clamped: npt.NDArray[np.float32] = np.clip(np.asarray(values, np.float64), -FLOAT_MAX, FLOAT_MAX).astype(np.float32)
    return clamped + np.float32(0)


def float64_scores(metric: str, query: npt.ArrayLike, rows: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the scores of all rows and a bound on the error of any float64 evaluation of them."""
    q = np.asarray(query, np.float32).astype(np.float64)
    x = np.asarray(rows, np.float32).astype(np.float64)
    if metric == "l2":
        squares = (x - q) ** 2
        return -squares.sum(axis=1), RELATIVE_ERROR * squares.sum(axis=1)
    products = x * q
    scores, sizes = products.sum(axis=1), np.abs(products).sum(axis=1)
    if metric == "cosine":
        norms = np.sqrt((x * x).sum(axis=1)) * np.sqrt((q * q).sum())
        scores, sizes = np.clip(scores / norms, -1, 1), sizes / norms
    return scores, RELATIVE_ERROR * sizes


def check_ranking(
    scores: npt.ArrayLike, ids: npt.ArrayLike, k: int, least: npt.ArrayLike, most: npt.ArrayLike, all_ids: npt.ArrayLike
) -> None:
    """Assert that (scores, ids) is a right answer for rows ``all_ids`` whose scores lie within least..most.

    Padding, the order of results, each score, and that no row left out ranks before the last one returned.
    """
    scores, ids, all_ids = np.asarray(scores), np.asarray(ids), np.asarray(all_ids)
    low, high = to_score(least), to_score(most)
    count = min(k, len(all_ids))
    assert scores.shape == ids.shape == (k,)
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    assert (ids[count:] == -1).all()
    assert (scores[count:] == -np.inf).all()
    scores, ids = scores[:count], ids[:count]
    if count == 0:
        return
    order = np.argsort(all_ids, kind="stable")
    position = order[np.searchsorted(all_ids, ids, sorter=order).clip(0, len(all_ids) - 1)]
    np.testing.assert_array_equal(all_ids[position], ids, err_msg="ids that are not there or not allowed")
    assert len(set(ids.tolist())) == count, "an id came twice"
    outside = (scores < low[position]) | (scores > high[position])
    assert not outside.any(), (ids[outside], scores[outside], low[position][outside], high[position][outside])
    in_order = (scores[:-1] > scores[1:]) | ((scores[:-1] == scores[1:]) & (ids[:-1] < ids[1:]))
    assert in_order.all(), "not by descending score and ascending id"
    left_out = np.ones(len(all_ids), bool)
    left_out[position] = False
    better = left_out & ((low > scores[-1]) | ((low == scores[-1]) & (all_ids < ids[-1])))
    assert not better.any(), (all_ids[better], low[better], "left out, yet better than", scores[-1], ids[-1])


class ReferenceIndex:
    """What VectorIndex does, without any of its ideas."""

    def __init__(self, dim: int, metric: str) -> None:
        self.dim, self.metric = dim, metric
        self.rows: dict[int, npt.NDArray[np.float32]] = {}
        self.next_id = 0

    @property
    def ids(self) -> list[int]:
        return sorted(self.rows)

    def add(self, vectors: npt.ArrayLike, ids: Collection[int] | None = None) -> list[int]:
        matrix = np.array(vectors, np.float32).reshape(-1, self.dim)
        chosen = list(range(self.next_id, self.next_id + len(matrix))) if ids is None else list(ids)
        assert len(chosen) == len(matrix)
        for i, row in zip(chosen, matrix, strict=True):
            self.rows[i] = row
            self.next_id = max(self.next_id, i + 1)
        return chosen

    def remove(self, ids: Collection[int]) -> int:
        return sum(self.rows.pop(i, None) is not None for i in set(ids))

    def intervals(self, query: npt.ArrayLike, allowed: Collection[int] | None = None) -> tuple[list[int], Array, Array]:
        """Return the ids that compete and, for each, the least and the most its float64 score can be."""
        keep = set(self.rows) if allowed is None else set(self.rows) & set(allowed)
        ids = sorted(keep)
        rows = np.array([self.rows[i] for i in ids], np.float32).reshape(-1, self.dim)
        values, errors = float64_scores(self.metric, query, rows)
        return ids, values - errors, values + errors

    def check_search(
        self,
        query: npt.ArrayLike,
        k: int,
        scores: npt.ArrayLike,
        ids: npt.ArrayLike,
        allowed: Collection[int] | None = None,
    ) -> None:
        all_ids, least, most = self.intervals(query, allowed)
        check_ranking(scores, ids, k, least, most, np.array(all_ids, np.int64))

    def check_range(
        self,
        query: npt.ArrayLike,
        threshold: float,
        scores: npt.ArrayLike,
        ids: npt.ArrayLike,
        allowed: Collection[int] | None = None,
    ) -> None:
        found = np.asarray(scores)
        all_ids, least, most = self.intervals(query, allowed)
        assert (found >= np.float32(threshold)).all()
        check_ranking(found, ids, len(found), least, most, np.array(all_ids, np.int64))
        missing = set(np.array(all_ids)[to_score(least) >= np.float32(threshold)].tolist()) - set(
            np.asarray(ids).tolist()
        )
        assert not missing, ("rows at or above the threshold that were not returned", missing)

    def check_score(self, query: npt.ArrayLike, ids: Collection[int], scores: npt.ArrayLike) -> None:
        rows = np.array([self.rows[i] for i in ids], np.float32).reshape(-1, self.dim)
        values, errors = float64_scores(self.metric, query, rows)
        got = np.asarray(scores)
        assert ((to_score(values - errors) <= got) & (got <= to_score(values + errors))).all()
