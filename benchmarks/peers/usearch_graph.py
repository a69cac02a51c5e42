"""usearch: its graph, with float32 vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting
from benchmarks.peers.faiss_base import SWEEP


class Engine(DensePeer):
    distribution = "usearch"
    modules = ("usearch",)
    description = "Index, float32, inner product, connectivity=32, expansion_add=200"

    def build(self, rows: Floats) -> None:
        from usearch.index import Index

        self._index = Index(ndim=rows.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_add=200)
        self._index.add(np.arange(len(rows)), rows, threads=self.threads)

    def settings(self) -> list[Setting]:
        return [Setting(f"expansion={ef}", options={"ef": ef}) for ef in SWEEP]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        self._index.expansion_search = max(options["ef"], k)
        found = self._index.search(queries, k, threads=self.threads)
        return np.asarray(found.keys, dtype=np.int64).reshape(len(queries), -1)

    def save(self) -> None:
        self._index.save(str(self.folder / "index"))
