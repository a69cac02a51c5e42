"""The keeper of an index on disk that may be written: a write is acknowledged once its transaction is committed.

Few new rows lie in the database and in memory until they are sealed. Many go to segment files within their write: the
files are complete before the transaction that names them is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.adapter import LowRankAdapter
from sightline.columns import Columns
from sightline.errors import IncompatibleIndexError, InvalidInputError, SightlineError, StorageError
from sightline.locking import WriterLock
from sightline.maintenance import MaintainedKeeper
from sightline.pending import Limits, Pending, SpooledPending
from sightline.segments import FOLDER, Engines, load_segment, number_of, sweep, write_segment
from sightline.settings import Settings
from sightline.store import FILE_NAME, Durability, Store
from sightline.store_format import (
    ADAPTER,
    ADAPTER_HASH,
    HAS_TEXT,
    HAS_VECTOR,
    Entries,
    Head,
    Segment,
    digest_of,
    text_hash,
)
from sightline.table import Ids, Rows, Table

__all__ = ["DurableKeeper"]

_LOCK_NAME = "writer.lock"
# A write of so many rows, or bytes, goes to segment files at once and never puts vectors into the database.
_DIRECT_ROWS = 4096
_DIRECT_BYTES = 32 << 20
# Beyond so many bytes what waits for its commit goes to unnamed files.
_SPOOL_BYTES = 256 << 20
# One segment of such a write, which bounds the memory it takes: about three times as much is in use while it is made.
_GROUP_ROWS = 1 << 18
_GROUP_VECTOR_BYTES = 192 << 20
_GROUP_TEXT_BYTES = 64 << 20
_CACHED_EMBEDDINGS = 10_000
_NO_ROWS = np.empty(0, dtype=np.intp)


class DurableKeeper(MaintainedKeeper):
    """Keep documents in a directory.

    Parameters: folder : of the index; given : settings that the caller gave; create : whether to make one where there
                is none; dim, read_only, durability : see HybridIndex
    Raises:     StorageError, IndexLockedError, CorruptIndexError, IncompatibleIndexError; InvalidInputError if the
                folder holds other things
    """

    def __init__(
        self, folder: Path, given: Settings, *, create: bool, dim: int | None, read_only: bool, durability: Durability
    ) -> None:
        self._lock: WriterLock | None = None
        self._fresh: list[Segment] = []  # that the write under way makes
        with ExitStack() as undo:
            if not read_only:
                _make_folder(folder, create)
                self._lock = WriterLock(folder / _LOCK_NAME)
                undo.callback(self._lock.release)
            new = given.completed().to_json() if create else None
            store = Store(folder, new, dim=dim, read_only=read_only, durability=durability)
            undo.callback(store.close)
            super().__init__(folder, store, given)
            self._open(dim)
            undo.pop_all()

    def _open(self, dim: int | None) -> None:
        if self._store.read_only:
            self._token = self._store.changed_token()
        else:
            with self._store.reading() as reader:
                self._unremoved = sweep(self._folder, reader.segments())
            # What will be removed later must not become the name of something else before.
            self._least_number = max((number_of(path) + 1 for path in self._unremoved), default=0)
        self._follow()
        if dim is not None and self._head.dim not in (None, dim):
            raise IncompatibleIndexError(f"dim: the index was made with {self._head.dim}, got {dim}; leave it out")

    # Writing

    def pending(self) -> Pending:
        """Return what collects the documents of a write until its end."""
        limits = Limits(_DIRECT_ROWS, _DIRECT_BYTES, _SPOOL_BYTES, _GROUP_ROWS, _GROUP_VECTOR_BYTES, _GROUP_TEXT_BYTES)
        return SpooledPending(self._folder, limits)

    @contextmanager
    def exclusive(self, *, bulk: bool = False) -> Iterator[None]:
        """Hold the locks for a write; bulk: of so many documents that they become segments at once."""
        self.check_writable()
        if not bulk:
            with self.writing:
                self._heal()
                yield
        else:
            # A segment's rows follow those of all others, so what is unsealed must be sealed before.
            with self._maintaining, self.writing:
                self._seal()
                yield
        # The write has happened: that the next step cannot begin must not look as if it had not.
        with suppress(SightlineError, RuntimeError):
            self._discard()
            if self._has_work():
                self._start_maintenance()

    def rows_to_replace(self, names: Sequence[str]) -> dict[str, int]:
        """Return the internal ids of those documents that are present, to whoever holds ``writing``."""
        return self._store.rows_in_writing(names) if self._head.count else {}

    def replace(self, rows: Rows, pending: Pending | None) -> None:
        """Publish the state in which some live rows are gone and new documents are there."""
        before = self._head
        try:
            with ExitStack() as transaction:
                connection = transaction.enter_context(self._store.transaction())
                following = self._written_commit(connection, rows, pending)
                with self.publishing:
                    transaction.close()  # which commits
                    self._publish(*following)
            if pending is not None and pending.few:
                self._records.remember(np.arange(before.next_row, self._head.next_row), pending.whole().documents)
        except BaseException:
            self._recover(before, self._fresh)
            raise
        finally:
            self._fresh = []
        self._kills += len(rows)

    def _written_commit(
        self, connection: sqlite3.Connection, rows: Rows, pending: Pending | None
    ) -> tuple[Head, Engines, dict[int, Engines], Table]:
        """Write all of a commit but its end; return what is to be published then."""
        state, parts, head = self._state, self._parts, replace(self._head, commits=self._head.commits + 1)
        removed = state.table.row_ids[rows]
        self._kill(connection, removed, head.commits)
        engines = Engines(state.dense, state.lexical).fork()
        engines.remove(removed)
        table = state.table
        next_row = head.next_row
        if pending is None:
            table = table.after(rows)
        elif not pending.bulk:
            batch = pending.whole()
            ids = np.arange(next_row, next_row + len(pending))
            next_row += len(ids)
            engines = engines.add_documents(ids, batch)
            entries = pending.entries()
            self._store.insert(connection, ids, entries)
            if batch.vectors is not None:
                self._store.insert_vectors(connection, ids[batch.has_vector], batch.vectors)
            table = _following(table, rows, ids, entries)
        else:
            table = table.after(rows)
            with ThreadPoolExecutor(1, "sightline-segment") as builder:
                for entries, vectors in pending.groups():
                    ids = np.arange(next_row, next_row + len(entries.names))
                    next_row += len(ids)
                    # Reserved, so that it is removed after an error in the middle, too.
                    number = max([self._head.generation + 1, self._least_number, *(s.number + 1 for s in self._fresh)])
                    self._fresh.append(Segment(number, int(ids[0]), int(ids[-1]), 0, 0))
                    written = builder.submit(self._written_group, number, ids, entries, vectors)
                    del vectors
                    self._store.insert(connection, ids, entries)
                    segment = written.result()
                    table = _following(table, _NO_ROWS, ids, entries)
                    if segment is not None:  # there is something that can be searched
                        self._store.replace_segments(connection, (), segment)
                        part = load_segment(self._folder, segment, pending.dim if segment.vectors else None)
                        parts = parts | {number: part}
                        engines = engines.attach(part)
                        head = replace(head, generation=number, sealed=segment.last)
                    del entries  # which are large; the next are read while these would still be held
        added = np.arange(head.next_row, next_row)
        head = replace(
            head,
            next_row=next_row,
            count=len(table),
            digest=(head.digest - digest_of(removed) + digest_of(added)) % (1 << 64),
            dim=head.dim if engines.dense is None else engines.dense.dim,
        )
        self._store.advance(connection, head)
        return head, engines, parts, table

    def _written_group(
        self, number: int, ids: Ids, entries: Entries, vectors: NDArray[np.float32] | None
    ) -> Segment | None:
        engines = Engines(None, self.settings.lexical()).add_entries(ids, entries, vectors)
        columns = Columns().extended_json(entries.metadata)
        return write_segment(self._folder, number, int(ids[0]), int(ids[-1]), engines, ids, columns, [(ids, entries)])

    def _kill(self, connection: sqlite3.Connection, removed: Ids, commit: int) -> None:
        if not len(removed):
            return
        store, dense = self._store, self._state.dense
        embedded = store.embedded_of(connection, removed)[-_CACHED_EMBEDDINGS:]
        if embedded and dense is not None:
            vectors = dense.get([row for row, _ in embedded])
            store.cache_embeddings(connection, [key for _, key in embedded], vectors, _CACHED_EMBEDDINGS)
        store.remove(connection, removed, commit)

    def set_adapter(self, adapter: LowRankAdapter | None) -> None:
        """Commit and publish that an adapter turns query vectors. The caller holds ``writing``."""
        before, head = self._head, replace(self._head, commits=self._head.commits + 1)
        stored = None if adapter is None else json.dumps(adapter.to_json())
        found = None if stored is None else text_hash(stored).hex()
        try:
            with ExitStack() as transaction:
                connection = transaction.enter_context(self._store.transaction())
                self._store.set(connection, ADAPTER, stored)
                self._store.set(connection, ADAPTER_HASH, found)
                self._store.advance(connection, head)
                with self.publishing:
                    transaction.close()  # which commits
                    self._adapter, self._adapter_hash = adapter, found
                    state = self._state
                    self._publish(head, Engines(state.dense, state.lexical), self._parts, state.table)
        except BaseException:
            self._recover(before, ())
            raise

    def close(self) -> None:
        """Let go of everything; waits for sealing or merging under way."""
        self._closing = True
        with self._maintaining:
            super().close()
            self._open_parts({})
            self._discard()
            self._unremoved = []  # the next writer sweeps, and may use the names again
            self._store.close()
            if self._lock is not None:
                self._lock.release()


def _following(table: Table, dead: Rows, ids: Ids, entries: Entries) -> Table:
    """Return the next version of a table, without some rows, with documents as the database has them."""
    flags = np.array(entries.flags, dtype=np.int64)
    return table.after(
        dead,
        (),
        flags & HAS_VECTOR != 0,
        flags & HAS_TEXT != 0,
        ids=ids,
        extend=lambda columns: columns.extended_json(entries.metadata),
    )


def _make_folder(folder: Path, create: bool) -> None:
    if not create and not (folder / FILE_NAME).is_file():
        raise StorageError(f"'{folder}' holds no index: there is no {FILE_NAME} in it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = {path.name for path in folder.iterdir()} - {_LOCK_NAME, FOLDER}
        inside = folder / FOLDER
        # The database is made before the first segment, so these are another program's, or an index that lost its own.
        if FILE_NAME not in foreign and (inside.is_file() or (inside.is_dir() and any(inside.iterdir()))):
            foreign.add(FOLDER)
    except OSError as error:
        raise StorageError(f"'{folder}' cannot be made or read: {error.strerror or error}") from None
    if foreign and FILE_NAME not in foreign:
        raise InvalidInputError(
            f"path: '{folder}' holds other things ({sorted(foreign)[0]!r}) and no {FILE_NAME}; give an empty or a new "
            f"directory, or restore {FILE_NAME} if there was one"
        )
