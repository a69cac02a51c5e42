"""faiss IndexHNSWFlat."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Floats, Ids, Setting
from benchmarks.peers.faiss_base import SWEEP, FaissPeer


class Engine(FaissPeer):
    description = "IndexHNSWFlat, M=32, efConstruction=200, inner product"
    filters = True

    def create(self, dim: int, count: int) -> Any:
        import faiss

        index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        return index

    def settings(self) -> list[Setting]:
        return [Setting(f"ef={ef}", options={"ef": ef}) for ef in SWEEP]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        self._index.hnsw.efSearch = max(options["ef"], k)
        return super().search(queries, k, options)

    def set_filter(self, allowed: Ids) -> None:
        import faiss

        self._selector = faiss.IDSelectorBatch(allowed)

    def search_filtered(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        import faiss

        parameters = faiss.SearchParametersHNSW(efSearch=max(options["ef"], k), sel=self._selector)
        found: Ids = self._index.search(queries, k, params=parameters)[1]
        return found
