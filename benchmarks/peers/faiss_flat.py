"""faiss IndexFlatIP, at both of the thresholds from which it lets BLAS compute: 20 queries, its default, and 1."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Floats, Ids, Setting
from benchmarks.peers.faiss_base import FaissPeer


class Engine(FaissPeer):
    description = "IndexFlatIP"
    filters = True

    def create(self, dim: int, count: int) -> Any:
        import faiss

        return faiss.IndexFlatIP(dim)

    def settings(self) -> list[Setting]:
        return [Setting(f"blas={threshold}", True, {"threshold": threshold}) for threshold in (20, 1)]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        import faiss

        faiss.cvar.distance_compute_blas_threshold = options["threshold"]
        return super().search(queries, k, options)

    def set_filter(self, allowed: Ids) -> None:
        import faiss

        self._allowed = allowed  # the selector does not own it
        self._parameters = faiss.SearchParameters(sel=faiss.IDSelectorArray(allowed))

    def search_filtered(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        import faiss

        faiss.cvar.distance_compute_blas_threshold = options["threshold"]
        found: Ids = self._index.search(queries, k, params=self._parameters)[1]
        return found
