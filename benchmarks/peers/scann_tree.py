"""ScaNN: a tree, anisotropic quantisation, and the best reordered by float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.peers.base import DensePeer, Floats, Ids, Setting


class Engine(DensePeer):
    distribution = "scann"
    modules = ("scann",)
    description = (
        "tree of {leaves} leaves, score_ah(2, anisotropic_quantization_threshold=0.2), reordered; its algorithms.md"
    )

    def build(self, rows: Floats) -> None:
        import scann

        self._leaves = max(2, round(math.sqrt(len(rows))))
        self._index = (
            scann.scann_ops_pybind.builder(rows, 10, "dot_product")
            .tree(num_leaves=self._leaves, num_leaves_to_search=10, training_sample_size=min(len(rows), 250_000))
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(100)
            .set_n_training_threads(self.threads)
            .build()
        )
        self._index.set_num_threads(self.threads)

    def described(self) -> str:
        return self.description.format(leaves=self._leaves)

    def settings(self) -> list[Setting]:
        pairs = ((5, 50), (20, 200), (60, 600), (160, 1600))
        return [
            Setting(f"leaves={leaves} reorder={reorder}", options={"leaves": leaves, "reorder": reorder})
            for leaves, reorder in pairs
            if leaves <= self._leaves
        ]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        wanted = {"leaves_to_search": options["leaves"], "pre_reorder_num_neighbors": max(options["reorder"], k)}
        if len(queries) == 1:
            return np.asarray(self._index.search(queries[0], k, **wanted)[0], dtype=np.int64)[np.newaxis]
        return np.asarray(self._index.search_batched_parallel(queries, k, **wanted)[0], dtype=np.int64)
