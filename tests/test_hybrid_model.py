"""HybridIndex against the float64 model, through any sequence of writes, deletes and searches."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import sightline.durable
import sightline.maintenance
import sightline.table
from reference_hybrid import ReferenceHybrid, check_hits
from sightline import Convex, Document, DuplicateIdError, HybridIndex, InvalidInputError

VOCABULARY = ["apple", "banana", "cherry", "river", "stone"]
IDS = st.sampled_from([f"d{i}" for i in range(12)])
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=6).map(" ".join)
VECTORS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1e-3, 1.0, 1e6]), min_size=3, max_size=3).filter(any)
METADATA = st.fixed_dictionaries(
    {}, optional={"year": st.integers(2020, 2024), "tags": st.lists(st.sampled_from("ab"))}
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "id": IDS,
        "text": TEXTS,
        "title": st.one_of(st.none(), st.sampled_from(VOCABULARY)),
        "metadata": METADATA,
        "vector": st.one_of(st.none(), VECTORS),
    }
)
WHERES = st.sampled_from(
    [None, {}, {"year": {"$gte": 2022}}, {"tags": "a"}, {"$or": [{"year": 2020}, {"tags": {"$exists": False}}]}]
)


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.index = self.made()
        self.model = ReferenceHybrid()

    def made(self):
        return HybridIndex(dim=3)

    @rule(documents=st.lists(DOCUMENTS, max_size=5))
    def add(self, documents):
        ids = [document["id"] for document in documents]
        if len(set(ids)) < len(ids) or self.model.documents.keys() & set(ids):
            with pytest.raises(DuplicateIdError):
                self.index.add(documents)
        else:
            assert self.index.add(Document(**document) for document in documents) == ids
            self.model.write(documents)

    @rule(documents=st.lists(DOCUMENTS, max_size=5, unique_by=lambda document: document["id"]))
    def upsert(self, documents):
        self.index.upsert(documents)
        self.model.write(documents)

    @rule(documents=st.lists(DOCUMENTS, max_size=3, unique_by=lambda document: document["id"]))
    def failed_upsert(self, documents):
        with pytest.raises(InvalidInputError):
            self.index.upsert([*documents, Document("bad", "x", vector=[1.0])])

    @rule(ids=st.lists(IDS, max_size=4))
    def delete(self, ids):
        assert self.index.delete(ids) == self.model.delete(ids)

    @rule(where=WHERES.filter(bool))
    def delete_where(self, where):
        assert self.index.delete(where=where) == self.model.delete(self.model.selected(where))

    @rule(
        mode=st.sampled_from(["hybrid", "dense", "lexical"]),
        words=st.lists(st.sampled_from([*VOCABULARY, "unknown"]), unique=True, max_size=3),
        vector=VECTORS,
        where=WHERES,
        k=st.integers(1, 6),
        alpha=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def search(self, mode, words, vector, where, k, alpha):
        query = " ".join(words)
        hits = self.index.search(
            query,
            k,
            mode=mode,
            where=where,
            vector=None if mode == "lexical" else vector,
            fusion=Convex(alpha=alpha) if mode == "hybrid" else None,
            explain=True,
        )
        check_hits(hits, self.model.scores(mode, query, vector, alpha, where), k)
        dense, lexical = self.model.dense(vector), self.model.lexical(query)
        for hit in hits:
            document = self.model.documents[hit.id]
            assert (hit.text, hit.title, hit.metadata) == (document["text"], document["title"], document["metadata"])
            if mode != "lexical" and hit.id in dense:
                assert hit.dense_score == pytest.approx(dense[hit.id], abs=1e-6)
            else:
                assert hit.dense_score is None
            if mode == "dense":
                assert hit.lexical_score is None
            else:
                assert hit.lexical_score == pytest.approx(lexical.get(hit.id, 0.0), rel=1e-5, abs=1e-6)

    @rule(where=WHERES)
    def count(self, where):
        assert self.index.count(where) == len(self.model.selected(where))
        assert self.index.ids(where) == self.model.selected(where)  # in the order of writing

    @invariant()
    def same_documents(self):
        self.check_documents(self.index)

    def check_documents(self, index):
        assert len(index) == len(self.model.documents)
        names = [f"d{i}" for i in range(12)] + ["bad"]
        for name, found in zip(names, index.get(names), strict=True):
            expected = self.model.documents.get(name)
            assert (found is None) == (expected is None)
            assert (name in index) == (expected is not None)
            if found is not None:
                assert (found.text, found.metadata) == (expected["text"], expected["metadata"])
                assert (found.vector is None) == (expected["vector"] is None)


class DurableMachine(Machine):
    """The same on disk, with a reader beside it that must see every commit, and reopening in between."""

    def made(self):
        self.path = Path(tempfile.mkdtemp()) / "kb"
        index = HybridIndex(self.path, dim=3, durability="os", batch_size=2)
        self.reader = HybridIndex.open(self.path, read_only=True)
        return index

    @rule()
    def reopen(self):
        self.index.close()
        self.index = HybridIndex.open(self.path, durability="os", batch_size=2)

    @rule()
    def reopen_reader(self):
        self.reader.close()
        self.reader = HybridIndex.open(self.path, read_only=True)

    @rule()
    def flush(self):
        self.index.flush()
        assert self.index.stats()["unsealed"] == 0

    @rule()
    def maintain(self):
        while self.index._keeper._maintain_once():
            pass

    @rule()
    def compact(self):
        self.index.compact()
        stats = self.index.stats()
        assert stats["segments"] <= 1
        assert stats["tombstones"] == 0

    @rule()
    def verify(self):
        for index in (self.index, self.reader):
            assert index.verify()["documents"] == len(self.model.documents)

    @rule(words=st.lists(st.sampled_from(VOCABULARY), unique=True, max_size=3), vector=VECTORS, where=WHERES)
    def reader_searches(self, words, vector, where):
        query = " ".join(words)
        hits = self.reader.search(query, 6, vector=vector, where=where, mode="hybrid")
        check_hits(hits, self.model.scores("hybrid", query, vector, 0.5, where), 6)
        assert self.reader.count(where) == len(self.model.selected(where))

    @invariant()
    def reader_has_the_same_documents(self):
        self.check_documents(self.reader)

    def teardown(self):
        self.index.close()
        self.reader.close()
        shutil.rmtree(self.path.parent)


@pytest.fixture(autouse=True)
def small_thresholds(monkeypatch):
    """Sweep, seal and write directly from the first few rows on, so that small examples go through all of it."""
    monkeypatch.setattr(sightline.table, "_MIN_DEAD_TO_SWEEP", 1)
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 4)
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 4)
    monkeypatch.setattr(sightline.durable, "_SPOOL_BYTES", 100)
    monkeypatch.setattr(sightline.durable, "_GROUP_ROWS", 2)
    monkeypatch.setattr(sightline.durable.DurableKeeper, "background", False)


@pytest.mark.usefixtures("small_thresholds")
class TestAgainstModel(Machine.TestCase):
    settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


@pytest.mark.usefixtures("small_thresholds")
class TestOnDiskAgainstModel(DurableMachine.TestCase):
    settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
