"""What users of the frameworks have asked for in their issue trackers, in each of the three: a thread a test."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from optional import require

require("test-integrations", "langchain_core", "llama_index.core", "haystack")

from haystack import Document as HaystackDocument
from haystack.document_stores.types import DuplicatePolicy
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from sightline import Convex, HybridIndex
from sightline.integrations import haystack, langchain, llama_index

ROWS = {
    "en": ("cats sleep all day", "a"),
    "ja": ("東京都は日本の首都です", "a"),
    "zh": ("我们在北京大学学习", "b"),
    "ko": ("서울은 한국의 수도이다", "b"),
    "twin 1": ("the same words", "a"),
    "twin 2": ("the same words", "b"),
}


def vector(text):
    return [1.0, float(len(text) % 5), float(text.count("s"))]


class Lengths(Embeddings):
    def embed_documents(self, texts):
        return [vector(text) for text in texts]

    def embed_query(self, text):
        return vector(text)


class LangChain:
    """One interface over the three: (id, score, text, group) of hits."""

    def __init__(self, path=None):
        self.store = langchain.SightlineVectorStore(Lengths(), path)
        self.index = self.store.index

    def fill(self):
        self.store.add_documents(
            [LangChainDocument(id=i, page_content=text, metadata={"group": g}) for i, (text, g) in ROWS.items()]
        )

    def search(self, query, mode="lexical", group=None, k=10):
        kwargs = {"mode": mode} | ({} if group is None else {"filter": {"group": group}})
        return [(d.id, s) for d, s in self.store.similarity_search_with_score(query, k, **kwargs)]

    async def asearch(self, query):
        return [(d.id, s) for d, s in await self.store.asimilarity_search_with_score(query, 10, mode="lexical")]


class LlamaIndex:
    def __init__(self, path=None):
        self.store = llama_index.SightlineVectorStore(path)
        self.index = self.store.client

    def fill(self):
        self.store.add(
            [TextNode(id_=i, text=text, metadata={"group": g}, embedding=vector(text)) for i, (text, g) in ROWS.items()]
        )

    def request(self, query, mode="lexical", group=None, k=10):
        names = {"lexical": "text_search", "dense": "default", "hybrid": "hybrid"}
        filters = None if group is None else MetadataFilters(filters=[MetadataFilter(key="group", value=group)])
        return VectorStoreQuery(
            query_str=query, query_embedding=vector(query), similarity_top_k=k, filters=filters,
            mode=VectorStoreQueryMode(names[mode]),
        )  # fmt: skip

    def search(self, query, mode="lexical", group=None, k=10):
        found = self.store.query(self.request(query, mode, group, k))
        return list(zip(found.ids, found.similarities, strict=True))

    async def asearch(self, query):
        found = await self.store.aquery(self.request(query))
        return list(zip(found.ids, found.similarities, strict=True))


class Haystack:
    def __init__(self, path=None):
        self.store = haystack.SightlineDocumentStore(path)
        self.index = self.store.index

    def fill(self):
        self.store.write_documents(
            [HaystackDocument(id=i, content=text, meta={"group": g}, embedding=vector(text))
             for i, (text, g) in ROWS.items()],
            DuplicatePolicy.OVERWRITE,
        )  # fmt: skip

    def search(self, query, mode="lexical", group=None, k=10):
        filters = None if group is None else {"field": "meta.group", "operator": "==", "value": group}
        embedding = None if mode == "lexical" else vector(query)
        found = self.store.retrieve(mode=mode, query=query, query_embedding=embedding, filters=filters, top_k=k)
        return [(d.id, d.score) for d in found]

    async def asearch(self, query):
        found = await haystack.SightlineBM25Retriever(self.store).run_async(query)
        return [(d.id, d.score) for d in found["documents"]]


@pytest.fixture(params=[LangChain, LlamaIndex, Haystack])
def framework(request):
    return request.param


@pytest.fixture
def store(framework):
    made = framework()
    made.fill()
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [("東京", "ja"), ("京", "ja zh"), ("首都", "ja"), ("大学", "zh"), ("수도", "ko"), ("北京", "zh")],
)
def test_chinese_japanese_and_korean_are_found(store, query, expected):
    """llama_index issue 13866: BM25 over CJK yields nothing, as it was one word to the tokenizer."""
    assert {name for name, _ in store.search(query)} == set(expected.split())


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_what_a_filter_leaves_out_never_comes_back(store, mode):
    """llama_index pull request 22897: documents outside the filter filled the k places with score 0."""
    found = store.search("the same words", mode, "b", k=10)
    assert found
    assert {ROWS[name][1] for name, _ in found} == {"b"}
    if mode == "lexical":
        assert [name for name, _ in found] == ["twin 2"]
        assert all(score > 0 for _, score in store.search("cats words", mode, k=10))


def test_documents_of_one_text_stay_two(store):
    """Ensembles that know a document by its text, or by a hash of it, return one of several."""
    for mode in ("lexical", "dense", "hybrid"):
        counts = Counter(name for name, _ in store.search("the same words", mode))
        assert counts["twin 1"] == counts["twin 2"] == 1
        assert max(counts.values()) == 1


def test_scores_are_shown(store):
    """langchain issue 16445: the scores of hybrid retrieval are hidden, and so cannot be cut at a threshold."""
    hits = store.index.search("the same words", mode="hybrid", vector=vector("the same words"))
    assert store.search("the same words", "hybrid") == [(hit.id, hit.score) for hit in hits]
    assert all(hit.dense_score is not None and hit.lexical_score is not None for hit in hits)


def test_it_is_on_disk(framework, tmp_path):
    """langchain pull request 28123: a BM25 retriever that can be kept, not built again from all texts at each start."""
    first = framework(tmp_path / "kb")
    first.fill()
    expected = {mode: first.search("the same words", mode) for mode in ("lexical", "dense", "hybrid")}
    # Another process may read it while this one writes (chroma issue 7040: one process at a time).
    with HybridIndex.open(tmp_path / "kb", read_only=True) as reader:
        retriever = langchain.SightlineRetriever(index=reader, mode="lexical")
        assert [d.id for d in retriever.invoke("東京")] == ["ja"]
        first.index.delete(["ja"])
        assert retriever.invoke("東京") == []
    first.fill()
    first.index.close()
    again = framework(tmp_path / "kb")
    assert {mode: again.search("the same words", mode) for mode in expected} == expected
    again.index.close()


def test_a_new_document_is_found_at_once(store):
    """lancedb issue 3330: new documents are not found until the index is optimised."""
    store.index.add([{"id": "new", "text": "zebras"}])
    assert [name for name, _ in store.search("zebras")] == ["new"]
    store.index.delete(["new"])
    assert store.search("zebras") == []


def test_async_methods_let_the_event_loop_go_on(store, monkeypatch):
    """langchain issue 30704: methods that are async by name and block the event loop."""
    release = threading.Event()
    search = HybridIndex.search

    def slow(self, *arguments, **options):
        assert release.wait(20)  # set by the loop, below: only if it is not blocked
        return search(self, *arguments, **options)

    async def both():
        task = asyncio.create_task(store.asearch("cats"))
        await asyncio.sleep(0.05)
        assert not task.done()
        release.set()
        return await task

    expected = store.search("cats")
    monkeypatch.setattr(HybridIndex, "search", slow)
    assert asyncio.run(both()) == expected


def test_bm25_can_be_set():
    """tantivy issue 2924: k1 and b cannot be configured."""
    stores = (
        langchain.SightlineVectorStore(Lengths(), k1=0.4, b=0.1, variant="bm25+", delta=1.0).index,
        llama_index.SightlineVectorStore(k1=0.4, b=0.1, variant="bm25+", delta=1.0).client,
        haystack.SightlineDocumentStore(k1=0.4, b=0.1, variant="bm25+", delta=1.0).index,
    )
    expected = HybridIndex(k1=0.4, b=0.1, variant="bm25+", delta=1.0)
    for index in (*stores, expected):
        index.add({"id": name, "text": text} for name, (text, _) in ROWS.items())
    hits = [[(h.id, h.score) for h in index.search("the same words", mode="lexical")] for index in (*stores, expected)]
    assert hits[0] == hits[1] == hits[2] == hits[3] != []


def test_the_weight_of_dense_and_lexical_means_what_it_says(store):
    """llama_index issue 21444 and lancedb issue 3154: faults of fusion. Here 1 is dense only, 0 lexical only."""
    query = "the same words"
    for alpha, name in ((1.0, "dense_score"), (0.0, "lexical_score")):
        hits = store.index.search(query, 10, vector=vector(query), fusion=Convex(alpha=alpha))
        scores = [getattr(hit, name) for hit in hits]
        assert scores == sorted(scores, reverse=True)
