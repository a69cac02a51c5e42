"""What Python sees: analyzer, engines, fusion, filters, hybrid search. Each result is checked before it is timed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import sightline as sl
from benchmarks.micro.rates import report
from benchmarks.texts import docstrings
from benchmarks.vectors import gaussian
from sightline.columns import Columns
from sightline.filters import parse_filter
from sightline.fusion import DBSF, RRF, fuse

ROWS, DIM, K = 20_000, 128, 10
Floats = npt.NDArray[np.float64]


@cache
def texts() -> tuple[list[str], list[str]]:
    return docstrings(5_000)


@cache
def dense() -> tuple[sl.VectorIndex, Any, Any]:
    rows, queries = gaussian(ROWS, DIM, 100, seed=1)
    index = sl.VectorIndex(DIM)
    index.add(rows)
    return index, rows, queries


@cache
def lexical() -> sl.BM25Index:
    index = sl.BM25Index()
    index.add(texts()[0])
    return index


def best(scores: Floats, k: int) -> list[int]:
    """The rows of the k best scores, ties by ascending row."""
    ranked: list[int] = np.argsort(-scores, kind="stable")[:k].tolist()
    return ranked


@pytest.mark.parametrize("language", [None, "english"])
def test_analyzer(benchmark: Any, language: str | None) -> None:
    text = "\n".join(texts()[0])[:200_000]
    analyzer = sl.Analyzer(language) if language else sl.Analyzer(stopwords=None, stemmer=None)
    if language is None:
        ascii_text = re.sub(r"[^a-zA-Z ]", " ", text)
        assert analyzer(ascii_text) == ascii_text.lower().split()
    terms = benchmark(analyzer, text)
    report(benchmark, "terms", len(terms), len(text.encode()))


@pytest.mark.parametrize("count", [1, 100])
def test_vector_search(benchmark: Any, count: int) -> None:
    index, rows, queries = dense()
    _, ids = index.search(queries[:count], k=K)
    exact = queries[:count].astype(np.float64) @ rows.T.astype(np.float64)
    assert ids.tolist() == [best(scores, K) for scores in exact]
    benchmark(index.search, queries[:count], k=K)
    report(benchmark, "queries", count, ROWS * DIM / 2)


def test_vector_add(benchmark: Any) -> None:
    _, rows, _ = dense()

    def build() -> sl.VectorIndex:
        index = sl.VectorIndex(DIM)
        index.add(rows)
        return index

    assert len(benchmark(build)) == ROWS
    report(benchmark, "rows", ROWS, rows.nbytes)


@pytest.mark.parametrize("count", [1, 100])
def test_bm25_search(benchmark: Any, count: int) -> None:
    index, queries = lexical(), texts()[1][:count]
    _, ids = index.search(queries, k=K)
    for query, found in zip(queries[:5], ids, strict=False):
        scores = np.asarray(index.score(query, index.ids), dtype=np.float64)
        assert found[found >= 0].tolist() == [row for row in best(scores, K) if scores[row] > 0]
    benchmark(index.search, queries, k=K)
    report(benchmark, "queries", count)


def test_bm25_add(benchmark: Any) -> None:
    documents = texts()[0][:1_000]

    def build() -> sl.BM25Index:
        index = sl.BM25Index()
        index.add(documents)
        return index

    assert len(benchmark(build)) == len(documents)
    report(benchmark, "documents", len(documents), sum(len(text.encode()) for text in documents))


def test_sparse_search(benchmark: Any) -> None:
    rng = np.random.default_rng(2)
    # Integer weights: sums of products are exact in any order.
    weights = rng.integers(0, 4, (2_000, 60)) * (rng.random((2_000, 60)) < 0.3)
    vectors = [{str(term): float(w) for term, w in enumerate(row) if w} for row in weights]
    index = sl.SparseIndex()
    index.add(vectors)
    scores = (weights @ weights[0]).astype(np.float64)
    assert index.search(vectors[0], k=K)[1].tolist() == best(scores, K)
    benchmark(index.search, vectors[:100], k=K)
    report(benchmark, "queries", 100)


@dataclass
class ArraySource:
    """What fusion asks of an engine, over given scores; lists are sorted beforehand, so that fusion alone is timed."""

    scores: Floats

    def __post_init__(self) -> None:
        self.order = np.argsort(-self.scores, axis=1, kind="stable")

    @property
    def size(self) -> int:
        return int(self.scores.shape[1])

    def search(self, queries: npt.NDArray[np.int64], depth: int) -> list[tuple[Any, Any]]:
        return [(self.scores[q][self.order[q, :depth]], self.order[q, :depth]) for q in queries]

    def score(self, query: int, ids: npt.NDArray[np.int64]) -> Any:
        return self.scores[query][ids]


@pytest.mark.parametrize("fusion", [RRF(), DBSF()], ids=["rrf", "dbsf"])
def test_fusion(benchmark: Any, fusion: RRF | DBSF) -> None:
    rng = np.random.default_rng(3)
    near, words = ArraySource(rng.random((50, 5_000))), ArraySource(10 * rng.random((50, 5_000)))

    def run() -> list[Any]:
        return fuse(fusion, near, words, 50, K)

    answers = run()
    for query, answer in enumerate(answers):
        assert len(answer.ids) == K
        assert (np.diff(answer.scores) <= 0).all()
        assert (answer.dense == near.scores[query][answer.ids]).all()
    benchmark(run)
    report(benchmark, "queries", 50)


WHERE: dict[str, tuple[dict[str, Any], Any]] = {
    "equal": ({"tag": "t3"}, lambda m: m["tag"] == "t3"),
    "range": ({"year": {"$gte": 2000, "$lt": 2010}}, lambda m: 2000 <= m["year"] < 2010),
    "in": ({"tag": {"$in": ["t1", "t2"]}}, lambda m: m["tag"] in ("t1", "t2")),
    "contains": ({"title": {"$contains": "7"}}, lambda m: "7" in m["title"]),
    "and_not": (
        {"$and": [{"year": {"$gt": 1990}}, {"tag": {"$not": {"$eq": "t0"}}}]},
        lambda m: m["year"] > 1990 and m["tag"] != "t0",
    ),
}


@cache
def columns() -> tuple[Columns, list[dict[str, Any]]]:
    rng = np.random.default_rng(4)
    metadata = [
        {"tag": f"t{tag}", "year": int(year), "title": f"title {i}"}
        for i, (tag, year) in enumerate(zip(rng.integers(0, 20, 50_000), rng.integers(1950, 2027, 50_000), strict=True))
    ]
    return Columns().extended(metadata), metadata


@pytest.mark.parametrize("name", WHERE)
def test_filter(benchmark: Any, name: str) -> None:
    where, matches = WHERE[name]
    stored, metadata = columns()
    mask = benchmark(lambda: parse_filter(where).mask(stored))
    assert mask.tolist() == [matches(entry) for entry in metadata]
    report(benchmark, "rows", len(metadata))


@pytest.mark.parametrize("where", [None, {"half": 0}], ids=["all", "filtered"])
def test_hybrid_search(benchmark: Any, where: dict[str, Any] | None) -> None:
    documents, queries = texts()
    vectors, query_vectors = gaussian(len(documents), DIM, 1, seed=5)
    index = sl.HybridIndex()
    index.add(
        sl.Document(str(i), text, {"half": i % 2}, vector)
        for i, (text, vector) in enumerate(zip(documents, vectors, strict=True))
    )
    hits = benchmark(index.search, queries[0], k=K, vector=query_vectors[0], where=where)
    assert len(hits) == K
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert where is None or all(hit.metadata["half"] == 0 for hit in hits)
    report(benchmark, "queries", 1)
