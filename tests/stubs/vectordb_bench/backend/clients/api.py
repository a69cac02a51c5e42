"""The contract of VectorDBBench's clients, written from its documentation: what is abstract there is abstract here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any

from pydantic import BaseModel

from vectordb_bench.backend.filter import Filter, FilterOp


class MetricType(str, Enum):
    L2 = "L2"
    COSINE = "COSINE"
    IP = "IP"


class DBConfig(ABC, BaseModel):
    db_label: str = ""
    version: str = ""
    note: str = ""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]: ...


class DBCaseConfig(ABC):
    @abstractmethod
    def index_param(self) -> dict[str, Any]: ...

    @abstractmethod
    def search_param(self) -> dict[str, Any]: ...


class VectorDB(ABC):
    supported_filter_types: list[FilterOp] = [FilterOp.NonFilter]  # noqa: RUF012
    name: str = ""
    thread_safe: bool = True

    @classmethod
    def filter_supported(cls, filters: Filter) -> bool:
        return filters.type in cls.supported_filter_types

    @abstractmethod
    def __init__(self, dim: int, db_config: Any, db_case_config: DBCaseConfig | None, **kwargs: Any) -> None: ...

    @abstractmethod
    def init(self) -> AbstractContextManager[None]: ...

    def prepare_filter(self, filters: Filter) -> None:
        return

    def need_normalize_cosine(self) -> bool:
        return False

    @classmethod
    def supports_full_text_search(cls) -> bool:
        return False

    @abstractmethod
    def insert_embeddings(self, embeddings: Any, metadata: Any, **kwargs: Any) -> tuple[int, Exception | None]: ...

    @abstractmethod
    def search_embedding(self, query: list[float], k: int = 100, **kwargs: Any) -> list[int]: ...

    @abstractmethod
    def optimize(self, data_size: int | None = None) -> None: ...
