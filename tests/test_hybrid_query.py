"""Parsed queries in HybridIndex: their clauses confine both engines."""

from __future__ import annotations

import numpy as np
import pytest

import sightline as sl

TEXTS = {
    "red": "a red apple",
    "green": "a green apple",
    "car": "a red car",
    "none": "",
}


@pytest.fixture
def kb():
    random = np.random.default_rng(0)
    kb = sl.HybridIndex(dim=4)
    kb.add(
        sl.Document(name, text, {"short": len(text) < 10}, vector=random.normal(size=4)) for name, text in TEXTS.items()
    )
    return kb


VECTOR = [1.0, 0.0, 0.0, 0.0]


def ids(hits):
    return {hit.id for hit in hits}


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_clauses_confine_the_dense_side_too(kb, mode):
    def search(text, **options):
        return ids(kb.search(sl.parse_query(text), vector=VECTOR, mode=mode, **options))

    assert search("+red apple") == {"red", "car"}
    assert search("apple -red") == {"green", "none"}
    assert search("+red +apple") == {"red"}
    assert search("+red -apple", where={"short": True}) == {"car"}
    assert search("+purple") == set()
    assert search("apple") == set(TEXTS)


def test_clauses_in_lexical_mode_and_in_lists(kb):
    def found(query):
        return [hit.id for hit in kb.search(query, mode="lexical")]

    assert found(sl.parse_query("apple -red")) == ["green"]
    assert set(found("apple -red")) == {"red", "green", "car"}
    batch = kb.search([sl.parse_query("apple -red"), "car", sl.parse_query("+car")], mode="lexical")
    assert [[hit.id for hit in hits] for hits in batch] == [["green"], ["car"], ["car"]]
    vectors = np.eye(4)[:2]
    both = kb.search([sl.parse_query("+red"), "apple"], vector=vectors)
    assert [hit.id for hit in both[1]] == [hit.id for hit in kb.search("apple", vector=vectors[1])]
    assert ids(both[0]) == {"red", "car"}


def test_explanations_and_rerankers_see_the_words(kb):
    seen = []

    def rerank(query, texts):
        seen.append(query)
        return [float(len(text)) for text in texts]

    hits = kb.search(sl.parse_query("+red apple -car"), mode="lexical", rerank=rerank, explain=True)
    assert seen == ["red apple"]
    assert [hit.id for hit in hits] == ["red"]
    assert hits[0].explanation["lexical"]["score"] == pytest.approx(hits[0].lexical_score)


def test_after_deletions_and_with_errors(kb):
    kb.delete("car")
    kb.upsert([sl.Document("green", "now a red pear", vector=VECTOR)])
    assert ids(kb.search(sl.parse_query("+red"), vector=VECTOR)) == {"red", "green"}
    with pytest.raises(sl.InvalidInputError, match="positions=True"):
        kb.search(sl.parse_query('"red apple"'), mode="lexical")
    with pytest.raises(sl.InvalidInputError, match=r"query\[1\]: expected a str, got int"):
        kb.search(["red", 3], mode="lexical")
