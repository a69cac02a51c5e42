"""An engine that promises exact answers and loses the best one: the harness must notice."""

from __future__ import annotations

from typing import Any

from benchmarks.peers import numpy_dense
from benchmarks.peers.base import Floats, Ids


class Engine(numpy_dense.Engine):
    description = "wrong on purpose"

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        return super().search(queries, k + 1, options)[:, 1:]
