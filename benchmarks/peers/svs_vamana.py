"""scalable-vs: its Vamana graph over float32 vectors."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting
from benchmarks.peers.faiss_base import SWEEP


class Engine(DensePeer):
    distribution = "scalable-vs"
    modules = ("svs",)
    description = "Vamana, float32, inner product, graph_max_degree=64, window_size=128, alpha=0.95"

    def build(self, rows: Floats) -> None:
        import svs

        parameters = svs.VamanaBuildParameters(graph_max_degree=64, window_size=128, alpha=0.95)
        self._index = svs.Vamana.build(parameters, rows, svs.DistanceType.MIP, num_threads=self.threads)

    def settings(self) -> list[Setting]:
        return [Setting(f"window={size}", options={"window": size}) for size in SWEEP]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        self._index.search_window_size = max(options["window"], k)
        found: Ids = self._index.search(queries, k)[0].astype("int64")
        return found
