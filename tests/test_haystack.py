"""The Haystack adapters: Haystack's own suites in full, and what those do not ask."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys

import numpy as np
import pytest

from optional import require

require("haystack", "haystack", "pytest_asyncio")

from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.testing import document_store_async
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    DocumentStoreBaseExtendedTests,
    DocumentStoreBaseTests,
)
from haystack.utils.filters import document_matches_filter
from hypothesis import given
from hypothesis import strategies as st

from reopening import KINDS, new_store
from sightline import RRF, Convex, InvalidInputError, MissingExtraError
from sightline.integrations.haystack import (
    SightlineBM25Retriever,
    SightlineDocumentStore,
    SightlineEmbeddingRetriever,
    SightlineHybridRetriever,
)


def rounded(documents):
    """The documents with their embeddings as the store keeps them."""
    return [
        dataclasses.replace(d, embedding=None if d.embedding is None else np.float32(d.embedding).tolist())
        for d in documents
    ]


class Suite:
    @pytest.fixture(params=KINDS)
    def document_store(self, request, tmp_path):
        with new_store(request.param, tmp_path, SightlineDocumentStore) as store:
            yield store

    def assert_documents_are_equal(self, received, expected):
        # Embeddings are kept as float32, to the bit; the rest is equal.
        assert received == rounded(expected)


class TestBase(Suite, DocumentStoreBaseTests):
    def test_write_documents(self, document_store):  # the suite asks each store to state its own default
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


class TestExtended(Suite, DocumentStoreBaseExtendedTests, CountDocumentsByFilterTest):
    test_write_documents = TestBase.test_write_documents


class TestAsync(
    Suite,
    document_store_async.CountDocumentsAsyncTest,
    document_store_async.CountDocumentsByFilterAsyncTest,
    document_store_async.DeleteAllAsyncTest,
    document_store_async.DeleteByFilterAsyncTest,
    document_store_async.DeleteDocumentsAsyncTest,
    document_store_async.FilterDocumentsAsyncTest,
    document_store_async.UpdateByFilterAsyncTest,
    document_store_async.WriteDocumentsAsyncTest,
):
    async def test_write_documents_async(self, document_store):
        assert await document_store.write_documents_async([Document(content="test doc")]) == 1


DOCUMENTS = [
    Document(id="cats", content="cats are animals", meta={"year": 2020, "tags": ["a"]}, embedding=[1.0, 0.0]),
    Document(id="dogs", content="dogs follow people", meta={"year": 2021}, embedding=[0.6, 0.8]),
    Document(id="boats", content="boats on oceans", meta={"year": 2022, "on": "1999-01-01"}, embedding=[0.0, 1.0]),
]


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with new_store(request.param, tmp_path, SightlineDocumentStore) as store:
        store.write_documents(DOCUMENTS)
        yield store


def test_every_field_comes_back(store):
    full = Document(
        id="full",
        content=None,
        blob=ByteStream(b"\x00\xff", meta={"page": 1}, mime_type="image/png"),
        meta={"nested": {"a": [1, 2]}, "id": "a meta of that name", "none": None},
        score=0.25,
        embedding=[0.5, -0.5],
        sparse_embedding=SparseEmbedding(indices=[1, 5], values=[0.5, 0.25]),
    )
    empty = Document(id="empty", content="", embedding=[1.0, 1.0])
    store.write_documents([full, empty])
    assert store.filter_documents() == [*rounded(DOCUMENTS), full, empty]
    assert store.filter_documents({"field": "id", "operator": "==", "value": "full"}) == [full]
    assert store.filter_documents({"field": "score", "operator": ">", "value": 0.2}) == [full]
    assert store.filter_documents({"field": "meta.nested.a", "operator": "==", "value": 2}) == [full]


def test_policies_within_one_call(store):
    twins = [Document(id="x", content="first"), Document(id="x", content="second"), Document(id="cats", content="new")]
    with pytest.raises(DuplicateDocumentError):
        store.write_documents(twins, DuplicatePolicy.FAIL)
    assert store.count_documents() == 3
    assert store.write_documents(twins, DuplicatePolicy.SKIP) == 1
    contents = {d.id: d.content for d in store.filter_documents()}
    assert (contents["x"], contents["cats"]) == ("first", "cats are animals")
    assert store.write_documents(twins, DuplicatePolicy.OVERWRITE) == 3
    contents = {d.id: d.content for d in store.filter_documents()}
    assert (contents["x"], contents["cats"]) == ("second", "new")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"field": "content", "operator": "==", "value": "x"}, "filtered by meta, id and score"),
        ({"field": "meta.year", "operator": "~", "value": 1}, "unknown comparison operator '~'"),
        ({"field": "meta.year", "operator": "==", "value": [1]}, "expected one value"),
        ({"field": "meta.year", "operator": "==", "value": "2020"}, "filters never convert between kinds"),
        ({"field": 5, "operator": "==", "value": 1}, "field: expected a name"),
        ({"operator": "XOR", "conditions": []}, "unknown logical operator 'XOR'"),
        ({"operator": "AND", "conditions": {}}, "must be a list"),
        ({"operator": "AND", "conditions": ["x"]}, "expected a dict"),
        ({"field": "meta.on", "operator": ">", "value": "yesterday"}, "only as ISO dates"),
    ],
)
def test_wrong_filters_are_filter_errors(store, filters, message):
    for call in (store.filter_documents, store.delete_by_filter, store.count_documents_by_filter):
        with pytest.raises(FilterError, match=message):
            call(filters)
    with pytest.raises(FilterError, match=message):
        SightlineBM25Retriever(store, filters=filters).run("cats")
    assert store.count_documents() == 3


_VALUES = (
    st.none() | st.integers(-2, 2) | st.sampled_from(["2020-01-01", "2021-05-05T10:00:00", "word"]) | st.booleans()
)
_LEAVES = st.one_of(
    st.builds(
        lambda field, operator, value: {"field": field, "operator": operator, "value": value},
        st.sampled_from(["meta.n", "meta.word", "n", "meta.flag", "meta.missing"]),
        st.sampled_from(["==", "!="]),
        _VALUES,
    ),
    st.builds(
        lambda operator, value: {"field": "meta.n", "operator": operator, "value": value},
        st.sampled_from([">", ">=", "<", "<="]),
        st.none() | st.integers(-2, 2),
    ),
    st.builds(
        lambda field, operator, value: {"field": field, "operator": operator, "value": value},
        st.sampled_from(["meta.n", "meta.word"]),
        st.sampled_from(["in", "not in"]),
        st.lists(_VALUES, max_size=3),
    ),
)  # fmt: skip
_FILTERS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        lambda operator, conditions: {"operator": operator, "conditions": conditions},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
_METAS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(-2, 2),
        "word": st.sampled_from(["2020-01-01", "2020-01-01T00:00:00", "word"]),
        "flag": st.booleans(),
    },
)


@given(metas=st.lists(_METAS, max_size=5), filters=_FILTERS)
def test_filters_mean_what_haystack_says(metas, filters):
    documents = [Document(id=str(i), content="text", meta=meta) for i, meta in enumerate(metas)]
    store = SightlineDocumentStore()
    store.write_documents(documents)
    clash = ""
    try:
        found = store.filter_documents(filters)
    except FilterError as error:
        clash = str(error)
    if clash:  # a kind of value that the field does not hold; Haystack's own store finds nothing, or raises, too
        assert "cannot match with a" in clash
    elif not _mixes_booleans(filters):
        assert [d.id for d in found] == [d.id for d in documents if document_matches_filter(filters, d)]


def _mixes_booleans(filters):
    """In Python, and so in Haystack's own store, True equals 1; here kinds never mix."""
    if "conditions" in filters:
        return any(_mixes_booleans(part) for part in filters["conditions"])
    values = filters["value"] if isinstance(filters["value"], list) else [filters["value"]]
    if filters["field"] == "meta.flag":
        return any(isinstance(value, int) and not isinstance(value, bool) for value in values)
    return any(isinstance(value, bool) for value in values)


def test_embedding_retriever(store):
    retriever = SightlineEmbeddingRetriever(store, top_k=2)
    found = retriever.run([1.0, 0.0])["documents"]
    assert [(d.id, d.score, d.embedding) for d in found] == [
        ("cats", 1.0, None),
        ("dogs", pytest.approx(0.6, abs=1e-6), None),
    ]
    assert asyncio.run(retriever.run_async([1.0, 0.0]))["documents"] == found
    with_vectors = SightlineEmbeddingRetriever(store, return_embedding=True).run([0.0, 1.0], top_k=1)["documents"]
    assert [d.embedding for d in with_vectors] == [[0.0, 1.0]]


def test_bm25_retriever(store):
    retriever = SightlineBM25Retriever(store)
    found = retriever.run("animals and people")["documents"]
    assert [d.id for d in found] == ["cats", "dogs"]
    assert found[0].score == store.index.search("animals and people", mode="lexical")[0].score
    assert asyncio.run(retriever.run_async("animals and people"))["documents"] == found


def test_hybrid_retriever(store):
    for fusion in (None, Convex(alpha=0.2), RRF(k=10)):
        retriever = SightlineHybridRetriever(store, fusion=fusion)
        found = retriever.run("animals", [0.0, 1.0])["documents"]
        expected = store.index.search("animals", vector=[0.0, 1.0], fusion=fusion)
        assert [(d.id, d.score) for d in found] == [(hit.id, hit.score) for hit in expected]
        assert asyncio.run(retriever.run_async("animals", [0.0, 1.0]))["documents"] == found


def test_filters_of_a_run_replace_or_join_those_of_the_component(store):
    early = {"field": "meta.year", "operator": "<", "value": 2022}
    late = {"field": "meta.year", "operator": ">", "value": 2020}
    replacing = SightlineEmbeddingRetriever(store, filters=early)
    assert [d.id for d in replacing.run([1.0, 0.0])["documents"]] == ["cats", "dogs"]
    assert [d.id for d in replacing.run([1.0, 0.0], filters=late)["documents"]] == ["dogs", "boats"]
    merging = SightlineEmbeddingRetriever(store, filters=early, filter_policy=FilterPolicy.MERGE)
    tagged = {"field": "meta.tags", "operator": "==", "value": "a"}
    assert [d.id for d in merging.run([1.0, 0.0], filters=tagged)["documents"]] == ["cats"]


@pytest.mark.parametrize(
    "make",
    [
        lambda store: SightlineEmbeddingRetriever(store, filters={"field": "meta.a", "operator": "==", "value": 1}),
        lambda store: SightlineBM25Retriever(store, top_k=3, filter_policy=FilterPolicy.MERGE),
        lambda store: SightlineHybridRetriever(store, fusion=Convex(alpha=0.25, lexical_scale=3.0)),
        lambda store: SightlineHybridRetriever(store, fusion=RRF(k=5, weights=(1.0, 2.0)), return_embedding=True),
        lambda store: SightlineHybridRetriever(store),
    ],
)
def test_components_survive_a_pipeline_written_to_text(make):
    retriever = make(SightlineDocumentStore(analyzer="german", k1=0.9, dim=2))
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=["sightline.integrations.haystack"])
    again = loaded.get_component("retriever")
    assert type(again) is type(retriever)
    assert again.to_dict() == retriever.to_dict() == json.loads(json.dumps(retriever.to_dict()))
    assert again.document_store.to_dict()["init_parameters"]["analyzer"] == "german"
    assert getattr(again, "fusion", None) == getattr(retriever, "fusion", None)


def test_a_pipeline_runs(store):
    pipeline = Pipeline()
    pipeline.add_component("retriever", SightlineHybridRetriever(store, top_k=1))
    result = pipeline.run({"retriever": {"query": "oceans", "query_embedding": [0.0, 1.0]}})
    assert [d.id for d in result["retriever"]["documents"]] == ["boats"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: SightlineDocumentStore(analyzer=str.split), "analyzer: expected the name"),
        (lambda s: SightlineEmbeddingRetriever(object()), "document_store: expected a SightlineDocumentStore"),
        (lambda s: SightlineEmbeddingRetriever(s, top_k=0), "top_k: expected an integer >= 1"),
        (lambda s: SightlineHybridRetriever(s, fusion={"Convex": {}, "RRF": {}}), "fusion: expected"),
        (lambda s: SightlineHybridRetriever(s, fusion="rrf"), "fusion: expected"),
        (lambda s: SightlineEmbeddingRetriever(s).run([1.0]), "expected 2 dimensions"),
        (lambda s: s.write_documents([Document(id="z", embedding=[0.0, 0.0])]), "all zeros"),
        (lambda s: s.update_by_filter({}, meta=[1]), "meta: expected a dict"),
    ],
)
def test_bad_calls(store, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(store)
    assert store.filter_documents() == rounded(DOCUMENTS)


def test_without_haystack_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "haystack.document_stores.errors", None)
    monkeypatch.delitem(sys.modules, "sightline.integrations.haystack")
    with pytest.raises(MissingExtraError, match=r"sightline\[haystack\]"):
        import sightline.integrations.haystack  # noqa: F401
