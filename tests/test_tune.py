"""HybridIndex.tune: its nDCG is that of real searches, and its choice that of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Convex, Document, HybridIndex, InvalidInputError, Tuning
from test_hybrid_quality import load, ndcg


def _words(topic: int) -> str:
    """Six words that a topic has to itself: about as much as cosine 1."""
    return " ".join(f"topic{topic}word{i}" for i in range(6))


def _collection(seed: int, words_tell: bool) -> tuple[HybridIndex, dict[str, str], dict[str, Any], Any]:
    """Documents of which either the words or the vectors tell which is relevant, and the other one is noise."""
    random = np.random.default_rng(seed)
    documents, queries, qrels, vectors = [], {}, {}, {}
    for i in range(40):
        direction = random.standard_normal(16)
        for copy in range(3):
            words = _words(i if words_tell else int(random.integers(40)))
            vector = random.standard_normal(16) if words_tell else direction + 1.3 * random.standard_normal(16)
            documents.append(Document(f"d{i}-{copy}", f"{words} filler", {"copy": copy}, vector))
        queries[f"q{i}"] = _words(i)
        vectors[f"q{i}"] = random.standard_normal(16) if words_tell else direction
        qrels[f"q{i}"] = {f"d{i}-{copy}": 1 for copy in range(3)}
    index = HybridIndex()
    index.add(documents)
    return index, queries, qrels, vectors


@pytest.mark.parametrize("words_tell", [True, False])
def test_the_side_that_tells_gets_the_weight(words_tell: bool) -> None:
    index, queries, qrels, vectors = _collection(1, words_tell)
    found = index.tune(queries, qrels, vectors=vectors)
    assert isinstance(found, Tuning)
    assert (found.fusion.alpha < 0.5) if words_tell else (found.fusion.alpha > 0.5)
    assert found.ndcg > found.default_ndcg
    assert found.gain[0] > 0.0  # the interval excludes that tuning does not help
    assert found.interval[0] <= found.ndcg <= found.interval[1]
    assert found.queries == 40
    assert found.curve[found.fusion.alpha] == max(found.curve.values())
    assert found == index.tune(queries, qrels, vectors=vectors)


def test_the_curve_is_that_of_searches(shared_data: Path) -> None:
    documents, texts, vectors, grades = load(shared_data / "med")
    index = HybridIndex()
    index.add(documents)
    queries = {str(i): text for i, text in enumerate(texts)}
    qrels = {str(i): found for i, found in enumerate(grades)}
    found = index.tune(queries, qrels, vectors={str(i): vector for i, vector in enumerate(vectors)})
    for alpha in (0.0, 0.35, 0.5, 1.0):
        hits = index.search(texts, 10, vector=vectors, fusion=Convex(alpha))
        real = float(np.mean([ndcg(h, g) for h, g in zip(hits, grades, strict=True)]))
        assert found.curve[alpha] == pytest.approx(real, abs=1e-9)
    assert found.default_ndcg == pytest.approx(found.curve[0.5])
    assert found.ndcg <= max(found.curve.values())
    assert 0.7 < found.interval[0] < found.interval[1] < 0.9


def test_equal_weights_leave_the_default() -> None:
    index = HybridIndex()
    index.add([Document(f"d{i}", f"word{i}", vector=np.eye(4)[i]) for i in range(4)])
    queries = {f"q{i}": f"word{i}" for i in range(4)}
    qrels = {f"q{i}": {f"d{i}": 2, "gone": 0} for i in range(4)}
    found = index.tune(queries, qrels, vectors={f"q{i}": np.eye(4)[i] for i in range(4)})
    assert found.fusion == Convex(0.5)
    assert found.ndcg == 1.0
    assert found.gain == (0.0, 0.0)


def test_filters_and_documents_that_are_not_there_count(tmp_path: Path) -> None:
    index, queries, qrels, vectors = _collection(2, False)
    everything = index.tune(queries, qrels, vectors=vectors).ndcg
    assert index.tune(queries, qrels, vectors=vectors, where={"copy": {"$lt": 2}}).ndcg < everything
    more = {name: {**grades, "missing": 1} for name, grades in qrels.items()}
    assert index.tune(queries, more, vectors=vectors).ndcg < everything


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": ["a"]}, "queries: expected a dict"),
        ({"qrels": []}, "qrels: expected a dict"),
        ({"qrels": {"other": {}}}, "query 'other' is not among the queries"),
        ({"qrels": {"a": ["d1"]}}, r"qrels\['a'\]: expected a dict of grades"),
        ({"qrels": {"a": {"d1": -1}}}, r"qrels\['a'\]\['d1'\]: expected a grade >= 0"),
        ({"qrels": {"a": {"d1": 1}, "b": {"d1": 0}}}, "at least two queries"),
        ({"queries": {"a": 5, "b": "x"}}, r"queries\['a'\]: expected a str"),
        ({"vectors": [[1.0, 0.0]]}, "vectors: expected a dict"),
        ({"vectors": {"a": [1.0, 0.0]}}, "vectors: query 'b' has none"),
        ({"vectors": None}, "needs a vector for the query"),
        ({"k": 0}, "k: expected"),
        ({"folds": 1}, "folds: expected"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    index = HybridIndex()
    index.add([Document("d1", "x", vector=[1.0, 0.0])])
    options: dict[str, Any] = {
        "queries": {"a": "x", "b": "y"},
        "qrels": {"a": {"d1": 1}, "b": {"d1": 1}},
        "vectors": {"a": [1.0, 0.0], "b": [0.0, 1.0]},
    } | arguments
    with pytest.raises(InvalidInputError, match=message):
        index.tune(options.pop("queries"), options.pop("qrels"), **options)
