"""The contract of ann-benchmarks' algorithms, as its runner uses it; written from its documentation."""

from __future__ import annotations

from typing import Any


class BaseANN:
    """What the runner calls: fit, then set_query_arguments, then query, or batch_query and get_batch_results."""

    name: str

    def done(self) -> None: ...

    def get_memory_usage(self) -> float | None:
        return None

    def fit(self, X: Any) -> None:
        raise NotImplementedError

    def query(self, q: Any, n: int) -> Any:
        raise NotImplementedError

    def batch_query(self, X: Any, n: int) -> None:
        raise NotImplementedError

    def get_batch_results(self) -> Any:
        raise NotImplementedError

    def get_additional(self) -> dict[str, Any]:
        return {}

    def __str__(self) -> str:
        return self.name
