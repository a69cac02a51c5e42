"""NumPy: a matrix product and argpartition, a few hundred queries at a time so that the scores fit memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting

_CHUNK = 250


class Engine(DensePeer):
    distribution = "numpy"
    modules = ("numpy",)
    description = "matmul + argpartition, 250 queries at a time"
    filters = True

    def build(self, rows: Floats) -> None:
        self._rows = rows.copy()

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        return _top(self._rows, queries, k)

    def set_filter(self, allowed: Ids) -> None:
        self._allowed = allowed

    def search_filtered(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        # The rows are gathered by each call: a filter comes with its query, nobody keeps a copy of the rows for it.
        found: Ids = self._allowed[_top(self._rows[self._allowed], queries, k)]
        return found

    def save(self) -> None:
        np.save(self.folder / "rows.npy", self._rows)

    def load(self) -> None:
        self._rows = np.load(self.folder / "rows.npy")


def _top(rows: Floats, queries: Floats, k: int) -> Ids:
    found = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), _CHUNK):
        scores = queries[start : start + _CHUNK] @ rows.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found[start : start + _CHUNK] = np.take_along_axis(best, order, axis=1)
    return found
