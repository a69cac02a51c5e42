"""A fork shares memory with its index and nothing else: what either does later the other does not see."""

from __future__ import annotations

import numpy as np

from sightline import Analyzer, BM25Index, VectorIndex


def test_vector_index():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 5)).astype(np.float16).astype(np.float32)
    index = VectorIndex(5, metric="l2", dtype="float16")
    index.add(vectors[:200])
    before = index.search(vectors[0], 300)
    fork = index.fork()
    assert (fork.dim, fork.metric, fork.dtype, len(fork)) == (5, "l2", "float16", 200)
    fork.add(vectors[200:])
    fork.remove(range(50))
    fork.compact()
    for found, expected in zip(index.search(vectors[0], 300), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    index.upsert(vectors[:1], [199])
    index.remove([100])
    assert fork.ids.tolist() == list(range(50, 300))
    np.testing.assert_array_equal(fork.get([100, 199]), vectors[[100, 199]])
    del index
    assert fork.search(vectors[250], 1)[1].tolist() == [250]
    assert fork.add(vectors[:1]).tolist() == [300]


def test_bm25_index():
    index = BM25Index(Analyzer("german"), k1=0.9, b=0.3, delta=1.0, variant="bm25+")
    index.add([f"Wort{i} gemeinsam" for i in range(100)])
    before = index.search("gemeinsam Wort7", 200)
    fork = index.fork()
    assert (fork.k1, fork.b, fork.delta, fork.variant, fork.analyzer) == (0.9, 0.3, 1.0, "bm25+", index.analyzer)
    assert fork.add(["neu gemeinsam"]).tolist() == [100]
    fork.remove(range(40))
    for found, expected in zip(index.search("gemeinsam Wort7", 200), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(index) == 100
    assert index.add(["anders"]).tolist() == [100]
    assert fork.search("neu", 1)[1].tolist() == [100]
    assert index.search("neu", 1)[1].tolist() == [-1]
    fresh = BM25Index(Analyzer("german"), k1=0.9, b=0.3, delta=1.0, variant="bm25+")
    fresh.add([f"Wort{i} gemeinsam" for i in range(40, 100)] + ["neu gemeinsam"], range(40, 101))
    for found, expected in zip(fork.search("gemeinsam", 200), fresh.search("gemeinsam", 200), strict=True):
        np.testing.assert_array_equal(found, expected)
