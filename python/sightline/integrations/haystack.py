"""Haystack: a document store, and embedding, BM25 and hybrid retrievers over it (extra ``haystack``)."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike, fspath
from typing import Any

from sightline.documents import Document as StoredDocument
from sightline.documents import Hit
from sightline.errors import DuplicateIdError, InvalidInputError, MissingExtraError, checked_integer
from sightline.fusion import RRF, Convex
from sightline.hybrid_index import HybridIndex
from sightline.integrations.haystack_filters import filtering, translate

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.dataclasses import ByteStream, SparseEmbedding
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy, FilterPolicy, apply_filter_policy
except ImportError as error:
    raise MissingExtraError(
        "sightline.integrations.haystack needs haystack-ai: pip install 'sightline[haystack]'"
    ) from error

__all__ = [
    "SightlineBM25Retriever",
    "SightlineDocumentStore",
    "SightlineEmbeddingRetriever",
    "SightlineHybridRetriever",
]


class SightlineDocumentStore:
    """Keep Haystack documents in a HybridIndex.

    Embeddings are stored as float32, so they come back rounded to it. Filters are Haystack's, over ``meta``, ``id``
    and ``score``. Where a ``meta`` value is a list, an operator asks whether any element fits. Kinds never mix: a value
    that cannot match anything a field holds is a FilterError, because it is a mistake far more often than intended.

    Parameters: path : directory of a durable index, None keeps it in memory (serialised, such a store is empty); dim :
                of the embeddings, default that of the first; analyzer : language; k1, b, delta, variant : of BM25
    Raises:     InvalidInputError if an argument has the wrong type or range
    Notes:      thread-safe; every method has a twin ``..._async``, which runs it in a worker thread
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        dim: int | None = None,
        analyzer: str = "english",
        k1: float = 1.2,
        b: float = 0.75,
        delta: float = 0.5,
        variant: str = "lucene",
    ) -> None:
        if not isinstance(analyzer, str):
            raise InvalidInputError(f"analyzer: expected the name of a language, got {type(analyzer).__name__}")
        self._options: dict[str, Any] = {
            "path": None if path is None else fspath(path),
            "dim": dim,
            "analyzer": analyzer,
            "k1": k1,
            "b": b,
            "delta": delta,
            "variant": variant,
        }
        self._index = HybridIndex(**self._options)
        self._writing = threading.Lock()  # what policies and updates read must still hold when they write

    @property
    def index(self) -> HybridIndex:
        """The index below, for all that Haystack has no word for."""
        return self._index

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dictionary; the documents of a store in memory are not in it."""
        data: dict[str, Any] = default_to_dict(self, **self._options)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SightlineDocumentStore:
        """Make a store from ``to_dict``."""
        store: SightlineDocumentStore = default_from_dict(cls, data)
        return store

    def count_documents(self) -> int:
        """Return how many documents there are."""
        return len(self._index)

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """Return how many documents match."""
        return filtering(self._index.count, translate(filters))

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents that match, in the order of writing; None or {} means all.

        Raises:     FilterError if the filter is malformed, or asks for a kind of value that a field does not hold
        """
        ids = filtering(self._index.ids, translate(filters))
        return [_haystack_document(found) for found in self._index.get(ids) if found is not None]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents, all or none.

        Parameters: policy : what happens to documents whose ids are present; NONE means FAIL
        Returns:    how many were written
        Raises:     DuplicateDocumentError under FAIL; ValueError if a document cannot be stored
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise InvalidInputError("documents: expected a list of Haystack documents")
        stored = [_stored_document(document) for document in documents]
        with self._writing:
            if policy == DuplicatePolicy.OVERWRITE:
                self._index.upsert(list({document.id: document for document in stored}.values()))
                return len(stored)
            if policy == DuplicatePolicy.SKIP:
                first = {document.id: document for document in reversed(stored)}
                new = [document for name, document in reversed(first.items()) if name not in self._index]
                return len(self._index.add(new))
            try:
                return len(self._index.add(stored))
            except DuplicateIdError as error:
                raise DuplicateDocumentError(str(error)) from None

    def delete_documents(self, document_ids: list[str]) -> None:
        """Remove documents; unknown ids are no error."""
        self._index.delete(document_ids)

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Remove all documents.

        Parameters: recreate_index : whether their space is given back at once, too, and not by a later merge
        """
        self._index.delete(where={})
        if recreate_index:
            self._index.compact()

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Remove the documents that match.

        Returns:    how many were removed
        """
        where = translate(filters)
        return filtering(lambda where: self._index.delete(where=where), where)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set values in the ``meta`` of the documents that match, leaving its other values as they are.

        Returns:    how many were changed
        """
        if not isinstance(meta, Mapping):
            raise InvalidInputError(f"meta: expected a dict, got {type(meta).__name__}")
        with self._writing:
            changed = []
            for document in self.filter_documents(filters):
                changed.append(_stored_document(document, {**document.meta, **meta}))
            return len(self._index.upsert(changed))

    def retrieve(
        self,
        *,
        mode: str,
        query: str | None = None,
        query_embedding: list[float] | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        fusion: Convex | RRF | None = None,
        return_embedding: bool = False,
    ) -> list[Document]:
        """Return the best documents, each with the score that ordered them; what the retriever components call.

        Parameters: mode : "dense" (cosine), "lexical" (BM25) or "hybrid"
        Raises:     FilterError for a filter that does not fit; ValueError for other arguments
        """
        where = translate(filters)
        options: dict[str, Any] = {"mode": mode, "vector": query_embedding, "fusion": fusion}
        hits: list[Hit] = filtering(lambda where: self._index.search(query, top_k, where=where, **options), where)
        vectors: dict[str, Any] = {}
        if return_embedding:
            vectors = {d.id: d.vector for d in self._index.get([hit.id for hit in hits]) if d is not None}
        return [_haystack_document(hit, vectors.get(hit.id), hit.score) for hit in hits]

    # The twins

    async def count_documents_async(self) -> int:
        """As ``count_documents``."""
        return self.count_documents()

    async def count_documents_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As ``count_documents_by_filter``."""
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As ``filter_documents``."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As ``write_documents``."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As ``delete_documents``."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self, recreate_index: bool = False) -> None:
        """As ``delete_all_documents``."""
        await asyncio.to_thread(self.delete_all_documents, recreate_index)

    async def delete_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As ``delete_by_filter``."""
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """As ``update_by_filter``."""
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def retrieve_async(self, **options: Any) -> list[Document]:
        """As ``retrieve``."""
        return await asyncio.to_thread(lambda: self.retrieve(**options))


class _Retriever:
    """What the three retrievers share."""

    def __init__(
        self,
        document_store: SightlineDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, SightlineDocumentStore):
            raise InvalidInputError(
                f"document_store: expected a SightlineDocumentStore, got {type(document_store).__name__}"
            )
        self.document_store = document_store
        self.filters = filters
        self.top_k = checked_integer("top_k", top_k, 1)
        self.return_embedding = return_embedding
        self.filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy

    def to_dict(self) -> dict[str, Any]:
        """Return the component and its store as a dictionary."""
        data: dict[str, Any] = default_to_dict(self, **self._parameters())
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Make a component from ``to_dict``."""
        parameters = dict(data.get("init_parameters", {}))
        store = parameters.get("document_store")
        if isinstance(store, dict):
            parameters["document_store"] = SightlineDocumentStore.from_dict(store)
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    def _parameters(self) -> dict[str, Any]:
        return {
            "document_store": self.document_store,
            "filters": self.filters,
            "top_k": self.top_k,
            "return_embedding": self.return_embedding,
            "filter_policy": self.filter_policy.value,
        }

    def _request(self, mode: str, filters: dict[str, Any] | None, top_k: int | None, **query: Any) -> dict[str, Any]:
        """Return what the store is asked in a run: the component's settings under those of the run."""
        return {
            "mode": mode,
            "filters": apply_filter_policy(self.filter_policy, self.filters, filters),
            "top_k": self.top_k if top_k is None else top_k,
            "return_embedding": self.return_embedding,
            **query,
        }


@component
class SightlineEmbeddingRetriever(_Retriever):
    """Retrieve the documents whose embeddings have the greatest cosine with the query's, exactly.

    Parameters: document_store : SightlineDocumentStore; filters : Haystack's; top_k : int >= 1; return_embedding :
                whether documents carry theirs; filter_policy : how filters of a run meet those given here
    """

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return ``documents``, best first; ``score`` is the cosine."""
        request = self._request("dense", filters, top_k, query_embedding=query_embedding)
        return {"documents": self.document_store.retrieve(**request)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """As ``run``."""
        request = self._request("dense", filters, top_k, query_embedding=query_embedding)
        return {"documents": await self.document_store.retrieve_async(**request)}


@component
class SightlineBM25Retriever(_Retriever):
    """Retrieve the documents with the greatest BM25 score; those without a query term never appear.

    Parameters: as for ``SightlineEmbeddingRetriever``
    """

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return ``documents``, best first; ``score`` is BM25."""
        return {"documents": self.document_store.retrieve(**self._request("lexical", filters, top_k, query=query))}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """As ``run``."""
        request = self._request("lexical", filters, top_k, query=query)
        return {"documents": await self.document_store.retrieve_async(**request)}


@component
class SightlineHybridRetriever(_Retriever):
    """Retrieve by meaning and by words, fused exactly over all documents.

    Parameters: fusion : Convex(), RRF(), or either as ``to_dict`` writes it; the others as for
                ``SightlineEmbeddingRetriever``
    """

    def __init__(
        self,
        document_store: SightlineDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        fusion: Convex | RRF | dict[str, Any] | None = None,
    ) -> None:
        # No super(): the decorator makes another class of this one.
        _Retriever.__init__(self, document_store, filters, top_k, return_embedding, filter_policy)
        self.fusion = _parse_fusion(fusion)

    def _parameters(self) -> dict[str, Any]:
        fusion = None
        if self.fusion is not None:
            settings = {
                name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self.fusion).items()
            }
            fusion = {type(self.fusion).__name__: settings}
        return _Retriever._parameters(self) | {"fusion": fusion}

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return ``documents``, best first; ``score`` is the fused score."""
        return {"documents": self.document_store.retrieve(**self._both(query, query_embedding, filters, top_k))}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """As ``run``."""
        request = self._both(query, query_embedding, filters, top_k)
        return {"documents": await self.document_store.retrieve_async(**request)}

    def _both(self, query: str, query_embedding: list[float], filters: Any, top_k: int | None) -> dict[str, Any]:
        words = {"query": query, "query_embedding": query_embedding, "fusion": self.fusion}
        return self._request("hybrid", filters, top_k, **words)


def _parse_fusion(fusion: object) -> Convex | RRF | None:
    if fusion is None or isinstance(fusion, (Convex, RRF)):
        return fusion
    if isinstance(fusion, Mapping) and len(fusion) == 1:
        for kind in (Convex, RRF):
            settings = fusion.get(kind.__name__)
            if isinstance(settings, Mapping):
                return kind(**settings)
    raise InvalidInputError(f"fusion: expected Convex(...), RRF(...) or {{'Convex': {{...}}}}, got {fusion!r}")


def _stored_document(document: Document, meta: Mapping[str, Any] | None = None) -> StoredDocument:
    """Return a document as the index keeps it: ``meta`` below one key, so that it cannot clash with the others."""
    metadata: dict[str, Any] = {"id": document.id, "meta": document.meta if meta is None else meta}
    if document.content is None:
        metadata["has_content"] = False
    if document.score is not None:
        metadata["score"] = document.score
    if document.blob is not None:
        metadata["blob"] = {
            "data": base64.b64encode(document.blob.data).decode("ascii"),
            "meta": document.blob.meta,
            "mime_type": document.blob.mime_type,
        }
    if document.sparse_embedding is not None:
        metadata["sparse_embedding"] = document.sparse_embedding.to_dict()
    return StoredDocument(document.id, document.content or "", metadata, document.embedding)


def _haystack_document(found: StoredDocument | Hit, vector: Any = None, score: float | None = None) -> Document:
    metadata = found.metadata
    vector = found.vector if isinstance(found, StoredDocument) else vector
    blob, sparse = metadata.get("blob"), metadata.get("sparse_embedding")
    return Document(
        id=found.id,
        content=found.text if metadata.get("has_content", True) else None,
        meta=metadata.get("meta") or {},
        score=metadata.get("score") if score is None else score,
        embedding=None if vector is None else vector.tolist(),
        blob=None
        if blob is None
        else ByteStream(base64.b64decode(blob["data"]), meta=blob["meta"] or {}, mime_type=blob["mime_type"]),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
    )
