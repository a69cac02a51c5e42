"""VectorIndex gives the answer of brute force: on hostile data, in every batch, on any number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sightline as sl
from reference import ReferenceIndex
from vector_data import METRICS, RECIPES, gaussian, make

each_metric = pytest.mark.parametrize("metric", METRICS)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = sl.get_num_threads()
    yield
    sl.set_num_threads(before)


def top_by_score(
    index: sl.VectorIndex, query: npt.ArrayLike, k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The best k by the exact scores of all rows, which involve no bound."""
    ids = index.ids
    scores = index.score(query, ids)
    order = np.lexsort((ids, -scores.astype(np.float64)))[:k]
    return scores[order], ids[order]


def assert_same(a: tuple[npt.ArrayLike, npt.ArrayLike], b: tuple[npt.ArrayLike, npt.ArrayLike]) -> None:
    """The same bits, ids and scores."""
    np.testing.assert_array_equal(a[1], b[1])
    np.testing.assert_array_equal(np.asarray(a[0]).view(np.int32), np.asarray(b[0]).view(np.int32))


def check_searches(index: sl.VectorIndex, model: ReferenceIndex, queries: npt.NDArray[np.float32], k: int) -> None:
    """A batch and each query alone, against the model and against the library's own exact scores."""
    scores, ids = index.search(queries, k)
    count = min(k, len(index))
    for q, query in enumerate(queries):
        model.check_search(query, k, scores[q], ids[q])
        assert_same((scores[q, :count], ids[q, :count]), top_by_score(index, query, k))
        assert_same((scores[q], ids[q]), index.search(query, k))


# --- hostile data ---------------------------------------------------------------------------------------------------


@given(
    name=st.sampled_from(sorted(RECIPES)),
    metric=st.sampled_from(METRICS),
    n=st.sampled_from([0, 1, 2, 9, 63, 64, 65, 127, 129, 300]),
    dim=st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 31, 64, 65, 100]),
    k=st.sampled_from([1, 2, 10, 64, 400]),
    parts=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_small_indexes(name: str, metric: str, n: int, dim: int, k: int, parts: int, seed: int) -> None:
    rows, queries = make(name, metric, n, dim, seed)
    index, model = sl.VectorIndex(dim, metric), ReferenceIndex(dim, metric)
    for part in np.array_split(rows, parts):
        assert index.add(part).tolist() == model.add(part)
    check_searches(index, model, queries, k)


@each_metric
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_thousands_of_rows(name: str, metric: str) -> None:
    """Enough rows that thresholds rise early and whole blocks are dropped by them."""
    rows, queries = make(name, metric, 6007, 37, 5)
    index, model = sl.VectorIndex(37, metric), ReferenceIndex(37, metric)
    ids = np.random.default_rng(6).permutation(20_000)[: len(rows)]
    index.add(rows, ids)
    model.add(rows, ids.tolist())
    check_searches(index, model, queries, 10)


@each_metric
def test_the_bounds_do_prune(metric: str) -> None:
    """Otherwise the tests above would only prove that exact scores are right."""
    rng = np.random.default_rng(1)
    index = sl.VectorIndex(64, metric)
    index.add(gaussian(rng, 20_000, 64))
    for count in (1, 4, 40, 60):
        _, _, stats = index.search(gaussian(rng, count, 64), 10, stats=True)
        assert stats["rows"] == 20_000
        assert 10 * count <= stats["rows_exact"] < 0.05 * 20_000 * count
        # With two steps a product, any number of queries reads the cheaper plane first.
        assert (stats["rows_high"] > 0) == (count <= 48 or sl.cpu_info()["isa"] == "avx2")


@each_metric
def test_ties_are_broken_by_id_whatever_the_order_of_adding(metric: str) -> None:
    index = sl.VectorIndex(5, metric)
    ids = np.random.default_rng(3).permutation(3000)
    for part in np.array_split(ids, 7):
        index.add(np.ones((len(part), 5)), part)
    for k in (1, 10, 700, 3000):
        scores, found = index.search(np.ones(5), k)
        assert found.tolist() == list(range(k))
        assert len(set(scores.tolist())) == 1


@each_metric
def test_scores_past_float32_are_clamped_and_tie(metric: str) -> None:
    index = sl.VectorIndex(4, metric)
    index.add([[3e38] * 4, [-3e38] * 4, [2e38] * 4, [1e-45] * 4])
    scores, ids = index.search([3e38] * 4, 4)
    largest = float(np.finfo(np.float32).max)
    assert np.isfinite(scores).all()
    if metric == "ip":
        assert ids.tolist() == [0, 2, 3, 1]
        assert scores[[0, 1, 3]].tolist() == [largest, largest, -largest]
        assert scores[2] == np.float32(4 * float(np.float32(3e38)) * float(np.float32(1e-45)))
    if metric == "l2":
        assert ids.tolist() == [0, 1, 2, 3]
        assert scores.tolist() == [0, -largest, -largest, -largest]
    if metric == "cosine":
        assert ids.tolist() == [0, 2, 3, 1]
        np.testing.assert_allclose(scores, [1, 1, 1, -1], rtol=1e-7)


@each_metric
@given(
    name=st.sampled_from(sorted(RECIPES)),
    dim=st.sampled_from([1, 6, 33]),
    rank=st.integers(0, 299),
    seed=st.integers(0, 2**32 - 1),
)
def test_range_search_at_scores_that_occur(metric: str, name: str, dim: int, rank: int, seed: int) -> None:
    """The threshold equals a score, or is one step of float32 above it."""
    rows, queries = make(name, metric, 300, dim, seed)
    index, model = sl.VectorIndex(dim, metric), ReferenceIndex(dim, metric)
    index.add(rows)
    model.add(rows)
    for query in queries:
        scores, ids = top_by_score(index, query, 300)
        exact = scores[rank]
        with np.errstate(over="ignore"):
            above = np.nextafter(exact, np.float32(np.inf))
        for threshold in (exact, above):
            found = index.range_search(query, threshold)
            keep = scores >= threshold
            assert_same(found, (scores[keep], ids[keep]))
            model.check_range(query, threshold, *found)


@each_metric
def test_range_search_at_the_ends(metric: str) -> None:
    rows, queries = make("mixed_norms", metric, 500, 8, 9)
    index = sl.VectorIndex(8, metric)
    index.add(rows)
    for query in queries:
        expected = top_by_score(index, query, 500)
        for threshold in (-np.inf, -1e39, -float(np.finfo(np.float32).max), -(10**400)):
            assert_same(index.range_search(query, threshold), expected)
        for threshold in (np.inf, 1e39, 10**400):
            assert len(index.range_search(query, threshold)[0]) == 0
    assert len(sl.VectorIndex(8, metric).range_search(np.ones(8), -np.inf)[0]) == 0


# --- the same bits, however it is asked -----------------------------------------------------------------------------


@each_metric
@pytest.mark.parametrize("name", ["gaussian", "duplicates", "mixed_norms", "ulps_apart", "tight"])
def test_a_query_alone_equals_itself_in_any_batch(name: str, metric: str) -> None:
    rows, hard = make(name, metric, 3000, 24, 11)
    queries = np.concatenate([hard, gaussian(np.random.default_rng(12), 2000 - len(hard), 24)])
    index = sl.VectorIndex(24, metric)
    index.add(rows)
    whole = index.search(queries, 7)
    for q in [*range(20), 1023, 1024, 1999]:
        assert_same((whole[0][q], whole[1][q]), index.search(queries[q], 7))
    for size in (2, 3, 4, 5, 6, 7, 8, 9, 13, 64, 1024, 1025):
        assert_same((whole[0][:size], whole[1][:size]), index.search(queries[:size], 7))


@each_metric
@pytest.mark.usefixtures("restore_threads")
def test_any_number_of_threads_and_any_history_give_the_same_bits(metric: str) -> None:
    rows, queries = make("ulps_apart", metric, 5000, 19, 13)
    index = sl.VectorIndex(19, metric)
    index.add(rows)
    expected = index.search(queries, 50)
    wandering = sl.VectorIndex(19, metric)
    shuffled = np.random.default_rng(14).permutation(5000)
    for part in np.array_split(shuffled, 23):
        wandering.add(-rows[part], part)
    wandering.upsert(rows, np.arange(5000))
    wandering.remove(shuffled[:700])
    wandering.add(rows[shuffled[:700]], shuffled[:700])
    for threads in (1, 2, 4):
        sl.set_num_threads(threads)
        assert_same(index.search(queries, 50), expected)
        assert_same(wandering.search(queries, 50), expected)
        for q, query in enumerate(queries):
            assert_same(index.search(query, 50), (expected[0][q], expected[1][q]))
        rebuilt = sl.VectorIndex(19, metric)
        rebuilt.add(rows)
        assert_same(rebuilt.search(queries, 50), expected)
    wandering.compact()
    assert_same(wandering.search(queries, 50), expected)


def digest() -> str:
    """One number for the results of many searches, to compare between processes."""
    total = hashlib.sha256()
    for metric in METRICS:
        for name in sorted(RECIPES):
            rows, queries = make(name, metric, 900, 21, 15)
            index = sl.VectorIndex(21, metric)
            index.add(rows)
            for part in (queries, queries[0], queries[:3]):
                scores, ids = index.search(part, 12)
                total.update(scores.tobytes() + ids.tobytes())
            total.update(index.range_search(queries[1], float(scores[0, 5]))[0].tobytes())
            total.update(index.score(queries[2], np.arange(900)).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("table", sl.cpu_info()["available"])
def test_every_kernel_table_gives_the_same_bits(table: str) -> None:
    code = "import sightline as sl, test_vector_index as t; print(sl.cpu_info()['isa'], t.digest())"
    environment = os.environ | {
        "SIGHTLINE_ISA": table,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [table, digest()]


# --- the interface --------------------------------------------------------------------------------------------------


@each_metric
def test_an_empty_index_pads(metric: str) -> None:
    index = sl.VectorIndex(3, metric)
    assert len(index) == 0
    assert index.ids.shape == (0,)
    scores, ids = index.search(np.ones((2, 3)), 4)
    assert scores.tolist() == [[-np.inf] * 4] * 2
    assert ids.tolist() == [[-1] * 4] * 2
    assert index.search(np.zeros((0, 3)), 4)[1].shape == (0, 4)
    assert index.add(np.zeros((0, 3))).tolist() == []
    assert index.remove([]) == index.remove([5]) == 0
    index.compact()
    assert index.get([]).shape == (0, 3)
    assert len(index) == 0


def test_defaults() -> None:
    index = sl.VectorIndex(2)
    assert index.metric == "cosine"
    assert index.dim == 2
    index.add(np.eye(2))
    assert index.search([1, 0])[0].shape == (10,)


def test_ids_are_chosen_after_the_greatest_one_ever_used() -> None:
    index = sl.VectorIndex(1, "ip")
    assert index.add([[1], [2]]).tolist() == [0, 1]
    assert index.add([[3]], [10]).tolist() == [10]
    assert index.add([4.0]).tolist() == [11]
    assert index.remove([11, 11, 99, -3]) == 1
    assert index.add([[5]]).tolist() == [12]
    assert index.upsert([[6], [7]], [20, 0]).tolist() == [20, 0]
    assert index.add([[8]]).tolist() == [21]
    assert index.ids.tolist() == [0, 1, 10, 12, 20, 21]
    assert index.get([20, 0, 0, 12]).tolist() == [[6], [7], [7], [5]]
    assert index.remove(20) == 1


def test_stored_vectors_are_kept_to_the_bit() -> None:
    rows, _ = make("mixed_norms", "ip", 300, 5, 17)
    rows[3, 2] = -0.0
    index = sl.VectorIndex(5, "ip")
    ids = index.add(rows)
    kept = rows.copy()
    rows[:] = 7  # the index has its own copy
    assert index.get(ids).tobytes() == kept.tobytes()
    index.get(ids)[:] = 9
    assert index.get(ids).tobytes() == kept.tobytes()


def test_memory_is_what_the_documentation_says() -> None:
    index = sl.VectorIndex(384)
    index.add(gaussian(np.random.default_rng(0), 6400, 384))
    parts = index.memory()
    assert parts["vectors"] == 6400 * 384 * 4
    assert parts["codes"] == 6400 * 384
    assert 24 <= (parts["bounds"] + parts["ids"]) / 6400 <= 32
    assert parts["tombstones"] == 0
    index.remove(np.arange(100))
    assert 6400 // 8 <= index.memory()["tombstones"] <= 6400 // 8 + 8


def test_one_vector_or_many() -> None:
    index = sl.VectorIndex(3)
    assert index.add([1, 2, 3]).tolist() == [0]
    assert index.add([[1, 2, 3]]).tolist() == [1]
    assert index.search([1, 2, 3], 2)[1].tolist() == [0, 1]
    assert index.search([[1, 2, 3]], 2)[1].tolist() == [[0, 1]]
    assert index.add([]).tolist() == index.add(np.zeros(0, np.float32)).tolist() == []


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_repeat_are_scored_alike_in_a_batch(metric, dtype):
    """Where bounds are not used, rows equal to the one before share its scores; also across blocks, masks and tiles."""
    rng = np.random.default_rng(11)
    rows = np.repeat(rng.standard_normal((40, 20)).astype(np.float32), rng.integers(1, 9, 40), axis=0)
    rows[5, 3] += np.float32(0.5)
    index = sl.VectorIndex(20, metric, dtype=dtype)
    index.add(rows)
    queries = rng.standard_normal((70, 20)).astype(np.float32)
    for mask in (None, rng.random(len(rows)) < 0.04, rng.random((70, len(rows))) < 0.5):
        scores, ids = index.search(queries, len(rows), mask=mask)
        for q in (0, 31, 32, 69):
            own = mask[q] if mask is not None and mask.ndim == 2 else mask
            alone_scores, alone_ids = index.search(queries[q], len(rows), mask=own)
            np.testing.assert_array_equal(scores[q], alone_scores)
            np.testing.assert_array_equal(ids[q], alone_ids)
