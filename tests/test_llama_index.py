"""The LlamaIndex adapters, in the framework's own indexes, retrievers and filters."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optional import require

require("llama-index", "llama_index.core")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, QueryBundle, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from reopening import KINDS, new_store
from sightline import Convex, Document, HybridIndex, InvalidInputError, MissingExtraError
from sightline.integrations.llama_index import SightlineRetriever, SightlineVectorStore


class LetterEmbedding(BaseEmbedding):
    """Count letters, transparently."""

    def _get_text_embedding(self, text):
        return [float(text.count(letter)) for letter in "aeo"] + [1.0]

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def node(name, text, embedding, source="book", **metadata):
    return TextNode(
        id_=name,
        text=text,
        embedding=embedding,
        metadata=metadata,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)},
    )


NODES = [
    node("cats", "cats are animals", [1.0, 0.0], year=2020, tags=["pet", "small"], author="Ada"),
    node("dogs", "dogs follow people", [0.9, 0.1], year=2021, tags=["pet"], author="Bob"),
    node("boats", "boats on oceans", [0.0, 1.0], "atlas", year=2022, tags=[], author="", note=None),
]


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with new_store(request.param, tmp_path, SightlineVectorStore) as store:
        assert store.add(NODES) == ["cats", "dogs", "boats"]
        yield store


def ask(store, mode="default", top_k=3, **options):
    return store.query(VectorStoreQuery(mode=VectorStoreQueryMode(mode), similarity_top_k=top_k, **options))


def test_nodes_come_back_whole(store):
    assert [n.model_dump() for n in store.get_nodes(["boats", "unknown", "cats"])] == [
        n.model_copy(update={"embedding": np.float32(n.embedding).tolist()}).model_dump() for n in (NODES[2], NODES[0])
    ]
    others = [
        IndexNode(id_="link", text="see there", index_id="there"),
        ImageNode(id_="image", text="a picture", image="aGk="),
        TextNode(id_="bare", text="", metadata={"nested": {"a": 1}}),
    ]
    store.add(others)
    for found, given_ in zip(store.get_nodes([n.node_id for n in others]), others, strict=True):
        assert type(found) is type(given_)
        assert found.model_dump() == given_.model_dump()


def test_modes(store):
    result = ask(store, query_embedding=[1.0, 0.0])
    assert result.ids == ["cats", "dogs", "boats"] == [n.node_id for n in result.nodes]
    assert result.similarities == pytest.approx([1.0, 0.9 / np.hypot(0.9, 0.1), 0.0], abs=1e-6)
    for mode in ("sparse", "text_search"):
        result = ask(store, mode, query_str="people", query_embedding=[1.0, 0.0])
        assert result.ids == ["dogs"]
        assert result.similarities == [store.client.search("people", mode="lexical")[0].score]
    for alpha in (0.0, 0.3, 1.0, None):
        result = ask(store, "hybrid", query_str="oceans", query_embedding=[1.0, 0.0], alpha=alpha)
        fusion = None if alpha is None else Convex(alpha=alpha)
        hits = store.client.search("oceans", 3, vector=[1.0, 0.0], fusion=fusion)
        assert list(zip(result.ids, result.similarities, strict=True)) == [(hit.id, hit.score) for hit in hits]
    assert ask(store, "hybrid", query_str="oceans", query_embedding=[1, 0], hybrid_top_k=1, alpha=0.0).ids == ["boats"]
    assert len(ask(store, "sparse", query_str="cats dogs", sparse_top_k=1).ids) == 1
    # The second pick of pure diversity is what is least like the first.
    assert ask(store, "mmr", query_embedding=[1.0, 0.0], top_k=2, mmr_threshold=0.0).ids == ["cats", "boats"]
    assert ask(store, "mmr", query_embedding=[1.0, 0.0], top_k=2, mmr_threshold=1.0).ids == ["cats", "dogs"]
    query = VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=2, mode=VectorStoreQueryMode.MMR)
    assert store.query(query, mmr_threshold=0.0).ids == ["cats", "boats"]


def test_what_restricts_a_query(store):
    only = {"query_embedding": [1.0, 0.0]}
    assert ask(store, doc_ids=["atlas"], **only).ids == ["boats"]
    assert ask(store, node_ids=["boats", "dogs"], **only).ids == ["dogs", "boats"]
    old = MetadataFilters(filters=[MetadataFilter(key="year", value=2022, operator=FilterOperator.LT)])
    assert ask(store, filters=old, **only).ids == ["cats", "dogs"]
    assert ask(store, filters=old, node_ids=["boats", "dogs"], **only).ids == ["dogs"]
    assert [n.node_id for n in store.get_nodes(filters=old)] == ["cats", "dogs"]
    assert [n.node_id for n in store.get_nodes(["boats", "dogs"], old)] == ["dogs"]


def test_deleting(store):
    store.delete("atlas")
    assert store.client.ids() == ["cats", "dogs"]
    with pytest.raises(InvalidInputError, match="give ids or where"):
        store.delete_nodes()
    store.delete_nodes(["dogs", "unknown"])
    assert store.client.ids() == ["cats"]
    store.delete_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="year", value=2020)]))
    assert store.client.ids() == []
    store.add(NODES)
    store.clear()
    assert store.get_nodes() == []
    assert ask(store, query_embedding=[1.0, 0.0]).ids == []


def test_async_gives_what_sync_gives(store):
    async def both():
        query = VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=2)
        assert await store.aquery(query) == store.query(query)
        assert await store.aget_nodes(["cats"]) == store.get_nodes(["cats"])
        await store.async_add([node("new", "new", [1.0, 1.0], "atlas")])
        await store.adelete("atlas")
        assert store.client.ids() == ["cats", "dogs"]
        await store.adelete_nodes(["dogs"])
        assert store.client.ids() == ["cats"]
        await store.aclear()
        assert store.client.ids() == []

    asyncio.run(both())


@pytest.mark.parametrize(
    ("operator", "key", "value", "expected"),
    [
        ("==", "year", 2020, "cats"),
        ("==", "tags", "pet", "cats dogs"),
        ("!=", "year", 2020, "dogs boats"),
        (">", "year", 2020, "dogs boats"),
        (">=", "year", 2021, "dogs boats"),
        ("<", "year", 2021, "cats"),
        ("<=", "year", 2021, "cats dogs"),
        ("in", "year", [2020, 2022], "cats boats"),
        ("nin", "year", [2020, 2022], "dogs"),
        ("any", "tags", ["small", "large"], "cats"),
        ("any", "tags", [], ""),
        ("all", "tags", ["small", "pet"], "cats"),
        ("all", "tags", ["small", "large"], ""),
        ("contains", "tags", "pet", "cats dogs"),
        ("text_match", "author", "da", "cats"),
        ("text_match", "author", "DA", ""),
        ("text_match_insensitive", "author", "DA", "cats"),
        ("is_empty", "author", None, "boats"),
        ("is_empty", "tags", None, "boats"),
        ("is_empty", "note", None, "cats dogs boats"),
        ("is_empty", "absent", None, "cats dogs boats"),
        ("is_empty", "year", None, ""),
        ("==", "ref_doc_id", "atlas", "boats"),
    ],
)
def test_every_operator(store, operator, key, value, expected):
    single = MetadataFilter(key=key, value=value, operator=FilterOperator(operator))
    matching = expected.split()
    assert [n.node_id for n in store.get_nodes(filters=MetadataFilters(filters=[single]))] == matching
    negated = MetadataFilters(filters=[single], condition=FilterCondition.NOT)
    assert [n.node_id for n in store.get_nodes(filters=negated)] == [
        n.node_id for n in NODES if n.node_id not in matching
    ]


def test_every_operator_is_tested():
    tested = {mark[0] for mark in test_every_operator.pytestmark[0].args[1]}
    assert tested == {operator.value for operator in FilterOperator}


_SINGLES = st.one_of(
    st.builds(
        lambda operator, value: MetadataFilter(key="n", value=value, operator=operator),
        st.sampled_from([o for o in FilterOperator if o.value in ("==", "!=", "<", "<=", ">", ">=")]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda operator, value: MetadataFilter(key="n", value=value, operator=operator),
        st.sampled_from([FilterOperator.IN, FilterOperator.NIN]),
        st.lists(st.integers(0, 3), max_size=3),
    ),
    st.builds(
        lambda operator, value: MetadataFilter(key="word", value=value, operator=operator),
        st.sampled_from([FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE, FilterOperator.CONTAINS]),
        st.sampled_from(["a", "A", "ab"]),
    ),
    st.builds(
        lambda operator, value: MetadataFilter(key="tags", value=value, operator=operator),
        st.sampled_from([FilterOperator.ANY, FilterOperator.ALL]),
        st.lists(st.sampled_from(["x", "y", "z"]), max_size=3),
    ),
    st.builds(
        lambda key: MetadataFilter(key=key, value=None, operator=FilterOperator.IS_EMPTY),
        st.sampled_from(["n", "word", "tags"]),
    ),
)
_GROUPS = st.recursive(
    st.builds(
        lambda filters, condition: MetadataFilters(filters=filters, condition=condition),
        st.lists(_SINGLES, max_size=3),
        st.sampled_from([None, *FilterCondition]),
    ),
    lambda inner: st.builds(
        lambda filters, condition: MetadataFilters(filters=filters, condition=condition),
        st.lists(st.one_of(_SINGLES, inner), min_size=1, max_size=3),
        st.sampled_from([None, *FilterCondition]),
    ),
    max_leaves=4,
)
_METADATAS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(0, 3),
        "word": st.sampled_from(["", "abc", "ABC", "xyz"]),
        "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2),
    },
)


def expected_match(filters, metadata):
    """LlamaIndex's own matcher for single filters, and its conditions over them, nested, which it does not support."""
    if not filters.filters:
        return True
    results = [
        expected_match(part, metadata)
        if isinstance(part, MetadataFilters)
        else build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[part]))("")
        for part in filters.filters
    ]
    if filters.condition == FilterCondition.NOT:
        return not any(results)
    return any(results) if filters.condition == FilterCondition.OR else all(results)


@given(metadatas=st.lists(_METADATAS, min_size=1, max_size=5), filters=_GROUPS)
def test_filters_mean_what_llama_index_says(metadatas, filters):
    store = SightlineVectorStore()
    store.add([TextNode(id_=str(i), text="text", metadata=metadata) for i, metadata in enumerate(metadatas)])
    expected = [str(i) for i, metadata in enumerate(metadatas) if expected_match(filters, metadata)]
    assert [n.node_id for n in store.get_nodes(filters=filters)] == expected


def test_in_a_vector_store_index():
    store = SightlineVectorStore()
    embed_model = LetterEmbedding()
    nodes = [n.model_copy(update={"embedding": None}) for n in NODES]
    index = VectorStoreIndex(
        nodes, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=embed_model
    )
    for mode in ("default", "text_search", "hybrid", "mmr"):
        retriever = index.as_retriever(similarity_top_k=2, vector_store_query_mode=mode)
        found = retriever.retrieve("boats on oceans")
        assert found[0].node.get_content() == "boats on oceans"
        assert asyncio.run(retriever.aretrieve("boats on oceans")) == found
    index.delete_ref_doc("atlas", delete_from_docstore=True)
    assert store.client.ids() == ["cats", "dogs"]


def test_the_store_is_serialised_by_its_settings():
    store = SightlineVectorStore(analyzer="german", k1=0.9)
    again = SightlineVectorStore.from_dict(store.to_dict())
    assert (again.analyzer, again.k1, again.path) == ("german", 0.9, None)
    assert repr(again.client) == repr(store.client)


def test_the_retriever_fuses_filters_and_reranks(store):
    calls = []

    def rerank(query, texts):
        calls.append(query)
        return [-len(text) for text in texts]

    embedding = QueryBundle("animals", embedding=[0.0, 1.0])
    found = SightlineRetriever(store, similarity_top_k=2, fusion=Convex(alpha=0.4)).retrieve(embedding)
    hits = store.client.search("animals", 2, vector=[0.0, 1.0], fusion=Convex(alpha=0.4))
    assert [(n.node_id, n.score) for n in found] == [(hit.id, hit.score) for hit in hits]
    retriever = SightlineRetriever(store, rerank=rerank)
    found = retriever.retrieve(embedding)
    assert [(n.node_id, n.score) for n in found] == [("boats", -15.0), ("cats", -16.0), ("dogs", -18.0)]
    assert asyncio.run(retriever.aretrieve(embedding)) == found
    assert calls == ["animals", "animals"]
    late = MetadataFilters(filters=[MetadataFilter(key="year", value=2020, operator=FilterOperator.GT)])
    assert [n.node_id for n in SightlineRetriever(store, filters=late, mode="lexical").retrieve("people")] == ["dogs"]


def test_the_retriever_works_on_any_index_and_embeds_queries():
    model = LetterEmbedding()
    index = HybridIndex(embedder=model.get_text_embedding_batch)
    index.add([Document("a", "aaa words", {"n": 1}, title="A title"), Document("b", "ooo words", {"n": 2})])
    found = SightlineRetriever(index=index, similarity_top_k=1).retrieve("aaaa")
    assert (found[0].node_id, found[0].node.metadata) == ("a", {"title": "A title", "n": 1})
    with_model = SightlineRetriever(index=index.scoped({"n": 2}), embed_model=model, mode="dense")
    assert [n.node_id for n in with_model.retrieve("aaaa")] == ["b"]
    assert asyncio.run(with_model.aretrieve("aaaa")) == with_model.retrieve("aaaa")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: ask(s, "svm", query_embedding=[1.0, 0.0]), "mode: expected default, sparse"),
        (lambda s: ask(s, query_str="words"), "query_embedding: mode default needs one"),
        (lambda s: ask(s, "hybrid", query_str="words"), "query_embedding: mode hybrid needs one"),
        (lambda s: ask(s, query_embedding=[1.0]), "expected 2 dimensions"),
        (lambda s: ask(s, query_embedding=[1.0, 0.0], filters={"year": 2020}), "filters: expected MetadataFilters"),
        (
            lambda s: s.get_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="year", value="2020")])),
            "filters never convert between kinds",
        ),
        (
            lambda s: s.get_nodes(
                filters=MetadataFilters(
                    filters=[MetadataFilter(key="year", value=2020, operator=FilterOperator.IN)]
                )
            ),
            "operator 'in' on 'year' needs a list",
        ),
        (lambda s: SightlineVectorStore().persist("somewhere"), "this store is in memory"),
        (lambda s: s.add([node("zero", "z", [0.0, 0.0])]), "all zeros"),
        (lambda s: SightlineRetriever(), "either vector_store or index"),
        (lambda s: SightlineRetriever(s, embed_model=len), "embed_model: expected a LlamaIndex embedding"),
    ],
)  # fmt: skip
def test_bad_calls(store, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(store)
    assert store.client.ids() == ["cats", "dogs", "boats"]


def test_without_llama_index_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_index.core.base.base_retriever", None)
    monkeypatch.delitem(sys.modules, "sightline.integrations.llama_index")
    with pytest.raises(MissingExtraError, match=r"sightline\[llama-index\]"):
        import sightline.integrations.llama_index  # noqa: F401
