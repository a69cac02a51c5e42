"""Who keeps the documents of a HybridIndex and decides when a write has happened: the part that memory and disk share.

A keeper holds the current state. A write makes the next state beside it (both share what did not change) and publishes
it at its end, so that a search, which takes one state and keeps it, sees all of a write or nothing of it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.adapter import LowRankAdapter
from sightline.bm25_index import BM25Index
from sightline.documents import Document, searched_text
from sightline.fork_locks import renew_in_children
from sightline.pending import Pending
from sightline.retrieval import State
from sightline.segments import Engines
from sightline.table import Rows, Table
from sightline.vector_index import VectorIndex

__all__ = ["Keeper"]

_NO_ROWS = np.empty(0, dtype=np.intp)


class Keeper:
    """Keep documents in memory.

    Thread safety: any thread may read; whoever writes holds ``writing``, and ``publishing`` is held only to replace
    state and ids together, or to read both.
    """

    def __init__(self, dim: int | None, lexical: BM25Index, tf_limit: float) -> None:
        dense = None if dim is None else VectorIndex(dim, metric="cosine")
        self.writing = threading.RLock()
        self.publishing = threading.RLock()
        renew_in_children(self, "writing", "publishing")
        self._state = State(Table(), dense, lexical, tf_limit)
        self._row_of: dict[str, int] = {}

    def newest(self) -> State:
        """Return the newest state of this process."""
        return self._state

    def current(self) -> State:
        """Return the newest state, wherever it was made."""
        return self._state

    def pending(self) -> Pending:
        """Return what collects the documents of a write until its end."""
        return Pending()

    @contextmanager
    def exclusive(self, *, bulk: bool = False) -> Iterator[None]:
        """Hold the locks for a write; bulk: of so many documents that on disk they become segments at once."""
        with self.writing:
            yield

    def check_writable(self) -> None:
        """Raise the error that a write would raise at its end, before work is spent on it."""

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the internal ids of those documents that are present; under ``publishing`` those of the state."""
        return {name: row for name in names if (row := self._row_of.get(name)) is not None}

    def rows_to_replace(self, names: Sequence[str]) -> dict[str, int]:
        """Return what ``rows_of`` does, to whoever holds ``writing``."""
        return self.rows_of(names)

    def lookup(self, names: Sequence[str]) -> tuple[State, dict[str, int]]:
        """Return the newest state, and the internal ids of those documents that it has."""
        with self.publishing:
            return self._state, self.rows_of(names)

    def reusable(self, documents: Sequence[Document]) -> list[NDArray[np.float32] | None]:
        """Return the vectors that the embedder made before for the very same texts, None where there is none."""
        state, known = self.lookup([document.id for document in documents])
        found: list[NDArray[np.float32] | None] = [None] * len(documents)
        if state.dense is None or not known:
            return found
        for position, document in enumerate(documents):
            row_id = known.get(document.id)
            if row_id is None:
                continue
            row = state.table.rows([row_id])
            if state.table.embedded(row)[0]:
                (before,) = state.table.documents(row)
                if searched_text(before) == searched_text(document):
                    found[position] = state.dense.get([row_id])[0]
        return found

    def replace(self, rows: Rows, pending: Pending | None) -> None:
        """Publish the state in which some live rows are gone and new documents are there.

        The caller holds ``writing``. An error changes nothing.
        """
        state = self._state
        removed = state.table.row_ids[rows]
        engines = Engines(state.dense, state.lexical).fork()
        engines.remove(removed)
        names = [document.id for document in state.table.documents(rows)]
        table = state.table.after(rows)
        for piece in () if pending is None else pending.pieces():
            ids = np.arange(table.next_id, table.next_id + len(piece.documents))
            engines = engines.add_documents(ids, piece)
            table = table.after(_NO_ROWS, piece.documents, piece.has_vector, piece.has_text, piece.embedded)
        first = state.table.next_id
        with self.publishing:
            for name in names:
                del self._row_of[name]
            if pending is not None:
                self._row_of.update(zip(pending.names, range(first, table.next_id), strict=True))
            self._state = dataclasses.replace(state, table=table, dense=engines.dense, lexical=engines.lexical)

    def close(self) -> None:
        """Let go of everything."""
        with self.writing, self.publishing:
            self._row_of = {}
            self._state = State(Table(), None, BM25Index(self._state.lexical.analyzer), self._state.tf_limit)

    # What only an index on disk needs more of

    def flush(self) -> None:
        """Have all that is acknowledged on the disk."""

    def compact(self) -> None:
        """Free the space of removed documents and merge what is in parts."""
        with self.writing:
            engines = Engines(self._state.dense, self._state.lexical).fork()
            if engines.dense is not None:
                engines.dense.compact()
            engines.lexical.compact()
            with self.publishing:
                self._state = dataclasses.replace(self._state, dense=engines.dense, lexical=engines.lexical)

    def set_adapter(self, adapter: LowRankAdapter | None) -> None:
        """Publish the state in which an adapter turns query vectors. The caller holds ``writing``."""
        with self.publishing:
            self._state = dataclasses.replace(self._state, adapter=adapter)

    def verify(self) -> dict[str, Any]:
        """Check everything against everything."""
        state = self._state
        return {"documents": len(state.table), "vectors": state.vector_count, "texts": len(state.lexical)}

    def stats(self) -> dict[str, Any]:
        """Return what there is to say about the disk."""
        return {"path": None}
