"""Fused search of an index: bit for bit the fusion of both complete rankings."""

from __future__ import annotations

import numpy as np
import pytest

from sightline import RRF, Convex, HybridIndex

WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def index():
    """2000 documents with exact duplicates, some without a vector, some without a text, after deletes and upserts."""
    rng = np.random.default_rng(7)
    built = HybridIndex(dim=16)
    popularity = 1 / np.arange(1, len(WORDS) + 1)

    def document(i):
        seed = np.random.default_rng(i % 700)  # from 700 on, documents repeat
        words = seed.choice(WORDS, size=int(seed.integers(0, 12)), p=popularity / popularity.sum())
        vector = seed.normal(size=16).round(1) if i % 11 else None
        return {"id": f"d{i}", "text": " ".join(words), "vector": vector, "metadata": {"part": i % 5, "rare": i % 97}}

    built.add(document(i) for i in range(2000))
    built.delete([f"d{i}" for i in rng.choice(2000, 400, replace=False)])
    built.upsert(document(int(i)) for i in rng.choice(2000, 300, replace=False))
    return built


@pytest.mark.parametrize("where", [None, {"part": 3}, {"part": {"$in": [0, 1]}}, {"part": 99}, {"rare": 5}])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_convex_is_the_fusion_of_complete_rankings(index, where, alpha):
    rng = np.random.default_rng(3)
    scale = 20.0
    for k in (1, 7, 50):
        query, vector = " ".join(rng.choice(WORDS, 3, replace=False)), rng.normal(size=16)
        dense = index.search(query, 5000, mode="dense", vector=vector, where=where)
        lexical = index.search(query, 5000, mode="lexical", where=where)
        dense_of = {hit.id: hit.score for hit in dense}
        lexical_of = {hit.id: hit.score for hit in lexical}
        expected = {
            name: alpha * dense_of.get(name, 0.0) + (1.0 - alpha) * (lexical_of.get(name, 0.0) / scale)
            for name in dense_of.keys() | lexical_of.keys()
        }
        hits = index.search(query, k, vector=vector, where=where, fusion=Convex(alpha=alpha, lexical_scale=scale))
        assert [hit.score for hit in hits] == sorted(expected.values(), reverse=True)[:k]
        for hit in hits:
            assert hit.score == expected[hit.id]
            assert hit.dense_score == dense_of.get(hit.id)
            assert hit.lexical_score == lexical_of.get(hit.id, 0.0)
        # Ties come in the order of writing, which the complete ranking shows.
        complete = index.search(
            query, 5000, vector=vector, where=where, fusion=Convex(alpha=alpha, lexical_scale=scale)
        )
        assert [hit.id for hit in hits] == [hit.id for hit in complete[:k]]


def test_rrf_has_both_true_scores(index):
    vector = np.arange(16) - 7.5
    dense_of = {hit.id: hit.score for hit in index.search("w0 w9", 5000, mode="dense", vector=vector)}
    lexical_of = {hit.id: hit.score for hit in index.search("w0 w9", 5000, mode="lexical")}
    for hit in index.search("w0 w9", 40, vector=vector, fusion=RRF(depth=20)):
        assert hit.dense_score == dense_of.get(hit.id)
        assert hit.lexical_score == lexical_of.get(hit.id, 0.0)


def test_batches_equal_single_queries(index):
    rng = np.random.default_rng(5)
    queries = [" ".join(rng.choice(WORDS, 2)) for _ in range(40)]
    vectors = rng.normal(size=(40, 16))
    batch = index.search(queries, 10, vector=vectors)
    assert batch == [index.search(q, 10, vector=v) for q, v in zip(queries, vectors, strict=True)]
