"""bm25s with NumPy alone."""

from __future__ import annotations

from benchmarks.peers import bm25s_numba


class Engine(bm25s_numba.Engine):
    modules = ("bm25s",)
    description = "method=lucene, backend=numpy"
    backend = "numpy"
