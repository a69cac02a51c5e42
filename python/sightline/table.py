"""The documents of a HybridIndex in memory: rows that are only ever appended, with a live bit each.

Thread safety: a Table is one version and never changes; ``after`` makes the next one, from the newest only, by one
writer at a time. Versions share their memory.
Invariants: ``row_ids`` ascends and an id is never given twice, so a row mask is also in the id order of the engines. A
document that is replaced gets a new row and a new id; its old row dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Columns, Growable, Mask
from sightline.documents import Document
from sightline.filters import Filter

__all__ = ["Ids", "Rows", "Table"]

Ids: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.intp]

# Dead rows are swept when they outnumber the living, so sweeping costs O(1) per document written.
_MIN_DEAD_TO_SWEEP = 1024


class Table:
    """One version of all documents (without their vectors, which the dense engine keeps) and their metadata columns.

    ``live`` is None while all rows are, the usual case, which filters then need not look at.
    """

    def __init__(self) -> None:
        self.next_id = 0
        self.columns = Columns()
        self.live: Mask | None = None
        self._dead_count = 0
        self._documents = Growable(object)
        self._ids = Growable(np.int64)
        self._has_vector = Growable(np.bool_)
        self._has_text = Growable(np.bool_)
        self._embedded = Growable(np.bool_)

    def __len__(self) -> int:
        return len(self._ids) - self._dead_count

    @property
    def row_ids(self) -> Ids:
        return self._ids.view

    @property
    def has_vector(self) -> Mask:
        return self._has_vector.view

    @property
    def has_text(self) -> Mask:
        return self._has_text.view

    @property
    def embedded(self) -> Mask:
        """The rows whose vectors the embedder made, and would make again."""
        return self._embedded.view

    def document(self, row: int) -> Document:
        """Return the document of a row."""
        found: Document = self._documents.view[row]
        return found

    def rows(self, ids: Ids | Sequence[int]) -> Rows:
        """Return the rows of internal ids that exist."""
        return np.searchsorted(self._ids.view, np.asarray(ids, dtype=np.int64))

    def select(self, where: Filter | None) -> Mask | None:
        """Return the live rows that match a filter; None for all rows."""
        return self.live if where is None else where.mask(self.columns, self.live)

    def after(
        self,
        dead: Rows,
        documents: Sequence[Document] = (),
        has_vector: Sequence[bool] | Mask = (),
        has_text: Sequence[bool] | Mask = (),
        embedded: Sequence[bool] | Mask = (),
    ) -> Table:
        """Return the next version: some live rows dead, and documents appended under the ids from ``next_id`` on."""
        ids = np.arange(self.next_id, self.next_id + len(documents), dtype=np.int64)
        table = self._extended(documents, ids, has_vector, has_text, embedded)
        if len(dead):
            live = np.ones(len(table._ids), dtype=np.bool_)
            if self.live is not None:
                live[: len(self.live)] = self.live
            live[dead] = False
            table.live, table._dead_count = live, self._dead_count + len(dead)
        elif self.live is not None:
            table.live = np.concatenate([self.live, np.ones(len(documents), dtype=np.bool_)])
            table._dead_count = self._dead_count
        return table._swept()

    def _extended(
        self,
        documents: Sequence[Document],
        ids: Ids,
        has_vector: Sequence[bool] | Mask,
        has_text: Sequence[bool] | Mask,
        embedded: Sequence[bool] | Mask,
    ) -> Table:
        table = Table()
        table.next_id = int(ids[-1]) + 1 if len(ids) else self.next_id
        table.columns = (
            self.columns.extended(document.metadata for document in documents) if len(documents) else self.columns
        )
        for name, values in (
            ("_documents", documents),
            ("_ids", ids),
            ("_has_vector", has_vector),
            ("_has_text", has_text),
            ("_embedded", embedded),
        ):
            grown: Growable = getattr(self, name).copy()
            if len(values):
                grown.extend(values)
            setattr(table, name, grown)
        return table

    def _swept(self) -> Table:
        """Return this version, or one without its dead rows where they are too many."""
        if self.live is None or self._dead_count < _MIN_DEAD_TO_SWEEP or self._dead_count <= len(self):
            return self
        live = self.live
        swept = Table()._extended(
            self._documents.view[live].tolist(),
            self.row_ids[live],
            self.has_vector[live],
            self.has_text[live],
            self.embedded[live],
        )
        swept.next_id = self.next_id
        return swept
