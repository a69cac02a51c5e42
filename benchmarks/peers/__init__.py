"""Engines to compare with, one file each; a name is imported only where that engine is asked for."""

from __future__ import annotations

import importlib
from importlib import metadata
from importlib.util import find_spec

from benchmarks.peers.base import Peer

__all__ = ["ALL", "DENSE", "EXACT", "HYBRID", "LEXICAL", "SLOW_BUILDS", "chosen", "load_peer", "missing", "version"]

# Name -> module below benchmarks.peers; its class is called Engine. Ours come first: they are what ratios refer to.
DENSE = {
    "sightline": "sightline_dense",
    "numpy": "numpy_dense",
    "faiss-flat": "faiss_flat",
    "usearch-exact": "usearch_exact",
    "svs-flat": "svs_flat",
    "faiss-sq8": "faiss_sq8",
    "faiss-hnsw": "faiss_hnsw",
    "faiss-ivfpq": "faiss_ivfpq",
    "hnswlib": "hnswlib_graph",
    "usearch": "usearch_graph",
    "svs-vamana": "svs_vamana",
    "scann": "scann_tree",
}
EXACT = ("sightline", "numpy", "faiss-flat", "usearch-exact", "svs-flat")  # of DENSE
# Graphs that take longer than all else in the quick profile together; those of faiss stand for them there.
SLOW_BUILDS = ("hnswlib", "usearch", "svs-vamana")
LEXICAL = {
    "sightline": "sightline_lexical",
    "sightline-packed": "sightline_packed_lexical",
    "bm25s-numba": "bm25s_numba",
    "bm25s-numpy": "bm25s_numpy",
    "rank-bm25": "rank_bm25_lexical",
    "tantivy": "tantivy_lexical",
}
HYBRID = {
    "sightline": "sightline_hybrid",
    "do-it-yourself": "diy_hybrid",
    "lancedb": "lancedb_hybrid",
    "zvec": "zvec_hybrid",
}
# Engines for tests of the harness itself: they are named in full and are in no list.
TESTING = {"broken": "broken_dense"}
ALL = sorted({*DENSE, *LEXICAL, *HYBRID, *TESTING})


def load_peer(module: str) -> type[Peer]:
    engine: type[Peer] = importlib.import_module(f"benchmarks.peers.{module}").Engine
    return engine


def missing(module: str) -> list[str]:
    """The packages that this engine needs and that are not installed."""
    return [name for name in load_peer(module).modules if find_spec(name) is None]


def version(module: str) -> str:
    return metadata.version(load_peer(module).distribution)


def chosen(table: dict[str, str], wanted: list[str] | None) -> dict[str, str]:
    """The engines of a table that ``--peers`` names (all by default), always with Sightline. Names of other tables are
    passed over, because one option serves all suites of a run.
    """
    if wanted is None:
        return table
    return {
        name: module for name, module in {**table, **_testing(table)}.items() if name == "sightline" or name in wanted
    }


def _testing(table: dict[str, str]) -> dict[str, str]:
    return TESTING if table.get("sightline") == DENSE["sightline"] else {}
