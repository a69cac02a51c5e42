"""Grouping, diversity and scoped views."""

from __future__ import annotations

import asyncio
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline import RRF, Document, DuplicateIdError, HybridIndex, InvalidInputError
from sightline.selection import limit_groups, mmr


@pytest.fixture(scope="module")
def chunks():
    """300 chunks of 30 documents; the best 100 all belong to three of them."""
    rng = np.random.default_rng(0)
    index = HybridIndex()
    index.add(
        {
            "id": f"c{i}",
            "text": f"common word{i}",
            "metadata": {"document": f"d{i // 34 if i < 100 else i % 30}", "year": 2000 + i % 3},
            "vector": [1.0, i / 100, *rng.normal(0, 0.01, 2)],
        }
        for i in range(300)
    )
    return index


def limited(hits, per_group):
    counts: dict[str, int] = {}
    kept = []
    for hit in hits:
        group = hit.metadata["document"]
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= per_group:
            kept.append(hit.id)
    return kept


@pytest.mark.parametrize("per_group", [1, 3])
@pytest.mark.parametrize("options", [{}, {"mode": "dense"}, {"fusion": RRF()}])
def test_groups_are_those_of_the_full_ranking(chunks, per_group, options):
    if isinstance(options.get("fusion"), RRF):
        options = {"fusion": RRF(depth=300)}  # ranks depend on the depth, so that it must not grow in between
    vector = [1.0, 0.0, 0.0, 0.0]
    everything = chunks.search("common", 300, vector=vector, **options)
    for k in (1, 5, 20, 60):
        hits = chunks.search("common", k, vector=vector, group_by="document", per_group=per_group, **options)
        assert [hit.id for hit in hits] == limited(everything, per_group)[:k]
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_groups_after_reranking_and_filters(chunks):
    vector = [1.0, 0.0, 0.0, 0.0]
    hits = chunks.search(
        "common",
        5,
        vector=vector,
        group_by="document",
        where={"year": 2001},
        rerank=lambda query, texts: list(range(len(texts))),
        rerank_depth=8,
    )
    assert len(hits) == 5
    assert len({hit.metadata["document"] for hit in hits}) == 5
    assert {hit.metadata["year"] for hit in hits} == {2001}
    scored = [hit.rerank_score for hit in hits if hit.rerank_score is not None]
    assert scored == sorted(scored, reverse=True)
    assert scored[0] == 7


def test_groups_of_any_value():
    metadatas = [{"g": 1}, {"g": 1.0}, {"g": True}, {"g": "1"}, {}, {"g": None}, {"g": [1]}, {"g": [1]}, {"h.g": 1}]
    assert limit_groups(metadatas, "g", 1) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert limit_groups([{"h": {"g": 1}}, {"h.g": 1}], "h.g", 1) == [0]


def test_diversity_avoids_near_copies():
    index = HybridIndex()
    index.add(Document(f"copy{i}", "same words", vector=[1, 0.001 * i]) for i in range(5))
    index.add([Document("other", "same words too", vector=[0.8, 0.6])])
    plain = [hit.id for hit in index.search("same words", 3, vector=[1, 0])]
    assert plain == ["copy0", "copy1", "copy2"]
    assert [hit.id for hit in index.search("same words", 3, vector=[1, 0], diversity=0.0)] == plain
    diverse = [hit.id for hit in index.search("same words", 3, vector=[1, 0], diversity=0.9)]
    assert diverse[:2] == ["copy0", "other"]


def test_diversity_uses_rerank_scores():
    index = HybridIndex()
    index.add(Document(f"d{i}", f"word{i} same", vector=[1, i]) for i in range(60))
    hits = index.search(
        "same", 3, vector=[1, 0], diversity=0.0, rerank=lambda q, t: [-len(x) for x in t], rerank_depth=2
    )
    assert all(hit.rerank_score is not None for hit in hits)
    assert all(len(hit.text) == 10 for hit in hits)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, (1, 0), (0, 1), (1, 1), (-1, 2)])), max_size=8),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.integers(1, 5),
)
def test_mmr_follows_its_definition(candidates, diversity, k):
    relevance = np.array([float(r) for r, _ in candidates])
    vectors = [None if v is None else np.array(v, dtype=np.float32) for _, v in candidates]
    picked: list[int] = []
    spread = max(relevance) - min(relevance) if candidates else 0
    for _ in range(min(k, len(candidates))):
        best, best_gain = None, -np.inf
        for i in range(len(candidates)):
            if i in picked:
                continue
            scaled = (relevance[i] - min(relevance)) / spread if spread else 1.0
            nearest = max((cosine(vectors[i], vectors[j]) for j in picked), default=0.0)
            gain = (1 - diversity) * scaled - diversity * nearest
            if gain > best_gain + 1e-9:
                best, best_gain = i, gain
        picked.append(best)
    assert len(mmr(relevance, vectors, diversity, k)) == len(picked)
    assert_same_gains(relevance, vectors, diversity, mmr(relevance, vectors, diversity, k), picked)


def cosine(a, b):
    if a is None or b is None:
        return 0.0
    return float(a.astype(float) @ b.astype(float) / np.linalg.norm(a.astype(float)) / np.linalg.norm(b.astype(float)))


def assert_same_gains(relevance, vectors, diversity, found, expected):
    """Rounding may swap exact ties, after which the lists go different ways; up to there they agree."""
    for position, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a != b:
            spread = max(relevance) - min(relevance) or 1.0
            gains = [
                (1 - diversity) * (relevance[i] / spread)
                - diversity * max((cosine(vectors[i], vectors[j]) for j in expected[:position]), default=0.0)
                for i in (a, b)
            ]
            assert gains[0] == pytest.approx(gains[1], abs=1e-9)
            return


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diversity": 1.5}, "diversity: expected a number from 0 to 1"),
        ({"diversity": "high"}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"group_by": ""}, "group_by: expected the name"),
        ({"group_by": 5}, "group_by"),
        ({"group_by": "document", "per_group": 0}, "per_group: expected an integer"),
        ({"per_group": 2}, "per_group: has no use without group_by"),
    ],
)
def test_mistakes(chunks, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        chunks.search("common", mode="lexical", **arguments)


def test_diversity_needs_vectors():
    index = HybridIndex()
    index.add(["text"])
    with pytest.raises(InvalidInputError, match="needs vectors"):
        index.search("text", diversity=0.5)


@pytest.fixture
def tenants():
    index = HybridIndex(dim=2)
    index.add(
        Document(f"{tenant}{i}", f"shared text {i}", {"tenant": tenant, "n": i}, vector=[1, i + 1])
        for tenant in "ab"
        for i in range(3)
    )
    return index


def test_a_scope_confines_reading(tenants):
    scope = tenants.scoped({"tenant": "a"})
    assert len(scope) == 3
    for mode in ("hybrid", "dense", "lexical"):
        vector = None if mode == "lexical" else [1, 0]
        hits = scope.search("shared text", mode=mode, vector=vector)
        assert sorted(hit.id for hit in hits) == ["a0", "a1", "a2"]
        assert [h.id for h in scope.search("shared", mode=mode, vector=vector, where={"n": {"$gt": 1}})] == ["a2"]
    assert [None if d is None else d.id for d in scope.get(["a1", "b1", "nope"])] == ["a1", None, None]
    assert (scope.ids(), scope.ids({"n": {"$gt": 0}})) == (["a0", "a1", "a2"], ["a1", "a2"])
    assert scope.count({"n": 0}) == 1
    assert scope.count({"$or": [{"n": 0}, {"tenant": "b"}]}) == 1
    assert [hit.id for hit in asyncio.run(scope.asearch("shared", mode="lexical", where={"n": 1}))] == ["a1"]
    assert len(scope.scoped({"n": {"$lte": 1}})) == 2


def test_a_scope_confines_writing(tenants):
    scope = tenants.scoped({"tenant": "a"})
    for write in (scope.add, scope.upsert):
        with pytest.raises(InvalidInputError, match=r"documents\[1\] \(id 'y'\).* outside the scope"):
            write([Document("x", "t", {"tenant": "a"}), Document("y", "t", {"tenant": "b"})])
        with pytest.raises(DuplicateIdError):
            write([Document("b0", "stolen", {"tenant": "a"})])
    assert tenants.get("b0")[0].text == "shared text 0"
    assert len(tenants) == 6
    scope.upsert([Document("a0", "new", {"tenant": "a"}), Document("a9", "new", {"tenant": "a"})])
    assert len(scope) == 4
    assert scope.delete(["a9", "b0"]) == 1
    assert scope.delete(where={"n": {"$gte": 0}}) == 2
    assert scope.delete(where={}) == 1
    assert len(tenants) == 3
    with pytest.raises(InvalidInputError, match="give ids or where"):
        scope.delete()


def test_a_scope_does_not_follow_its_dictionary(tenants):
    where = {"tenant": "a"}
    scope = tenants.scoped(where)
    where["tenant"] = "b"
    assert [document is None for document in scope.get(["a0", "b0"])] == [False, True]
    assert {hit.id for hit in scope.search("shared", mode="lexical")} == {"a0", "a1", "a2"}


def test_a_scope_may_be_any_mapping(tenants):
    scope = tenants.scoped(MappingProxyType({"tenant": "a"}))
    assert len(scope) == 3
    assert len(scope.scoped(MappingProxyType({"n": MappingProxyType({"$gt": 0})}))) == 2


def test_errors_in_a_scope_tell_nothing_of_documents_outside(tenants):
    tenants.add([Document("c0", "t", {"tenant": "c", "secret": 5, "n": "text"})])
    scope = tenants.scoped({"tenant": "a"})
    clash = {"secret": "x"}
    with pytest.raises(InvalidInputError, match="holds numbers"):
        tenants.count(clash)
    for view in (scope, tenants.scoped({"n": 1}).scoped({"tenant": "a"}), scope.scoped({"tenant": "a"})):
        assert view.count(clash) == 0
        assert view.search("shared", mode="lexical", where=clash) == []
        assert view.delete(where=clash) == 0
        assert len(view.scoped(clash)) == 0
    # Nor does a kind that only documents outside have make a mistake look right.
    with pytest.raises(InvalidInputError, match="'n' holds numbers"):
        scope.count({"n": "text"})
    assert len(tenants) == 7


def test_a_malformed_scope_is_refused_at_once(tenants):
    for call in (lambda: tenants.scoped({"$x": 1}), lambda: tenants.scoped({"tenant": "a"}).scoped([])):
        with pytest.raises(InvalidInputError, match="where"):
            call()


def test_stats(tenants):
    tenants.add([Document("text", "only text"), Document("vector", "", vector=[1, 1])])
    stats = tenants.stats()
    assert (stats["documents"], stats["with_vector"], stats["with_text"], stats["dim"]) == (8, 7, 7, 2)
    assert sum(stats["bytes"]["dense"].values()) > 0
    assert repr(tenants) == "HybridIndex(dim=2) with 8 documents"
