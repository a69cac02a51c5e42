"""faiss with eight bits a dimension, without a second look at the vectors."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.faiss_base import FaissPeer


class Engine(FaissPeer):
    description = "IndexScalarQuantizer, QT_8bit, inner product"

    def create(self, dim: int, count: int) -> Any:
        import faiss

        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
