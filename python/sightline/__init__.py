"""Sightline: embedded hybrid retrieval. Certified exact dense search, BM25 and their fusion on a C++20 SIMD core.

Names are loaded at first use, so ``import sightline`` itself costs a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline._version import __version__ as __version__
    from sightline.adapter import LowRankAdapter as LowRankAdapter
    from sightline.analyzer import Analyzer as Analyzer
    from sightline.answering import Answer as Answer
    from sightline.answering import Answerer as Answerer
    from sightline.answering import Citation as Citation
    from sightline.answering import Source as Source
    from sightline.answering import answer as answer
    from sightline.bm25_index import BM25Index as BM25Index
    from sightline.catalog import Catalog as Catalog
    from sightline.catalog import CatalogHit as CatalogHit
    from sightline.charts import plot_evaluation as plot_evaluation
    from sightline.chunking import Chunk as Chunk
    from sightline.chunking import chunk as chunk
    from sightline.chunking import chunk_documents as chunk_documents
    from sightline.context_metrics import context_precision as context_precision
    from sightline.context_metrics import context_recall as context_recall
    from sightline.context_metrics import text_context_precision as text_context_precision
    from sightline.context_metrics import text_context_recall as text_context_recall
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
    from sightline.errors import NotImprovedError as NotImprovedError
    from sightline.errors import SightlineError as SightlineError
    from sightline.errors import StorageError as StorageError
    from sightline.evaluation import Comparison as Comparison
    from sightline.evaluation import Evaluation as Evaluation
    from sightline.evaluation import evaluate as evaluate
    from sightline.evaluation import split_queries as split_queries
    from sightline.fields import Field as Field
    from sightline.file_sync import SyncReport as SyncReport
    from sightline.file_sync import sync_files as sync_files
    from sightline.fusion import DBSF as DBSF
    from sightline.fusion import RRF as RRF
    from sightline.fusion import Convex as Convex
    from sightline.hybrid_index import HybridIndex as HybridIndex
    from sightline.local_embedders import FastEmbedEmbedder as FastEmbedEmbedder
    from sightline.local_embedders import Model2VecEmbedder as Model2VecEmbedder
    from sightline.named_embedders import load_embedder as load_embedder
    from sightline.openai_chat import OpenAIChat as OpenAIChat
    from sightline.openai_embed import OpenAIEmbedder as OpenAIEmbedder
    from sightline.query import Clause as Clause
    from sightline.query import Query as Query
    from sightline.query import parse_query as parse_query
    from sightline.ragas_export import ragas_samples as ragas_samples
    from sightline.ragas_export import write_ragas as write_ragas
    from sightline.readers import ReadOptions as ReadOptions
    from sightline.readers import chunk_format as chunk_format
    from sightline.readers import read_files as read_files
    from sightline.rerank import CachedReranker as CachedReranker
    from sightline.rerank import RerankersReranker as RerankersReranker
    from sightline.rerank import SentenceTransformersReranker as SentenceTransformersReranker
    from sightline.routing import CentroidRouter as CentroidRouter
    from sightline.routing import ExampleRouter as ExampleRouter
    from sightline.routing import Route as Route
    from sightline.runtime import cpu_info as cpu_info
    from sightline.runtime import get_num_threads as get_num_threads
    from sightline.runtime import set_num_threads as set_num_threads
    from sightline.sparse_index import SparseIndex as SparseIndex
    from sightline.tuning import Tuning as Tuning
    from sightline.vector_index import VectorIndex as VectorIndex

_MODULE_OF = {
    "Answer": "answering",
    "Answerer": "answering",
    "Analyzer": "analyzer",
    "BM25Index": "bm25_index",
    "CachedReranker": "rerank",
    "Clause": "query",
    "Catalog": "catalog",
    "CatalogHit": "catalog",
    "CentroidRouter": "routing",
    "Chunk": "chunking",
    "Citation": "answering",
    "Comparison": "evaluation",
    "Convex": "fusion",
    "CorruptIndexError": "errors",
    "Document": "documents",
    "DBSF": "fusion",
    "DuplicateIdError": "errors",
    "Field": "fields",
    "Hit": "documents",
    "Evaluation": "evaluation",
    "ExampleRouter": "routing",
    "HybridIndex": "hybrid_index",
    "IncompatibleIndexError": "errors",
    "IndexLockedError": "errors",
    "InvalidInputError": "errors",
    "LatentSemanticEmbedder": "embed",
    "LowRankAdapter": "adapter",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "NotFoundError": "errors",
    "OpenAIEmbedder": "openai_embed",
    "Query": "query",
    "NotImprovedError": "errors",
    "OpenAIChat": "openai_chat",
    "RRF": "fusion",
    "ReadOptions": "readers",
    "RerankersReranker": "rerank",
    "Route": "routing",
    "SentenceTransformersEmbedder": "embed",
    "FastEmbedEmbedder": "local_embedders",
    "Model2VecEmbedder": "local_embedders",
    "SentenceTransformersReranker": "rerank",
    "SightlineError": "errors",
    "Source": "answering",
    "StorageError": "errors",
    "SyncReport": "file_sync",
    "Tuning": "tuning",
    "SparseIndex": "sparse_index",
    "VectorIndex": "vector_index",
    "__version__": "_version",
    "chunk": "chunking",
    "chunk_documents": "chunking",
    "chunk_format": "readers",
    "answer": "answering",
    "context_precision": "context_metrics",
    "context_recall": "context_metrics",
    "cpu_info": "runtime",
    "evaluate": "evaluation",
    "get_num_threads": "runtime",
    "load_embedder": "named_embedders",
    "parse_query": "query",
    "plot_evaluation": "charts",
    "ragas_samples": "ragas_export",
    "read_files": "readers",
    "set_num_threads": "runtime",
    "split_queries": "evaluation",
    "sync_files": "file_sync",
    "text_context_precision": "context_metrics",
    "text_context_recall": "context_metrics",
    "write_ragas": "ragas_export",
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
