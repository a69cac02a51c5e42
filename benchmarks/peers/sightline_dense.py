"""VectorIndex, with the defaults that it has."""

from __future__ import annotations

from typing import Any

import sightline as sl
from benchmarks.peers.base import DensePeer, Floats, Ids, Setting


class Engine(DensePeer):
    distribution = "sightline"
    modules = ("sightline", "sightline.vector_index")
    description = "VectorIndex, float32"
    filters = True

    def build(self, rows: Floats) -> None:
        self._index = sl.VectorIndex(rows.shape[1], "ip")
        self._index.add(rows)

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        return self._index.search(queries, k)[1]

    def set_filter(self, allowed: Ids) -> None:
        self._mask = allowed

    def search_filtered(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        return self._index.search(queries, k, mask=self._mask)[1]

    def bytes_read(self, queries: Floats, k: int) -> int:
        return int(self._index.search(queries, k, stats=True)[2]["bytes"])

    def save(self) -> None:
        self._index.save(self.folder / "index")

    def load(self) -> None:
        self._index = sl.VectorIndex.load(self.folder / "index", mmap=True)
