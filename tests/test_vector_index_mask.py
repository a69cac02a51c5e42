"""Masks: every accepted form means the same rows, and a masked search is brute force over the rows allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sightline as sl
from reference import ReferenceIndex
from vector_data import METRICS, RECIPES, gaussian, make

each_metric = pytest.mark.parametrize("metric", METRICS)


def interleaved(metric: str, rows: np.ndarray, tombstones: bool) -> tuple[sl.VectorIndex, ReferenceIndex]:
    """Segments whose ranges of ids overlap; with tombstones, every seventh row removed and every eleventh replaced."""
    n, dim = rows.shape
    index, model = sl.VectorIndex(dim, metric), ReferenceIndex(dim, metric)
    for start in range(3):
        ids = np.arange(start, n, 3)
        index.add(rows[ids], ids)
        model.add(rows[ids], ids.tolist())
    if tombstones:
        gone = np.arange(0, n, 7)
        assert index.remove(gone) == model.remove(gone.tolist()) == len(gone)
        again = np.arange(0, n, 11)
        index.upsert(rows[again] * 2, again)
        model.add(rows[again] * 2, again.tolist())
    return index, model


def check_mask(
    index: sl.VectorIndex, model: ReferenceIndex, queries: Any, k: int, mask: Any, allowed: list[set[int]]
) -> None:
    scores, ids = index.search(queries, k, mask)
    for q, query in enumerate(queries):
        model.check_search(query, k, scores[q], ids[q], allowed[q if len(allowed) > 1 else 0])


@given(
    metric=st.sampled_from(METRICS),
    name=st.sampled_from(sorted(RECIPES)),
    n=st.sampled_from([1, 3, 63, 64, 65, 200, 700]),
    dim=st.sampled_from([1, 5, 16]),
    k=st.sampled_from([1, 10, 800]),
    density=st.sampled_from([0.0, 0.01, 0.05, 0.0625, 0.3, 0.95, 1.0]),
    tombstones=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_form_of_a_mask(
    metric: str, name: str, n: int, dim: int, k: int, density: float, tombstones: bool, seed: int
) -> None:
    rows, queries = make(name, metric, n, dim, seed)
    with np.errstate(over="ignore"):
        rows = np.where(np.isfinite(rows * 2), rows, rows / 4).astype(np.float32)
    index, model = interleaved(metric, rows, tombstones)
    rng = np.random.default_rng(seed)
    all_ids = index.ids
    bits = rng.random((len(queries), len(all_ids))) < density
    chosen = [all_ids[row] for row in bits]
    each = [set(ids.tolist()) for ids in chosen]
    # Ids that are not there, dead ones and repeated ones allow nothing more. Their order is free.
    noisy = [rng.permutation(np.concatenate([ids, ids[:3], [n + 5, -4, 2**62], np.arange(0, n, 7)])) for ids in chosen]
    noisy_each = [set(ids.tolist()) for ids in noisy]
    check_mask(index, model, queries, k, bits, each)
    check_mask(index, model, queries, k, bits[0], each[:1])
    check_mask(index, model, queries, k, bits[:1], each[:1])
    check_mask(index, model, queries, k, chosen, each)
    check_mask(index, model, queries, k, chosen[0], each[:1])
    check_mask(index, model, queries, k, noisy, noisy_each)
    check_mask(index, model, queries, k, noisy[0], noisy_each[:1])
    check_mask(index, model, queries[:1], k, bits[0], each[:1])
    for query, mask, allowed in zip(queries, bits, each, strict=True):
        for form in (mask, mask[np.newaxis], mask.tolist(), all_ids[mask], all_ids[mask].tolist(), [all_ids[mask]]):
            scores, ids = index.search(query, k, form)
            model.check_search(query, k, scores, ids, allowed)
        scores, ids = index.search(query, len(all_ids), mask)
        threshold = float(scores[len(allowed) // 2]) if allowed else -np.inf
        for form in (mask, all_ids[mask]):
            model.check_range(query, threshold, *index.range_search(query, threshold, form), allowed)


@each_metric
def test_dense_and_sparse_masks_in_one_batch(metric: str) -> None:
    """Sparse ones are scored row by row, the others through the codes; a batch may mix them in any order."""
    rng = np.random.default_rng(2)
    index, model = interleaved(metric, gaussian(rng, 5000, 12), tombstones=True)
    queries = gaussian(rng, 40, 12)
    all_ids = index.ids
    density = rng.choice([0.0, 0.001, 0.02, 0.0625, 0.07, 0.5, 1.0], (40, 1))
    bits = rng.random((40, len(all_ids))) < density
    check_mask(index, model, queries, 10, bits, [set(all_ids[row].tolist()) for row in bits])
    batch = index.search(queries, 10, bits)
    for q in range(40):
        alone = index.search(queries[q], 10, bits[q])
        assert alone[0].tobytes() == batch[0][q].tobytes()
        assert alone[1].tobytes() == batch[1][q].tobytes()


@each_metric
def test_a_mask_of_whole_blocks_is_not_read_outside_them(metric: str) -> None:
    rng = np.random.default_rng(4)
    index = sl.VectorIndex(16, metric)
    index.add(gaussian(rng, 6400, 16))
    mask = np.zeros(6400, bool)
    mask[2048:2688] = True  # ten blocks of 64, a tenth of the rows, too many to be scored one by one
    queries = gaussian(rng, 20, 16)
    for part in (queries, queries[:1]):
        _, ids, stats = index.search(part, 10, mask, stats=True)
        assert ((ids >= 2048) & (ids < 2688)).all()
        assert 0 < stats["rows_high"] + stats["rows_full"] <= 2 * 640
    _, _, stats = index.search(queries[0], 10, np.arange(100, 110), stats=True)
    assert stats["rows_exact"] == 10
    assert stats["rows_high"] == stats["rows_full"] == 0


def test_empty_masks() -> None:
    index = sl.VectorIndex(2)
    index.add(np.eye(2))
    nothing: list[Any] = [[], (), np.zeros(0, np.int64), np.zeros(2, bool), [False, False], [7], np.zeros((1, 2), bool)]
    for mask in nothing:
        scores, ids = index.search([1, 0], 3, mask)
        assert ids.tolist() == [-1] * 3
        assert scores.tolist() == [-np.inf] * 3
        assert len(index.range_search([1, 0], -2, mask)[1]) == 0
    assert index.search(np.eye(2), 1, [[], [1]])[1].tolist() == [[-1], [1]]
    assert index.search(np.eye(2), 1, [[], []])[1].tolist() == [[-1], [-1]]
    assert index.search(np.zeros((0, 2)), 1, [])[1].shape == (0, 1)
    empty = sl.VectorIndex(2)
    for mask in (np.zeros(0, bool), np.zeros((1, 0), bool), [], [3]):
        assert empty.search([1, 0], 1, mask)[1].tolist() == [-1]


def test_a_bool_mask_follows_the_order_of_ids_not_of_adding() -> None:
    index = sl.VectorIndex(1, "ip")
    index.add([[1], [2], [3]], [30, 10, 20])
    assert index.search([1], 3, [True, False, True])[1].tolist() == [10, 30, -1]
    index.remove(20)
    assert index.search([1], 3, [False, True])[1].tolist() == [30, -1, -1]


def test_a_fortran_ordered_or_strided_mask() -> None:
    index = sl.VectorIndex(1, "ip")
    index.add(np.arange(6.0).reshape(6, 1))
    bits = np.random.default_rng(0).random((3, 6)) < 0.5
    expected = index.search(np.ones((3, 1)), 6, bits)[1]
    wide = np.repeat(bits, 2, axis=1)
    for mask in (np.asfortranarray(bits), wide[:, ::2], list(bits), bits.tolist(), bits.view(np.ndarray)):
        np.testing.assert_array_equal(index.search(np.ones((3, 1)), 6, mask)[1], expected)


# Three rows, two queries.
BAD_MASKS: dict[str, tuple[Any, str]] = {
    "too short": (np.ones(2, bool), "one entry for each of the 3 rows"),
    "too long": (np.ones(4, bool), "one entry for each of the 3 rows"),
    "none": (np.zeros(0, bool), "one entry for each of the 3 rows"),
    "too short, per query": (np.ones((2, 2), bool), "one entry for each of the 3 rows"),
    "too many": (np.ones((3, 3), bool), "(2, n)"),
    "none per query": (np.ones((0, 3), bool), "(2, n)"),
    "3-D": (np.ones((1, 2, 3), bool), "(2, n)"),
    "one bool": (True, "(2, n)"),
    "floats": (np.ones(3), "bool array"),
    "float lists": ([[0.0], [1.0]], "integers"),
    "str": ("101", "bool array"),
    "strings": (["a", "b", "c"], "bool array"),
    "objects": (np.array([True, False, True], object), "bool array"),
    "set": ({1, 2}, "bool array"),
    "number": (7, "one-dimensional"),
    "complex": (np.ones(3, complex), "bool array"),
    "too many lists": ([[0], [1], [2]], "one-dimensional"),
    "too few lists": ([[0, 1, 2]], "one-dimensional"),
    "ragged bools": ([[True, False, True], [True]], "bool array"),
    "ragged ids": ([[0, [1]], [2]], "ids"),
    "bools and ids": ([np.ones(3, bool), np.array([1])], "integers"),
    "2-D ids in a list": ([[[0], [1]], [2]], "one-dimensional"),
    "past int64": (np.array([2**63], np.uint64), "below 2**63"),
    "past uint64": ([2**70], "bool array"),
    "None in a list": ([None, [1]], "bool array"),
}


@pytest.mark.parametrize("case", sorted(BAD_MASKS))
def test_bad_masks(case: str) -> None:
    index = sl.VectorIndex(2)
    index.add([[1, 0], [0, 1], [1, 1]])
    mask, words = BAD_MASKS[case]
    with pytest.raises(sl.InvalidInputError, match=r"^mask: ") as caught:
        index.search(np.eye(2), 2, mask)
    assert words in str(caught.value)
    assert index.search(np.eye(2), 1)[1].tolist() == [[0], [1]]


def test_bad_masks_of_one_query() -> None:
    index = sl.VectorIndex(2)
    index.add(np.eye(2))
    for mask in ([[True, False], [True, False]], [[0], [1]], [True], [[0, [1]]]):
        for call in (
            lambda mask=mask: index.search([1, 0], 1, mask),
            lambda mask=mask: index.range_search([1, 0], 0, mask),
        ):
            with pytest.raises(sl.InvalidInputError, match=r"^mask: "):
                call()
