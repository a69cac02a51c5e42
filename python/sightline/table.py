"""The documents of a HybridIndex: rows that are only ever appended, with a live bit each.

Thread safety: a Table is one version and never changes; ``after`` makes the next one, from the newest only, by one
writer at a time. Versions share their memory.
Invariants: ``row_ids`` ascends and an id is never given twice, so a row mask is also in the id order of the engines. A
document that is replaced gets a new row and a new id; its old row dies. Where the documents lie on disk, ``records``
reads them when a hit needs them, and the metadata columns are built at the first filter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.column_streams import Growable, Mask
from sightline.columns import Columns
from sightline.documents import Content, Document, copy_plain
from sightline.filters import Filter

__all__ = ["Ids", "Rows", "Table"]

Ids: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.intp]

# Dead rows are swept when they outnumber the living, so sweeping costs O(1) per document written.
_MIN_DEAD_TO_SWEEP = 1024


class Records(Protocol):
    """Documents that lie elsewhere, by internal id."""

    def documents(self, ids: Sequence[int]) -> list[Document]: ...

    def contents(self, ids: Sequence[int]) -> list[Content]: ...

    def names(self, ids: Sequence[int]) -> list[str]: ...

    def embedded(self, ids: Sequence[int]) -> list[bool]: ...

    # Of ascending ids; those of dead ones may have no values.
    def columns(self, ids: Ids, live: Mask | None) -> Columns: ...


class Table:
    """One version of all documents (without their vectors, which the dense engine keeps) and their metadata columns.

    ``live`` is None while all rows are, the usual case, which filters then need not look at.
    """

    def __init__(self, records: Records | None = None) -> None:
        self.next_id = 0
        self._records = records
        self._columns = Columns() if records is None else None
        self._loading = threading.Lock()
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
    def columns(self) -> Columns:
        """The metadata of all rows; O(1), but for the first time where documents lie elsewhere."""
        if self._columns is not None:
            return self._columns
        with self._loading:
            if self._columns is None:
                records: Any = self._records
                self._columns = records.columns(self.row_ids, self.live)
            return self._columns

    def embedded(self, rows: Rows) -> Mask:
        """Return of which rows the embedder made the vectors, and would make them again."""
        if self._records is not None:
            return np.array(self._records.embedded(self.row_ids[rows].tolist()), dtype=np.bool_)
        found: Mask = self._embedded.view[rows]
        return found

    def documents(self, rows: Rows) -> list[Document]:
        """Return the documents of rows.

        Raises:     RowGoneError if they lie elsewhere and a newer version does not have them
        """
        if self._records is not None:
            return self._records.documents(self.row_ids[rows].tolist())
        found: list[Document] = self._documents.view[rows].tolist()
        return found

    def contents(self, ids: Ids) -> list[Content]:
        """Return what hits show of the documents of internal ids that exist, nobody else's.

        Raises:     as ``documents``
        """
        if self._records is not None:
            return self._records.contents(ids.tolist())
        found = self._documents.view[self.rows(ids)]
        return [(each.id, each.text, each.title, copy_plain(each.metadata)) for each in found]

    def names(self, rows: Rows) -> list[str]:
        """Return the ids that users gave to the documents of rows.

        Raises:     RowGoneError if they lie elsewhere and a newer version does not have them
        """
        if self._records is not None:
            return self._records.names(self.row_ids[rows].tolist())
        return [document.id for document in self._documents.view[rows]]

    @property
    def reads_documents(self) -> bool:
        """Whether documents lie elsewhere, so that each call gives new objects."""
        return self._records is not None

    def live_ids(self) -> Ids:
        """Return the internal ids of the live documents, ascending."""
        return self.row_ids if self.live is None else self.row_ids[self.live]

    def rows(self, ids: Ids | Sequence[int]) -> Rows:
        """Return the rows of internal ids that exist."""
        return np.searchsorted(self._ids.view, np.asarray(ids, dtype=np.int64))

    def select(self, where: Filter | None) -> Mask | None:
        """Return the live rows that match a filter; None for all rows."""
        return self.live if where is None else where.mask(self.columns, self.live)

    def few(self, where: Filter, most: int) -> NDArray[np.int32] | None:
        """Return the live rows that match a filter, ascending, if that takes no look at all rows; else None."""
        return where.few(self.columns, self.live, most)

    def count(self, where: Filter) -> int:
        """Return how many live rows match a filter."""
        return int(np.count_nonzero(where.mask(self.columns, self.live)))

    def after(
        self,
        dead: Rows,
        documents: Sequence[Document] = (),
        has_vector: Sequence[bool] | Mask = (),
        has_text: Sequence[bool] | Mask = (),
        embedded: Sequence[bool] | Mask = (),
        ids: Ids | None = None,
        extend: Callable[[Columns], Columns] | None = None,
    ) -> Table:
        """Return the next version: some live rows dead, and documents appended.

        Parameters: documents : unless they lie elsewhere; ids : default those from ``next_id`` on; extend : adds the
                    metadata of documents that lie elsewhere, called only once there are columns
        """
        if ids is None:
            ids = np.arange(self.next_id, self.next_id + len(documents), dtype=np.int64)
        table = self._extended(documents, ids, has_vector, has_text, embedded, extend)
        table.next_id = int(ids[-1]) + 1 if len(ids) else self.next_id
        if len(dead) or self.live is not None:
            live = np.empty(len(table._ids), dtype=np.bool_)
            before = len(self._ids)
            live[:before] = True if self.live is None else self.live
            live[before:] = True
            live[dead] = False
            table.live, table._dead_count = live, self._dead_count + len(dead)
        return table._swept()

    @classmethod
    def of_records(cls, records: Records, ids: Ids, next_id: int, has_vector: Mask, has_text: Mask) -> Table:
        """Return the table of live documents that lie elsewhere, by ascending id."""
        table = cls(records)._extended((), ids, has_vector, has_text, ())
        table.next_id = next_id
        return table

    def _extended(
        self,
        documents: Sequence[Document],
        ids: Ids,
        has_vector: Sequence[bool] | Mask,
        has_text: Sequence[bool] | Mask,
        embedded: Sequence[bool] | Mask,
        extend: Callable[[Columns], Columns] | None = None,
    ) -> Table:
        table = Table(self._records)
        columns = self._columns  # once: a search in another thread may build them now
        if columns is not None and len(ids):
            if self._records is None:
                columns = columns.extended(document.metadata for document in documents)
            else:  # without the new rows they would be of no use
                columns = None if extend is None else extend(columns)
        table._columns = columns
        in_memory = self._records is None
        for name, values in (
            ("_documents", documents if in_memory else ()),
            ("_ids", ids),
            ("_has_vector", has_vector),
            ("_has_text", has_text),
            ("_embedded", embedded if in_memory else ()),
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
        in_memory = self._records is None
        swept = Table(self._records)._extended(
            self._documents.view[live].tolist() if in_memory else (),
            self.row_ids[live],
            self.has_vector[live],
            self.has_text[live],
            self._embedded.view[live] if in_memory else (),
        )
        swept.next_id = self.next_id
        return swept
