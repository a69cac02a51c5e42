"""SparseIndex against the obvious model; after any history, scores are those of a fresh build to the last bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import sightline as sl

WEIGHTS = st.one_of(
    st.sampled_from([1.0, 0.5, 2.0, 1e-30, 1e15]),
    st.floats(0.0078125, 100, width=32),
)
VECTORS = st.dictionaries(st.sampled_from([*"abcdefg", "naïve", "東京", ""]), WEIGHTS, max_size=8)
IDS = st.integers(0, 60)
BATCH = st.dictionaries(IDS, VECTORS, min_size=1, max_size=12)
QUERIES = [
    {"a": 1.0},
    {"b": 0.3, "c": 7.0},
    {"g": 1e-20, "a": 1e10, "f": 3.0},
    dict.fromkeys("gfedcba", 1.0),
    {"nothing": 1.0},
    {},
]


def ranking(documents, query):
    """Score and id of every document with a query term, best first; float64 in the order of the terms of the query."""
    hits = []
    for key, vector in documents.items():
        shared = [term for term in query if term in vector]
        if shared:
            total = 0.0
            for term in shared:
                total += float(np.float32(query[term])) * float(np.float32(vector[term]))
            hits.append((float(np.float32(total)), key))
    return sorted(hits, key=lambda hit: (-hit[0], hit[1]))


def check(index, documents, query, k):
    scores, ids = index.search(query, k=k)
    expected = ranking(documents, query)[:k]
    assert scores.dtype == np.float32
    assert ids.tolist() == [key for _, key in expected] + [-1] * (k - len(expected))
    assert scores.tolist() == [score for score, _ in expected] + [-np.inf] * (k - len(expected))
    if documents:
        by_id = {key: score for score, key in ranking(documents, query)}
        assert index.score(query, list(documents)).tolist() == [by_id.get(key, 0.0) for key in documents]


@settings(max_examples=150, deadline=None)
@given(documents=st.dictionaries(st.integers(0, 2**62), VECTORS, max_size=25), query=VECTORS, k=st.integers(1, 40))
def test_search_and_score_are_those_of_the_model(documents, query, k):
    index = sl.SparseIndex()
    assert index.add(list(documents.values()), ids=list(documents)).tolist() == list(documents)
    check(index, documents, query, k)


class History(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.index = sl.SparseIndex()
        self.live = {}

    @rule(batch=st.lists(VECTORS, min_size=1, max_size=20))
    def add(self, batch):
        self.live.update(zip(self.index.add(batch).tolist(), batch, strict=True))

    @rule(batch=BATCH)
    def upsert(self, batch):
        self.index.upsert(list(batch.values()), ids=list(batch))
        self.live.update(batch)

    @rule(ids=st.lists(IDS, max_size=20))
    def remove(self, ids):
        assert self.index.remove(ids) == len(set(ids) & set(self.live))
        for key in ids:
            self.live.pop(key, None)

    @rule(mmap=st.booleans())
    def save_and_load(self, mmap):
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(Path(folder) / "index")
            self.index = sl.SparseIndex.load(Path(folder) / "index", mmap=mmap)

    @invariant()
    def equals_the_model(self):
        assert self.index.ids.tolist() == sorted(self.live)
        for query in QUERIES:
            check(self.index, self.live, query, 70)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


def test_large_collections_prune_and_stay_exact():
    random = np.random.default_rng(2)
    terms = [f"t{i}" for i in range(300)]
    popularity = 1 / np.arange(1, 301)
    popularity /= popularity.sum()
    documents = {}
    for key in range(40_000):
        chosen = random.choice(300, size=random.integers(1, 20), replace=False, p=popularity)
        documents[key] = {terms[i]: float(w) for i, w in zip(chosen, random.lognormal(0, 1, len(chosen)), strict=True)}
    index = sl.SparseIndex()
    index.add(list(documents.values()))
    index.remove(list(range(0, 40_000, 7)))
    for key in range(0, 40_000, 7):
        del documents[key]
    for _ in range(12):
        chosen = random.choice(300, size=random.integers(1, 12), replace=False, p=popularity)
        query = {terms[i]: float(w) for i, w in zip(chosen, random.lognormal(0, 1, len(chosen)), strict=True)}
        for k in (1, 10, 200):
            check(index, documents, query, k)
    allowed = index.ids[::3]
    kept = {int(key): documents[int(key)] for key in allowed}
    scores, ids = index.search([query, query], k=20, mask=allowed)
    assert ids[0].tolist() == ids[1].tolist() == [key for _, key in ranking(kept, query)[:20]]
    assert scores[0].tolist() == [score for score, _ in ranking(kept, query)[:20]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"a": 1.0}, "list of dicts"),
        ("a", "list of dicts"),
        (3, "list of dicts"),
        ([{"a": 1.0}, ["b"]], "dict of term to weight at position 1"),
        ([{1: 1.0}], "expected str"),
        ([{"a": 0.0}], "above 0"),
        ([{"a": -1.0}], "above 0"),
        ([{"a": float("nan")}], "above 0"),
        ([{"a": float("inf")}], "above 0"),
        ([{"a": 1e16}], "at most 1e15"),
        ([{"a": 1e-60}], "above 0"),
        ([{}, {"a": "x"}], "position 1, got str"),
        ([{"a": None}], "NoneType"),
    ],
)
def test_bad_vectors_are_refused_whole(vectors, message):
    index = sl.SparseIndex()
    index.add([{"a": 1.0}], ids=[4])
    with pytest.raises(sl.InvalidInputError, match=message):
        index.add(vectors)
    assert index.ids.tolist() == [4]
    if isinstance(vectors, list):
        with pytest.raises(sl.InvalidInputError, match=message):
            index.search(vectors)


def test_ids_masks_and_files_are_checked(tmp_path):
    index = sl.SparseIndex()
    index.add([{"a": 1.0}, {"a": 2.0}], ids=[4, 7])
    with pytest.raises(sl.DuplicateIdError):
        index.add([{"b": 1.0}], ids=[7])
    with pytest.raises(sl.DuplicateIdError):
        index.upsert([{"b": 1.0}, {"c": 1.0}], ids=[9, 9])
    with pytest.raises(sl.InvalidInputError, match="one id for each"):
        index.add([{"b": 1.0}], ids=[8, 9])
    with pytest.raises(sl.InvalidInputError, match="mask"):
        index.search({"a": 1.0}, mask=np.ones(3, dtype=bool))
    with pytest.raises(sl.InvalidInputError, match="k"):
        index.search({"a": 1.0}, k=0)
    with pytest.raises(sl.NotFoundError):
        index.score({"a": 1.0}, [5])
    with pytest.raises(sl.InvalidInputError, match="dict of str"):
        index.score([{"a": 1.0}], [4])
    index.save(tmp_path / "sparse")
    with pytest.raises(sl.IncompatibleIndexError):
        sl.BM25Index.load(tmp_path / "sparse")
    words = sl.BM25Index()
    words.add(["a text"])
    words.save(tmp_path / "words")
    with pytest.raises(sl.IncompatibleIndexError):
        sl.SparseIndex.load(tmp_path / "words")
    data = bytearray((tmp_path / "sparse").read_bytes())
    for position in range(0, len(data), 61):
        damaged = data.copy()
        damaged[position] ^= 0x55
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            found = sl.SparseIndex.load(tmp_path / "damaged").search({"a": 1.0}, k=2)
        except (sl.CorruptIndexError, sl.IncompatibleIndexError):
            continue
        assert found[1].tolist() == [7, 4]  # the byte was padding


def test_a_fork_goes_its_own_way():
    index = sl.SparseIndex()
    index.add([{"a": 1.0}])
    other = index.fork()
    other.add([{"a": 2.0}])
    assert (len(index), len(other)) == (1, 2)
    assert repr(other) == "SparseIndex() with 2 documents"
    assert set(other.memory()) == {"postings", "terms", "documents", "tombstones"}


class Token(str):
    """Equal to nothing but itself, so that a dict may have two of the same text."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def test_a_term_comes_once_in_a_vector():
    index = sl.SparseIndex()
    index.add([{"a": 1.0, Token("b"): 2.0}], ids=[4])
    assert index.search({Token("b"): 1.0})[1].tolist()[:2] == [4, -1]
    twice = {Token("a"): 1.0, "b": 1.0, Token("a"): 3.0}
    with pytest.raises(sl.InvalidInputError, match="vectors: expected each term once in the dict at position 1"):
        index.add([{"a": 1.0}, twice])
    with pytest.raises(sl.InvalidInputError, match="queries: expected each term once in the dict at position 0"):
        index.search(twice)
    assert index.ids.tolist() == [4]


@pytest.mark.parametrize("weight", [1e-44, 3e-42, 1.2e-38])
def test_denormal_weights_are_saved_and_loaded(tmp_path, weight):
    documents = {0: {"a": weight}, 1: {"a": weight, "b": 1e-45}, 2: {"b": weight / 2}}
    index = sl.SparseIndex()
    index.add(list(documents.values()), ids=list(documents))
    index.save(tmp_path / "index")
    loaded = sl.SparseIndex.load(tmp_path / "index")
    for query in ({"a": 1e15}, {"b": 1e10, "a": 3.0}):
        check(loaded, documents, query, 3)


def test_tiny_weights_under_a_large_one_of_the_query():
    weights = np.random.default_rng(8).uniform(1e-36, 2e-36, 20_000).astype(np.float32)
    documents = {key: {"a": float(weight)} for key, weight in enumerate(weights)}
    index = sl.SparseIndex()
    index.add(list(documents.values()))
    check(index, documents, {"a": 1e9}, 10)
    check(index, documents, {"a": 1e9, "b": 1.0}, 10)
