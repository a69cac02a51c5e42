"""After any history of changes, scores equal those of a fresh build to the last bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import sightline as sl
from reference_bm25 import VARIANTS

TOKENS = st.lists(st.sampled_from("abcdefg"), max_size=8)
IDS = st.integers(0, 60)
BATCH = st.dictionaries(IDS, TOKENS, min_size=1, max_size=12)
QUERIES = [["a"], ["b", "c"], ["g", "a", "g", "f"], ["d", "e", "f", "g", "a", "b", "c"], ["nothing"]]


def assert_equals_fresh_build(index, live):
    fresh = sl.BM25Index(None)
    fresh.add(list(live.values()), ids=list(live))
    assert len(index) == len(fresh) == len(live)
    np.testing.assert_array_equal(index.ids, np.array(sorted(live), dtype=np.int64))
    for variant in VARIANTS:
        for mine, theirs in zip(
            index.search(QUERIES, k=70, variant=variant),
            fresh.search(QUERIES, k=70, variant=variant),
            strict=True,
        ):
            assert mine.tobytes() == theirs.tobytes()
    if live:
        for query in QUERIES:
            assert index.score(query, list(live)).tobytes() == fresh.score(query, list(live)).tobytes()
        some = next(iter(live))
        assert index.explain(QUERIES[2], some) == fresh.explain(QUERIES[2], some)
        mask = index.ids % 2 == 0
        for mine, theirs in zip(index.search(QUERIES, mask=mask), fresh.search(QUERIES, mask=mask), strict=True):
            assert mine.tobytes() == theirs.tobytes()


class History(RuleBasedStateMachine):
    postings = "scan"

    def __init__(self):
        super().__init__()
        self.index = sl.BM25Index(None, postings=self.postings)
        self.live = {}
        self.next_id = 0

    def used(self, ids):
        self.next_id = max([self.next_id, *(i + 1 for i in ids)])

    @rule(batch=st.lists(TOKENS, min_size=1, max_size=20))
    def add_with_default_ids(self, batch):
        ids = self.index.add(batch)
        assert ids.tolist() == list(range(self.next_id, self.next_id + len(batch)))
        self.live.update(zip(ids.tolist(), batch, strict=True))
        self.used(ids.tolist())

    @rule(batch=st.lists(TOKENS, min_size=1, max_size=30))
    def add_one_by_one(self, batch):
        for tokens in batch:
            (new,) = self.index.add([tokens]).tolist()
            self.live[new] = tokens
            self.used([new])

    @rule(batch=BATCH)
    def add_with_ids(self, batch):
        if set(batch) & set(self.live):
            with pytest.raises(sl.DuplicateIdError):
                self.index.add(list(batch.values()), ids=list(batch))
        else:
            assert self.index.add(list(batch.values()), ids=list(batch)).tolist() == list(batch)
            self.live.update(batch)
            self.used(batch)

    @rule(batch=BATCH)
    def upsert(self, batch):
        assert self.index.upsert(list(batch.values()), ids=list(batch)).tolist() == list(batch)
        self.live.update(batch)
        self.used(batch)

    @rule(ids=st.lists(IDS, max_size=20))
    def remove(self, ids):
        assert self.index.remove(ids) == len(set(ids) & set(self.live))
        for key in ids:
            self.live.pop(key, None)

    @rule()
    @precondition(lambda self: self.live)
    def remove_everything(self):
        assert self.index.remove(list(self.live)) == len(self.live)
        self.live.clear()

    @rule(mmap=st.booleans())
    def save_and_load(self, mmap):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            self.index.save(path)
            self.index = sl.BM25Index.load(path, mmap=mmap)
            assert self.index.postings == self.postings

    @invariant()
    def equals_a_fresh_build(self):
        assert_equals_fresh_build(self.index, self.live)


class PackedHistory(History):
    """Against a fresh build in scan form."""

    postings = "packed"


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestPackedHistory = PackedHistory.TestCase
TestPackedHistory.settings = TestHistory.settings


def test_many_single_upserts_keep_few_segments_and_exact_scores():
    random = np.random.default_rng(3)
    index = sl.BM25Index(None)
    live = {}
    for step in range(3000):
        key = int(random.integers(0, 400))
        tokens = random.choice(list("abcdefg"), size=random.integers(0, 9)).tolist()
        index.upsert([tokens], [key])
        live[key] = tokens
        if step % 500 == 499:
            assert_equals_fresh_build(index, live)
    assert index._core.segment_count() <= 3 * 6  # fewer than four in each tier of 4^i <= 400 documents


def test_ids_in_any_order_come_back_in_that_order():
    index = sl.BM25Index(None)
    ids = [50, 3, 2**63 - 2, 7, 0]
    assert index.add([["a"], ["b"], ["c"], ["d"], ["e"]], ids).tolist() == ids
    assert index.search([["c"]], k=1)[1].tolist() == [[2**63 - 2]]
    assert index.ids.tolist() == sorted(ids)
    with pytest.raises(sl.InvalidInputError, match="largest id in use"):
        index.add([["f"]])
    assert len(index) == 5


def test_default_ids_never_return_after_removal():
    index = sl.BM25Index(None)
    index.add([["a"], ["b"]])
    index.remove([1])
    assert index.add([["c"]]).tolist() == [2]
    index.add([["d"]], ids=[10])
    index.remove([10])
    assert index.add([["e"]]).tolist() == [11]
