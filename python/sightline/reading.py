"""Documents as a user gets them: copies, by id, of the newest state that can be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from sightline.documents import Document, copy_plain
from sightline.errors import CorruptIndexError, StorageError
from sightline.filters import Filter
from sightline.keeper import Keeper
from sightline.retrieval import State
from sightline.store_format import RowGoneError
from sightline.table import Rows

__all__ = ["copies", "found_documents", "on_newest"]

_Result = TypeVar("_Result")
_ATTEMPTS = 20  # at a read, while a writer purges what the state it began with names


def on_newest(keeper: Keeper, read: Callable[[State], _Result], state: State, index: object) -> _Result:
    """Read from a state; again from the newest if a writer purged meanwhile what that state names.

    Parameters: index : whose name an error tells
    Raises:     StorageError, CorruptIndexError
    """
    first = state
    for _ in range(_ATTEMPTS):
        with suppress(RowGoneError):
            return read(state)
        state = keeper.current()
    if state is not first:
        raise StorageError(f"{index!r}: its writer purges faster than this call reads; try again")
    raise CorruptIndexError(
        f"{index!r}: a row that the newest state names is not in the database; restore the index from a backup"
    )


def found_documents(keeper: Keeper, wanted: list[str], scope: Filter | None) -> list[Document | None]:
    """Return the documents of ids, None where there is none or it is outside a scope."""
    state, known = keeper.lookup(wanted)
    table = state.table
    found: list[Document | None] = [None] * len(wanted)
    positions = [position for position, name in enumerate(wanted) if name in known]
    rows = table.rows([known[wanted[position]] for position in positions])
    if scope is not None:
        inside = scope.mask(table.columns, table.live)[rows]
        positions = [position for position, here in zip(positions, inside, strict=True) if here]
        rows = rows[inside]
    for position, document in zip(positions, copies(state, rows, embedded=False), strict=True):
        found[position] = document
    return found


def copies(state: State, rows: Rows, *, embedded: bool) -> list[Document]:
    """Return documents of their own, with the vectors that callers gave, or with all."""
    table = state.table
    wanted = table.has_vector[rows] & (embedded or ~table.embedded(rows))
    vectors = iter(() if state.dense is None else state.dense.get(table.row_ids[rows[wanted]]))
    return [
        replace(stored, metadata=copy_plain(stored.metadata), vector=next(vectors) if with_vector else None)
        for stored, with_vector in zip(table.documents(rows), wanted, strict=True)
    ]
