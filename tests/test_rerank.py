"""Rerankers: checks on the scores, and the adapters against the interfaces of their packages."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

from sightline.errors import InvalidInputError, MissingExtraError
from sightline.rerank import RerankersReranker, SentenceTransformersReranker, rerank_scores


def test_scores_of_any_kind_of_sequence():
    for result in ([1, 2], (1.0, 2.0), np.array([1, 2], dtype=np.float16)):
        scores = rerank_scores(lambda query, texts, result=result: result, "q", ["a", "b"])
        assert scores.tolist() == [1, 2]
        assert scores.dtype == np.float64


@pytest.mark.parametrize("result", [[1.0], [[1.0], [2.0]], 3.0, [1.0, float("inf")], ["1", "2"], [True, False], None])
def test_bad_scores(result):
    with pytest.raises(InvalidInputError, match="rerank"):
        rerank_scores(lambda query, texts: result, "q", ["a", "b"])


def test_a_reranker_may_change_its_list():
    def consume(query, texts):
        return [len(texts.pop(0)) for _ in range(len(texts))]

    texts = ["a", "bc"]
    assert rerank_scores(consume, "q", texts).tolist() == [1, 2]
    assert texts == ["a", "bc"]

    def empty(query, texts):
        texts.clear()
        return []

    with pytest.raises(InvalidInputError, match="expected 2 scores for 2 texts"):
        rerank_scores(empty, "q", texts)


class FakeCrossEncoder:
    def __init__(self, *args, **options):
        self.args, self.options = args, options

    def predict(self, pairs, *, batch_size, show_progress_bar):
        self.pairs, self.batch_size = pairs, batch_size
        return np.array([len(text) for _, text in pairs], dtype=np.float32)


def test_cross_encoder(monkeypatch):
    package = types.ModuleType("sentence_transformers")
    package.CrossEncoder = FakeCrossEncoder
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    reranker = SentenceTransformersReranker("some/model", batch_size=7, max_length=128)
    assert reranker("q", ["a", "bcd"]).tolist() == [1, 3]
    model = reranker._model
    assert (model.args, model.options, model.batch_size) == (("some/model",), {"max_length": 128}, 7)
    assert model.pairs == [("q", "a"), ("q", "bcd")]
    assert reranker("q", []).shape == (0,)
    with pytest.raises(InvalidInputError, match="apply only to a model given by name"):
        SentenceTransformersReranker(FakeCrossEncoder(), max_length=1)
    for batch_size in (0, True, 2.0, "7"):
        with pytest.raises(InvalidInputError, match="batch_size: expected an integer >= 1"):
            SentenceTransformersReranker(FakeCrossEncoder(), batch_size=batch_size)


@dataclass
class FakeDocument:
    doc_id: int


@dataclass
class FakeResult:
    document: FakeDocument
    score: float | None
    rank: int


class FakeRanker:
    """Gives the texts back in reverse, as ``rerankers`` orders by score."""

    scored = True

    def rank(self, *, query, docs, doc_ids):
        order = list(reversed(doc_ids))
        results = [FakeResult(FakeDocument(i), float(i) if self.scored else None, n) for n, i in enumerate(order, 1)]
        return types.SimpleNamespace(results=results)


def test_rerankers_package(monkeypatch):
    made = []
    package = types.ModuleType("rerankers")

    def make(model, **options):
        made.append((model, options))
        return None if model == "broken" else FakeRanker()

    package.Reranker = make
    monkeypatch.setitem(sys.modules, "rerankers", package)
    reranker = RerankersReranker("flashrank", model_type="flashrank")
    assert made == [("flashrank", {"model_type": "flashrank"})]
    assert reranker("q", ["a", "b", "c"]).tolist() == [0, 1, 2]
    assert reranker("q", []).shape == (0,)
    with pytest.raises(InvalidInputError, match="could not load 'broken'"):
        RerankersReranker("broken")


def test_rankers_without_scores_count_by_rank():
    ranker = FakeRanker()
    ranker.scored = False
    assert RerankersReranker(ranker)("q", ["a", "b"]).tolist() == [-2, -1]
    with pytest.raises(InvalidInputError, match="apply only"):
        RerankersReranker(ranker, x=1)


def test_a_dropped_text_is_reported():
    class Dropping(FakeRanker):
        def rank(self, *, query, docs, doc_ids):
            return super().rank(query=query, docs=docs, doc_ids=doc_ids[1:])

    with pytest.raises(InvalidInputError, match="expected a finite number"):
        rerank_scores(RerankersReranker(Dropping()), "q", ["a", "b"])


@pytest.mark.parametrize(
    ("adapter", "package"),
    [(SentenceTransformersReranker, "sentence_transformers"), (RerankersReranker, "rerankers")],
)
def test_without_the_package_the_extra_is_named(monkeypatch, adapter, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[rerank\]'"):
        adapter("some/model")
