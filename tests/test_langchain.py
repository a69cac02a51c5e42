"""The LangChain adapters: LangChain's own suites in full, and what those do not ask."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest

from optional import require

require("langchain", "langchain_core", "langchain_tests")

from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from reopening import KINDS, new_store
from sightline import Convex, DuplicateIdError, HybridIndex, InvalidInputError
from sightline import Document as StoredDocument
from sightline.integrations.langchain import SightlineRetriever, SightlineVectorStore


class TestVectorStoreSuite(VectorStoreIntegrationTests):
    @pytest.fixture(params=KINDS)
    def vectorstore(self, request, tmp_path):
        with new_store(
            request.param, tmp_path, lambda path: SightlineVectorStore(self.get_embeddings(), path)
        ) as store:
            yield store


class TestRetrieverSuite(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self):
        return SightlineRetriever

    @property
    def retriever_constructor_params(self):
        store = SightlineVectorStore(DeterministicFakeEmbedding(size=8))
        store.add_texts([f"document {name}" for name in ("one", "two", "three", "four", "five")])
        return {"vectorstore": store}

    @property
    def retriever_query_example(self):
        return "which document is it?"


class LetterEmbedding(Embeddings):
    """Count letters, transparently; asynchronous calls are recorded."""

    def __init__(self):
        self.documents = []
        self.awaited = 0

    def embed_documents(self, texts):
        self.documents.append(texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return [float(text.count(letter)) for letter in "aeo"] + [1.0]

    async def aembed_documents(self, texts):
        self.awaited += 1
        return self.embed_documents(texts)

    async def aembed_query(self, text):
        self.awaited += 1
        return self.embed_query(text)


TEXTS = ["cats are animals", "dogs follow people", "boats on oceans oo", "aa bananas"]
METADATAS = [{"year": 2020}, {"year": 2021}, {"year": 2022, "tags": ["sea"]}, {"year": 2023}]
NAMES = ["cats", "dogs", "boats", "bananas"]


@pytest.fixture
def embedding():
    return LetterEmbedding()


@pytest.fixture(params=KINDS)
def store(embedding, request, tmp_path):
    with new_store(request.param, tmp_path, lambda path: SightlineVectorStore(embedding, path)) as store:
        store.add_texts(TEXTS, METADATAS, ids=NAMES)
        yield store


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_scores_are_cosines_best_first(store, embedding):
    query = embedding.embed_query("banana")
    expected = sorted(
        ((cosine(query, embedding.embed_query(t)), n) for t, n in zip(TEXTS, NAMES, strict=True)), reverse=True
    )
    found = store.similarity_search_with_score("banana", k=4)
    assert [d.id for d, _ in found] == [name for _, name in expected]
    assert [score for _, score in found] == pytest.approx([score for score, _ in expected], abs=1e-6)
    relevances = store.similarity_search_with_relevance_scores("banana", k=4)
    assert [r for _, r in relevances] == pytest.approx([(1 + score) / 2 for score, _ in expected], abs=1e-6)
    by_vector = store.similarity_search_by_vector(query, k=2)
    assert by_vector == [d for d, _ in found[:2]] == store.similarity_search("banana", k=2)
    assert by_vector[0] == Document(id="bananas", page_content="aa bananas", metadata={"year": 2023})


def test_async_gives_what_sync_gives(store, embedding):
    async def both():
        assert await store.asimilarity_search("boats", k=3) == store.similarity_search("boats", k=3)
        assert await store.asimilarity_search_with_score("boats", k=3) == store.similarity_search_with_score(
            "boats", k=3
        )
        relevances = await store.asimilarity_search_with_relevance_scores("boats", k=3)
        assert relevances == store.similarity_search_with_relevance_scores("boats", k=3)
        vector = embedding.embed_query("boats")
        assert await store.asimilarity_search_by_vector(vector) == store.similarity_search_by_vector(vector)
        assert await store.amax_marginal_relevance_search("boats", 2) == store.max_marginal_relevance_search("boats", 2)
        assert await store.aget_by_ids(["dogs"]) == store.get_by_ids(["dogs"])
        retriever = store.as_retriever(search_kwargs={"k": 2})
        assert await retriever.ainvoke("boats") == retriever.invoke("boats")
        before = embedding.awaited
        assert await store.aadd_texts(["new oo", " "], [{}, {}], ids=["new", "blank"]) == ["new", "blank"]
        assert embedding.awaited == before + 1
        assert embedding.documents[-1] == ["new oo"]  # nothing blank is embedded
        assert await store.adelete(["new"]) is True
        assert store.get_by_ids(["new"]) == []
        other = await SightlineVectorStore.afrom_texts(TEXTS, embedding, METADATAS, ids=NAMES)
        assert other.similarity_search_with_score("boats") == store.similarity_search_with_score("boats")

    asyncio.run(both())


def test_filters_modes_and_options(store):
    assert [d.id for d in store.similarity_search("oo", filter={"year": {"$lt": 2022}}, k=1)] == ["dogs"]
    assert [d.id for d in store.similarity_search("animals", mode="lexical")] == ["cats"]
    hybrid = store.similarity_search_with_score("animals", k=2, mode="hybrid", fusion=Convex(alpha=0.1))
    assert hybrid[0][0].id == "cats"
    assert hybrid[0][1] != store.similarity_search_with_score("animals", k=1)[0][1]
    reranked = store.similarity_search_with_score("cats", k=4, rerank=lambda query, texts: range(len(texts)))
    assert [score for _, score in reranked] == [3, 2, 1, 0]
    default = SightlineVectorStore.from_texts(TEXTS, LetterEmbedding(), ids=NAMES, mode="lexical")
    assert [d.id for d in default.similarity_search("animals")] == ["cats"]
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"tags": {"$contains": "sea"}}})
    assert [d.id for d in retriever.invoke("anything")] == ["boats"]


def test_threshold_and_mmr_retrievers(store, embedding):
    threshold = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.99})
    relevant = [d.id for d, r in store.similarity_search_with_relevance_scores("aa bananas") if r >= 0.99]
    assert [d.id for d in threshold.invoke("aa bananas")] == relevant
    assert relevant[0] == "bananas"
    assert len(relevant) < len(TEXTS)
    query = embedding.embed_query("aaaa")
    for lambda_mult in (0.0, 0.3, 1.0):
        nearest = store.similarity_search("aaaa", k=3)
        vectors = [embedding.embed_query(d.page_content) for d in nearest]
        expected = [nearest[i].id for i in maximal_marginal_relevance(np.array(query), vectors, lambda_mult, 2)]
        found = store.max_marginal_relevance_search("aaaa", k=2, fetch_k=3, lambda_mult=lambda_mult)
        assert [d.id for d in found] == expected
    mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 4, "lambda_mult": 0.0})
    assert len(mmr.invoke("aaaa")) == 2


def test_writing_replaces_and_deleting_removes(store):
    assert store.add_documents([Document(id="cats", page_content="ooo"), Document(page_content="eee")])[0] == "cats"
    assert len(store.index) == 5
    assert store.get_by_ids(["cats", "unknown"]) == [Document(id="cats", page_content="ooo")]
    assert store.delete(["dogs", "boats"], filter={"year": 2021})
    assert [d.id for d in store.get_by_ids(NAMES)] == ["cats", "boats", "bananas"]
    assert store.delete([])
    assert len(store.index) == 4
    store.delete()  # "If None, delete all", says LangChain
    assert len(store.index) == 0
    assert store.similarity_search("anything") == []
    assert store.max_marginal_relevance_search("anything") == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: SightlineVectorStore(len), InvalidInputError, "embedding: expected LangChain Embeddings"),
        (lambda s: SightlineVectorStore(LetterEmbedding(), mode="mmr"), InvalidInputError, "mode: expected 'dense'"),
        (lambda s: SightlineVectorStore(LetterEmbedding(), embedder=len), InvalidInputError, "embedder: has no use"),
        (lambda s: s.add_texts(["a", "b"], [{}]), InvalidInputError, "metadatas: expected 2, one for each text, got 1"),
        (lambda s: s.add_texts(["a"], ids=["a", "b"]), InvalidInputError, "ids: expected 1"),
        (lambda s: s.add_texts([5]), InvalidInputError, r"texts\[0\]: expected a str, got int"),
        (lambda s: s.add_texts(["a", "a"], ids=["x", "x"]), DuplicateIdError, "occurs twice"),
        (lambda s: s.add_texts(["a"], [{"x": object()}]), InvalidInputError, "metadata"),
        (lambda s: s.delete(["cats"], where={}), InvalidInputError, "where: unknown argument"),
        (lambda s: s.similarity_search("a", k=0), InvalidInputError, "k: expected an integer >= 1"),
        (lambda s: s.similarity_search("a", filter={}, where={}), InvalidInputError, "two names of one argument"),
        (lambda s: s.similarity_search_by_vector([1, 2]), InvalidInputError, "expected 4 dimensions"),
        (lambda s: s.similarity_search_by_vector([1] * 4, mode="hybrid"), InvalidInputError, "mode: a vector without"),
        (lambda s: s.similarity_search_with_relevance_scores("a", mode="hybrid"), InvalidInputError, "cosine only"),
    ],
)  # fmt: skip
def test_bad_calls_say_what_is_wrong_and_change_nothing(store, call, error, message):
    before = store.similarity_search_with_score("boats")
    with pytest.raises(error, match=message):
        call(store)
    assert store.similarity_search_with_score("boats") == before


def test_a_number_of_vectors_that_does_not_fit_is_an_error():
    class Short(LetterEmbedding):
        def embed_documents(self, texts):
            return super().embed_documents(texts)[1:]

    with pytest.raises(InvalidInputError, match="returned 1 vectors for 2 texts"):
        SightlineVectorStore.from_texts(["a", "b"], Short())


class LengthEncoder(BaseCrossEncoder):
    def score(self, text_pairs):
        return [len(text) for _, text in text_pairs]


def test_the_retriever_fuses_filters_and_reranks(store):
    retriever = SightlineRetriever(vectorstore=store, k=3, fusion=Convex(alpha=0.3), with_scores=True)
    found = retriever.invoke("animals people")
    expected = store.index.search(
        "animals people", 3, vector=store.embeddings.embed_query("animals people"), fusion=Convex(alpha=0.3)
    )
    assert [d.id for d in found] == [hit.id for hit in expected]
    assert [d.metadata["sightline"]["score"] for d in found] == [hit.score for hit in expected]
    assert [d.metadata["sightline"]["lexical_score"] for d in found] == [hit.lexical_score for hit in expected]
    assert asyncio.run(retriever.ainvoke("animals people")) == found
    assert [d.id for d in retriever.invoke("animals", k=1, filter={"year": 2022})] == ["boats"]
    reranked = SightlineRetriever(vectorstore=store, k=4, rerank=LengthEncoder())
    assert [d.id for d in reranked.invoke("animals")] == ["boats", "dogs", "cats", "bananas"]
    shortest = reranked.invoke("animals", k=1, rerank=lambda q, texts: [-len(t) for t in texts])
    assert [d.id for d in shortest] == ["bananas"]
    assert store.get_by_ids(["cats"])[0].metadata == {"year": 2020}  # scores stay out of the index


def test_the_retriever_works_on_any_index_and_view():
    index = HybridIndex(embedder=lambda texts: [[len(text), 1.0] for text in texts])
    index.add([StoredDocument("a", "alpha words", {"n": 1}, title="A title"), StoredDocument("b", "words", {"n": 2})])
    assert {d.id for d in SightlineRetriever(index=index).invoke("words")} == {"a", "b"}
    view = SightlineRetriever(index=index.scoped({"n": 1}), mode="lexical")
    assert view.invoke("words") == [Document(id="a", page_content="alpha words", metadata={"n": 1, "title": "A title"})]
    assert asyncio.run(view.ainvoke("words")) == view.invoke("words")


def test_the_retriever_refuses_what_does_not_fit(store):
    with pytest.raises(ValueError, match="either vectorstore or index"):
        SightlineRetriever()
    with pytest.raises(ValueError, match="either vectorstore or index"):
        SightlineRetriever(vectorstore=store, index=store.index)
    with pytest.raises(ValueError, match="embeddings: has no use"):
        SightlineRetriever(vectorstore=store, embeddings=LetterEmbedding())
    with pytest.raises(ValueError, match="top_k"):
        SightlineRetriever(vectorstore=store, top_k=5)
    with pytest.raises(InvalidInputError, match="top_k: unknown option"):
        SightlineRetriever(vectorstore=store).invoke("a", top_k=5)


def test_without_langchain_the_error_names_the_extra(monkeypatch):
    from sightline import MissingExtraError

    monkeypatch.setitem(sys.modules, "langchain_core.documents", None)
    monkeypatch.delitem(sys.modules, "sightline.integrations.langchain")
    with pytest.raises(MissingExtraError, match=r"sightline\[langchain\]"):
        import sightline.integrations.langchain  # noqa: F401
