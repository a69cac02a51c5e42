"""HybridIndex: what each argument means, what each mistake says, and that a failed call changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from sightline import (
    RRF,
    BM25Index,
    Convex,
    Document,
    DuplicateIdError,
    HybridIndex,
    InvalidInputError,
    SightlineError,
)


def embed(texts):
    """Count three letters: a transparent embedding with a constant part, so that no text is a zero vector."""
    return np.array([[text.count("a"), text.count("e"), text.count("o"), 1] for text in texts], dtype=np.float32)


DOCUMENTS = [
    Document("cats", "cats are small animals", {"year": 2020}, title="Cats"),
    Document("dogs", "dogs follow people", {"year": 2021}),
    Document("boats", "boats on oceans ooooooo", {"year": 2022}),
]


@pytest.fixture
def kb():
    index = HybridIndex(embedder=embed)
    index.add(DOCUMENTS)
    return index


def state(index):
    """Everything a failed call could have changed."""
    names = ["cats", "dogs", "boats", "new", "other"]
    found = [(d, None if d is None or d.vector is None else d.vector.tolist()) for d in index.get(names)]
    hits = index.search("cats dogs boats animals new", 10, explain=True)
    return len(index), found, hits


def test_three_modes(kb):
    hybrid = kb.search("small animals", k=2)
    assert hybrid[0].id == "cats"
    assert hybrid[0].dense_score is not None
    assert hybrid[0].lexical_score > 0
    lexical = kb.search("animals", mode="lexical")
    assert [hit.id for hit in lexical] == ["cats"]
    assert lexical[0].dense_score is None
    assert lexical[0].score == lexical[0].lexical_score
    dense = kb.search("ooo", mode="dense", k=3)
    assert dense[0].id == "boats"
    assert dense[0].lexical_score is None
    assert dense[0].score == dense[0].dense_score


def test_the_title_is_searched(kb):
    kb.add([Document("t", "nothing here", title="Zebra")])
    assert kb.search("zebra", mode="lexical")[0].id == "t"


def test_a_list_of_queries_gives_a_list_of_lists(kb):
    queries = ["animals", "oceans", "zzz"]
    assert kb.search(queries, k=2) == [kb.search(query, k=2) for query in queries]
    assert kb.search([]) == []
    assert kb.search([], mode="lexical") == []
    assert kb.search(("animals",), mode="lexical") == [kb.search("animals", mode="lexical")]


def test_own_query_vectors(kb):
    vector = embed(["ooo"])[0]
    assert kb.search("x", vector=vector, mode="dense") == kb.search("ooo", mode="dense")
    assert kb.search(None, vector=vector) == kb.search("ooo", mode="dense")
    assert kb.search(["x", "y"], vector=[vector, vector], mode="dense") == [kb.search("ooo", mode="dense")] * 2


def test_embed_query_gets_the_queries():
    class Embedder:
        def __call__(self, texts):
            return embed(texts)

        def embed_query(self, text):
            return embed(["oooo"])[0]

    index = HybridIndex(embedder=Embedder())
    index.add(DOCUMENTS)
    assert index.search("aaa", mode="dense")[0].id == "boats"


def test_filters_confine_every_mode(kb):
    for mode in ("hybrid", "dense", "lexical"):
        hits = kb.search("cats dogs boats", mode=mode, where={"year": {"$gte": 2021}})
        assert sorted(hit.id for hit in hits) == ["boats", "dogs"]
    assert kb.search("cats", where={"year": 1}) == []
    assert kb.count({"year": {"$gte": 2021}}) == 2
    assert kb.count() == 3


def test_rrf(kb):
    hits = kb.search("small animals", fusion=RRF(k=10, weights=(1, 2)), explain=True)
    fusion = hits[0].explanation["fusion"]
    assert fusion["method"] == "rrf"
    assert hits[0].score == pytest.approx(1 / (10 + fusion["dense_rank"]) + 2 / (10 + fusion["lexical_rank"]))


def test_explanation_adds_up(kb):
    hit = kb.search("small animals", fusion=Convex(alpha=0.3), explain=True)[0]
    fusion = hit.explanation["fusion"]
    assert fusion["dense_part"] + fusion["lexical_part"] == pytest.approx(hit.score, rel=1e-12)
    assert fusion["dense_part"] == pytest.approx(0.3 * hit.dense_score, rel=1e-12)
    assert fusion["exact"] is True
    assert "lexical" in hit.explanation
    assert kb.search("animals")[0].explanation is None


def test_rerank_reorders_the_head(kb):
    seen = []

    def rerank(query, texts):
        seen.append((query, list(texts)))
        return [len(text) for text in texts]

    plain = kb.search("small animals", k=3)
    hits = kb.search("small animals", k=3, rerank=rerank, rerank_depth=2)
    assert seen[0][0] == "small animals"
    assert "Cats cats are small animals" in seen[0][1]
    assert len(seen[0][1]) == 2
    assert sorted(hit.rerank_score for hit in hits[:2]) == [hits[1].rerank_score, hits[0].rerank_score]
    assert hits[2].rerank_score is None
    assert hits[2].id == plain[2].id
    assert {hit.id: hit.score for hit in hits} == {hit.id: hit.score for hit in plain}
    # k = 1 still reranks to rerank_depth.
    assert kb.search("small animals", k=1, rerank=rerank, rerank_depth=3)[0].rerank_score == max(map(len, seen[-1][1]))
    assert [h.id for h in kb.search("small animals", rerank=lambda q, t: [0] * len(t))] == [hit.id for hit in plain]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda q, t: [1.0], "expected 3 scores for 3 texts"),
        (lambda q, t: [float("nan")] * len(t), "expected a finite number"),
        (lambda q, t: "abc", "rerank"),
        (lambda q, t: None, "rerank"),
    ],
)
def test_bad_rerankers(kb, scores, message):
    with pytest.raises(InvalidInputError, match=message):
        kb.search("animals", rerank=scores)


def test_hits_share_nothing_with_the_index(kb):
    kb.search("animals")[0].metadata["year"] = 1
    kb.get("cats")[0].metadata["year"] = 1
    assert kb.count({"year": 2020}) == 1
    assert kb.search("animals")[0].metadata == {"year": 2020}


def test_get_aligns(kb):
    found = kb.get(["dogs", "nope", "cats", "dogs"])
    assert [None if d is None else d.id for d in found] == ["dogs", None, "cats", "dogs"]
    assert kb.get([]) == []


def test_get_returns_vectors_that_were_given(monkeypatch):
    monkeypatch.setattr("sightline.table._MIN_DEAD_TO_SWEEP", 1)  # sweeping keeps what is remembered
    index = HybridIndex(embedder=embed)
    index.add([Document(f"x{i}", "text") for i in range(5)])
    index.add([Document("given", "text", vector=[1, 2, 3, 4]), Document("made", "text"), Document("blank", "")])
    index.delete([f"x{i}" for i in range(5)])
    vectors = [document.vector for document in index.get(["given", "made", "blank"])]
    assert vectors[0].tolist() == [1, 2, 3, 4]
    assert vectors[1:] == [None, None]


def test_a_document_that_is_fetched_changed_and_written_back_is_embedded_again(kb):
    (document,) = kb.get("cats")
    kb.upsert([dataclasses.replace(document, text="ooooooooooooo", title=None)])
    assert kb.search("ooooooooooooo", 1, mode="dense")[0].id == "cats"
    assert kb.search("ooooooooooooo", 1, mode="dense")[0].dense_score == pytest.approx(1)


def test_documents_travel_with_their_vectors():
    index, other = HybridIndex(), HybridIndex()
    index.add({"id": d.id, "text": d.text, "vector": embed([d.text])[0]} for d in DOCUMENTS)
    other.add(index.get(["cats", "dogs", "boats"]))
    vector = embed(["ooo"])[0]
    assert [h.id for h in other.search(None, vector=vector)] == [h.id for h in index.search(None, vector=vector)]


def test_upsert_replaces_everything(kb):
    kb.upsert([Document("cats", "now about ooo boats", {"kind": "x"})])
    assert len(kb) == 3
    assert kb.search("animals", mode="lexical") == []
    assert kb.get("cats")[0].metadata == {"kind": "x"}
    assert kb.count({"year": 2020}) == 0
    assert kb.ids() == ["dogs", "boats", "cats"]


def test_delete(kb):
    assert kb.delete("nope") == 0
    assert kb.delete(["cats", "cats"]) == 1
    assert kb.delete(["dogs", "boats"], where={"year": 2022}) == 1
    assert len(kb) == 1
    assert kb.delete(where={}) == 1
    assert kb.search("dogs") == []
    kb.add(DOCUMENTS)
    assert len(kb) == 3


def test_lexical_only_index():
    index = HybridIndex()
    ids = index.add(["plain text", "other words"])
    assert [hit.id for hit in index.search("words")] == [ids[1]]
    for mode in ("dense", "hybrid"):
        with pytest.raises(InvalidInputError, match="no embedder"):
            index.search("words", mode=mode)
        with pytest.raises(InvalidInputError, match="no document of this index has a vector"):
            index.search("words", mode=mode, vector=[1.0])


def test_the_default_mode_looks_at_the_vectors_that_are_there():
    index = HybridIndex(dim=4)
    index.add([Document("t", "some words")])
    assert [hit.id for hit in index.search("words")] == ["t"]
    assert [hit.id for hit in index.scoped({}).search("words")] == ["t"]
    index.add([Document("v", "more words", vector=[1, 0, 0, 0])])
    with pytest.raises(InvalidInputError, match="no embedder"):
        index.search("words")
    index.delete("v")
    assert [hit.id for hit in index.search("words")] == ["t"]
    index.upsert([Document("t", "words", vector=[1, 0, 0, 0])])
    index.upsert([Document("t", "words")])
    assert index.search("words")[0].dense_score is None


def test_vectors_without_an_embedder_need_query_vectors():
    index = HybridIndex()
    index.add([Document("v", "", vector=[1, 0]), Document("w", "word", vector=[0, 1]), Document("t", "word")])
    with pytest.raises(InvalidInputError, match="no embedder"):
        index.search("word")
    assert [hit.id for hit in index.search("word", mode="lexical")] == ["w", "t"]
    hits = index.search("word", vector=[1, 0])
    assert {hit.id for hit in hits} == {"v", "w", "t"}
    assert next(hit for hit in hits if hit.id == "t").dense_score is None
    assert next(hit for hit in hits if hit.id == "v").lexical_score == 0.0


def test_blank_documents_are_kept_but_not_embedded():
    index = HybridIndex(embedder=embed)
    index.add([Document("blank", "  ", {"x": 1}), Document("full", "text")])
    assert index.get("blank")[0].vector is None
    assert index.count({"x": 1}) == 1
    assert [hit.id for hit in index.search("text")] == ["full"]


def test_empty_index():
    for index in (HybridIndex(), HybridIndex(embedder=embed), HybridIndex(dim=4)):
        assert len(index) == 0
        assert index.search("x", mode="lexical") == []
        assert index.search("x", vector=[1, 2, 3, 4]) == []
        assert index.get(["a"]) == [None]
        assert index.count({"a": 1}) == 0
        assert index.delete(where={"a": 1}) == 0
        assert index.add([]) == []


def test_empty_and_odd_queries(kb):
    for query in ("", " ", "\n", "the", "🙂", "word " * 5000):
        for mode in ("hybrid", "dense", "lexical"):
            kb.search(query, mode=mode)
    assert kb.search("", mode="lexical") == []


def test_k_beyond_the_documents(kb):
    assert len(kb.search("animals", k=1000)) == 3
    assert len(kb.search("animals", k=1000, fusion=RRF())) == 3


def _stream_that_breaks():
    yield Document("new", "text")
    raise OSError("the source is gone")


def _wrong_rows(texts):
    return np.ones((len(texts) + 1, 4))


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        (
            [Document("new", "x"), Document("cats", "y")],
            DuplicateIdError,
            r"documents\[1\] \(id 'cats'\): .*use upsert",
        ),
        ([Document("new", "x"), Document("new", "y")], DuplicateIdError, r"documents\[1\] \(id 'new'\): .*twice"),
        ([Document("new", "x"), Document("other", None)], InvalidInputError, r"documents\[1\] \(id 'other'\): text"),
        ([Document("new", "x"), Document("other", "x", vector=[1, 2])], InvalidInputError, "expected 4 dimensions"),
        ([Document("new", "x", {"a.b": 1, "a": {"b": 2}})], InvalidInputError, "'a.b' occurs twice"),
        (_stream_that_breaks(), OSError, "the source is gone"),
    ],
)
def test_a_failed_add_changes_nothing(kb, documents, error, message):
    before = state(kb)
    with pytest.raises(error, match=message):
        kb.add(documents)
    assert state(kb) == before


@pytest.mark.parametrize(
    ("embedder", "error", "message"),
    [
        (_wrong_rows, InvalidInputError, r"embedder: expected shape \(2, dim\)"),
        (lambda texts: np.ones((len(texts), 5)), InvalidInputError, r"expected 4 dimensions .* got 5"),
        (
            lambda texts: [[1.0, float("nan"), 0, 0]] * len(texts),
            InvalidInputError,
            r"NaN .* for documents\[0\] \(id 'new'\)",
        ),
        (lambda texts: np.zeros((len(texts), 4)), InvalidInputError, r"zero vector.* for documents\[0\] \(id 'new'\)"),
        (lambda texts: "abc", InvalidInputError, "embedder"),
        (lambda texts: None, InvalidInputError, "embedder"),
        (lambda texts: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_a_bad_embedder_changes_nothing(kb, embedder, error, message):
    before = state(kb)
    kb._embedder = embedder
    with pytest.raises(error, match=message):
        kb.upsert([Document("new", "x"), Document("cats", "y")])
    kb._embedder = embed
    assert state(kb) == before


def test_an_engine_that_fails_changes_nothing(kb, monkeypatch):
    before = state(kb)

    def fail(self, texts, ids=None):
        raise MemoryError("no room")

    monkeypatch.setattr(BM25Index, "add", fail)
    for write in (kb.add, kb.upsert):
        with pytest.raises(MemoryError):
            write([Document("new", "x"), Document("other", "y")])
    with pytest.raises(MemoryError):
        kb.upsert([Document("cats", "replaced")])
    monkeypatch.undo()
    assert state(kb) == before
    kb.upsert([Document("cats", "replaced")])
    assert kb.get("cats")[0].text == "replaced"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": 5}, "query: expected a str or a list"),
        ({"query": b"x"}, "query: expected a str or a list"),
        ({"query": ["a", 5]}, r"query\[1\]: expected a str"),
        ({"query": None}, "query: expected a str"),
        ({"query": None, "mode": "dense"}, "query: expected a str"),
        ({"k": 0}, "k: expected an integer >= 1"),
        ({"k": 2.0}, "k: expected"),
        ({"k": True}, "k: expected"),
        ({"mode": "sparse"}, "mode: expected 'hybrid', 'dense' or 'lexical', got 'sparse'"),
        ({"mode": ["dense"]}, "mode: expected"),
        ({"mode": np.array(["dense", "hybrid"])}, "mode: expected"),
        ({"vector": [1.0, 2.0]}, "vector: expected 4 dimensions as in the index, got 2"),
        ({"vector": [[1.0, 2.0, 3.0, 4.0]]}, r"vector: expected shape \(dim,\)"),
        ({"vector": "x"}, "vector: expected numbers"),
        ({"vector": ["1", "2", "3", "4"]}, "vector: expected numbers, got list of dtype <U1"),
        ({"vector": [True, True, True, True]}, "vector: expected numbers"),
        ({"vector": [1j, 1, 1, 1]}, "vector: expected numbers"),
        ({"vector": [1, 2, 3, float("inf")]}, "vector: holds NaN or infinity"),
        ({"vector": [0, 0, 0, 0]}, "all zeros"),
        ({"vector": [1, 0, 0, 0], "mode": "lexical"}, "vector: has no use"),
        ({"query": ["a", "b"], "vector": [[1, 0, 0, 0]]}, r"\(2, dim\) for 2 queries"),
        ({"where": "year"}, "where: expected a dict"),
        ({"where": {"year": {"$foo": 1}}}, "unknown operator"),
        ({"where": {"year": "2020"}}, "holds numbers"),
        ({"fusion": "rrf"}, r"fusion: expected Convex\(...\), RRF\(...\), DBSF"),
        ({"fusion": Convex(), "mode": "dense"}, "fusion: applies to mode='hybrid' only"),
        ({"rerank": 5}, "rerank: expected a callable"),
        ({"rerank_depth": 0}, "rerank_depth"),
        ({"explain": 1}, "explain: expected True or False"),
        ({"fusion": Convex}, "fusion: expected .* got Convex"),
        ({"offset": -1}, "offset: expected an integer >= 0"),
        ({"min_score": "high"}, "min_score: expected a number or None"),
        ({"min_score": float("nan")}, "min_score: expected a number or None"),
        ({"near_duplicates": 1.5}, "near_duplicates: expected a number from -1 to 1"),
        ({"latest_by": "year"}, "latest_by: needs group_by"),
        ({"latest_by": 5, "group_by": "year"}, "latest_by: expected the name"),
        ({"rerank_budget": 1.0}, "rerank_budget and on_rerank_error have no use"),
        ({"rerank": len, "rerank_budget": -1}, "rerank_budget: expected a number"),
        ({"rerank": len, "on_rerank_error": "ignore"}, "on_rerank_error: expected 'raise' or 'keep'"),
    ],
)
def test_bad_searches(kb, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        kb.search(**({"query": "animals"} | arguments))


def _embedder_with(name, value):
    class Embedder:
        def __call__(self, texts):
            return embed(texts)

    setattr(Embedder, name, value)
    return Embedder()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: HybridIndex(5), "path: expected a directory"),
        (lambda: HybridIndex(durability="none"), "durability: expected 'full' or 'os'"),
        (lambda: HybridIndex.open(None), "path: expected the directory of an index"),
        (lambda: HybridIndex(embedder="model"), "embedder: expected a callable"),
        (lambda: HybridIndex(embedder=_embedder_with("embed_query", "q: ")), "expected its embed_query to be"),
        (lambda: HybridIndex(embedder=_embedder_with("embed_queries", True)), "expected its embed_queries to be"),
        (lambda: HybridIndex(dim=0), "dim: expected an integer from 1"),
        (lambda: HybridIndex(batch_size=0), "batch_size"),
        (lambda: HybridIndex(k1=-1), "k1"),
        (lambda: HybridIndex(analyzer="klingon"), "klingon"),
        (lambda: HybridIndex(analyzer=str.split), "analyzer: expected an Analyzer or the name"),
        (lambda: HybridIndex(variant="okapi"), "variant"),
        (lambda: HybridIndex().delete(), "give ids or where"),
        (lambda: HybridIndex().delete([5]), r"ids\[0\]: expected a str"),
        (lambda: HybridIndex().get(5), "ids: expected a str or an iterable"),
        (lambda: HybridIndex().count(where=[]), "where: expected a dict"),
        (lambda: HybridIndex().ids(where=[]), "where: expected a dict"),
        (lambda: HybridIndex().add("text"), "wrap a single document in a list"),
        (lambda: HybridIndex().add([], progress="yes"), "progress: expected a bool"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_closing():
    with HybridIndex() as index:
        index.add(["text"])
        view = index.scoped({})
    index.close()
    for call in (lambda: index.search("x"), lambda: index.add(["x"]), lambda: index.upsert(["x"]),
                 lambda: index.get("x"), index.count, index.ids, lambda: index.delete("x"), index.stats,
                 lambda: len(index), lambda: "x" in index, lambda: index.scoped({}), index.__enter__,
                 lambda: asyncio.run(index.asearch("x")), lambda: view.search("x"), lambda: len(view)):  # fmt: skip
        with pytest.raises(SightlineError, match="closed"):
            call()
    assert repr(index) == "HybridIndex, closed"


def test_asearch_gives_what_search_gives(kb):
    assert asyncio.run(kb.asearch("animals", k=2)) == kb.search("animals", k=2)


def test_progress_reports_what_was_done():
    reports = []
    HybridIndex(embedder=embed, batch_size=2).add(DOCUMENTS, progress=lambda *report: reports.append(report))
    assert reports == [("embed", 0, 3), ("embed", 2, 3), ("embed", 3, 3), ("index", 0, 3), ("index", 3, 3)]


@pytest.mark.parametrize("failing", [("embed", 0), ("embed", 3), ("index", 0), ("index", 3)])
def test_a_progress_function_that_fails_leaves_all_or_nothing(failing):
    index = HybridIndex(embedder=embed)

    def fail(stage, done, total):
        if (stage, done) == failing:
            raise ZeroDivisionError

    if failing == ("index", 3):
        assert index.add(DOCUMENTS, progress=fail) == ["cats", "dogs", "boats"]
        assert len(index) == 3
    else:
        with pytest.raises(ZeroDivisionError):
            index.add(DOCUMENTS, progress=fail)
        assert len(index) == 0


def test_progress_bar_goes_to_stderr(capsys):
    HybridIndex().add(DOCUMENTS, progress=True)
    captured = capsys.readouterr()
    assert "index" in captured.err
    assert captured.out == ""
