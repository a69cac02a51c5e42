"""What becomes of retrieved documents: pages, thresholds, versions, near duplicates, slow and failing rerankers."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from sightline import DBSF, CachedReranker, Document, HybridIndex, InvalidInputError


@pytest.fixture
def kb() -> HybridIndex:
    index = HybridIndex()
    random = np.random.default_rng(0)
    index.add(
        Document(f"d{i}", "apple " * (1 + i % 4) + f"word{i}", {"n": i, "group": i % 7}, random.standard_normal(5))
        for i in range(60)
    )
    return index


QUERY = {"query": "apple", "vector": [1.0, 0.5, 0.0, -1.0, 0.2]}


def test_pages_make_up_the_whole_list(kb: HybridIndex) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"mode": "dense"},
        {"group_by": "group", "per_group": 3},
        {"rerank": lambda _, texts: [len(text) for text in texts], "rerank_depth": 20},
        {"near_duplicates": 0.9},
    ]
    for extra in options:
        whole = kb.search(**QUERY, k=20, **extra)
        pages = [hit for start in range(0, 20, 5) for hit in kb.search(**QUERY, k=5, offset=start, **extra)]
        assert pages == whole
        assert [hit.rank for hit in pages] == list(range(1, len(whole) + 1))
    assert kb.search(**QUERY, offset=60) == []


def test_min_score_is_where_the_list_ends(kb: HybridIndex) -> None:
    whole = kb.search(**QUERY, k=30)
    assert kb.search(**QUERY, k=30, min_score=whole[11].score) == whole[:12]
    assert kb.search(**QUERY, k=30, min_score=whole[0].score + 0.01) == []
    seen: list[str] = []
    kb.search(**QUERY, k=30, min_score=whole[4].score, rerank=lambda _, texts: [seen.append(t) or 0.0 for t in texts])
    assert len(seen) == 5


def test_of_conflicting_versions_the_newest_wins() -> None:
    index = HybridIndex()
    dates = ["2024-01-31", "2024-02-01T00:00:00+02:00", "2023-12-31", None]
    index.add(
        Document(f"{page}-{version}", f"rule {'rule ' * version}", {"page": page, "date": date, "n": version})
        for page in "ab"
        for version, date in enumerate(dates)
    )
    assert {hit.id for hit in index.search("rule", group_by="page", latest_by="date")} == {"a-1", "b-1"}
    assert {hit.id for hit in index.search("rule", group_by="page", latest_by="n")} == {"a-3", "b-3"}
    two = index.search("rule", group_by="page", latest_by="date", per_group=2)
    assert {hit.id for hit in two} == {"a-0", "a-1", "b-0", "b-1"}
    assert [hit.score for hit in two] == sorted((hit.score for hit in two), reverse=True)
    # Without a value a version is older than any other, and equals stay by relevance.
    assert {hit.id for hit in index.search("rule", group_by="page", latest_by="nothing")} == {
        hit.id for hit in index.search("rule", group_by="page")
    }
    index.add([Document("c-0", "rule", {"page": "c", "date": 5}), Document("c-1", "rule", {"page": "c", "date": "5"})])
    with pytest.raises(InvalidInputError, match="latest_by: 'date' holds values that have no common order"):
        index.search("rule", group_by="page", latest_by="date")


def test_the_newest_wins_although_it_is_not_among_the_first_k() -> None:
    index = HybridIndex()
    index.add(Document(f"old{i}", "rule rule rule", {"page": i, "n": 0}) for i in range(5))
    index.add(Document(f"new{i}", "rule and many other words beside it", {"page": i, "n": 1}) for i in range(5))
    assert {hit.id for hit in index.search("rule", 5, group_by="page", latest_by="n")} == {f"new{i}" for i in range(5)}


def test_near_duplicates_are_dropped_below_the_better_one() -> None:
    index = HybridIndex()
    base = np.array([1.0, 0.0, 0.0])
    index.add(
        [
            Document("a", "first text", vector=base),
            Document("b", "second text", vector=base + np.array([0, 0.01, 0])),  # cosine 0.99995
            Document("c", "third text", vector=[1.0, 1.0, 0.0]),
            Document("d", "THIRD  text", vector=[0.0, 0.0, 1.0]),  # the same words
            Document("e", "no vector at all"),
        ]
    )
    options: dict[str, Any] = {"query": "text", "vector": base, "mode": "hybrid"}
    assert [hit.id for hit in index.search(**options)] == ["a", "b", "c", "d"]
    assert [hit.id for hit in index.search(**options, near_duplicates=0.99)] == ["a", "c"]
    assert [hit.id for hit in index.search(**options, near_duplicates=1.0)] == ["a", "b", "c"]
    assert [hit.id for hit in index.search(**options, near_duplicates=0.7)] == ["a", "d"]


def test_a_page_is_full_although_most_are_duplicates() -> None:
    index = HybridIndex()
    index.add(Document(f"copy{i}", "same text") for i in range(500))
    index.add(Document(f"other{i}", f"some text number {i} of another length") for i in range(5))
    hits = index.search("text", 6, near_duplicates=1.0)
    assert [hit.id for hit in hits] == ["copy0", *(f"other{i}" for i in range(5))]


def test_a_slow_reranker_is_not_waited_for(kb: HybridIndex) -> None:
    release = threading.Event()

    def slow(query: str, texts: list[str]) -> list[float]:
        release.wait(30)
        return [0.0] * len(texts)

    plain = kb.search(**QUERY)
    start = time.monotonic()
    hits = kb.search(**QUERY, rerank=slow, rerank_budget=0.05)
    assert time.monotonic() - start < 10
    release.set()
    assert [hit.id for hit in hits] == [hit.id for hit in plain]
    assert {hit.degraded for hit in hits} == {"the reranker took longer than rerank_budget"}
    assert {hit.rerank_score for hit in hits} == {None}
    quick = kb.search(**QUERY, rerank=lambda _, texts: list(range(len(texts))), rerank_budget=30.0)
    assert {hit.degraded for hit in quick} == {None}
    assert [hit.rerank_score for hit in quick] == list(range(49, 39, -1))


def test_the_budget_is_that_of_all_queries(kb: HybridIndex) -> None:
    calls = []

    def slow(query: str, texts: list[str]) -> list[float]:
        calls.append(query)
        time.sleep(0.2)
        return [0.0] * len(texts)

    first, second, third = kb.search(["apple", "word5", "word6"], mode="lexical", rerank=slow, rerank_budget=0.05)
    assert first[0].degraded == second[0].degraded == third[0].degraded == "the reranker took longer than rerank_budget"
    assert calls == ["apple"]


def test_a_failing_reranker_raises_or_keeps_the_order(kb: HybridIndex) -> None:
    def broken(query: str, texts: list[str]) -> list[float]:
        raise RuntimeError("no model")

    for budget in (None, 30.0):
        with pytest.raises(RuntimeError, match="no model"):
            kb.search(**QUERY, rerank=broken, rerank_budget=budget)
        hits = kb.search(**QUERY, rerank=broken, rerank_budget=budget, on_rerank_error="keep")
        assert [hit.id for hit in hits] == [hit.id for hit in kb.search(**QUERY)]
        assert {hit.degraded for hit in hits} == {"the reranker failed: RuntimeError: no model"}


def test_cached_rerankers_ask_for_new_pairs_only(kb: HybridIndex) -> None:
    asked: list[tuple[str, str]] = []

    def reranker(query: str, texts: list[str]) -> list[float]:
        asked.extend((query, text) for text in texts)
        return [float(len(text)) for text in texts]

    cached = CachedReranker(reranker, size=100)
    first = kb.search(**QUERY, rerank=cached)
    assert len(asked) == len(set(asked)) == 50
    assert kb.search(**QUERY, rerank=cached) == first == kb.search(**QUERY, rerank=reranker)
    assert len(asked) == 100
    small = CachedReranker(reranker, size=2)
    assert small("q", ["a", "bb", "a", "ccc"]).tolist() == [1.0, 2.0, 1.0, 3.0]
    assert len(small._scores) == 2
    with pytest.raises(InvalidInputError, match="reranker: expected a callable"):
        CachedReranker("model")  # type: ignore[arg-type]


def test_distributions_are_fused_as_documented(kb: HybridIndex) -> None:
    hits = kb.search(**QUERY, k=20, fusion=DBSF(weights=(2, 1), depth=20), explain=True)
    dense = kb.search(**QUERY, k=20, mode="dense")
    lexical = kb.search("apple", k=20, mode="lexical")
    expected: dict[str, float] = {}
    for weight, found, name in ((2, dense, "dense_score"), (1, lexical, "lexical_score")):
        scores = np.array([getattr(hit, name) for hit in found], dtype=np.float64)
        for hit, share in zip(found, (scores - scores.mean()) / (6 * scores.std()) + 0.5, strict=True):
            expected[hit.id] = expected.get(hit.id, 0.0) + weight * min(max(share, 0.0), 1.0)
    best = sorted(expected.values(), reverse=True)[:20]
    assert [hit.score for hit in hits] == pytest.approx(best)
    assert all(hit.score == pytest.approx(expected[hit.id]) for hit in hits)
    for hit in hits:
        assert hit.explanation is not None
        parts = hit.explanation["fusion"]
        assert parts["method"] == "dbsf"
        assert parts["dense_part"] + parts["lexical_part"] == pytest.approx(hit.score)
    with pytest.raises(InvalidInputError, match="weights"):
        DBSF(weights=(0, 0))
    equal = HybridIndex()
    equal.add([Document("a", "x", vector=[1.0]), Document("b", "x", vector=[1.0])])
    assert [hit.score for hit in equal.search("x", vector=[1.0], fusion=DBSF())] == [1.0, 1.0]


def test_a_callable_fuses_true_scores(kb: HybridIndex) -> None:
    kb.add([Document("none", "apple")])
    seen: list[tuple[Any, Any]] = []

    def fusion(dense: Any, lexical: Any) -> Any:
        seen.append((dense, lexical))
        return np.nan_to_num(dense, nan=0.0) * 10 + lexical

    hits = kb.search(**QUERY, k=70, fusion=fusion)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert hit.score == (hit.dense_score or 0.0) * 10 + (hit.lexical_score or 0.0)
    assert len(hits) == 61
    assert np.isnan(seen[0][0]).sum() == 1
    for wrong, message in (
        (lambda d, _: d[:-1], "expected 61 scores for 61 documents"),
        (lambda d, _: d, "returned NaN or infinity"),
        (lambda *_: "best", "fusion: expected 61 scores"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            kb.search(**QUERY, fusion=wrong)
