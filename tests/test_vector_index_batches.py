"""Batches whose queries leave very different numbers of rows to the second plane, and whose hits share rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import sightline as sl
from reference import check_ranking, float64_scores
from vector_data import METRICS

Matrix = npt.NDArray[np.float32]
ROWS = 9_000


def crowds(dim: int, query_count: int, seed: int) -> tuple[Matrix, Matrix]:
    """Rows and queries: one row in three belongs to a crowd, and so does one query in three, in no order.

    A query of a crowd leaves many rows of some blocks, its neighbours in the tile none; 40 of a crowd lie side by side.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((5, dim))
    rows = rng.standard_normal((ROWS, dim))
    crowded = rng.random(ROWS) < 1 / 3
    crowded[4_000:4_040] = True
    near = rng.integers(0, 4, ROWS)
    near[4_000:4_040] = 4
    rows[crowded] = centres[near[crowded]] + 0.2 * rng.standard_normal((int(crowded.sum()), dim))
    queries = rng.standard_normal((query_count, dim))
    queries[::3] = centres[rng.integers(0, 5, len(queries[::3]))] + 0.2 * rng.standard_normal((len(queries[::3]), dim))
    return rows.astype(np.float32), queries.astype(np.float32)


def check(index: sl.VectorIndex, rows: Matrix, ids: npt.NDArray[np.int64], queries: Matrix, k: int, mask: bool) -> None:
    scores, found = index.search(queries, k, mask=ids if mask else None)
    for i in range(0, len(queries), 4):  # of every kind, since one in three is of a crowd
        values, error = float64_scores(index.metric, queries[i], rows[ids])
        check_ranking(scores[i], found[i], k, values - error, values + error, ids)


@pytest.mark.parametrize("dim", [9, 131])
@pytest.mark.parametrize("metric", METRICS)
def test_crowds(metric: str, dim: int) -> None:
    rows, queries = crowds(dim, 71, seed=dim)
    index = sl.VectorIndex(dim, metric)
    for part in np.array_split(rows, [300, 5_000]):  # several segments
        index.add(part)
    every = np.arange(ROWS)
    check(index, rows, every, queries, 10, mask=False)
    check(index, rows, every, queries, 100, mask=False)
    removed = every[::5]
    index.remove(removed)
    left = np.setdiff1d(every, removed)
    check(index, rows, left, queries, 64, mask=False)
    check(index, rows, left[left % 3 == 0], queries, 64, mask=True)


def test_a_batch_and_its_queries_one_by_one_have_the_same_bits() -> None:
    rows, queries = crowds(384, 600, seed=1)  # more than share a pass under AVX2
    index = sl.VectorIndex(384, "cosine")
    index.add(rows)
    for k in (1, 10, 80):
        scores, ids = index.search(queries, k)
        for i in range(0, len(queries), 7):
            alone, alone_ids = index.search(queries[i], k)
            np.testing.assert_array_equal(alone, scores[i])
            np.testing.assert_array_equal(alone_ids, ids[i])


def test_ids_that_are_not_contiguous_and_ids_that_are_gone_in_a_mask() -> None:
    rows, queries = crowds(16, 3, seed=2)
    index = sl.VectorIndex(16, "ip")
    ids = np.arange(ROWS) * 3
    index.add(rows[:5_000], ids=ids[:5_000])
    index.add(rows[5_000:], ids=np.arange(50_000, 54_000))
    index.remove(ids[10:20])
    mask = np.concatenate([ids[:40], [1, 2**62, 49_999, 54_000], np.arange(50_000, 50_100)])
    scores, found = index.search(queries, 200, mask=mask)
    expected = np.setdiff1d(np.concatenate([ids[:40], np.arange(50_000, 50_100)]), ids[10:20])
    for row in found:
        np.testing.assert_array_equal(np.sort(row[row >= 0]), expected)
    assert np.isneginf(scores[:, len(expected) :]).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [5, 48, 131])
def test_rows_that_no_bound_separates_have_the_same_bits_in_a_batch(dim: int, metric: str, dtype: str) -> None:
    rng = np.random.default_rng(dim)
    rows = (rng.standard_normal(dim) + 1e-5 * rng.standard_normal((1_100, dim))).astype(np.float32)
    rows[312:330] = rows[311]  # equal ones, over the end of a block in either segment
    rows[333 + 320] = rows[333 + 319]
    queries = rng.standard_normal((67, dim)).astype(np.float32)
    index = sl.VectorIndex(dim, metric, dtype=dtype)
    for part in np.array_split(rows, [333]):
        index.add(part)
    odd = index.ids[1::7]
    for k, mask in ((10, None), (900, None), (10, odd), (30, odd[:1])):  # 900 of 1100: without codes from the start
        scores, ids = index.search(queries, k, mask=mask)
        for at in range(len(queries)):
            alone = index.search(queries[at : at + 1], k, mask=mask)
            assert np.array_equal(scores[at], alone[0][0])
            assert np.array_equal(ids[at], alone[1][0])
    exact = index.search(queries, 10, stats=True)[2]
    assert exact["rows_exact"] > len(queries) * len(rows) / 2, "no bound was meant to separate these rows"
