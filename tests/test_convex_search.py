"""The native fused search against brute force: every score of both engines, fused by Convex.combine, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline import BM25Index, Convex, VectorIndex
from sightline.convex_search import search_convex
from sightline.errors import InvalidInputError


class Engines:
    """Both engines over documents 0 to n - 1, some of which have no vector or no text."""

    def __init__(self, vectors, texts, *, dim, variant="lucene", batches=1):
        self.dense, self.lexical = VectorIndex(dim), BM25Index(None, variant=variant)
        self.count = len(vectors)
        for part in np.array_split(np.arange(self.count), batches):  # several segments
            with_vector = [i for i in part.tolist() if vectors[i] is not None]
            if with_vector:
                self.dense.add(np.array([vectors[i] for i in with_vector], dtype=np.float32), with_vector)
            with_text = [i for i in part.tolist() if texts[i] is not None]
            if with_text:
                self.lexical.add([texts[i] for i in with_text], with_text)

    def remove(self, ids):
        self.dense.remove(ids)
        self.lexical.remove(ids)

    def brute_force(self, convex, scale, query, vector, k, allowed=None):
        tables = []  # scores by id, NaN where the engine does not list the document
        for engine, argument in ((self.dense, vector[None]), (self.lexical, [query])):
            scores, ids = (found[0] for found in engine.search(argument, self.count + 1))
            table = np.full(self.count, np.nan)
            table[ids[ids >= 0]] = scores[ids >= 0]
            tables.append(table)
        dense, lexical = tables[0], np.nan_to_num(tables[1], nan=0.0)
        takes_part = ~(np.isnan(tables[0]) & np.isnan(tables[1]))
        if allowed is not None:
            takes_part &= allowed
        ids = np.flatnonzero(takes_part)
        fused = convex.combine(np.nan_to_num(dense, nan=0.0), lexical, scale)
        best = ids[np.lexsort((ids, -fused[ids]))][:k]
        return best, fused[best], dense[best], lexical[best]

    def masks(self, allowed):
        return {"dense_mask": allowed[self.dense.ids], "lexical_mask": allowed[self.lexical.ids]}

    def search(self, convex, scale, queries, vectors, k, **options):
        return search_convex(convex, scale, self.dense, self.lexical, queries, vectors, k, **options)


def check(found, expected):
    for name, value in zip(("ids", "scores", "dense", "lexical"), expected, strict=True):
        assert np.array_equal(getattr(found, name), value, equal_nan=name == "dense"), name


# Few distinct values, so that ties at every threshold are the rule.
VECTOR = st.one_of(st.none(), st.sampled_from([(1, 0), (0, 1), (-1, 0), (1, 1), (3, 4), (4, 3), (-3, 4), (5, 12)]))
TEXT = st.one_of(st.none(), st.lists(st.sampled_from("abc"), max_size=4))
DOCUMENTS = st.lists(st.tuples(VECTOR, TEXT), max_size=60)


@settings(max_examples=300, deadline=None)
@given(
    documents=DOCUMENTS,
    k=st.integers(1, 70),
    alpha=st.sampled_from([0.0, 1e-30, 0.3, 0.5, 1.0]),
    scale=st.sampled_from([1e-30, 0.7, 10.0, 1e30]),
    query=st.lists(st.sampled_from("abcd"), max_size=4),
    vector=st.sampled_from([(1, 0), (2, 3), (-1, -1)]),
    variant=st.sampled_from(["lucene", "robertson", "bm25l", "bm25+"]),
    batches=st.integers(1, 3),
    data=st.data(),
)
def test_equals_brute_force(documents, k, alpha, scale, query, vector, variant, batches, data):
    vectors, texts = [v for v, _ in documents], [t for _, t in documents]
    engines = Engines(vectors, texts, dim=2, variant=variant, batches=batches)
    convex = Convex(alpha)
    matrix = np.array([vector], dtype=np.float32)
    if documents:
        engines.remove(data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=5)))
    expected = engines.brute_force(convex, scale, query, matrix[0], k)
    check(engines.search(convex, scale, [query], matrix, k)[0], expected)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(documents), max_size=len(documents))), dtype=bool)
    expected = engines.brute_force(convex, scale, query, matrix[0], k, allowed)
    check(engines.search(convex, scale, [query], matrix, k, **engines.masks(allowed))[0], expected)
    check(engines.search(convex, scale, [query], matrix, k, among=np.flatnonzero(allowed))[0], expected)


WORDS = [f"w{i}" for i in range(40)]


def documents_of(kind, rng, n, dim):
    """Return collections that lead the search astray in one way each."""
    good = n // 20
    if kind == "equal vectors":  # no bound separates them
        vectors = [np.ones(dim)] * n
    elif kind == "few vectors":
        vectors = [rng.normal(size=dim) if i % 5 == 0 else None for i in range(n)]
    elif kind == "opposed":  # good words go with bad vectors
        vectors = [np.ones(dim) * (-1 if i < good else 1) + rng.normal(size=dim) * 0.3 for i in range(n)]
    elif kind == "sorted":  # the best rows come last, so that early thresholds are poor
        vectors = [np.ones(dim) * i / n + rng.normal(size=dim) * 0.2 for i in range(n)]
    elif kind == "reversed":  # the best rows come first, so that early thresholds are too good
        vectors = [np.ones(dim) * (n - i) / n + rng.normal(size=dim) * 0.2 for i in range(n)]
    else:
        vectors = list(rng.normal(size=(n, dim)).round(1) + 0.05)
    popularity = 1 / np.arange(1, len(WORDS) + 1)
    texts = [rng.choice(WORDS, rng.integers(0, 9), p=popularity / popularity.sum()).tolist() for _ in range(n)]
    if kind == "equal texts":
        texts = [["w0", "w1"]] * n
    if kind in ("opposed", "reversed"):
        texts[-good:] = [["w2", "w3", "w4"]] * good
    return vectors, texts


@pytest.mark.parametrize(
    "kind", ["plain", "equal vectors", "equal texts", "few vectors", "opposed", "sorted", "reversed"]
)
def test_equals_brute_force_at_size(kind):
    rng = np.random.default_rng(len(kind))
    n, dim = 12_000, 16
    engines = Engines(*documents_of(kind, rng, n, dim), dim=dim, batches=3)
    engines.remove(rng.choice(n, n // 10, replace=False))
    queries = [["w0", "w1", "w7"], ["w0"], ["w30", "w38"], [], ["unknown"], ["w2", "w3", "w4", "w5", "w6"]]
    matrix = (rng.normal(size=(len(queries), dim)) + 1).astype(np.float32)
    for alpha, k in ((0.0, 10), (0.05, 10), (0.5, 1), (0.5, 10), (0.5, 300), (0.5, 20_000), (0.9, 10), (1.0, 10)):
        convex = Convex(alpha)
        expected = [engines.brute_force(convex, 25.0, q, v, k) for q, v in zip(queries, matrix, strict=True)]
        for answer, right in zip(engines.search(convex, 25.0, queries, matrix, k), expected, strict=True):
            check(answer, right)
        for query, vector, right in zip(queries, matrix, expected, strict=True):  # alone, listed beside its scan
            check(engines.search(convex, 25.0, [query], vector[None], k)[0], right)
    for share in (2, 40, 1000):
        allowed = rng.random(n) < 1 / share
        for query, vector in zip(queries, matrix, strict=True):
            right = engines.brute_force(Convex(), 25.0, query, vector, 10, allowed)
            check(engines.search(Convex(), 25.0, [query], vector[None], 10, **engines.masks(allowed))[0], right)
            check(engines.search(Convex(), 25.0, [query], vector[None], 10, among=np.flatnonzero(allowed))[0], right)


def test_bad_masks_and_vectors():
    engines = Engines([(1, 0), (0, 1)], [["a"], ["b"]], dim=2)
    vector = np.array([[1, 1]], dtype=np.float32)
    short, full = np.ones(1, dtype=bool), np.ones(2, dtype=bool)
    with pytest.raises(InvalidInputError, match="dense_mask: expected one entry for each of the 2 rows, got 1"):
        engines.search(Convex(), 1.0, [["a"]], vector, 1, dense_mask=short, lexical_mask=full)
    with pytest.raises(InvalidInputError, match="mask: expected one entry for each of the 2 documents"):
        engines.search(Convex(), 1.0, [["a"]], vector, 1, dense_mask=full, lexical_mask=short)
    with pytest.raises(InvalidInputError, match="vectors: expected one for each query"):
        engines.search(Convex(), 1.0, [["a"], ["b"]], vector, 1)
    for bad in (np.zeros((1, 2), dtype=np.float32), np.array([[np.nan, 1]], dtype=np.float32)):
        with pytest.raises(InvalidInputError):
            engines.search(Convex(), 1.0, [["a"]], bad, 1)


def test_explains_only_on_request():
    engines = Engines([(3, 4), None], [["a"], ["a", "b"]], dim=2)
    vector = np.array([[3, 4]], dtype=np.float32)
    found = engines.search(Convex(0.25), 2.0, [["b"]], vector, 2, explain=True)[0]
    for position, score in enumerate(found.scores.tolist()):
        explanation = found.explain(position)
        assert explanation["dense_part"] + explanation["lexical_part"] == score
        assert (explanation["method"], explanation["exact"]) == ("convex", True)
    assert engines.search(Convex(0.25), 2.0, [["b"]], vector, 2)[0].parts == {}
