"""Searches with a large k may presume a threshold from a sample of the rows; what comes out must not depend on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import sightline as sl
from reference import check_ranking, float64_scores
from vector_data import METRICS, RECIPES, make

ROWS = 14_000
BLOCK, SAMPLE_EVERY = 64, 16  # of cpp/dense/pass.cpp: where the sample lies
Matrix = npt.NDArray[np.float32]


def check(
    index: sl.VectorIndex, rows: Matrix, queries: Matrix, k: int, allowed: npt.NDArray[np.int64] | None = None
) -> None:
    ids = np.arange(len(rows)) if allowed is None else allowed
    scores, found = index.search(queries, k, mask=allowed)
    for i, query in enumerate(queries):
        values, error = float64_scores(index.metric, query, rows[ids])
        check_ranking(scores[i], found[i], k, values - error, values + error, ids)


def rows_by_score(rng: np.random.Generator, order: npt.NDArray[np.int64]) -> tuple[Matrix, Matrix]:
    """Return rows and a query such that the row at ``order[i]`` has the i-th best inner product."""
    rows = rng.standard_normal((len(order), 16)).astype(np.float32)
    rows[order, 0] = np.linspace(10, 5, len(order), dtype=np.float32)
    query = np.zeros((1, 16), np.float32)
    query[0, 0] = 1
    return rows, query


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("metric", METRICS)
def test_hard_data(recipe: str, metric: str) -> None:
    rows, queries = make(recipe, metric, ROWS, 11, seed=3)
    index = sl.VectorIndex(11, metric)
    index.add(rows)
    check(index, rows, queries, 65)
    check(index, rows, queries[:1], 400)


@pytest.mark.parametrize("query_count", [1, 8])
def test_a_sample_that_misleads_is_found_out(query_count: int) -> None:
    """All of the best rows lie in the sample, so that it promises far better ones than there are."""
    row_ids = np.arange(ROWS)
    in_sample = row_ids // BLOCK % SAMPLE_EVERY == 0
    rng = np.random.default_rng(0)
    rows, query = rows_by_score(rng, np.concatenate([row_ids[in_sample], row_ids[~in_sample]]))
    index = sl.VectorIndex(16, "ip")
    index.add(rows)
    queries = np.repeat(query, query_count, axis=0)
    check(index, rows, queries, 400)
    *_, stats = index.search(queries, 400, stats=True)
    assert stats["rows_full"] + stats["rows_high"] > 1.9 * ROWS  # the second pass


@pytest.mark.parametrize("query_count", [1, 8])
def test_a_sample_spares_candidates_where_rows_come_at_random(query_count: int) -> None:
    rng = np.random.default_rng(1)
    rows, query = rows_by_score(rng, rng.permutation(ROWS))
    index = sl.VectorIndex(16, "ip")
    index.add(rows)
    queries = np.repeat(query, query_count, axis=0)
    check(index, rows, queries, 400)
    *_, stats = index.search(queries, 400, stats=True)
    assert stats["rows_full"] + stats["rows_high"] < 1.9 * ROWS  # one pass
    assert stats["rows_exact"] < 1000 * query_count


@pytest.mark.parametrize("best_first", [True, False])
def test_rows_in_the_order_of_their_scores(best_first: bool) -> None:
    order = np.arange(ROWS) if best_first else np.arange(ROWS)[::-1]
    rows, query = rows_by_score(np.random.default_rng(2), order)
    index = sl.VectorIndex(16, "ip")
    index.add(rows)
    check(index, rows, np.repeat(query, 8, axis=0), 200)


def test_masks_removed_rows_and_segments() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((ROWS, 16)).astype(np.float32)
    queries = rng.standard_normal((8, 16)).astype(np.float32)
    index = sl.VectorIndex(16, "ip")
    for part in np.array_split(np.arange(ROWS), 5):
        index.add(rows[part], part)
    check(index, rows, queries, 100, np.flatnonzero(rng.random(ROWS) < 0.6))
    # Nothing that the mask allows lies in the sample.
    check(index, rows, queries, 100, np.flatnonzero(np.arange(ROWS) // BLOCK % SAMPLE_EVERY != 0))
    removed = rng.permutation(ROWS)[: ROWS // 3]
    index.remove(removed)
    check(index, rows, queries, 100, np.setdiff1d(np.arange(ROWS), removed))
    masks = rng.random((8, len(index))) < 0.5
    scores, ids = index.search(queries, 100, mask=masks)
    for i in range(8):
        alone = index.search(queries[i], 100, mask=masks[i])
        assert alone[0].tobytes() == scores[i].tobytes()
        assert alone[1].tobytes() == ids[i].tobytes()
