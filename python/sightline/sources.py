"""What the engines of a state are to search, and which of their rows a filter allows.

A filter that allows few rows goes to the engines as ids, which then need not look at the others; else as a mask over
their own rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.bm25_index import BM25Index
from sightline.columns import Mask
from sightline.fusion import Floats, Ids
from sightline.query import Query
from sightline.table import Table
from sightline.vector_index import VectorIndex

__all__ = ["Allowed", "DenseSource", "LexicalSource"]

# A filter that allows less than one row in so many goes to the engines as ids.
_FEW_SHARE = 64


class Allowed:
    """The rows of a table that a search may return.

    Parameters: selected : the live rows that a filter matches, None without one. The engines know themselves which rows
                are alive
    """

    def __init__(self, table: Table, selected: Mask | None) -> None:
        self.table = table
        self._selected = selected
        self._rows: NDArray[np.intp] | NDArray[np.int32] | None = None
        self.few: Ids | None = None  # the ids, ascending, if they are few
        if selected is not None and int(np.count_nonzero(selected)) * _FEW_SHARE < len(selected):
            self._rows = np.flatnonzero(selected)
            self.few = table.row_ids[self._rows]

    @staticmethod
    def most_few(table: Table) -> int:
        """Return how many rows count as few."""
        return (len(table.row_ids) - 1) // _FEW_SHARE

    @classmethod
    def of_few(cls, table: Table, rows: NDArray[np.int32]) -> Allowed:
        """Return what allows a few live rows, ascending."""
        allowed = cls(table, None)
        allowed._rows = rows
        allowed.few = table.row_ids[rows]
        return allowed

    def mask(self, member: Mask) -> Mask | Ids | None:
        """Return the mask for an engine that has the live rows among ``member``; ids where they are few."""
        return self.bits(member) if self.few is None else self.few[member[self._rows]]

    def bits(self, member: Mask) -> Mask | None:
        """Return the mask for such an engine as one entry for each of its rows. Not where few are allowed."""
        if self._selected is None:
            return None
        if self.table.live is not None:
            member = member & self.table.live
        # The engine's own rows are exactly the live members, in the same order.
        return self._selected if bool(member.all()) else self._selected[member]


class _Source:
    """What both engines have in common as a ScoredSource."""

    def __init__(self, allowed: Allowed, member: Mask, row_count: int) -> None:
        self._table = allowed.table
        self._member = member
        mask = self._mask = allowed.mask(member)
        if mask is not None:
            row_count = int(np.count_nonzero(mask)) if mask.dtype == np.bool_ else len(mask)
        self._count = row_count

    def _trim(self, scores: NDArray[np.float32], ids: Ids) -> list[tuple[Floats, Ids]]:
        found = []
        for row_scores, row_ids in zip(scores, ids, strict=True):
            count = int(np.count_nonzero(row_ids >= 0))  # engines pad at the end with -1
            found.append((row_scores[:count].astype(np.float64), row_ids[:count]))
        return found

    def _nothing(self, queries: Ids) -> list[tuple[Floats, Ids]]:
        return [(np.empty(0), np.empty(0, dtype=np.int64)) for _ in queries]

    def _members(self, ids: Ids) -> Mask:
        members: Mask = self._member[self._table.rows(ids)]
        return members


class DenseSource(_Source):
    """The vectors as a ScoredSource; ``index`` is None while there are none."""

    def __init__(self, index: VectorIndex | None, vectors: NDArray[np.float32], allowed: Allowed) -> None:
        super().__init__(allowed, allowed.table.has_vector, 0 if index is None else len(index))
        self._index = index
        self._vectors = vectors

    def search(self, queries: Ids, depth: int) -> list[tuple[Floats, Ids]]:
        if self._index is None or not self._count:
            return self._nothing(queries)
        return self._trim(*self._index.search(self._vectors[queries], min(depth, self._count), mask=self._mask))

    def score(self, query: int, ids: Ids) -> Floats:
        scores = np.full(len(ids), np.nan)
        members = self._members(ids)
        if self._index is not None and members.any():
            scores[members] = self._index.score(self._vectors[query], ids[members])
        return scores


class LexicalSource(_Source):
    """The texts as a ScoredSource."""

    def __init__(self, index: BM25Index, queries: list[str | Query], allowed: Allowed) -> None:
        super().__init__(allowed, allowed.table.has_text, len(index))
        self._index = index
        self._queries = queries

    def search(self, queries: Ids, depth: int) -> list[tuple[Floats, Ids]]:
        if not self._count:
            return self._nothing(queries)
        wanted = [self._queries[query] for query in queries]
        return self._trim(*self._index.search(wanted, min(depth, self._count), mask=self._mask))

    def score(self, query: int, ids: Ids) -> Floats:
        scores = np.zeros(len(ids))
        members = self._members(ids)
        if members.any():
            scores[members] = self._index.score(self._queries[query], ids[members])
        return scores
