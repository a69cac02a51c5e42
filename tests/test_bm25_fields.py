"""BM25F over named fields: against a model, exact after any history, explained field by field."""

from __future__ import annotations

import itertools
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import sightline as sl
from reference_bm25 import VARIANTS, ReferenceBM25F

NAMES = ("title", "text", "tags")
TOKENS = st.lists(st.sampled_from("abcdef"), max_size=6)
DOCUMENT = st.dictionaries(st.sampled_from(NAMES), TOKENS)
QUERIES = [["a"], ["b", "c"], ["f", "a", "f", "e"], ["nothing"], list("abcdef")]
FIELDS = {"title": sl.Field(3.0, 0.4), "text": 1.0, "tags": sl.Field(0.5, 0.0)}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(DOCUMENT, min_size=1, max_size=25),
    st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=6),
    st.fixed_dictionaries({name: st.tuples(st.floats(0.01, 20), st.floats(0, 1)) for name in NAMES}),
    st.fixed_dictionaries({"variant": st.sampled_from(VARIANTS), "k1": st.floats(0, 5), "delta": st.floats(0, 3)}),
)
def test_search_score_and_explain_agree_with_the_model(documents, query, fields, parameters):
    index = sl.BM25Index(None, fields={name: sl.Field(*pair) for name, pair in fields.items()}, **parameters)
    ids = index.add(documents).tolist()
    model = ReferenceBM25F(dict(zip(ids, documents, strict=True)), fields, **parameters)
    expected = {key: model.score(query, key) for key in ids}
    scores, found = index.search([query], k=len(ids))
    matching = {key for key, score in expected.items() if score is not None}
    assert set(found[0][found[0] >= 0].tolist()) == matching
    assert sorted(scores[0][: len(matching)], reverse=True) == scores[0][: len(matching)].tolist()
    direct = index.score(query, ids)
    for score, key in zip(scores[0], found[0].tolist(), strict=True):
        if key >= 0:
            assert score == direct[key]
    for key in ids:
        assert direct[key] == pytest.approx(expected[key] or 0.0, rel=1e-6, abs=1e-9)
        parts = index.explain(query, key)
        assert parts.score == direct[key]
        total = 0.0
        for term in parts.terms:
            total += term.contribution
            assert [field.field for field in term.fields] == list(fields)
            assert term.tf == sum(list(tokens).count(term.term) for tokens in documents[key].values())
            if term.tf:
                of_fields = 0.0
                for field in term.fields:
                    of_fields += field.contribution
                    assert field.length == len(documents[key].get(field.field, ()))
                assert of_fields == term.contribution
        assert np.float32(total) == parts.score


@settings(max_examples=60, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=20), st.sampled_from(VARIANTS), st.floats(0, 1))
def test_one_field_of_weight_one_is_bm25(documents, variant, b):
    plain = sl.BM25Index(None, variant=variant, b=b)
    plain.add(documents)
    single = sl.BM25Index(None, variant=variant, b=b, fields=["text"])
    single.add([{"text": tokens} for tokens in documents])
    ids = list(range(len(documents)))
    for query in QUERIES:
        np.testing.assert_allclose(single.score(query, ids), plain.score(query, ids), rtol=1e-6)
        assert set(single.search([query], k=20)[1][0]) == set(plain.search([query], k=20)[1][0])


def test_texts_weights_and_overrides():
    index = sl.BM25Index(fields={"title": 10.0, "text": 1.0})
    index.add(
        [
            {"title": "The history of bread", "text": "Grain, water and ovens."},
            {"title": "Grain", "text": "What bread is made of, and other food."},
            {"text": "Bread bread bread"},
            {"title": None, "text": "something else"},
        ]
    )
    assert index.search("bread")[1].tolist()[:4] == [0, 2, 1, -1]
    assert index.search("bread", fields={"title": 0.01})[1].tolist()[0] == 2
    assert index.search("bread", mask=[1, 2])[1].tolist()[:3] == [2, 1, -1]
    assert index.search("bread", mask=np.array([False, True, False, True]))[1].tolist()[:2] == [1, -1]
    assert index.fields == {"title": sl.Field(10.0), "text": sl.Field(1.0)}
    assert index.explain("grain", 0).terms[0].df == 2
    assert set(index.memory()) == {"postings", "terms", "documents", "tombstones", "positions"}


def assert_equals_fresh_build(index, live):
    fresh = sl.BM25Index(None, fields=FIELDS, positions=True)
    fresh.add(list(live.values()), ids=list(live))
    assert index.ids.tolist() == fresh.ids.tolist() == sorted(live)
    for variant in VARIANTS:
        for mine, theirs in zip(
            index.search(QUERIES, k=70, variant=variant), fresh.search(QUERIES, k=70, variant=variant), strict=True
        ):
            assert mine.tobytes() == theirs.tobytes()
    if live:
        some = next(iter(live))
        assert index.score(QUERIES[4], list(live)).tobytes() == fresh.score(QUERIES[4], list(live)).tobytes()
        assert index.explain(QUERIES[2], some) == fresh.explain(QUERIES[2], some)


class History(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.index = sl.BM25Index(None, fields=FIELDS, positions=True)
        self.live = {}

    @rule(batch=st.dictionaries(st.integers(0, 40), DOCUMENT, min_size=1, max_size=10))
    def upsert(self, batch):
        assert self.index.upsert(list(batch.values()), ids=list(batch)).tolist() == list(batch)
        self.live.update(batch)

    @rule(batch=st.dictionaries(st.integers(0, 40), DOCUMENT, min_size=1, max_size=10))
    def add(self, batch):
        if set(batch) & set(self.live):
            with pytest.raises(sl.DuplicateIdError):
                self.index.add(list(batch.values()), ids=list(batch))
        else:
            self.index.add(list(batch.values()), ids=list(batch))
            self.live.update(batch)

    @rule(ids=st.lists(st.integers(0, 40), max_size=15))
    def remove(self, ids):
        assert self.index.remove(ids) == len(set(ids) & set(self.live))
        for key in ids:
            self.live.pop(key, None)

    @rule(batch=st.dictionaries(st.integers(0, 40), DOCUMENT, min_size=1, max_size=10), dead=st.integers(0, 40))
    def attach(self, batch, dead):
        other = sl.BM25Index(None, fields=FIELDS, positions=True)
        other.add(list(batch.values()), ids=list(batch))
        other.remove([dead])
        batch = {key: document for key, document in batch.items() if key != dead}
        if set(batch) & set(self.live):
            with pytest.raises(sl.DuplicateIdError):
                self.index.attach(other)
        else:
            self.index.attach(other)
            self.live.update(batch)

    @rule()
    def fork(self):
        copy = self.index.fork()
        self.index.upsert([{"title": ["z"]}], [99])
        self.index = copy

    @rule(mmap=st.booleans())
    @precondition(lambda self: self.live)
    def save_and_load(self, mmap):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            self.index.save(path)
            self.index = sl.BM25Index.load(path, mmap=mmap)
        assert self.index.positions
        assert list(self.index.fields) == list(FIELDS)

    @invariant()
    def equals_a_fresh_build(self):
        assert_equals_fresh_build(self.index, self.live)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


def test_many_documents_in_many_segments():
    random = np.random.default_rng(2)
    words = [f"w{i}" for i in range(30)]

    def document():
        return {
            "title": random.choice(words, size=random.integers(0, 5)).tolist(),
            "text": random.choice(words, size=random.integers(0, 30)).tolist(),
        }

    live = {i: document() for i in range(3000)}
    index = sl.BM25Index(None, fields=["title", "text"])
    for begin in range(0, 3000, 250):
        index.add([live[i] for i in range(begin, begin + 250)])
    for key in random.integers(0, 3000, size=400).tolist():
        live[key] = document()
        index.upsert([live[key]], [key])
    fresh = sl.BM25Index(None, fields=["title", "text"])
    fresh.add(live.values(), list(live))
    queries = [random.choice(words, size=3).tolist() for _ in range(20)]
    for mine, theirs in zip(index.search(queries, k=50), fresh.search(queries, k=50), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_searches_see_one_state_of_all_fields_while_another_thread_writes():
    index = sl.BM25Index(None, fields=["title", "text"])
    index.add([{"title": ["x"], "text": ["x"]}] * 50)
    stop = threading.Event()
    wrong = []

    def read():
        while not stop.is_set():
            for key in index.search([["x"]], k=100)[1][0].tolist():
                if key >= 0 and key % 2 and key >= 50:
                    wrong.append(key)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for step in range(150):
        # Odd ids never have the word in any field, whatever the state.
        index.upsert([{"title": ["x"], "text": ["y"]}, {"title": ["y"], "text": ["z"]}], [50 + 2 * step, 51 + 2 * step])
        index.remove([50 + 2 * (step // 2)])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.add([{"title": "a", "body": "b"}]), "texts: expected fields among 'title', 'text' at position 0"),
        (
            lambda i: i.add([{"title": "a"}, "b"]),
            "texts: expected a mapping from fields to texts at position 1, got str",
        ),
        (lambda i: i.add({"title": "a"}), "texts: expected an iterable of mappings .* got dict; wrap it in a list"),
        (lambda i: i.add([{"title": "a"}, {"title": 3}]), r"texts\['title'\]: expected str .* at position 1, got int"),
        (lambda i: i.add([{"text": "a"}, {"text": ["b"]}]), r"texts\['text'\]: expected only str or only lists"),
        (lambda i: i.add([{"title": "a"}] * 2, ids=[4]), "ids: expected one id for each of 2"),
        (lambda i: i.search("a", fields={"body": 1.0}), "fields: expected names among 'title', 'text', got 'body'"),
        (lambda i: i.search("a", fields=2.0), "fields: expected a mapping"),
        (lambda i: i.search("a", fields={"title": 0}), r"fields\['title'\]: weight: expected a number from 1e-06"),
        (lambda i: i.search("a", fields={"title": "x"}), r"fields\['title'\]: weight: expected a number"),
    ],
)
def test_bad_calls_explain_and_change_nothing(call, message):
    index = sl.BM25Index(fields=["title", "text"])
    index.add([{"title": "a", "text": "b"}])
    with pytest.raises(sl.InvalidInputError, match=message):
        call(index)
    assert len(index) == 1
    assert index.add([{"text": "c"}]).tolist() == [1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("title", "fields: expected names, or a mapping"),
        (3, "fields: expected names"),
        ([], "fields: expected at least one name"),
        ({}, "fields: expected at least one name"),
        (["a", "a"], "fields: expected different names"),
        ([1], "fields: expected different names|fields: expected non-empty str"),
        ({"": 1.0}, "fields: expected non-empty str"),
        ({"a": -1}, r"fields\['a'\]: weight: expected"),
        ({"a": True}, r"fields\['a'\]: weight: expected"),
        ({"a": float("nan")}, r"fields\['a'\]: weight: expected"),
    ],
)
def test_bad_settings(fields, message):
    with pytest.raises(sl.InvalidInputError, match=message):
        sl.BM25Index(fields=fields)
    with pytest.raises(sl.InvalidInputError, match="b: expected a number from 0 to 1"):
        sl.Field(1.0, 1.5)


def test_an_index_without_fields_says_so():
    index = sl.BM25Index()
    index.add(["text"])
    with pytest.raises(sl.InvalidInputError, match="fields: expected None, because the index has no fields"):
        index.search("text", fields={"title": 1.0})


def test_numpy_numbers_as_settings_are_saved(tmp_path):
    index = sl.BM25Index(fields={"title": np.float32(2), "text": sl.Field(np.int64(3), np.float64(0.5))})
    index.add([{"title": "a", "text": "a b"}])
    index.save(tmp_path / "index")
    fields = sl.BM25Index.load(tmp_path / "index").fields
    assert fields == {"title": sl.Field(2.0), "text": sl.Field(3.0, 0.5)}
    assert {type(field.weight) for field in index.fields.values()} == {float}


def test_compact_rewrites_all_fields_alike():
    random = np.random.default_rng(5)
    index = sl.BM25Index(None, fields=FIELDS, positions=True)
    live = {}
    for key in range(75):
        live[key] = {name: random.choice(list("abcdef"), size=random.integers(0, 6)).tolist() for name in NAMES}
        index.add([live[key]], [key])
    removed = [9, 18, 27]  # few of the largest segment, which therefore keeps them
    index.remove(removed)
    for key in removed:
        del live[key]
    assert index._core.segment_count() > 1
    assert index.memory()["tombstones"] > 0
    index.compact()
    assert index._core.segment_count() == 1
    assert index.memory()["tombstones"] == 0
    assert_equals_fresh_build(index, live)


def test_an_index_with_other_fields_is_not_attached():
    plain, fielded, other = sl.BM25Index(), sl.BM25Index(fields=["title"]), sl.BM25Index(fields=["text"])
    longer = sl.BM25Index(fields=["title", "text"])
    plain.add(["a"], [0])
    fielded.add([{"title": "a"}], [1])
    other.add([{"text": "a"}], [2])
    longer.add([{"text": "a"}], [3])
    for index, part in itertools.permutations([plain, fielded, other, longer], 2):
        with pytest.raises(sl.InvalidInputError, match="other: expected an index with fields="):
            index.attach(part)
        assert len(index) == 1
    with pytest.raises(sl.DuplicateIdError):
        fielded.attach(fielded)
    again = sl.BM25Index(fields={"title": 3.0})  # weights are the searching index's
    again.add([{"title": "b a"}], [5])
    fielded.attach(again)
    assert fielded.ids.tolist() == [1, 5]
    assert fielded.search("b", 1)[1].tolist() == [5]
