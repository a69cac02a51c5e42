"""LlamaIndex: a vector store, and a hybrid retriever over it or over any HybridIndex (extra ``llama-index``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

from sightline.documents import Document as StoredDocument
from sightline.documents import Hit
from sightline.errors import InvalidInputError, MissingExtraError
from sightline.fusion import RRF, Convex
from sightline.hybrid_index import HybridIndex
from sightline.integrations.llama_index_filters import EMPTY_FIELDS, NODE_ID, empty_fields, translate
from sightline.request import Mode

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise MissingExtraError(
        "sightline.integrations.llama_index needs llama-index-core: pip install 'sightline[llama-index]'"
    ) from error

__all__ = ["SightlineRetriever", "SightlineVectorStore"]

_LEXICAL_MODES = (VectorStoreQueryMode.SPARSE, VectorStoreQueryMode.TEXT_SEARCH)


class SightlineVectorStore(BasePydanticVectorStore):
    """Keep LlamaIndex nodes, with their text, in a HybridIndex.

    Query modes: ``default`` (exact cosine), ``sparse`` and ``text_search`` (BM25), ``hybrid`` (fused exactly; ``alpha``
    is the share of the dense score) and ``mmr`` (``mmr_threshold`` 1 for relevance only to 0 for diversity only).
    Filters take all operators and conditions, nested; a value of a kind that a field does not hold is an error.
    Embeddings are kept as float32; a node without one is found by its words only. Nodes whose ids are present are
    replaced.

    Parameters: path : directory of a durable index, None keeps it in memory; dim : of the embeddings, default that of
                the first; analyzer : language; k1, b, delta, variant : of BM25
    Raises:     InvalidInputError if an argument has the wrong type or range
    Notes:      thread-safe; the async methods run in a worker thread
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    path: str | None = None
    dim: int | None = None
    analyzer: str = "english"
    k1: float = 1.2
    b: float = 0.75
    delta: float = 0.5
    variant: str = "lucene"

    _index: HybridIndex = PrivateAttr()

    def __init__(self, path: str | PathLike[str] | None = None, **settings: Any) -> None:
        super().__init__(path=None if path is None else fspath(path), **settings)
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("path", "dim", "analyzer", "k1", "b", "delta", "variant")
        }
        self._index = HybridIndex(**options)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex serialises the class under."""
        return "SightlineVectorStore"

    @property
    def client(self) -> HybridIndex:
        """The index below, for all that LlamaIndex has no word for."""
        return self._index

    # Writing

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add nodes, all or none, replacing those whose ids are present.

        Returns:    the ids, in order
        """
        return self._index.upsert([_stored(node) for node in nodes])

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As ``add``."""
        return await asyncio.to_thread(self.add, nodes)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove the nodes that were made from a document."""
        self._index.delete(where={"ref_doc_id": ref_doc_id})

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As ``delete``."""
        await asyncio.to_thread(self.delete, ref_doc_id)

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove nodes by id, by filter, or those of the ids that a filter matches.

        Raises:     InvalidInputError if neither is given; ``clear`` removes all
        """
        self._index.delete(node_ids, translate(filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """As ``delete_nodes``."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters)

    def clear(self) -> None:
        """Remove all nodes."""
        self._index.delete(where={})

    async def aclear(self) -> None:
        """As ``clear``."""
        await asyncio.to_thread(self.clear)

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Do nothing where there is a path, as every write is on disk when it returns.

        Raises:     InvalidInputError for a store in memory, whose nodes would be lost
        """
        if self.path is None:
            raise InvalidInputError("persist: this store is in memory; make it with path= to keep it on disk")

    # Reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return the nodes of the ids that exist and match the filter; all that match where no ids are given."""
        where = translate(filters)
        ids = self._index.ids(where) if node_ids is None else node_ids
        source = self._index if node_ids is None or where is None else self._index.scoped(where)
        return [_node(found) for found in source.get(ids) if found is not None]

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As ``get_nodes``."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the best nodes, and as similarities the scores that ordered them (in ``mmr`` mode their cosines).

        Parameters: kwargs : mmr_threshold, where the query has none
        Raises:     InvalidInputError for another mode, or if the query lacks what its mode needs
        """
        mode = VectorStoreQueryMode(query.mode)
        parts = [] if query.filters is None else [translate(query.filters)]
        # VectorStoreIndex passes an empty list of ids where it means no restriction.
        if query.doc_ids:
            parts.append({"ref_doc_id": {"$in": query.doc_ids}})
        if query.node_ids:
            parts.append({NODE_ID: {"$in": query.node_ids}})
        options: dict[str, Any] = {"where": {"$and": parts} if parts else None, "vector": query.query_embedding}
        text, k = query.query_str or "", query.similarity_top_k
        if mode in _LEXICAL_MODES:
            k = query.sparse_top_k or k
            options |= {"mode": "lexical", "vector": None}
        elif mode == VectorStoreQueryMode.HYBRID:
            k = query.hybrid_top_k or k
            options |= {"mode": "hybrid", "fusion": None if query.alpha is None else Convex(alpha=query.alpha)}
        elif mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            options["mode"] = "dense"
            if mode == VectorStoreQueryMode.MMR:
                threshold = query.mmr_threshold if query.mmr_threshold is not None else kwargs.get("mmr_threshold", 0.5)
                options["diversity"] = 1.0 - threshold
        else:
            raise InvalidInputError(
                f"mode: expected default, sparse, text_search, hybrid or mmr, got {mode.value}; for semantic_hybrid "
                "use SightlineRetriever with rerank="
            )
        if options["mode"] != "lexical" and query.query_embedding is None:
            raise InvalidInputError(f"query_embedding: mode {mode.value} needs one, got None")
        hits: list[Hit] = self._index.search(text, k, **options)
        return VectorStoreQueryResult(
            nodes=[_node(hit) for hit in hits], similarities=[hit.score for hit in hits], ids=[hit.id for hit in hits]
        )

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As ``query``."""
        return await asyncio.to_thread(lambda: self.query(query, **kwargs))


class SightlineRetriever(BaseRetriever):
    """Retrieve nodes by meaning and words, fused exactly, and reranked if wanted.

    Parameters: vector_store : SightlineVectorStore; or index : HybridIndex or a scoped view of one; embed_model : of
                queries, None leaves them to the index's own embedder; similarity_top_k : int >= 1; filters :
                MetadataFilters for a vector store, a dictionary (see sightline.filters) for an index; mode, fusion,
                rerank, rerank_depth, diversity, group_by, per_group : as for ``HybridIndex.search``; kwargs : of
                BaseRetriever
    Returns:    nodes with the score that ordered them: the reranker's where there is one
    Raises:     InvalidInputError if an argument does not fit
    """

    def __init__(
        self,
        vector_store: SightlineVectorStore | None = None,
        *,
        index: Any = None,
        embed_model: BaseEmbedding | None = None,
        similarity_top_k: int = 4,
        filters: Any = None,
        mode: Mode | None = None,
        fusion: Convex | RRF | None = None,
        rerank: Any = None,
        rerank_depth: int = 50,
        diversity: float | None = None,
        group_by: str | None = None,
        per_group: int = 1,
        **kwargs: Any,
    ) -> None:
        if (vector_store is None) == (index is None):
            raise InvalidInputError("give either vector_store or index")
        if embed_model is not None and not isinstance(embed_model, BaseEmbedding):
            raise InvalidInputError(f"embed_model: expected a LlamaIndex embedding, got {type(embed_model).__name__}")
        self._source: Any = index if vector_store is None else vector_store.client
        self._embed_model = embed_model
        self._options: dict[str, Any] = {
            "k": similarity_top_k,
            "where": filters if vector_store is None else translate(filters),
            "mode": mode,
            "fusion": fusion,
            "rerank": rerank,
            "rerank_depth": rerank_depth,
            "diversity": diversity,
            "group_by": group_by,
            "per_group": per_group,
        }
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        vector, model = query_bundle.embedding, self._embed_model
        if vector is None and model is not None and self._options["mode"] != "lexical":
            vector = model.get_agg_embedding_from_queries(query_bundle.embedding_strs)
        return _scored(self._source.search(query_bundle.query_str, **self._with(vector)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        vector, model = query_bundle.embedding, self._embed_model
        if vector is None and model is not None and self._options["mode"] != "lexical":
            vector = await model.aget_agg_embedding_from_queries(query_bundle.embedding_strs)
        return _scored(await self._source.asearch(query_bundle.query_str, **self._with(vector)))

    def _with(self, vector: Any) -> dict[str, Any]:
        return self._options | {"vector": None if self._options["mode"] == "lexical" else vector}


def _stored(node: BaseNode) -> StoredDocument:
    """Return a node as the index keeps it: as LlamaIndex's own stores do, and what their filters ask for besides."""
    metadata = node_to_metadata_dict(node, remove_text=True)
    metadata[NODE_ID] = node.node_id
    empty = empty_fields(node.metadata)
    if empty:
        metadata[EMPTY_FIELDS] = empty
    return StoredDocument(node.node_id, node.get_content(metadata_mode=MetadataMode.NONE), metadata, node.embedding)


def _node(found: StoredDocument | Hit) -> BaseNode:
    metadata = found.metadata
    if "_node_content" in metadata:
        node: BaseNode = metadata_dict_to_node(dict(metadata), text=found.text)
    else:  # of an index that was not filled through LlamaIndex
        title = {} if found.title is None else {"title": found.title}
        node = TextNode(id_=found.id, text=found.text, metadata={**title, **metadata})
    if isinstance(found, StoredDocument) and found.vector is not None:
        node.embedding = found.vector.tolist()
    return node


def _scored(hits: list[Hit]) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=_node(hit), score=hit.score if hit.rerank_score is None else hit.rerank_score)
        for hit in hits
    ]
