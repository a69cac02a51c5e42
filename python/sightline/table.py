"""The documents of a HybridIndex in memory: an append-only table with a live bit per row.

Thread safety: none of its own; HybridIndex guards it with a ReadWriteLock.
Invariants: ``row_ids`` ascends and an id is never given twice, so a row mask is also in the id order of the engines. A
document that is replaced gets a new row and a new id; its old row dies. ``row_of`` names live rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Columns, Growable, Mask
from sightline.documents import Document
from sightline.filters import Filter

__all__ = ["Table"]

Ids: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.intp]

# Dead rows are swept when they outnumber the living, so sweeping costs O(1) per document written.
_MIN_DEAD_TO_SWEEP = 1024


class Table:
    """Rows of documents (without their vectors, which the dense engine keeps) and their metadata columns."""

    def __init__(self) -> None:
        self.next_id = 0
        self.row_of: dict[str, int] = {}
        self._clear()

    def _clear(self) -> None:
        self.documents: list[Document | None] = []
        self.columns = Columns()
        self._ids = Growable(np.int64)
        self._live = Growable(np.bool_)
        self._has_vector = Growable(np.bool_)
        self._has_text = Growable(np.bool_)
        self._dead_count = 0

    def __len__(self) -> int:
        return len(self.row_of)

    @property
    def row_ids(self) -> Ids:
        return self._ids.view

    @property
    def live(self) -> Mask | None:
        """The live rows; None if that is all of them, the usual case, which filters then need not look at."""
        return self._live.view if self._dead_count else None

    @property
    def has_vector(self) -> Mask:
        return self._has_vector.view

    @property
    def has_text(self) -> Mask:
        return self._has_text.view

    def rows(self, ids: Ids) -> Rows:
        """Return the rows of internal ids that exist."""
        return np.searchsorted(self._ids.view, ids)

    def append(self, documents: Sequence[Document], ids: Ids, has_vector: Mask, has_text: Mask) -> None:
        """Append documents under the ids from ``next_id`` on. A row that had the same document id dies."""
        self.columns.extend([document.metadata for document in documents])
        start = len(self.documents)
        self._ids.extend(ids)
        self._live.extend(np.ones(len(documents), dtype=np.bool_))
        self._has_vector.extend(has_vector)
        self._has_text.extend(has_text)
        self.documents.extend(documents)
        replaced = [row for document in documents if (row := self.row_of.get(document.id)) is not None]
        self._bury(replaced)
        self.row_of.update((document.id, start + i) for i, document in enumerate(documents))
        self.next_id = int(ids[-1]) + 1 if len(ids) else self.next_id
        self._sweep()

    def remove(self, rows: Sequence[int]) -> None:
        """Remove live rows."""
        for row in rows:
            document = self.documents[row]
            if document is not None:
                del self.row_of[document.id]
        self._bury(rows)
        self._sweep()

    def select(self, where: Filter | None) -> Mask | None:
        """Return the live rows that match a filter; None for all of them."""
        return self.live if where is None else where.mask(self.columns, self.live)

    def _bury(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.documents[row] = None
        self._live.view[list(rows)] = False
        self._dead_count += len(rows)

    def _sweep(self) -> None:
        if self._dead_count < _MIN_DEAD_TO_SWEEP or self._dead_count <= len(self.row_of):
            return
        live = self._live.view
        documents = [document for document in self.documents if document is not None]
        ids, has_vector, has_text = self.row_ids[live], self.has_vector[live], self.has_text[live]
        self._clear()
        self.row_of = {}
        next_id = self.next_id
        self.append(documents, ids, has_vector, has_text)
        self.next_id = next_id
