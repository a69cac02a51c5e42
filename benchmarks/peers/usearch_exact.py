"""usearch, exact: its brute-force search over an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting


class Engine(DensePeer):
    distribution = "usearch"
    modules = ("usearch",)
    description = "search(..., exact=True), float32, inner product"

    def build(self, rows: Floats) -> None:
        self._rows = rows.copy()

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        from usearch.index import MetricKind
        from usearch.index import search as usearch_search

        found = usearch_search(self._rows, queries, k, MetricKind.IP, exact=True, threads=self.threads)
        return np.asarray(found.keys, dtype=np.int64).reshape(len(queries), -1)
