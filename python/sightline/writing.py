"""A write from its stream of documents to its commit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.errors import DuplicateIdError, InvalidInputError
from sightline.filters import Filter
from sightline.ingest import Progress, check_scope, prepare, show_progress
from sightline.keeper import Keeper
from sightline.pending import Pending
from sightline.table import Rows

__all__ = ["Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """Add documents, all or none.

    ``replace``: those whose ids are present; ``scope``: which all must match; ``check_open``: raises once the index is
    closed.
    """

    embedder: Callable[[list[str]], Any] | None
    batch_size: int
    replace: bool
    scope: Filter | None
    check_open: Callable[[], None]

    def run(self, keeper: Keeper, documents: object, progress: bool | Progress) -> list[str]:
        """Read a stream without a lock, then commit it with one; return the ids.

        Raises:     DuplicateIdError, InvalidInputError naming the document; whatever the stream or embedder raises
        """
        keeper.check_writable()
        with show_progress(progress) as report, keeper.pending() as pending:
            state = keeper.current()
            # An adapter that was set before any vector came says how many dimensions they will have.
            dim, dim_of = state.dim, "index"
            if dim is None and state.adapter is not None:
                dim, dim_of = state.adapter.dim, "adapter of the index"
            batches = prepare(
                documents,
                self.embedder,
                dim,
                state.lexical.fields,
                self.batch_size,
                None if self.replace else keeper.rows_of,
                keeper.reusable,
                report,
                dim_of=dim_of,
            )
            for batch in batches:
                if self.scope is not None:
                    check_scope(batch.documents, self.scope, len(pending))
                pending.append(batch)
            count = len(pending)
            if not count:
                return []
            report("index", 0, count)  # outside the lock: a caller's function may itself search
            with keeper.exclusive(bulk=pending.bulk):
                self.check_open()
                keeper.replace(self._replaced_rows(keeper, pending), pending)
            with suppress(Exception):  # the documents are there: an error now would say that they are not
                report("index", count, count)
        return pending.names

    def _replaced_rows(self, keeper: Keeper, pending: Pending) -> Rows:
        """Return the rows that new documents replace.

        Raises:     DuplicateIdError if they must not; InvalidInputError for vectors of another dimension. Both were
                    checked while the stream was read, but other threads may have written since.
        """
        state = keeper.current()
        if pending.dim is not None and state.dim not in (None, pending.dim):
            raise InvalidInputError(f"documents: vectors have {pending.dim} dimensions, the index has {state.dim}")
        if pending.dim is not None and state.adapter is not None and state.adapter.dim != pending.dim:
            raise InvalidInputError(
                f"documents: vectors have {pending.dim} dimensions, the adapter of the index has {state.adapter.dim}"
            )
        present = keeper.rows_to_replace(pending.names)
        if present and not self.replace:
            raise DuplicateIdError(
                f"documents: id {next(iter(present))!r} is already in the index; use upsert to replace it"
            )
        rows = state.table.rows(list(present.values()))
        if present and self.scope is not None:
            inside = self.scope.mask(state.table.columns, state.table.live)[rows]
            if not inside.all():
                name = list(present)[int(np.argmin(inside))]
                raise DuplicateIdError(f"documents: id {name!r} is taken by a document outside the scope")
        return rows
