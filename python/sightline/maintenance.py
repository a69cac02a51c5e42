"""Sealing and merging: how rows get from the database into segment files, and segments into fewer.

Once unsealed rows are many they are sealed: written to segment files, fsync'ed, and then named in the manifest by a
transaction that also lets go of their vectors. Whatever the moment of a crash, the database names only files that are
complete.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sightline.columns import Columns
from sightline.document_file import Piece, pieces_of
from sightline.errors import SightlineError
from sightline.following import FollowingKeeper, Tail
from sightline.segments import Engines, merge_group, remove_files, segment_files, write_segment
from sightline.settings import Settings
from sightline.store import Store
from sightline.store_format import Head, Segment, entries_of
from sightline.stored_columns import stored_columns
from sightline.table import Ids

__all__ = ["MaintainedKeeper"]

# Rows are sealed once so many are unsealed: opening replays fewer, and a segment is worth its files.
_SEAL_ROWS = 8192
_SEAL_BYTES = 64 << 20  # of vectors
# What is merged in the background is in memory at once, so segments grow no further than that: 5 bytes a dimension, and
# what the words of a document of some length take. ``compact`` has no such limit.
_MERGE_BYTES = 2 << 30
_MERGE_TEXT_BYTES = 1 << 10
_KILLS_TO_LOOK = 1024  # dead rows between two looks for segments to merge; counting them costs O(dead rows)


class MaintainedKeeper(FollowingKeeper):
    """Keep an index on disk, and its segments few.

    Parameters: as for FollowingKeeper
    """

    background = True  # whether to seal and merge in a thread of its own, or only on request

    def __init__(self, folder: Path, store: Store, given: Settings) -> None:
        super().__init__(folder, store, given)
        self._maintenance: threading.Thread | None = None
        self._serving = self._asked = False  # whether the thread will look for work, and has to once more
        self._maintenance_error: SightlineError | None = None
        self._closing = False
        self._least_number = 0  # of the next segment, after files whose numbers a failed commit may yet name
        self._unremoved: list[Path] = []  # files that no manifest names any more and the system did not remove yet
        self._kills = 0  # rows that died since somebody looked for segments to merge, and when that was
        self._generation_looked_at = -1

    def _forked(self) -> None:
        super()._forked()
        self._serving = False  # the thread is the parent's
        self._unremoved = []  # which are the parent's to remove

    def check_writable(self) -> None:
        """Raise StorageError if the index is read-only, SightlineError in a child that forked from the writer."""
        self._store.writer()

    def _has_work(self) -> bool:
        """Whether there is something to seal or, as far as is worth looking now, to merge."""
        if self._tail_rows() >= self._seal_rows():
            return True
        if self._kills < _KILLS_TO_LOOK and self._generation_looked_at == self._head.generation:
            return False
        self._kills, self._generation_looked_at = 0, self._head.generation
        return bool(self._merge_candidates())

    def _seal_rows(self) -> int:
        return max(1, min(_SEAL_ROWS, _SEAL_BYTES // (4 * (self._head.dim or 1))))

    def _merge_candidates(self) -> list[Segment]:
        if not self._parts:
            return []
        with self._store.reading() as reader:
            segments = reader.segments()
            dead = [reader.tombstone_count(segment.first, segment.last) for segment in segments]
        return merge_group(segments, dead, _MERGE_BYTES // (5 * (self._head.dim or 0) + _MERGE_TEXT_BYTES))

    def _start_maintenance(self) -> None:
        with self.publishing:
            if not self.background or self._closing:
                return
            self._asked = True
            if self._serving:
                return
            self._maintenance = threading.Thread(target=self._maintain, name="sightline-maintenance", daemon=True)
            self._maintenance.start()
            self._serving = True
            _maintained.add(self)

    def _is_asked(self) -> bool:
        """Take the request to look for work. The thread ends with the last, so that none falls between two threads."""
        with self.publishing:
            asked, self._asked = self._asked and not self._closing, False
            self._serving = asked
            return asked

    def _maintain(self) -> None:
        try:
            while self._is_asked():
                worked = True
                while worked and not self._closing:
                    with self._maintaining:
                        worked = self._maintain_once()
                        self._discard()
                self._maintenance_error = None
        except BaseException as error:
            with self.publishing:
                self._serving = False
            if not isinstance(error, SightlineError):
                raise
            self._maintenance_error = error.with_traceback(
                None
            )  # nothing is lost: the rows stay, and the next write tries again

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
            tail = Tail.read(reader, head.sealed)
            dead = reader.tombstones(head.sealed + 1)
            rows = np.array([record.row for record in tail.records], dtype=np.int64)
            columns = stored_columns(reader, rows)
        last = head.next_row - 1
        if last == head.sealed:
            return
        engines = tail.onto(Engines(None, self.settings.lexical()))
        documents = entries_of([each.document for each in tail.records], [each.flags for each in tail.records])
        written = self._written(head.sealed + 1, last, engines, rows, columns, [(rows, documents)])
        self._swap((), written, dead, last)

    def _merge(self, group: Sequence[Segment], dead: Ids | None = None) -> None:
        """Make one segment of neighbours, without their dead rows. The caller holds ``_maintaining``.

        Parameters: dead : sealed rows to purge, those of the group by default; others are in no segment, as they had
                    neither vector nor text, or none that outlived an earlier merge
        """
        self._heal()
        first, last = (group[0].first, group[-1].last) if group else (0, -1)
        parts = [self._parts[segment.number] for segment in group]
        with self._store.reading() as reader:
            if dead is None:
                dead = reader.tombstones(first, last)
            rows = np.setdiff1d(reader.live_rows(first, last), dead, assume_unique=True)
            columns = stored_columns(reader, rows, [part.columns for part in parts if part.columns is not None])
        # A row never changes, so its document needs no transaction.
        documents = pieces_of(rows, [part.documents for part in parts if part.documents], self._store.records)
        engines = Engines(None, self.settings.lexical())
        while parts:
            engines = engines.attach(parts.pop(0))  # nothing here holds their files when they are to be removed
        engines.remove(dead)
        if engines.dense is not None:
            engines.dense.compact()
        engines.lexical.compact()
        written = self._written(first, last, engines, rows, columns, documents)
        del documents  # which holds files until it ends, and nobody asks it if all rows are dead
        self._swap(group, written, dead, None)

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
        self._discard(old)

    def _discard(self, segments: Sequence[Segment] = ()) -> None:
        """Remove the files of segments that the manifest names no more, and what could not be removed before."""
        if not segments and not self._unremoved:
            return
        with self.publishing:
            paths, self._unremoved = [*self._unremoved, *segment_files(self._folder, segments)], []
        left = remove_files(paths)
        with self.publishing:
            self._unremoved += left

    def _name(self, old: Sequence[Segment], new: Segment | None, purged: Ids, sealed: int | None) -> None:
        with self._store.reading() as reader:
            segments = [segment for segment in reader.segments() if segment not in old]
            tombstones = np.setdiff1d(reader.tombstones(), purged, assume_unique=True)
            tail = Tail.read(reader, self._head.sealed if sealed is None else sealed)
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

    def _written(
        self, first: int, last: int, engines: Engines, rows: Ids, columns: Columns, documents: Iterable[Piece]
    ) -> Segment | None:
        # Each change of the manifest is a generation, and generations never fall below a number given, so this number
        # was never named before: a reader that still has an older segment open could otherwise take it for this one.
        number = max(self._head.generation + 1, self._least_number)
        return write_segment(self._folder, number, first, last, engines, rows, columns, documents)

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
                    self._open_parts({number: part for number, part in self._parts.items() if number in named})
                    self._loaded = True
            if not in_doubt:
                self._discard([segment for segment in written if segment.number not in named])
            self._heal()

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
            # One that an older version made has no columns or documents yet.
            old = any(0 in (segment.columns, segment.documents) for segment in segments)
            if len(segments) > 1 or len(dead) or old:
                self._merge(segments, dead)
            with self.writing:
                self._store.vacuum()
            self._discard()

    def stats(self) -> dict[str, Any]:
        """Return what there is to say about the disk."""
        error = self._maintenance_error
        return super().stats() | {"maintenance_error": None if error is None else str(error)}


_maintained: weakref.WeakSet[MaintainedKeeper] = weakref.WeakSet()


@atexit.register
def _finish_maintenance() -> None:
    """Wait for the step under way of indexes that nobody closed: the interpreter must not end under a thread's feet."""
    for keeper in list(_maintained):
        keeper._closing = True
        if keeper._maintenance is not None:
            keeper._maintenance.join()
