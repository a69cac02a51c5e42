"""An index on disk as it is read: opened, and moved on to newer commits, whoever makes them.

The database names the segment files of a commit. A reader in another process asks it at each search whether there is a
newer commit, and moves there by the rows and tombstones since, or by mapping new segments.

Locks, taken in this order: ``_maintaining`` (who seals or merges), ``writing``, ``publishing``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.adapter import LowRankAdapter
from sightline.column_file import ColumnFile
from sightline.columns import Columns, Mask
from sightline.document_file import DocumentFiles, check_documents
from sightline.documents import Content, Document, copy_plain, searched_text
from sightline.errors import CorruptIndexError, StorageError
from sightline.keeper import Keeper
from sightline.retrieval import State
from sightline.segments import Engines, load_segment
from sightline.settings import Settings
from sightline.store import Store
from sightline.store_format import (
    ADAPTER,
    ADAPTER_HASH,
    EMBEDDED,
    HAS_TEXT,
    HAS_VECTOR,
    Head,
    Record,
    Segment,
    digest_of,
    text_hash,
)
from sightline.store_reader import Reader
from sightline.stored_columns import check_columns, stored_columns, stored_metadata
from sightline.table import Ids, Table

__all__ = ["FollowingKeeper", "Tail"]

_LOAD_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Tail:
    """The live rows that no segment holds."""

    records: list[Record]
    rows: Ids
    vectors: list[NDArray[np.float32]]

    @classmethod
    def read(cls, reader: Reader, after: int) -> Tail:
        return cls(*reader.unsealed_after(after))

    def onto(self, engines: Engines) -> Engines:
        return engines.add_records(self.records, self.rows, self.vectors)


_MOST_RECENT = 64  # documents of a writer that are in memory, too


class _StoredRecords:
    """The documents on disk, for a Table; columns: gives those of the segments that are open now.

    ``files``: the documents of these. A row never changes and what is there is whole, so files that are newer or older
    than a table are as good; rows that they do not have are in the database. Of them those written last are in memory,
    too: who writes one document mostly looks for it next, and after each commit SQLite reads its pages again.
    """

    def __init__(self, store: Store, columns: Callable[[], list[ColumnFile]]) -> None:
        self._store = store
        self._columns = columns
        self.files = DocumentFiles([])
        self._recent: dict[int, Document] = {}  # in the order of writing

    def remember(self, ids: Ids, documents: Sequence[Document]) -> None:
        """Take a few documents that were written under rows and are committed: those of a failed commit come again."""
        recent = self._recent
        recent.update(zip(ids.tolist(), documents, strict=True))
        while len(recent) > _MOST_RECENT:
            del recent[next(iter(recent))]

    def documents(self, ids: Sequence[int]) -> list[Document]:
        return [Document(name, text, metadata, None, title) for name, text, title, metadata in self.contents(ids)]

    def contents(self, ids: Sequence[int]) -> list[Content]:
        found, missing = self.files.contents(ids, json.loads)
        if not missing:
            return found
        for place, (row, content) in enumerate(zip(ids, found, strict=True)):
            recent = self._recent.get(row) if content is None else None
            if recent is not None:
                found[place] = (recent.id, recent.text, recent.title, copy_plain(recent.metadata))
        absent = [row for row, each in zip(ids, found, strict=True) if each is None]
        if not absent:
            return found
        rest = iter(self._store.contents(absent))
        return [next(rest) if each is None else each for each in found]

    def names(self, ids: Sequence[int]) -> list[str]:
        with self._store.reading() as reader:
            return reader.names(ids)

    def embedded(self, ids: Sequence[int]) -> list[bool]:
        return [bool(record.flags & EMBEDDED) for record in self._store.records(ids)]

    def columns(self, ids: Ids, live: Mask | None) -> Columns:
        with self._store.reading() as reader:
            return stored_columns(reader, ids, self._columns(), needed=live)


class FollowingKeeper(Keeper):
    """Keep the state of the newest commit.

    Parameters: folder : of the index; store : its open database; given : settings that the caller gave
    Raises:     CorruptIndexError, IncompatibleIndexError
    """

    def __init__(self, folder: Path, store: Store, given: Settings) -> None:
        self._folder = folder
        self._store = store
        self._maintaining = threading.RLock()
        self._loaded = False  # whether the state is that of the head; else the next call reads it again
        self._token = 0
        self._head = Head()
        self._parts: dict[int, Engines] = {}  # open segments, by number
        self._records = _StoredRecords(store, self._column_files)
        self._adapter: LowRankAdapter | None = None
        self._adapter_hash: str | None = None  # of what the database has
        self.settings = self._stored_settings(given)
        super().__init__(None, self.settings.lexical(), self.settings.tf_limit)
        self._follows = store.read_only  # whether others commit
        _kept.add(self)

    def _forked(self) -> None:
        """Become a reader, in a child that another thread may have forked while it held locks or changed the state."""
        self.writing, self.publishing, self._maintaining = threading.RLock(), threading.RLock(), threading.RLock()
        self._store.forked()
        self._follows, self._loaded, self._token = True, False, 0
        self._state = dataclasses.replace(self._state, table=Table())

    def _stored_settings(self, given: Settings) -> Settings:
        with self._store.reading() as reader:
            stored = reader.settings()
        try:
            settings = Settings.from_json({key: json.loads(value) for key, value in stored.items()})
            settings.lexical()
        except (KeyError, TypeError, ValueError) as error:
            raise self._store.damaged(f"its settings cannot be read ({error})") from None
        settings.check_against(given)
        return settings

    def _open_parts(self, parts: dict[int, Engines]) -> None:
        """Have these segments open."""
        self._parts = parts
        self._records.files = DocumentFiles([part.documents for part in parts.values() if part.documents is not None])

    def _column_files(self) -> list[ColumnFile]:
        return [part.columns for part in self._parts.values() if part.columns is not None]

    # Reading

    def current(self) -> State:
        """Return the newest state, also where another process made it."""
        if not self._loaded:  # a call less for every search
            self._heal()
        if self._follows:
            token = self._store.changed_token()
            if token != self._token:
                with self.writing:
                    if token != self._token:
                        self._follow()
                        self._token = token
        return self._state

    def lookup(self, names: Sequence[str]) -> tuple[State, dict[str, int]]:
        """Return the newest state, and the internal ids of those documents that it has."""
        if not self._follows:
            return super().lookup(names)
        with self.writing:  # which nobody writes with here: it keeps other threads from moving on meanwhile
            return self._follow(names)

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the internal ids of those documents that are present."""
        if self._loaded and not self._follows and not self._head.count:
            return {}  # a first large write asks for each of its ids twice, a tenth of its time
        return self._store.rows_of(names)

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
        self._read_adapter(reader)
        if self._loaded and head.generation == self._head.generation:
            self._advance_to(reader, head)
            return True
        parts = self._loaded_parts(reader, self._parts)
        if parts is None:
            return False
        engines = self._assembled(parts, reader.tombstones(), Tail.read(reader, head.sealed))
        self._publish(head, engines, parts, self._table(reader, head, engines))
        self._loaded = True
        return True

    def _read_adapter(self, reader: Reader) -> None:
        found = reader.setting(ADAPTER_HASH)
        if found == self._adapter_hash:
            return
        adapter = None
        if found is not None:
            stored = reader.setting(ADAPTER)
            try:
                if text_hash(stored or "").hex() != found:
                    raise ValueError("it does not have its hash")
                adapter = LowRankAdapter.from_json(json.loads(stored or ""))
            except (ValueError, TypeError, KeyError) as error:
                raise self._store.damaged(f"its adapter cannot be read ({error})") from None
        self._adapter, self._adapter_hash = adapter, found

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

    def _assembled(self, parts: dict[int, Engines], tombstones: Ids, tail: Tail) -> Engines:
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
        table = before.after(
            before.rows(gone),
            (),
            np.isin(added, dense),
            np.isin(added, lexical),
            ids=added,
            extend=lambda columns: columns.extended_json(stored_metadata(reader, added)),
        )
        table.next_id = head.next_row
        return table

    def _advance_to(self, reader: Reader, head: Head) -> None:
        """Move to a commit that has the same segments."""
        killed = reader.tombstones(since=self._head.commits)
        tail = Tail.read(reader, self._head.next_row - 1)
        before = self._state.table
        gone = np.intersect1d(before.live_ids(), killed, assume_unique=True)
        engines = Engines(self._state.dense, self._state.lexical).fork()
        engines.remove(gone)
        engines = tail.onto(engines)
        flags = np.array([record.flags for record in tail.records], dtype=np.int64)
        table = before.after(
            before.rows(gone),
            (),
            flags & HAS_VECTOR != 0,
            flags & HAS_TEXT != 0,
            ids=np.array([record.row for record in tail.records], dtype=np.int64),
            extend=lambda columns: columns.extended([record.document.metadata for record in tail.records]),
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
            self._head = head
            if parts is not self._parts:
                self._open_parts(parts)
            self._state = State(table, dense, engines.lexical, self.settings.tf_limit, self._adapter)

    def verify(self) -> dict[str, Any]:
        """Read every byte of the last commit and compare database, dense and lexical rows, columns and documents.

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
        for part in parts.values():
            if part.columns is not None:
                check_columns(reader, part.columns)
            if part.documents is not None:
                check_documents(reader, part.documents)
        flags = {record.row: record.flags for record in reader.all_records()}
        tail = Tail.read(reader, head.sealed)
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
            "read_only": self._store.read_only,
            "segments": len(segments),
            "unsealed": self._tail_rows(),
            "tombstones": dead,
            "disk_bytes": sum(_size(path) for path in self._folder.rglob("*")),
        }

    def _tail_rows(self) -> int:
        return self._head.next_row - 1 - self._head.sealed


_kept: weakref.WeakSet[FollowingKeeper] = weakref.WeakSet()


def _follow_parents() -> None:
    for keeper in list(_kept):
        keeper._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_follow_parents)


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 if it is gone by now (on Windows: or about to be), or none."""
    try:
        found = path.stat()
    except (FileNotFoundError, PermissionError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
