"""HybridIndex on disk as VectorDBBench drives it: one process inserts, any number of others search."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vectordb_bench.backend.clients.api import DBCaseConfig, VectorDB
from vectordb_bench.backend.filter import Filter, FilterOp
from vectordb_bench.backend.payload import PayloadProfile

import sightline as sl

_OPENING = threading.Lock()  # not in the client, which is copied into other processes


class Sightline(VectorDB):
    """Vectors with an integer and a label, or documents by BM25.

    The directory is opened at the first call inside ``init``: for writing by an insertion or ``optimize``, for reading
    by a search, which any number of processes may do at once.
    """

    name = "Sightline"
    thread_safe = True
    supported_filter_types = [FilterOp.NonFilter, FilterOp.NumGE, FilterOp.StrEqual]  # noqa: RUF012

    def __init__(
        self,
        dim: int,
        db_config: dict[str, Any],
        db_case_config: DBCaseConfig | None,
        collection_name: str = "sightline",
        drop_old: bool = False,
        **kwargs: Any,
    ) -> None:
        if db_case_config is not None:
            db_case_config.index_param()  # refuses what the index cannot do
        self._dim = dim
        self._path = Path(db_config["path"]) / collection_name
        self._durability = db_config.get("durability", "full")
        self._where: dict[str, Any] | None = None
        self._writer: sl.HybridIndex | None = None
        self._reader: sl.HybridIndex | None = None
        if drop_old and self._path.exists():
            if not (self._path / "sightline.db").exists():
                raise ValueError(f"path: {self._path} is no index; remove it or give another directory")
            shutil.rmtree(self._path)
        if not self._path.exists():
            self._open_writer().close()

    def _open_writer(self) -> sl.HybridIndex:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sl.HybridIndex(self._path, dim=self._dim or None, durability=self._durability)

    @contextmanager
    def init(self) -> Iterator[None]:
        try:
            yield
        finally:
            opened = [index for index in (self._reader, self._writer) if index is not None]
            self._reader = self._writer = None
            for index in opened:
                index.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_writer": None, "_reader": None}

    def _write(self) -> sl.HybridIndex:
        with _OPENING:
            if self._writer is None:
                self._writer = self._open_writer()
            return self._writer

    def _read(self) -> sl.HybridIndex:
        index = self._writer or self._reader
        if index is None:
            with _OPENING:
                if self._reader is None:
                    self._reader = sl.HybridIndex.open(self._path, read_only=True)
                index = self._reader
        return index

    def _check_tenant(self, tenant: object) -> None:
        if tenant is not None:
            raise NotImplementedError("tenants: this client has none; supports_multitenant() says so")

    def _add(self, documents: Iterator[sl.Document], count: int) -> tuple[int, Exception | None]:
        """All of them or none, so that the runner may try again."""
        try:
            self._write().add(documents)
        except sl.SightlineError as error:
            return 0, error
        return count, None

    def insert_embeddings(
        self,
        embeddings: list[list[float]],
        metadata: list[int],
        labels_data: list[str] | None = None,
        tenant_labels_data: list[str] | None = None,
        **kwargs: Any,
    ) -> tuple[int, Exception | None]:
        self._check_tenant(tenant_labels_data)
        labels: list[dict[str, str]] = [{} for _ in metadata]
        if labels_data is not None:
            labels = [{"label": label} for label in labels_data]
        documents = (
            sl.Document(str(number), "", {"id": int(number), **label}, vector)
            for number, label, vector in zip(metadata, labels, embeddings, strict=True)
        )
        return self._add(documents, len(metadata))

    def prepare_filter(self, filters: Filter) -> None:
        if filters.type == FilterOp.NonFilter:
            self._where = None
        elif filters.type == FilterOp.NumGE:
            self._where = {"id": {"$gte": filters.int_value}}
        elif filters.type == FilterOp.StrEqual:
            self._where = {"label": filters.label_value}
        else:
            raise ValueError(f"filters: expected one of {self.supported_filter_types}, got {filters.type}")

    def search_embedding(
        self,
        query: list[float],
        k: int = 100,
        payload_profile: PayloadProfile = PayloadProfile.IDS_ONLY,
        tenant: str | None = None,
        **kwargs: Any,
    ) -> list[int]:
        self._check_tenant(tenant)
        hits = self._read().search(None, k, mode="dense", vector=query, where=self._where)
        return [int(hit.id) for hit in hits]

    def optimize(self, data_size: int | None = None) -> None:
        """Merge everything into as few segments as possible."""
        self._write().compact()

    def has_text_field(self) -> bool:
        return True

    @classmethod
    def supports_full_text_search(cls) -> bool:
        return True

    def insert_documents(self, texts: list[str], doc_ids: list[str], **kwargs: Any) -> tuple[int, Exception | None]:
        documents = (sl.Document(name, text) for name, text in zip(doc_ids, texts, strict=True))
        return self._add(documents, len(doc_ids))

    def search_documents(
        self, query: str, k: int = 100, payload_profile: PayloadProfile = PayloadProfile.IDS_ONLY, **kwargs: Any
    ) -> list[str]:
        return [hit.id for hit in self._read().search(query, k, mode="lexical")]
