"""hnswlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting
from benchmarks.peers.faiss_base import SWEEP


class Engine(DensePeer):
    distribution = "hnswlib"
    modules = ("hnswlib",)
    description = "M=32, ef_construction=200, inner product"
    filters = False  # its filter is a Python callable for each row that it visits

    def build(self, rows: Floats) -> None:
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=rows.shape[1])
        self._index.init_index(max_elements=len(rows), ef_construction=200, M=32)
        self._index.set_num_threads(self.threads)
        self._index.add_items(rows)

    def settings(self) -> list[Setting]:
        return [Setting(f"ef={ef}", options={"ef": ef}) for ef in SWEEP]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        self._index.set_ef(max(options["ef"], k))
        found: Ids = self._index.knn_query(queries, k)[0].astype(np.int64)
        return found

    def save(self) -> None:
        self._index.save_index(str(self.folder / "index"))
