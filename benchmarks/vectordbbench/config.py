"""Where the index lies and how it is kept; there is nothing to tune, since every answer is exact."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from vectordb_bench.backend.clients.api import DBCaseConfig, DBConfig, MetricType


class SightlineConfig(DBConfig):
    """path: the directory of the index; durability: "full" or "os", see HybridIndex."""

    path: str
    durability: str = "full"

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "durability": self.durability}


class SightlineCaseConfig(BaseModel, DBCaseConfig):
    """HybridIndex compares vectors by cosine, and by nothing else."""

    metric_type: MetricType = MetricType.COSINE

    def index_param(self) -> dict[str, Any]:
        if self.metric_type != MetricType.COSINE:
            raise ValueError(f"metric_type: HybridIndex compares by cosine, got {self.metric_type}")
        return {"metric": "cosine"}

    def search_param(self) -> dict[str, Any]:
        return {}
