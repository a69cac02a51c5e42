"""LangChain: a vector store, and a hybrid retriever over it or over any HybridIndex (extra ``langchain``)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from sightline.documents import Document as StoredDocument
from sightline.documents import Hit
from sightline.errors import InvalidInputError, MissingExtraError
from sightline.hybrid_index import HybridIndex

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
    from pydantic import ConfigDict, model_validator
except ImportError as error:
    raise MissingExtraError(
        "sightline.integrations.langchain needs langchain-core: pip install 'sightline[langchain]'"
    ) from error

__all__ = ["SightlineRetriever", "SightlineVectorStore"]


class SightlineVectorStore(VectorStore):
    """Keep LangChain documents in a HybridIndex, searched by exact cosine unless another mode is asked for.

    ``filter`` is everywhere a filter of Sightline over the metadata, see sightline.filters. Documents whose ids are
    present are replaced. Searches take further keyword arguments of ``HybridIndex.search``: ``mode="hybrid"`` or
    ``"lexical"``, ``fusion``, ``rerank``, ``group_by`` ...; the score is the one that the mode orders by.

    Parameters: embedding : of documents and queries; a blank document gets no vector; path : directory of a durable
                index, None keeps it in memory; mode : of searches that do not name one; index_options : of
                HybridIndex, such as analyzer, k1, b
    Raises:     InvalidInputError if an argument has the wrong type or range
    Notes:      thread-safe; the async methods use the async methods of the embedding
    """

    def __init__(
        self,
        embedding: Embeddings,
        path: str | PathLike[str] | None = None,
        *,
        mode: str = "dense",
        **index_options: Any,
    ) -> None:
        if not isinstance(embedding, Embeddings):
            raise InvalidInputError(f"embedding: expected LangChain Embeddings, got {type(embedding).__name__}")
        if mode not in ("dense", "hybrid", "lexical"):
            raise InvalidInputError(f"mode: expected 'dense', 'hybrid' or 'lexical', got {mode!r}")
        if "embedder" in index_options:
            raise InvalidInputError("embedder: has no use beside embedding, which embeds documents and queries")
        self._embedding = embedding
        self._mode = mode
        options: dict[str, Any] = {"path": path} | index_options
        self._index = HybridIndex(**options)

    @property
    def embeddings(self) -> Embeddings:
        """The embedding of documents and queries."""
        return self._embedding

    @property
    def index(self) -> HybridIndex:
        """The index below, for all that LangChain has no word for."""
        return self._index

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> SightlineVectorStore:
        """Return a store that holds the texts; ``kwargs`` are those of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> SightlineVectorStore:
        """As ``from_texts``."""
        store = await asyncio.to_thread(lambda: cls(embedding, **kwargs))  # with a path, opening reads files
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    # Writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Embed and add texts, all or none; those whose ids are present are replaced.

        Parameters: metadatas, ids : one for each text; an id of None becomes a random UUID
        Returns:    the ids, in order
        Raises:     InvalidInputError if the numbers differ or a metadata value is not JSON; DuplicateIdError if an id
                    occurs twice in the call
        """
        rows = _rows(texts, metadatas, ids)
        wanted = _to_embed(rows)
        return self._write(rows, wanted, self._embedding.embed_documents(wanted) if wanted else [])

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """As ``add_texts``."""
        rows = _rows(texts, metadatas, ids)
        wanted = _to_embed(rows)
        vectors = await self._embedding.aembed_documents(wanted) if wanted else []
        return await asyncio.to_thread(self._write, rows, wanted, vectors)

    def _write(self, rows: list[dict[str, Any]], wanted: list[str], vectors: Any) -> list[str]:
        if len(vectors) != len(wanted):
            raise InvalidInputError(f"embedding: returned {len(vectors)} vectors for {len(wanted)} texts")
        following = iter(vectors)
        return self._index.upsert(row | {"vector": next(following) if row["text"].strip() else None} for row in rows)

    def delete(
        self, ids: Sequence[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool:
        """Remove documents by id, by filter, those of the ids that a filter matches, or, given neither, all.

        Parameters: ids : unknown ones are no error
        Returns:    True
        """
        _no_more(kwargs)
        self._index.delete(ids, {} if ids is None and filter is None else filter)
        return True

    async def adelete(
        self, ids: Sequence[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool:
        """As ``delete``."""
        _no_more(kwargs)
        return await asyncio.to_thread(self.delete, ids, filter=filter)

    # Reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents of these ids that exist, in the order of ``ids``."""
        return [_document(found) for found in self._index.get(list(ids)) if found is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As ``get_by_ids``."""
        return await asyncio.to_thread(self.get_by_ids, ids)

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the best k documents; ``filter`` and the options of ``HybridIndex.search`` go into ``kwargs``."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As ``similarity_search``."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the best k documents, each with the score that ordered them (greater is better).

        Returns:    list of (document, score): cosine in dense mode, BM25 in lexical, the fused score in hybrid mode,
                    and the reranker's where there is one
        """
        options = self._options(kwargs)
        vector = None if options["mode"] == "lexical" else self._embedding.embed_query(query)
        return _scored(self._index.search(query, k, vector=vector, **options))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As ``similarity_search_with_score``."""
        options = self._options(kwargs)
        vector = None if options["mode"] == "lexical" else await self._embedding.aembed_query(query)
        return _scored(await self._index.asearch(query, k, vector=vector, **options))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents whose vectors are nearest to one that is given."""
        return [_document(hit) for hit in self._nearest(embedding, k, kwargs)]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """As ``similarity_search_by_vector``."""
        return await asyncio.to_thread(self.similarity_search_by_vector, embedding, k, **kwargs)

    def _nearest(self, embedding: list[float], k: int, kwargs: dict[str, Any]) -> list[Hit]:
        options = self._options({"mode": "dense"} | kwargs)
        if options["mode"] != "dense":
            raise InvalidInputError(f"mode: a vector without a text is searched in dense mode, got {options['mode']!r}")
        return self._index.search(None, k, vector=embedding, **options)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        self._check_relevance(kwargs)
        return [(d, _relevance(score)) for d, score in self.similarity_search_with_score(query, k, **kwargs)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        self._check_relevance(kwargs)
        return [(d, _relevance(score)) for d, score in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return _relevance

    def _check_relevance(self, kwargs: Mapping[str, Any]) -> None:
        if kwargs.get("mode", self._mode) != "dense" or kwargs.get("rerank") is not None:
            raise InvalidInputError(
                "relevance scores from 0 to 1 exist for cosine only: leave mode at 'dense' and rerank at None, or use "
                "similarity_search_with_score"
            )

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k of the ``fetch_k`` nearest documents by maximal marginal relevance.

        Parameters: lambda_mult : 1 for relevance only to 0 for diversity only; filter : as in the class
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As ``max_marginal_relevance_search``."""
        vector = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As ``max_marginal_relevance_search``, for a vector that is given."""
        hits = self._nearest(embedding, max(k, fetch_k), kwargs)
        stored = self._index.get([hit.id for hit in hits])
        # A document may have been removed since the search; then it is no candidate.
        pairs = [(hit, d.vector) for hit, d in zip(hits, stored, strict=True) if d is not None and d.vector is not None]
        if not pairs:
            return []
        vectors = [vector for _, vector in pairs]
        chosen = maximal_marginal_relevance(np.asarray(embedding, dtype=np.float32), vectors, lambda_mult, k)
        return [_document(pairs[position][0]) for position in chosen]

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As ``max_marginal_relevance_search_by_vector``."""
        return await asyncio.to_thread(
            self.max_marginal_relevance_search_by_vector, embedding, k, fetch_k, lambda_mult, **kwargs
        )

    def _options(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments of a search as HybridIndex names them."""
        options = {"mode": self._mode} | dict(kwargs)
        if "filter" in options:
            if options.get("where") is not None:
                raise InvalidInputError("filter and where are two names of one argument; give one of them")
            options["where"] = options.pop("filter")
        return options


class SightlineRetriever(BaseRetriever):
    """Retrieve LangChain documents by meaning and words, fused exactly, and reranked if wanted.

    Every field but the first three is the argument of ``HybridIndex.search`` of that name, and can be overridden in a
    call: ``retriever.invoke("question", k=3, filter={"year": 2024})``.

    Parameters: vectorstore : SightlineVectorStore; or index : HybridIndex or a scoped view of one, and embeddings :
                of queries, None leaves them to the index's own embedder; k : int >= 1; mode : "hybrid", "dense" or
                "lexical"; filter : see sightline.filters; rerank : ``(query, texts) -> scores``, or a LangChain
                cross-encoder; with_scores : put rank and scores of each hit into ``metadata["sightline"]``
    Raises:     InvalidInputError if an argument does not fit
    """

    vectorstore: SightlineVectorStore | None = None
    index: Any = None
    embeddings: Embeddings | None = None
    k: int = 4
    mode: str | None = None
    filter: dict[str, Any] | None = None
    fusion: Any = None
    rerank: Any = None
    rerank_depth: int = 50
    diversity: float | None = None
    group_by: str | None = None
    per_group: int = 1
    with_scores: bool = False

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @model_validator(mode="after")
    def _check_source(self) -> SightlineRetriever:
        if (self.vectorstore is None) == (self.index is None):
            raise InvalidInputError("give either vectorstore or index")
        if self.vectorstore is not None and self.embeddings is not None:
            raise InvalidInputError("embeddings: has no use beside vectorstore, which has its own")
        return self

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **kwargs: Any) -> list[Document]:
        options, embeddings = self._request(kwargs)
        if embeddings is not None:
            options["vector"] = embeddings.embed_query(query)
        return [self._found(hit) for hit in self._source().search(query, **options)]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any, **kwargs: Any) -> list[Document]:
        options, embeddings = self._request(kwargs)
        if embeddings is not None:
            options["vector"] = await embeddings.aembed_query(query)
        return [self._found(hit) for hit in await self._source().asearch(query, **options)]

    def _source(self) -> Any:
        return self.index if self.vectorstore is None else self.vectorstore.index

    def _request(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], Embeddings | None]:
        """Return the options of a search and what embeds its query, None where nothing has to."""
        names = ("k", "mode", "filter", "fusion", "rerank", "rerank_depth", "diversity", "group_by", "per_group")
        unknown = [name for name in kwargs if name not in names]
        if unknown:
            raise InvalidInputError(f"{unknown[0]}: unknown option; expected one of {', '.join(names)}")
        options: dict[str, Any] = {name: getattr(self, name) for name in names} | dict(kwargs)
        options["where"] = options.pop("filter")
        options["rerank"] = _reranker(options["rerank"])
        embeddings = self.embeddings if self.vectorstore is None else self.vectorstore.embeddings
        return options, None if options["mode"] == "lexical" else embeddings

    def _found(self, hit: Hit) -> Document:
        document = _document(hit)
        if self.with_scores:
            names = ("rank", "score", "dense_score", "lexical_score", "rerank_score")
            document.metadata["sightline"] = {name: getattr(hit, name) for name in names}
        return document


def _rows(
    texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[dict[str, Any]]:
    """Return documents without vectors.

    Raises:     InvalidInputError if there is not a metadata and an id for each text
    """
    texts = list(texts)
    for name, given in (("metadatas", metadatas), ("ids", ids)):
        if given is not None and len(given) != len(texts):
            raise InvalidInputError(f"{name}: expected {len(texts)}, one for each text, got {len(given)}")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts[{position}]: expected a str, got {type(text).__name__}")
    return [
        {
            "id": uuid.uuid4().hex if ids is None or ids[i] is None else ids[i],
            "text": text,
            "metadata": None if metadatas is None else metadatas[i],
        }
        for i, text in enumerate(texts)
    ]


def _to_embed(rows: list[dict[str, Any]]) -> list[str]:
    # The embedding of nothing says nothing, and many services refuse it.
    return [row["text"] for row in rows if row["text"].strip()]


def _no_more(kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise InvalidInputError(f"{next(iter(kwargs))}: unknown argument; expected ids or filter")


def _relevance(cosine: float) -> float:
    return min(max((1.0 + cosine) / 2.0, 0.0), 1.0)


def _document(found: Hit | StoredDocument) -> Document:
    metadata = dict(found.metadata)
    if found.title is not None:  # of an index that was not filled through LangChain, whose documents have no titles
        metadata.setdefault("title", found.title)
    return Document(id=found.id, page_content=found.text, metadata=metadata)


def _scored(hits: list[Hit]) -> list[tuple[Document, float]]:
    return [(_document(hit), hit.score if hit.rerank_score is None else hit.rerank_score) for hit in hits]


def _reranker(rerank: Any) -> Any:
    """Return a LangChain cross-encoder, which scores pairs, as the callable that HybridIndex takes."""
    score = getattr(rerank, "score", None)
    if rerank is None or callable(rerank) or not callable(score):
        return rerank
    return lambda query, texts: score([(query, text) for text in texts])
