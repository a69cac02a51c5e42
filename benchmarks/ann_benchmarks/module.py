"""VectorIndex for ann-benchmarks (github.com/erikbern/ann-benchmarks).

Copy this folder to ``ann_benchmarks/algorithms/sightline`` of a checkout; then ``python install.py --algorithm
sightline`` and ``python run.py --algorithm sightline``. Every answer is exact, so its points have recall 1; with 16-bit
types, exact with respect to the rounded vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import sightline as sl

from ..base.module import BaseANN  # the folder beside this one in their tree

_METRICS = {"angular": "cosine", "euclidean": "l2"}
_EVERY_CPU = sl.get_num_threads()


class Sightline(BaseANN):
    """Exact search, by any of the stored types.

    Parameters: metric : "angular" or "euclidean"; dtype : "float32", "float16" or "bfloat16"
    """

    def __init__(self, metric: str, dtype: str = "float32") -> None:
        if metric not in _METRICS:
            raise NotImplementedError(f"metric: expected one of {', '.join(_METRICS)}, got {metric!r}")
        self._metric = _METRICS[metric]
        self._dtype = dtype
        self._threads = 0
        self._index: sl.VectorIndex | None = None
        self._found: list[Any] = []
        self._name()

    def _name(self) -> None:
        self.name = f"Sightline(metric={self._metric}, dtype={self._dtype}, threads={self._threads or 'all'})"

    def fit(self, X: Any) -> None:
        rows = np.ascontiguousarray(X, dtype=np.float32)
        index = sl.VectorIndex(rows.shape[1], metric=self._metric, dtype=self._dtype)
        # A zero vector has no angle to anything, and some of their sets hold a few: such rows are never an answer.
        ids = np.flatnonzero(rows.any(axis=1)) if self._metric == "cosine" else np.arange(len(rows))
        index.add(rows if len(ids) == len(rows) else rows[ids], ids)
        self._index = index

    def set_query_arguments(self, threads: int = 0) -> None:
        """``threads``: of a search, 0 for as many as this process has CPUs."""
        self._threads = threads
        sl.set_num_threads(threads or _EVERY_CPU)
        self._name()

    def query(self, q: Any, n: int) -> Any:
        return self._search(np.asarray(q, dtype=np.float32)[None], n)[0]

    def batch_query(self, X: Any, n: int) -> None:
        self._found = self._search(np.ascontiguousarray(X, dtype=np.float32), n)

    def get_batch_results(self) -> list[Any]:
        return self._found

    def _search(self, queries: Any, n: int) -> list[Any]:
        if self._index is None:
            raise RuntimeError("fit comes first")
        found: list[Any] = [np.empty(0, dtype=np.int64)] * len(queries)
        # The same holds for a query: it has no neighbours by angle.
        asked = np.flatnonzero(queries.any(axis=1)) if self._metric == "cosine" else np.arange(len(queries))
        if len(asked):
            _, ids = self._index.search(queries if len(asked) == len(queries) else queries[asked], k=n)
            for position, row in zip(asked, ids, strict=True):
                found[position] = row[row >= 0]
        return found

    def get_additional(self) -> dict[str, Any]:
        return {} if self._index is None else {f"bytes_{part}": size for part, size in self._index.memory().items()}
