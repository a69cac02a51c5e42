"""The database of an index on disk: SQLite in WAL mode, whose transactions are the one commit point.

    documents   the live documents: internal row and id
    contents    what was written, by row, never changed; a row outlives its document until sealing or merging purges it
    vectors     of the rows that no segment file holds yet
    segments    the manifest: which segment files there are, and the rows of each
    tombstones  the rows that are dead, with the commit that killed them, until they are purged
    embeddings  vectors of documents that are gone, by the hash of their text, so that it need not be embedded again
    settings    what the index was made with; head: counters of the last commit

Rows are numbered in the order of writing and a number is never used twice. Every content, vector and set of live rows
carries a hash, because SQLite itself does not notice a changed byte.

Thread safety: reads take a connection of their own from a pool; writes are the caller's to serialise.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import Content
from sightline.errors import CorruptIndexError, IncompatibleIndexError, SightlineError, StorageError
from sightline.store_format import (
    AT_ONCE,
    SCHEMA,
    SETTINGS_HASH,
    Entries,
    Head,
    Ids,
    Record,
    Segment,
    chunks,
    content_rows,
    settings_hash,
    vector_hash,
)
from sightline.store_reader import Reader

__all__ = ["FILE_NAME", "Durability", "Store"]

Durability: TypeAlias = Literal["full", "os"]

FILE_NAME = "sightline.db"
_APPLICATION_ID = 0x51691137  # in the header of the file, so that other tools can tell what it is
_SCHEMA_VERSION = 4
_UPGRADES = {  # to the next version
    2: "ALTER TABLE segments ADD COLUMN columns INTEGER NOT NULL DEFAULT 0",
    3: "ALTER TABLE segments ADD COLUMN documents INTEGER NOT NULL DEFAULT 0",
}
_CACHE_KIB = 64 << 10  # of the connection that writes, at most
_BUSY_SECONDS = 30.0  # how long a checkpoint or another process may hold a lock that we need


class _Translated:
    """Turn SQLite's errors into ours. A class: every search comes here, and a generator takes longer."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._store._translate(error)


class _Borrowed:
    """Give a connection of the pool to read with, and turn SQLite's errors into ours."""

    __slots__ = ("_connection", "_store", "_written")

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        with store._lock:
            store._check_process()
            still = store._is_still()
            self._written = store._modified() if still else None
            connection = None if still or not store._idle else store._idle.pop()
        if connection is None:
            with store._translated():
                connection = store._connect(still=still)
        self._connection = connection
        return connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        store, connection, still = self._store, self._connection, self._written is not None
        try:
            if error is not None:
                with store._translated():
                    if connection.in_transaction:
                        connection.rollback()
                store._translate(error)
            elif still and not (store._is_still() and store._modified() == self._written):
                raise StorageError(f"'{store.path}': a writer came during this read; try again")
        finally:
            with store._lock:
                if store._closed or still:
                    connection.close()
                else:
                    store._idle.append(connection)


class Store:
    """The open database of an index.

    Parameters: folder : the directory of the index; settings, dim : what a new index is made with, settings None where
                one must be there; read_only, durability : see HybridIndex
    Raises:     StorageError if it cannot be opened or made; CorruptIndexError, IncompatibleIndexError
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any] | None,
        *,
        dim: int | None = None,
        read_only: bool = False,
        durability: Durability = "full",
    ) -> None:
        self.path = folder / FILE_NAME
        self._folder_name, self._log_name = str(folder), f"{self.path}-wal"
        self.read_only = read_only
        # Whether the last transaction ended in its COMMIT: no reader sees it, but its frames may be whole in the log,
        # and then a crash before the next commit brings it back.
        self.commit_failed = False
        self._durability = durability
        self._pid = os.getpid()  # of the process whose connections the pool has
        self._opened_in = self._pid
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._watcher: sqlite3.Connection | None = None
        self._watching = threading.Lock()
        self._closed = False
        if settings is None and not self.path.is_file():
            raise StorageError(f"'{folder}' holds no index: there is no {FILE_NAME} in it")
        with self._translated():
            self._writer = None if read_only else self._connect()
            try:
                if self._writer is not None:
                    # A large write would else push pages of the index of ids out and read them again for every few rows
                    self._writer.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                self._check_version(settings, dim)
            except BaseException:
                self.close()
                raise

    # Connections

    def _is_still(self) -> bool:
        """Whether nobody writes now, and we cannot make the files that SQLite needs to see when somebody begins."""
        writable = not self.read_only or os.access(self._folder_name, os.W_OK)
        return not writable and not os.path.exists(self._log_name)

    def _modified(self) -> int:
        try:
            return self.path.stat().st_mtime_ns
        except OSError as error:
            raise StorageError(f"'{self.path}' cannot be read: {error.strerror or error}") from None

    def _connect(self, *, still: bool = False) -> sqlite3.Connection:
        """Open a connection; still: one that takes no locks and sees no change, so it must not outlive one read."""
        query = ("?immutable=1" if still else "?mode=ro") if self.read_only else ""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}{query}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            if not self.read_only:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                if mode != "wal":
                    raise StorageError(
                        f"'{self.path}': SQLite cannot keep a write-ahead log here (journal mode {mode!r}), without "
                        "which readers and crashes are not safe; use a local file system"
                    )
                _set_synchronous(connection, full=self._durability == "full")
            connection.execute("PRAGMA trusted_schema = 0")
            connection.execute("PRAGMA cell_size_check = 1")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self, settings: dict[str, Any] | None, dim: int | None) -> None:
        with self._any_connection() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if empty and version == 0 and application == 0:  # new, or a crash before the first commit
            if settings is None or self._writer is None:
                raise StorageError(f"'{self.path.parent}' holds no index: its {FILE_NAME} is empty")
            self._create(settings, dim)
        elif application != _APPLICATION_ID:
            raise IncompatibleIndexError(f"'{self.path}' is an SQLite database of another program")
        elif version in _UPGRADES:
            if self._writer is not None:  # others read an older version as it is
                self._upgrade(version)
        elif version != _SCHEMA_VERSION:
            raise IncompatibleIndexError(
                f"'{self.path}' has schema version {version}, this version of sightline reads {_SCHEMA_VERSION}; "
                "open it with the version that wrote it, export it there and import it here"
            )

    def _create(self, settings: dict[str, Any], dim: int | None) -> None:
        with self.transaction() as connection:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            stored = {key: json.dumps(value) for key, value in settings.items()}
            stored[SETTINGS_HASH] = settings_hash(stored)
            connection.executemany("INSERT INTO settings VALUES (?, ?)", stored.items())
            connection.execute("INSERT INTO head VALUES (1, 0, 0, 0, -1, 0, 0, ?)", (dim,))
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _upgrade(self, version: int) -> None:
        with self.transaction() as connection:
            for step in range(version, _SCHEMA_VERSION):
                connection.execute(_UPGRADES[step])
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _translated(self) -> _Translated:
        return _Translated(self)

    def _translate(self, error: BaseException) -> None:
        """Raise one of SQLite's errors as ours; return for any other."""
        if not isinstance(error, (sqlite3.DatabaseError, OverflowError, UnicodeDecodeError)):
            return
        if self._closed and isinstance(error, sqlite3.ProgrammingError):  # by another thread, meanwhile
            raise SightlineError("this HybridIndex is closed") from None
        name = getattr(error, "sqlite_errorname", "")
        text = str(error)
        full_or_broken = name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY"))
        busy = name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PERM", "SQLITE_NOMEM"))
        known = ("disk", "unable to open", "readonly", "locked", "permission")
        if full_or_broken or busy or (not name and any(word in text for word in known)):
            raise StorageError(
                f"'{self.path}': {text}; the last commit is untouched, and the call can be repeated once the cause "
                "is gone (space, permissions, another program that holds the file)"
            ) from error
        raise self.damaged(text) from error

    def damaged(self, what: str) -> CorruptIndexError:
        """Return the error for a database that contradicts itself."""
        return CorruptIndexError(f"'{self.path}' is damaged: {what}; restore it from a backup or build it again")

    def _any_connection(self) -> _Borrowed:
        return _Borrowed(self)

    def _check_process(self) -> None:
        """Raise if this is closed, and let go of connections that are not this process's; under the lock."""
        if self._closed:
            raise SightlineError("this HybridIndex is closed")
        if self._pid != os.getpid():
            # A child of fork must neither use its parent's connections nor close them, which could remove the log.
            _abandoned.extend(self._idle)
            if self._watcher is not None:
                _abandoned.append(self._watcher)
            self._idle, self._watcher, self._pid = [], None, os.getpid()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Give a view of the last commit, which later ones do not change."""
        with self._any_connection() as connection:
            connection.execute("BEGIN")
            yield Reader(connection, self.damaged)
            connection.execute("COMMIT")

    def records(self, rows: Sequence[int]) -> list[Record]:
        """Return what was written under rows, in their order. A row never changes, so no transaction is needed.

        Raises:     RowGoneError if one was purged; CorruptIndexError if a hash does not hold
        """
        with self._any_connection() as connection:
            return Reader(connection, self.damaged).records(rows)

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the rows of the ids that are present in one commit."""
        if len(names) > AT_ONCE:
            with self.reading() as reader:
                return reader.rows_of(names)
        with self._any_connection() as connection:  # a lone statement sees one commit anyway
            return Reader(connection, self.damaged).rows_of(names)

    def rows_in_writing(self, names: Sequence[str]) -> dict[str, int]:
        """Return what ``rows_of`` does, to whoever may write: that connection knows what it wrote last, others read it.

        Raises:     as ``writer``
        """
        with self._translated():
            return Reader(self.writer(), self.damaged).rows_of(names)

    def contents(self, rows: Sequence[int]) -> list[Content]:
        """Return what hits show of the documents written under rows, in their order.

        Raises:     as ``records``
        """
        with self._any_connection() as connection:
            return Reader(connection, self.damaged).contents(rows)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection to write with; commits at the end, and leaves the last commit at any error.

        Parameters: durable : have this commit and all before it on the disk at the end, also under durability="os"
        Raises:     StorageError if the index is read-only or SQLite cannot write
        """
        writer = self.writer()
        with self._translated(), self._synced(writer) if durable else nullcontext():
            self.commit_failed = False
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                self.commit_failed = True
                writer.execute("COMMIT")
                self.commit_failed = False
            except BaseException:
                if writer.in_transaction:
                    writer.rollback()
                raise

    @contextmanager
    def _synced(self, writer: sqlite3.Connection) -> Iterator[None]:
        """Have commits fsync the log, which holds those before, too. SQLite allows the change between transactions."""
        try:
            _set_synchronous(writer, full=True)
            yield
        finally:
            _set_synchronous(writer, full=self._durability == "full")

    def writer(self) -> sqlite3.Connection:
        """Return the connection to write with.

        Raises:     StorageError if the index is read-only; SightlineError in a child that forked from the writer
        """
        if self._writer is None:
            raise StorageError(f"'{self.path.parent}' was opened with read_only=True")
        if self._opened_in != os.getpid() or self._closed:
            raise SightlineError("this HybridIndex was opened in the parent process, or is closed; open it again")
        return self._writer

    def changed_token(self) -> int:
        """Return a number that differs once another process has committed; microseconds."""
        with self._watching, self._translated():
            if self._watcher is None or self._pid != os.getpid():
                with self._any_connection():  # which notices a fork
                    pass
                if self._is_still():  # SQLite would not tell; tokens below 0 are none of its own
                    return -self._modified()
                self._watcher = self._connect()
            token: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
            return token

    def forked(self) -> None:
        """Have locks of its own in a child, since a thread that does not exist there may have held these."""
        self._lock, self._watching = threading.Lock(), threading.Lock()

    def sync(self) -> None:
        """Have every commit on the disk, whatever the durability and whoever reads."""
        if self._durability != "full":
            with self.transaction(durable=True) as connection:  # its fsync is one of all that the log holds
                connection.execute("UPDATE head SET commits = commits")

    def checkpoint(self) -> None:
        """Move the log into the database file, as far as no reader needs it; waits a second at most for readers."""
        with self._translated():
            writer = self.writer()
            try:
                writer.execute("PRAGMA busy_timeout = 1000")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                writer.execute(f"PRAGMA busy_timeout = {int(1000 * _BUSY_SECONDS)}")

    def vacuum(self) -> None:
        """Give the space of what was purged back to the file system, and empty the log."""
        with self._translated():
            self.writer().execute("VACUUM")
        self.checkpoint()

    def close(self) -> None:
        """Close all connections."""
        with self._watching, self._lock:  # the watcher may be in use, unlike those that lie idle
            if self._closed:
                return
            self._closed = True
            connections = [*self._idle, self._watcher, getattr(self, "_writer", None)]
            self._idle, self._watcher = [], None
        if self._opened_in != os.getpid():
            _abandoned.extend(c for c in connections if c is not None)
            return
        for connection in connections:
            if connection is not None:
                connection.close()

    # Writing, inside transaction()

    def insert(self, connection: sqlite3.Connection, rows: Ids, entries: Entries) -> None:
        """Add documents under their rows."""
        numbers = rows.tolist()
        contents = content_rows(numbers, entries)
        connection.executemany("INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", contents)
        connection.executemany("INSERT INTO documents VALUES (?, ?)", zip(numbers, entries.names, strict=True))

    def insert_vectors(self, connection: sqlite3.Connection, rows: Ids, vectors: NDArray[np.float32]) -> None:
        """Keep vectors that no segment file holds."""
        blobs = [np.ascontiguousarray(vector, dtype="<f4").tobytes() for vector in vectors]
        connection.executemany(
            "INSERT INTO vectors VALUES (?, ?, ?)",
            [(row, blob, vector_hash(row, blob)) for row, blob in zip(rows.tolist(), blobs, strict=True)],
        )

    def remove(self, connection: sqlite3.Connection, rows: Ids, commit: int) -> None:
        """Kill rows; what they hold stays until ``purge``."""
        one = [(row,) for row in rows.tolist()]
        connection.executemany("DELETE FROM documents WHERE row = ?", one)
        connection.executemany("DELETE FROM vectors WHERE row = ?", one)
        connection.executemany("INSERT INTO tombstones VALUES (?, ?)", [(row, commit) for (row,) in one])

    def purge(self, connection: sqlite3.Connection, rows: Ids) -> None:
        """Forget dead rows that no segment file holds any more."""
        one = [(row,) for row in rows.tolist()]
        connection.executemany("DELETE FROM tombstones WHERE row = ?", one)
        connection.executemany("DELETE FROM contents WHERE row = ?", one)

    def replace_segments(
        self, connection: sqlite3.Connection, old: Iterable[Segment], new: Segment | None, sealed: int | None = None
    ) -> None:
        """Name another segment in the manifest; sealed: up to which row vectors are now in files."""
        connection.executemany("DELETE FROM segments WHERE number = ?", [(segment.number,) for segment in old])
        if new is not None:
            connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
                (new.number, new.first, new.last, new.vectors, new.texts, new.columns, new.documents),
            )
        if sealed is not None:
            connection.execute("DELETE FROM vectors WHERE row <= ?", (sealed,))

    def set(self, connection: sqlite3.Connection, key: str, value: str | None) -> None:
        """Change a setting; None forgets it."""
        connection.execute("DELETE FROM settings WHERE key = ?", (key,))
        if value is not None:
            connection.execute("INSERT INTO settings VALUES (?, ?)", (key, value))

    def advance(self, connection: sqlite3.Connection, head: Head) -> None:
        """Write the counters of the commit."""
        digest = head.digest - (1 << 64) if head.digest >= 1 << 63 else head.digest
        connection.execute(
            "UPDATE head SET commits = ?, generation = ?, next_row = ?, sealed = ?, count = ?, digest = ?, dim = ?",
            (head.commits, head.generation, head.next_row, head.sealed, head.count, digest, head.dim),
        )

    def embedded_of(self, connection: sqlite3.Connection, rows: Ids) -> list[tuple[int, bytes]]:
        """Return row and text hash of those rows whose vectors the embedder made."""
        found: list[tuple[int, bytes]] = []
        for chunk, marks in chunks(rows.tolist()):
            found += connection.execute(
                f"SELECT row, text_hash FROM contents WHERE row IN ({marks}) AND text_hash IS NOT NULL", chunk
            ).fetchall()
        return found

    def cache_embeddings(
        self, connection: sqlite3.Connection, keys: Sequence[bytes], vectors: NDArray[np.float32], most: int
    ) -> None:
        """Keep vectors by the hash of their text, the newest ``most`` of all."""
        blobs = [np.ascontiguousarray(vector, dtype="<f4").tobytes() for vector in vectors]
        connection.executemany(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)",
            [(key, blob, vector_hash(key, blob)) for key, blob in zip(keys, blobs, strict=True)],
        )
        connection.execute("DELETE FROM embeddings WHERE rowid <= (SELECT max(rowid) FROM embeddings) - ?", (most,))


_abandoned: list[sqlite3.Connection] = []


def _set_synchronous(connection: sqlite3.Connection, *, full: bool) -> None:
    connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
    connection.execute(f"PRAGMA fullfsync = {int(full)}")  # macOS: fsync alone leaves the data in the drive's cache
