"""The benchmarks' truth: exact answers, recall with ties, nDCG, against loops that one can read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.truth import BM25Truth, DenseTruth, WrongAnswer, fused_truth, ndcg
from hypothesis import given
from hypothesis import strategies as st

import sightline as sl
from reference_bm25 import ReferenceBM25


def vectors(seed: int, count: int, dim: int = 4) -> np.ndarray:
    """Few distinct values, so that ties are common."""
    return np.random.default_rng(seed).integers(-2, 3, (count, dim)).astype(np.float32)


def ranking(rows: np.ndarray, query: np.ndarray, allowed: list[int]) -> list[int]:
    return sorted(allowed, key=lambda i: (-float(rows[i].astype(np.float64) @ query.astype(np.float64)), i))


@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), k=st.integers(1, 12), share=st.floats(0.1, 1))
def test_dense_truth_is_the_ranking_of_a_loop(seed, count, k, share):
    rows, queries = vectors(seed, count), vectors(seed + 1, 3)
    allowed = np.flatnonzero(np.random.default_rng(seed).random(count) < share)
    if len(allowed) == 0:
        allowed = np.array([0])
    truth = DenseTruth(rows, queries, k, allowed)
    found = np.full((3, k), -1)
    for i, query in enumerate(queries):
        best = ranking(rows, query, allowed.tolist())[:k]
        found[i, : len(best)] = best
    truth.check_identical(found, k, "loop")
    assert truth.recall(found, k) == 1


def test_recall_counts_ties_duplicates_and_what_is_outside():
    rows = np.array([[1, 0], [1, 0], [0.5, 0], [0, 1]], dtype=np.float32)
    truth = DenseTruth(rows, np.array([[1, 0]], dtype=np.float32), 1)
    assert truth.recall(np.array([[0]]), 1) == truth.recall(np.array([[1]]), 1) == 1  # they tie
    assert truth.recall(np.array([[2]]), 1) == truth.recall(np.array([[-1]]), 1) == 0
    two = DenseTruth(rows, np.array([[1, 0]], dtype=np.float32), 2)
    assert two.recall(np.array([[0, 0]]), 2) == 0.5
    filtered = DenseTruth(rows, np.array([[1, 0]], dtype=np.float32), 2, np.array([2, 3]))
    assert filtered.recall(np.array([[0, 1]]), 2) == 0  # better rows, but not allowed
    with pytest.raises(WrongAnswer, match="WRONG ANSWER: engine, query 0"):
        truth.check_identical(np.array([[1]]), 1, "engine")  # right by score, wrong by the rule for ties


def test_recall_notices_one_wrong_row_in_a_thousand():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((1000, 16)).astype(np.float32)
    queries = rng.standard_normal((100, 16)).astype(np.float32)
    truth = DenseTruth(rows, queries, 11)
    best = np.array([ranking(rows, query, list(range(1000)))[:11] for query in queries])
    found = best[:, :10].copy()
    assert truth.recall(found, 10) == 1
    found[37, 9] = best[37, 10]
    assert truth.recall(found, 10) == pytest.approx(0.999)


WORDS = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(documents=st.lists(WORDS, min_size=1, max_size=12), query=WORDS)
def test_bm25_truth_is_the_blackboard_formula(documents, query):
    if not any(documents):
        return
    reference = ReferenceBM25(dict(enumerate(documents)))
    truth = BM25Truth(documents, [query], 5)
    for number in range(len(documents)):
        assert truth.scores[0, number] == pytest.approx(reference.score(query, number) or 0.0, abs=1e-12)
    assert truth.postings[0] == sum(reference.df[word] for word in query)


@given(seed=st.integers(0, 1000))
def test_fused_truth_is_what_hybrid_index_answers(seed):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(["red", "green", "blue", "cat", "dog"], 4)) for _ in range(12)]
    rows = rng.standard_normal((12, 3)).astype(np.float32)
    query = rng.standard_normal(3).astype(np.float32)
    index = sl.HybridIndex()
    index.add([sl.Document(str(i), text, vector=row) for i, (text, row) in enumerate(zip(texts, rows, strict=True))])
    wide = rows.astype(np.float64)
    cosines = wide @ query / np.linalg.norm(wide, axis=1) / np.linalg.norm(query.astype(np.float64))
    analyzer = sl.Analyzer("english")
    words = BM25Truth(analyzer.batch(texts), analyzer.batch(["red cat"]), 5)
    truth = fused_truth(cosines[np.newaxis], words.scores, 5)
    found = [int(hit.id) for hit in index.search("red cat", 5, vector=query)]
    assert truth.recall(np.array([found]), 5) == 1


def test_ndcg_of_known_rankings():
    grades = {"a": 3, "b": 2, "c": 0}
    assert ndcg(["a", "b"], grades, 10) == 1
    ideal = 3 + 2 / math.log2(3)
    assert ndcg(["x", "a", "b"], grades, 10) == pytest.approx((3 / math.log2(3) + 2 / 2) / ideal)
    assert ndcg(["x", "a"], grades, 1) == ndcg([], grades, 10) == ndcg(["a"], {}, 10) == 0
