"""The keeper of an index on disk: commits to the database, seals and merges segments, follows other processes' commits.

A write is acknowledged once its transaction is committed. New rows lie in the database and in memory; once they are
many they are sealed: written to segment files, fsync'ed, and then named in the manifest by a transaction that also lets
go of their vectors. Whatever the moment of a crash, the database names only files that are complete.

Locks, taken in this order: ``_maintaining`` (who seals or merges), ``writing``, ``publishing``.
"""

from __future__ import annotations

import atexit
import stat
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Mask
from sightline.documents import Document, searched_text
from sightline.errors import CorruptIndexError, IncompatibleIndexError, InvalidInputError, SightlineError, StorageError
from sightline.ingest import Prepared
from sightline.keeper import Keeper
from sightline.locking import WriterLock
from sightline.retrieval import State
from sightline.segments import (
    FOLDER,
    Engines,
    load_segment,
    merge_group,
    remove_files,
    sweep,
    write_segment,
)
from sightline.settings import Settings
from sightline.store import FILE_NAME, Durability, Store
from sightline.store_format import (
    EMBEDDED,
    HAS_TEXT,
    HAS_VECTOR,
    Head,
    Record,
    RowGoneError,
    Segment,
    digest_of,
    text_hash,
)
from sightline.store_reader import Reader
from sightline.table import Ids, Rows, Table

__all__ = ["DurableKeeper"]

_LOCK_NAME = "writer.lock"
# Rows are sealed once so many are unsealed: opening replays fewer, and a segment is worth its two files.
_SEAL_ROWS = 8192
_SEAL_BYTES = 64 << 20  # of vectors
# A write of so many rows goes to segment files at once and never puts vectors into the database.
_DIRECT_ROWS = 4096
_CACHED_EMBEDDINGS = 10_000
_KILLS_TO_LOOK = 1024  # dead rows between two looks for segments to merge; counting them costs O(dead rows)
_LOAD_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class _Tail:
    """The live rows that no segment holds."""

    records: list[Record]
    rows: Ids
    vectors: list[NDArray[np.float32]]

    @classmethod
    def read(cls, reader: Reader, after: int) -> _Tail:
        return cls(reader.live_after(after), *reader.vectors_after(after))

    def onto(self, engines: Engines) -> Engines:
        texts = [record for record in self.records if record.flags & HAS_TEXT]
        text_rows = np.array([record.row for record in texts], dtype=np.int64)
        return engines.add(self.rows, self.vectors, text_rows, [searched_text(record.document) for record in texts])


class _StoredRecords:
    """The documents of the database, for a Table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def documents(self, ids: Sequence[int]) -> list[Document]:
        return [record.document for record in self._store.records(ids)]

    def names(self, ids: Sequence[int]) -> list[str]:
        with self._store.reading() as reader:
            return reader.names(ids)

    def embedded(self, ids: Sequence[int]) -> list[bool]:
        return [bool(record.flags & EMBEDDED) for record in self._store.records(ids)]

    def metadata(self, ids: Ids, live: Mask | None) -> Iterable[dict[str, Any]]:
        if not len(ids):
            return []
        with self._store.reading() as reader:
            found = dict(reader.metadata(int(ids[0]), int(ids[-1])))
        needed = ids if live is None else ids[live]
        if not found.keys() >= set(needed.tolist()):
            raise RowGoneError("the metadata of a row was purged")
        return [found.get(row, {}) for row in ids.tolist()]


class DurableKeeper(Keeper):
    """Keep documents in a directory.

    Parameters: folder : of the index; given : settings that the caller gave; create : whether to make one where there
                is none; dim, read_only, durability : see HybridIndex
    Raises:     StorageError, IndexLockedError, CorruptIndexError, IncompatibleIndexError; InvalidInputError if the
                folder holds other things
    """

    background = True  # whether to seal and merge in a thread of its own, or only on request

    def __init__(
        self, folder: Path, given: Settings, *, create: bool, dim: int | None, read_only: bool, durability: Durability
    ) -> None:
        self._folder = folder
        self._read_only = read_only
        self._lock: WriterLock | None = None
        self._maintaining = threading.RLock()
        self._maintenance: threading.Thread | None = None
        self._maintenance_error: SightlineError | None = None
        self._closing = False
        self._loaded = False  # whether the state is that of the head; else the next call reads it again
        self._least_number = 0  # of the next segment, after files whose numbers a failed commit may yet name
        self._kills = 0  # rows that died since somebody looked for segments to merge, and when that was
        self._generation_looked_at = -1
        self._parts: dict[int, Engines] = {}  # open segments, by number
        self._fresh: Segment | None = None  # written by the write under way, not named yet
        if not read_only:
            _make_folder(folder, create)
            self._lock = WriterLock(folder / _LOCK_NAME)
        try:
            new = given.completed().to_json() if create else None
            self._store = Store(folder, new, dim=dim, read_only=read_only, durability=durability)
            try:
                self.settings = self._stored_settings(given)
                super().__init__(None, self.settings.lexical(), self.settings.tf_limit)
                self._open(dim)
            except BaseException:
                self._store.close()
                raise
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    def _stored_settings(self, given: Settings) -> Settings:
        with self._store.reading() as reader:
            stored = reader.settings()
        try:
            settings = Settings.from_json(stored)
            settings.lexical()
        except (KeyError, TypeError, ValueError) as error:
            raise self._store.damaged(f"its settings cannot be read ({error})") from None
        settings.check_against(given)
        return settings

    def _open(self, dim: int | None) -> None:
        if not self._read_only:
            with self._store.reading() as reader:
                sweep(self._folder, reader.segments())
        self._token = self._store.changed_token() if self._read_only else 0
        self._head = Head()
        self._records = _StoredRecords(self._store)
        self._follow()
        if dim is not None and self._head.dim not in (None, dim):
            raise IncompatibleIndexError(f"dim: the index was made with {self._head.dim}, got {dim}; leave it out")

    # Reading

    def current(self) -> State:
        """Return the newest state, also where another process made it."""
        self._heal()
        if self._read_only:
            token = self._store.changed_token()
            if token != self._token:
                with self.writing:
                    if token != self._token:
                        self._follow()
                        self._token = token
        return self._state

    def lookup(self, names: Sequence[str]) -> tuple[State, dict[str, int]]:
        """Return the newest state, and the internal ids of those documents that it has."""
        if not self._read_only:
            return super().lookup(names)
        with self.writing:  # which nobody writes with here: it keeps other threads from moving on meanwhile
            return self._follow(names)

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the internal ids of those documents that are present."""
        with self._store.reading() as reader:
            return reader.rows_of(names)

    def reusable(self, documents: Sequence[Document]) -> list[NDArray[np.float32] | None]:
        """Return the vectors that the embedder made before for the very same texts, of whatever document."""
        keys = [text_hash(searched_text(document)) for document in documents]
        with self.publishing:
            state = self._state
            with self._store.reading() as reader:
                rows = reader.embedded_rows(keys)
                found = reader.cached_embeddings([key for key in keys if key not in rows])
        if rows and state.dense is not None:
            found.update(zip(rows, state.dense.get(list(rows.values())), strict=True))
        return [found.get(key) for key in keys]

    # Loading

    def _follow(self, names: Sequence[str] = ()) -> tuple[State, dict[str, int]]:
        """Move to the last commit; return its state, and the rows of some ids in that very commit."""
        for _ in range(_LOAD_ATTEMPTS):
            with self._store.reading() as reader:
                if self._move_to(reader):
                    return self._state, reader.rows_of(names)
        raise self._overtaken()

    def _heal(self) -> None:
        """Read the last commit again if an error left the state behind it."""
        if not self._loaded:
            with self.writing:
                if not self._loaded:
                    self._follow()

    def _move_to(self, reader: Reader) -> bool:
        """Move to the commit of a reader; False if its segment files are gone, since there is a later one."""
        head = reader.head()
        if self._loaded and head.commits == self._head.commits:
            return True
        if self._loaded and head.generation == self._head.generation:
            self._advance_to(reader, head)
            return True
        parts = self._loaded_parts(reader, self._parts)
        if parts is None:
            return False
        engines = self._assembled(parts, reader.tombstones(), _Tail.read(reader, head.sealed))
        self._publish(head, engines, parts, self._table(reader, head, engines))
        self._loaded = True
        return True

    def _loaded_parts(
        self, reader: Reader, known: dict[int, Engines], *, mmap: bool = True
    ) -> dict[int, Engines] | None:
        """Open the segments of a commit; None if files are gone, since a later commit does not name them."""
        head = reader.head()
        try:
            return self._opened(reader.segments(), head.dim, known, mmap=mmap)
        except (StorageError, CorruptIndexError):
            with self._store.reading() as newer:
                if newer.head().generation == head.generation:
                    raise
            return None

    def _opened(
        self, segments: Iterable[Segment], dim: int | None, known: dict[int, Engines], *, mmap: bool = True
    ) -> dict[int, Engines]:
        found = {}
        for segment in segments:
            part = known.get(segment.number)
            found[segment.number] = load_segment(self._folder, segment, dim, mmap=mmap) if part is None else part
        return found

    def _assembled(self, parts: dict[int, Engines], tombstones: Ids, tail: _Tail) -> Engines:
        engines = Engines(None, self.settings.lexical())
        for part in parts.values():
            engines = engines.attach(part)
        engines.remove(tombstones)
        return tail.onto(engines)

    def _table(self, reader: Reader, head: Head, engines: Engines) -> Table:
        """Return the table of the rows that the engines hold, as a later version of the present one."""
        dense = np.empty(0, dtype=np.int64) if engines.dense is None else engines.dense.ids
        lexical = engines.lexical.ids
        live = np.union1d(np.union1d(dense, lexical), reader.blank())
        if len(live) != head.count or digest_of(live) != head.digest or (len(live) and live[-1] >= head.next_row):
            raise self._store.damaged(
                f"its {head.count} documents are not the {len(live)} rows of its segments without its tombstones"
            )
        before = self._state.table
        if not len(before.row_ids):
            return Table.of_records(self._records, live, head.next_row, np.isin(live, dense), np.isin(live, lexical))
        added = live[live > before.row_ids[-1]]
        gone = np.setdiff1d(before.live_ids(), live, assume_unique=True)
        wanted = added.tolist() if before.has_columns else []
        documents = [record.document for record in reader.records(wanted)]
        table = before.after(
            before.rows(gone), documents, np.isin(added, dense), np.isin(added, lexical), (), ids=added
        )
        table.next_id = head.next_row
        return table

    def _advance_to(self, reader: Reader, head: Head) -> None:
        """Move to a commit that has the same segments."""
        killed = reader.tombstones(since=self._head.commits)
        tail = _Tail.read(reader, self._head.next_row - 1)
        before = self._state.table
        gone = np.intersect1d(before.live_ids(), killed, assume_unique=True)
        engines = Engines(self._state.dense, self._state.lexical).fork()
        engines.remove(gone)
        engines = tail.onto(engines)
        flags = np.array([record.flags for record in tail.records], dtype=np.int64)
        table = before.after(
            before.rows(gone),
            [record.document for record in tail.records],
            flags & HAS_VECTOR != 0,
            flags & HAS_TEXT != 0,
            (),
            ids=np.array([record.row for record in tail.records], dtype=np.int64),
        )
        table.next_id = head.next_row
        if len(table) != head.count:
            raise self._store.damaged(f"it counts {head.count} documents and holds {len(table)}")
        self._publish(head, engines, self._parts, table)

    def _publish(self, head: Head, engines: Engines, parts: dict[int, Engines], table: Table) -> None:
        dense = engines.dense
        if dense is None and head.dim is not None:
            dense = Engines.empty_dense(head.dim)
        with self.publishing:
            self._head, self._parts = head, parts
            self._state = State(table, dense, engines.lexical, self.settings.tf_limit)

    # Writing

    def check_writable(self) -> None:
        """Raise StorageError if the index is read-only, SightlineError in a child that forked from the writer."""
        self._store.writer()

    @contextmanager
    def exclusive(self, count: int) -> Iterator[None]:
        """Hold the locks for a write of so many documents."""
        self.check_writable()
        if count < _DIRECT_ROWS:
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
            if self._has_work():
                self._start_maintenance()

    def replace(self, rows: Rows, prepared: Prepared | None) -> None:
        """Publish the state in which some live rows are gone and prepared documents are there."""
        before = self._head
        try:
            super().replace(rows, prepared)
        except BaseException:
            self._recover(before, () if self._fresh is None else [self._fresh])
            raise
        finally:
            self._fresh = None

    def _recover(self, before: Head, written: Sequence[Segment]) -> None:
        """After an error in a write, which may have come after its COMMIT: follow what the database says.

        Parameters: before : the head that the write began with; written : the segments it made, removed unless the
                    manifest names them or may come to name them. What is in doubt is left for the next open to sweep.
        """
        self._loaded = False  # until it is known to be: head, state and parts are not changed at one instant
        numbers = {segment.number for segment in written}
        # Until the files are known to be gone, no other content may get their names.
        self._least_number = max([self._least_number, *(number + 1 for number in numbers)])
        in_doubt = self._store.commit_failed
        with suppress(SightlineError):
            with self._store.reading() as reader:
                named = {segment.number for segment in reader.segments()}
                if reader.head().commits == before.commits:
                    self._parts = {number: part for number, part in self._parts.items() if number in named}
                    self._loaded = True
            if not in_doubt:
                remove_files(self._folder, [segment for segment in written if segment.number not in named])
            self._heal()

    def _extended(self, engines: Engines, ids: Ids, prepared: Prepared | None) -> Engines:
        if prepared is None or len(prepared.documents) < _DIRECT_ROWS:
            return super()._extended(engines, ids, prepared)
        part = super()._extended(Engines(None, self.settings.lexical()), ids, prepared)
        segment = self._written(int(ids[0]), int(ids[-1]), part)
        if segment is None:  # nothing that could be searched
            return engines
        self._fresh = segment
        dim = None if part.dense is None else part.dense.dim
        self._parts = self._parts | {segment.number: load_segment(self._folder, segment, dim)}
        return engines.attach(self._parts[segment.number])

    def _written(self, first: int, last: int, engines: Engines) -> Segment | None:
        # Each change of the manifest is a generation, and generations never fall below a number given, so this number
        # was never named before: a reader that still has an older segment open could otherwise take it for this one.
        number = max(self._head.generation + 1, self._least_number)
        return write_segment(self._folder, number, first, last, engines)

    def _commit(self, rows: Rows, removed: Ids, ids: Ids, prepared: Prepared | None, following: State) -> None:
        head = replace(
            self._head,
            commits=self._head.commits + 1,
            next_row=self._head.next_row + len(ids),
            count=len(following.table),
            digest=(self._head.digest - digest_of(removed) + digest_of(ids)) % (1 << 64),
            dim=following.dim,
        )
        store, dense = self._store, self._state.dense
        with store.transaction() as connection:
            if len(removed):
                embedded = store.embedded_of(connection, removed)[-_CACHED_EMBEDDINGS:]
                if embedded and dense is not None:
                    vectors = dense.get([row for row, _ in embedded])
                    store.cache_embeddings(connection, [key for _, key in embedded], vectors, _CACHED_EMBEDDINGS)
                store.remove(connection, removed, head.commits)
            if prepared is not None:
                flags = (
                    prepared.has_vector * HAS_VECTOR + prepared.has_text * HAS_TEXT + prepared.embedded * EMBEDDED
                ).tolist()
                hashes = [
                    text_hash(searched_text(document)) if flag & EMBEDDED else None
                    for document, flag in zip(prepared.documents, flags, strict=True)
                ]
                store.insert(connection, ids, prepared.documents, flags, hashes)
                if self._fresh is not None:
                    store.replace_segments(connection, (), self._fresh)
                    head = replace(head, generation=self._fresh.number, sealed=self._fresh.last)
                elif prepared.vectors is not None:
                    store.insert_vectors(connection, ids[prepared.has_vector], prepared.vectors)
            store.advance(connection, head)
        self._head = head
        self._kills += len(removed)

    # Sealing and merging

    def _has_work(self) -> bool:
        """Whether there is something to seal or, as far as is worth looking now, to merge."""
        if self._tail_rows() >= self._seal_rows():
            return True
        if self._kills < _KILLS_TO_LOOK and self._generation_looked_at == self._head.generation:
            return False
        self._kills, self._generation_looked_at = 0, self._head.generation
        return bool(self._merge_candidates())

    def _tail_rows(self) -> int:
        return self._head.next_row - 1 - self._head.sealed

    def _seal_rows(self) -> int:
        return max(1, min(_SEAL_ROWS, _SEAL_BYTES // (4 * (self._head.dim or 1))))

    def _merge_candidates(self) -> list[Segment]:
        if not self._parts:
            return []
        with self._store.reading() as reader:
            segments = reader.segments()
            dead = [reader.tombstone_count(segment.first, segment.last) for segment in segments]
        return merge_group(segments, dead)

    def _start_maintenance(self) -> None:
        with self.publishing:
            running = self._maintenance is not None and self._maintenance.is_alive()
            if not self.background or running or self._closing:
                return
            self._maintenance = threading.Thread(target=self._maintain, name="sightline-maintenance", daemon=True)
            self._maintenance.start()
            _maintained.add(self)

    def _maintain(self) -> None:
        try:
            while not self._closing:
                with self._maintaining:
                    if not self._maintain_once():
                        break
            self._maintenance_error = None
        except SightlineError as error:  # nothing is lost: the rows stay where they are, and the next write tries again
            self._maintenance_error = error

    def _maintain_once(self) -> bool:
        if self._tail_rows() >= self._seal_rows():
            self._seal()
            return True
        group = self._merge_candidates()
        if group:
            self._merge(group)
        return bool(group)

    def _seal(self) -> None:
        """Move the unsealed rows to segment files. The caller holds ``_maintaining``."""
        self._heal()
        with self._store.reading() as reader:
            head = reader.head()
            tail = _Tail.read(reader, head.sealed)
            dead = reader.tombstones(head.sealed + 1)
        last = head.next_row - 1
        if last == head.sealed:
            return
        engines = tail.onto(Engines(None, self.settings.lexical()))
        self._swap((), self._written(head.sealed + 1, last, engines), dead, last)

    def _merge(self, group: Sequence[Segment], dead: Ids | None = None) -> None:
        """Make one segment of neighbours, without their dead rows. The caller holds ``_maintaining``.

        Parameters: dead : sealed rows to purge, those of the group by default; others are in no segment, as they had
                    neither vector nor text, or none that outlived an earlier merge
        """
        self._heal()
        first, last = (group[0].first, group[-1].last) if group else (0, -1)
        if dead is None:
            with self._store.reading() as reader:
                dead = reader.tombstones(first, last)
        engines = Engines(None, self.settings.lexical())
        for segment in group:
            engines = engines.attach(self._parts[segment.number])
        engines.remove(dead)
        if engines.dense is not None:
            engines.dense.compact()
        engines.lexical.compact()
        self._swap(group, self._written(first, last, engines), dead, None)

    def _swap(self, old: Sequence[Segment], new: Segment | None, purged: Ids, sealed: int | None) -> None:
        """Name a new segment in the manifest instead of old ones or of unsealed rows, and search it from then on."""
        with self.writing:
            self._heal()
            before = self._head
            try:
                self._name(old, new, purged, sealed)
            except BaseException:
                self._recover(before, [] if new is None else [new])
                raise
        remove_files(self._folder, old)

    def _name(self, old: Sequence[Segment], new: Segment | None, purged: Ids, sealed: int | None) -> None:
        with self._store.reading() as reader:
            segments = [segment for segment in reader.segments() if segment not in old]
            tombstones = np.setdiff1d(reader.tombstones(), purged, assume_unique=True)
            tail = _Tail.read(reader, self._head.sealed if sealed is None else sealed)
        if new is not None:
            segments = sorted([*segments, new], key=lambda segment: segment.first)
        parts = self._opened(segments, self._head.dim, self._parts)
        engines = self._assembled(parts, tombstones, tail)
        vectors = 0 if engines.dense is None else len(engines.dense)
        if (vectors, len(engines.lexical)) != (self._state.vector_count, len(self._state.lexical)):
            raise self._store.damaged("sealing or merging would change what it holds")
        head = replace(
            self._head,
            commits=self._head.commits + 1,
            generation=self._head.generation + 1 if new is None else new.number,
            sealed=self._head.sealed if sealed is None else sealed,
        )
        # Once old files are gone no earlier manifest must come back, whatever the durability.
        with self._store.transaction(durable=bool(old)) as connection:
            self._store.replace_segments(connection, old, new, sealed)
            self._store.purge(connection, purged)
            self._store.advance(connection, head)
        self._publish(head, engines, parts, self._state.table)

    def flush(self) -> None:
        """Seal what is unsealed, and have all that is acknowledged on the disk, also under durability="os"."""
        self.check_writable()
        with self._maintaining:
            self._seal()
        with self.writing:
            self._store.sync()
            self._store.checkpoint()

    def compact(self) -> None:
        """Merge all segments into one without the removed rows, and give their space back."""
        self.check_writable()
        with self._maintaining:
            self._seal()
            with self._store.reading() as reader:
                segments, dead = reader.segments(), reader.tombstones()
            if len(segments) > 1 or len(dead):
                self._merge(segments, dead)
            with self.writing:
                self._store.vacuum()

    def verify(self) -> dict[str, Any]:
        """Read every byte of the last commit and compare database, dense and lexical rows.

        Raises:     CorruptIndexError, StorageError
        """
        with self._maintaining:  # in this process nobody removes a file meanwhile
            for _ in range(_LOAD_ATTEMPTS):
                with self._store.reading() as reader:
                    parts = self._loaded_parts(reader, {}, mmap=False)
                    if parts is not None:
                        return self._verified(reader, parts)
        raise self._overtaken()

    def _overtaken(self) -> StorageError:
        return StorageError(f"'{self._folder}': its writer merges faster than this process opens files; try again")

    def _verified(self, reader: Reader, parts: dict[int, Engines]) -> dict[str, Any]:
        head, tombstones = reader.head(), reader.tombstones()
        reader.check()
        flags = {record.row: record.flags for record in reader.all_records()}
        tail = _Tail.read(reader, head.sealed)
        engines = self._assembled(parts, tombstones, tail)
        rows = np.array(sorted(flags), dtype=np.int64)
        dense = np.empty(0, dtype=np.int64) if engines.dense is None else engines.dense.ids
        for name, ids, bit in (("vector", dense, HAS_VECTOR), ("text", engines.lexical.ids, HAS_TEXT)):
            expected = np.array([row for row in rows.tolist() if flags[row] & bit], dtype=np.int64)
            if not np.array_equal(ids, expected):
                row = np.setxor1d(ids, expected)[0]
                raise self._store.damaged(f"row {row}: database and segments disagree on whether it has a {name}")
        if len(rows) != head.count or digest_of(rows) != head.digest:
            raise self._store.damaged(f"it counts {head.count} documents and holds {len(rows)}")
        counts = {"documents": len(rows), "vectors": len(dense), "texts": len(engines.lexical)}
        return counts | {"segments": len(parts)}

    def stats(self) -> dict[str, Any]:
        """Return what there is to say about the disk."""
        with self._store.reading() as reader:
            segments = reader.segments()
            dead = len(reader.tombstones())
        return {
            "path": str(self._folder),
            "settings": self.settings.to_json(),
            "read_only": self._read_only,
            "segments": len(segments),
            "unsealed": self._tail_rows(),
            "tombstones": dead,
            "disk_bytes": sum(_size(path) for path in self._folder.rglob("*")),
            "maintenance_error": None if self._maintenance_error is None else str(self._maintenance_error),
        }

    def close(self) -> None:
        """Let go of everything; waits for sealing or merging under way."""
        self._closing = True
        with self._maintaining:
            super().close()
            self._parts = {}
            self._store.close()
            if self._lock is not None:
                self._lock.release()


_maintained: weakref.WeakSet[DurableKeeper] = weakref.WeakSet()


@atexit.register
def _finish_maintenance() -> None:
    """Wait for the step under way of indexes that nobody closed: the interpreter must not end under a thread's feet."""
    for keeper in list(_maintained):
        keeper._closing = True
        if keeper._maintenance is not None:
            keeper._maintenance.join()


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 if it is gone by now, or none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


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
