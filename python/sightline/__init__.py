"""Sightline: embedded hybrid retrieval. Certified exact dense search, BM25 and their fusion on a C++20 SIMD core.

Names are loaded at first use, so ``import sightline`` itself costs a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline._version import __version__ as __version__
    from sightline.analyzer import Analyzer as Analyzer
    from sightline.bm25_index import BM25Index as BM25Index
    from sightline.documents import Document as Document
    from sightline.documents import Hit as Hit
    from sightline.embed import LatentSemanticEmbedder as LatentSemanticEmbedder
    from sightline.embed import SentenceTransformersEmbedder as SentenceTransformersEmbedder
    from sightline.errors import CorruptIndexError as CorruptIndexError
    from sightline.errors import DuplicateIdError as DuplicateIdError
    from sightline.errors import IncompatibleIndexError as IncompatibleIndexError
    from sightline.errors import IndexLockedError as IndexLockedError
    from sightline.errors import InvalidInputError as InvalidInputError
    from sightline.errors import MissingExtraError as MissingExtraError
    from sightline.errors import ModelError as ModelError
    from sightline.errors import NotFoundError as NotFoundError
    from sightline.errors import SightlineError as SightlineError
    from sightline.errors import StorageError as StorageError
    from sightline.fields import Field as Field
    from sightline.fusion import DBSF as DBSF
    from sightline.fusion import RRF as RRF
    from sightline.fusion import Convex as Convex
    from sightline.hybrid_index import HybridIndex as HybridIndex
    from sightline.openai_embed import OpenAIEmbedder as OpenAIEmbedder
    from sightline.query import Clause as Clause
    from sightline.query import Query as Query
    from sightline.query import parse_query as parse_query
    from sightline.rerank import CachedReranker as CachedReranker
    from sightline.rerank import RerankersReranker as RerankersReranker
    from sightline.rerank import SentenceTransformersReranker as SentenceTransformersReranker
    from sightline.runtime import cpu_info as cpu_info
    from sightline.runtime import get_num_threads as get_num_threads
    from sightline.runtime import set_num_threads as set_num_threads
    from sightline.sparse_index import SparseIndex as SparseIndex
    from sightline.tuning import Tuning as Tuning
    from sightline.vector_index import VectorIndex as VectorIndex

_MODULE_OF = {
    "Analyzer": "analyzer",
    "BM25Index": "bm25_index",
    "CachedReranker": "rerank",
    "Clause": "query",
    "Convex": "fusion",
    "CorruptIndexError": "errors",
    "Document": "documents",
    "DBSF": "fusion",
    "DuplicateIdError": "errors",
    "Field": "fields",
    "Hit": "documents",
    "HybridIndex": "hybrid_index",
    "IncompatibleIndexError": "errors",
    "IndexLockedError": "errors",
    "InvalidInputError": "errors",
    "LatentSemanticEmbedder": "embed",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "NotFoundError": "errors",
    "OpenAIEmbedder": "openai_embed",
    "Query": "query",
    "RRF": "fusion",
    "RerankersReranker": "rerank",
    "SentenceTransformersEmbedder": "embed",
    "SentenceTransformersReranker": "rerank",
    "SightlineError": "errors",
    "StorageError": "errors",
    "Tuning": "tuning",
    "SparseIndex": "sparse_index",
    "VectorIndex": "vector_index",
    "__version__": "_version",
    "cpu_info": "runtime",
    "get_num_threads": "runtime",
    "parse_query": "query",
    "set_num_threads": "runtime",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    value = getattr(import_module(f"sightline.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_MODULE_OF))
