"""The bar: ids and scores of a float64 brute force, 200 queries over 100,000 rows, for each metric, ties by id.

Runs under the kernel table that is active; the suite is repeated under each (SIGHTLINE_ISA).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import sightline as sl
from reference import RELATIVE_ERROR, check_ranking, to_score
from vector_data import METRICS

ROWS, QUERIES = 100_000, 200
Matrix = npt.NDArray[np.float32]


def check_against_brute_force(metric: str, rows: Matrix, queries: Matrix, k: int) -> None:
    rng = np.random.default_rng(7)
    ids = rng.permutation(3 * ROWS)[:ROWS]
    index = sl.VectorIndex(rows.shape[1], metric)
    for part in np.array_split(np.arange(ROWS), 3):  # three segments whose ids interleave
        index.add(rows[part], ids[part])
    scores, found = index.search(queries, k)
    order = np.argsort(ids)
    ids, x = ids[order], rows[order].astype(np.float64)
    norms = np.sqrt((x * x).sum(axis=1))
    for first in range(0, QUERIES, 25):
        q = queries[first : first + 25].astype(np.float64)
        sizes = np.sqrt((q * q).sum(axis=1))
        values = q @ x.T
        if metric == "cosine":
            values = np.clip(values / (sizes[:, np.newaxis] * norms), -1, 1)
        if metric == "l2":
            values = 2 * values - sizes[:, np.newaxis] ** 2 - norms**2
        for i in range(len(q)):
            # What a sum in another order may differ by; l2 here comes from an expansion, which cancels.
            scale = {"cosine": 1.0, "ip": sizes[i] * norms, "l2": (sizes[i] + norms) ** 2}[metric]
            error = RELATIVE_ERROR * scale
            check_ranking(scores[first + i], found[first + i], k, values[i] - error, values[i] + error, ids)
            best = to_score(np.partition(values[i], -k)[-k:])
            np.testing.assert_allclose(np.sort(scores[first + i]), np.sort(best), rtol=1e-6, atol=1e-9)
    for i in (0, QUERIES - 1):  # queries alone go another way
        alone = index.search(queries[i], k)
        assert alone[0].tobytes() == scores[i].tobytes()
        assert alone[1].tobytes() == found[i].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_random_rows_with_many_duplicates(metric: str) -> None:
    rng = np.random.default_rng(0)
    distinct = rng.standard_normal((ROWS // 3, 48)).astype(np.float32)
    distinct *= rng.lognormal(0, 0.5, (len(distinct), 1)).astype(np.float32)
    rows = distinct[rng.integers(0, len(distinct), ROWS)]
    queries = np.concatenate([rng.standard_normal((QUERIES - 20, 48)).astype(np.float32), rows[:20]])
    check_against_brute_force(metric, rows, queries, 25)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_embeddings_of_titles(metric: str, shared_data: Path) -> None:
    """Real data, with the duplicates it has and more: every hundredth row comes again."""
    rows = np.load(shared_data / "arxiv" / "docs.npy")[:ROWS].astype(np.float32)
    queries = np.load(shared_data / "arxiv" / "queries.npy")[:QUERIES].astype(np.float32)
    assert rows.shape == (ROWS, 384)
    rows[99::100] = rows[::100]
    check_against_brute_force(metric, rows, queries, 10)
