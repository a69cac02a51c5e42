"""scalable-vs, exact: its flat index."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting


class Engine(DensePeer):
    distribution = "scalable-vs"
    modules = ("svs",)
    description = "Flat, float32, inner product"

    def build(self, rows: Floats) -> None:
        import svs

        self._index = svs.Flat(rows, svs.DistanceType.MIP, num_threads=self.threads)

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        found: Ids = self._index.search(queries, k)[0].astype("int64")
        return found
