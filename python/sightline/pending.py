"""Documents that are checked and embedded and wait for their commit: in memory, or in unnamed files beyond a bound.

A write takes effect at its end, so what came before must wait somewhere, and of a stream of millions not in memory.
Nothing is locked meanwhile: rows are numbered only when the stream has ended and the lock is taken.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Mask
from sightline.documents import Document
from sightline.errors import StorageError
from sightline.store_format import EMBEDDED, HAS_TEXT, HAS_VECTOR, Entries, entries_of

__all__ = ["Batch", "Pending", "SpooledPending"]

_Vectors: TypeAlias = "NDArray[np.float32]"

_DOCUMENT_BYTES = 500  # that a document takes besides its text and vector, about
_FEW, _FEW_CHARACTERS = 16, 1 << 16  # documents, and what their texts and metadata have together
_PIECE_ROWS = 16_384  # documents that an index in memory takes over at once, so that each need not wait twice for long


@dataclass(frozen=True, slots=True)
class Batch:
    """Checked documents. ``vectors`` holds rows only where ``has_vector`` is set."""

    documents: list[Document]  # without their vectors
    vectors: _Vectors | None
    has_vector: Mask
    has_text: Mask
    embedded: Mask  # whose vectors the embedder made

    @property
    def flags(self) -> list[int]:
        """What the database keeps of the masks."""
        flags: list[int] = (self.has_vector * HAS_VECTOR + self.has_text * HAS_TEXT + self.embedded * EMBEDDED).tolist()
        return flags

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return the documents of several batches as one."""
        if len(batches) == 1:
            return batches[0]
        vectors = [batch.vectors for batch in batches if batch.vectors is not None]
        return cls(
            [document for batch in batches for document in batch.documents],
            np.concatenate(vectors) if vectors else None,
            np.concatenate([batch.has_vector for batch in batches]),
            np.concatenate([batch.has_text for batch in batches]),
            np.concatenate([batch.embedded for batch in batches]),
        )


class Pending:
    """Keep batches in memory until their commit takes them.

    ``names``: the ids, in order; ``dim``: of the vectors, None while none came.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.dim: int | None = None
        self._batches: list[Batch] = []

    def __len__(self) -> int:
        return len(self.names)

    @property
    def bulk(self) -> bool:
        """Whether they are so many that on disk they become segments at once."""
        return False

    @property
    def few(self) -> bool:
        """Whether they are so few and short that who wrote them may keep them in memory for a while."""
        return False

    def append(self, batch: Batch) -> None:
        """Take a batch, whose vectors have as many dimensions as all before."""
        self.names += [document.id for document in batch.documents]
        if batch.vectors is not None:
            self.dim = batch.vectors.shape[1]
        self._keep(batch)

    def _keep(self, batch: Batch) -> None:
        self._batches.append(batch)

    def pieces(self) -> Iterator[Batch]:
        """Give the documents away, several batches at a time: what was given is not held any more."""
        self._batches.reverse()
        while self._batches:
            piece = [self._batches.pop()]
            while self._batches and sum(len(batch.documents) for batch in piece) < _PIECE_ROWS:
                piece.append(self._batches.pop())
            yield Batch.joined(piece)

    def whole(self) -> Batch:
        """Return all documents at once, of which there is one at least."""
        return Batch.joined(self._batches)

    def entries(self) -> Entries:
        """Return all documents at once as the database has them."""
        raise NotImplementedError

    def groups(self) -> Iterator[tuple[Entries, _Vectors | None]]:
        """Yield what was spooled, one segment at a time: documents as the database has them, and their vectors."""
        raise NotImplementedError

    def __enter__(self) -> Pending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches = []


@dataclass(slots=True)
class _Group:
    """Documents that will be one segment."""

    row_count: int = 0
    text_bytes: int = 0
    lines: int = 0  # one a batch, of the file of texts
    vector_count: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """When documents are many, when they go to files, and when those of one segment are enough."""

    few_rows: int
    few_bytes: int
    memory_bytes: int
    group_rows: int
    group_vector_bytes: int
    group_text_bytes: int


@dataclass(slots=True)
class _Spool:
    texts: IO[bytes]
    vectors: IO[bytes]
    groups: list[_Group] = field(default_factory=lambda: [_Group()])


class SpooledPending(Pending):
    """Keep documents in memory up to a bound, and beyond in unnamed files in the folder of the index.

    The files are gone with the process, however that ends.

    Parameters: folder : on the disk that must have room for the documents anyway; limits : see Limits
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        super().__init__()
        self._folder = folder
        self._limits = limits
        self._text_bytes = 0  # of texts, titles, metadata and ids, in characters
        self._entries: list[Entries] = []  # of the batches that are in memory
        self._pieces: list[tuple[Entries, _Vectors | None]] = []  # many documents, in memory
        self._spool: _Spool | None = None
        self._files = ExitStack()

    @property
    def bulk(self) -> bool:
        """Whether they are so many that they become segments at once."""
        return len(self) >= self._limits.few_rows or self._held_bytes() >= self._limits.few_bytes

    @property
    def few(self) -> bool:
        """Whether they are so few and short that who wrote them may keep them in memory for a while."""
        return len(self) <= _FEW and self._text_bytes <= _FEW_CHARACTERS and not self.bulk

    def _held_bytes(self) -> int:
        return self._text_bytes + (4 * (self.dim or 0) + _DOCUMENT_BYTES) * len(self)

    def _keep(self, batch: Batch) -> None:
        entries = entries_of(batch.documents, batch.flags)
        self._text_bytes += _length(entries)
        self._batches.append(batch)
        self._entries.append(entries)
        if not self.bulk:
            return
        # No objects from here on that the garbage collector would look at again and again.
        self._pieces += zip(self._entries, [one.vectors for one in self._batches], strict=True)
        self._batches, self._entries = [], []
        if (
            self._spool is None
            and len(self) < self._limits.group_rows
            and self._held_bytes() < self._limits.memory_bytes
        ):
            return
        first = len(self) - sum(len(entries.names) for entries, _ in self._pieces)
        with self._told(first):
            if self._spool is None:
                texts, vectors = (self._files.enter_context(_unnamed(self._folder)) for _ in range(2))
                self._spool = _Spool(texts, vectors)
            for piece in self._pieces:
                self._write(self._spool, *piece)
        self._pieces = []

    @contextmanager
    def _told(self, position: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"documents[{position}] and what follows cannot be written to '{self._folder}': "
                f"{error.strerror or error}; nothing was added, and the call can be repeated once the cause is gone"
            ) from None

    def _write(self, spool: _Spool, entries: Entries, vectors: _Vectors | None) -> None:
        group, limits = spool.groups[-1], self._limits
        if (
            group.row_count >= limits.group_rows
            or group.text_bytes >= limits.group_text_bytes
            or 4 * (self.dim or 0) * group.vector_count >= limits.group_vector_bytes
        ):
            group = _Group()
            spool.groups.append(group)
        line = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
        spool.texts.write(line)
        spool.texts.write(b"\n")
        if vectors is not None:
            spool.vectors.write(np.ascontiguousarray(vectors, dtype=np.float32).data)
            group.vector_count += len(vectors)
        group.row_count += len(entries.names)
        group.text_bytes += len(line)
        group.lines += 1

    def entries(self) -> Entries:
        """Return all documents at once as the database has them, where they are few."""
        if len(self._entries) == 1:
            return self._entries[0]
        return _joined([(entries, None) for entries in self._entries])[0]

    def groups(self) -> Iterator[tuple[Entries, _Vectors | None]]:
        """Yield what was spooled, one segment at a time: documents as the database has them, and their vectors.

        Raises:     StorageError if the files cannot be read
        """
        spool = self._spool
        if spool is None:
            pieces, self._pieces = self._pieces, []
            yield _joined(pieces)
            return
        with self._told(0):
            for file in (spool.texts, spool.vectors):
                file.flush()
                file.seek(0)
        first = 0
        for group in spool.groups:
            with self._told(first):
                found = [self._read(spool, group)]
            yield found.pop()  # which nobody holds while the next is read
            first += group.row_count

    def _read(self, spool: _Spool, group: _Group) -> tuple[Entries, _Vectors | None]:
        pieces: list[tuple[Entries, _Vectors | None]] = []
        for _ in range(group.lines):
            pieces.append((Entries(*json.loads(spool.texts.readline())), None))
        entries, _ = _joined(pieces)
        if not group.vector_count:
            return entries, None
        size = 4 * group.vector_count * (self.dim or 0)
        raw = spool.vectors.read(size)
        if len(raw) != size:
            raise OSError("an unnamed file is shorter than what was written to it")
        return entries, np.frombuffer(raw, dtype=np.float32).reshape(group.vector_count, -1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._spool, self._pieces, self._entries = None, [], []
        with suppress(OSError):  # of what was still to be written to a full disk
            self._files.close()


def _joined(pieces: list[tuple[Entries, _Vectors | None]]) -> tuple[Entries, _Vectors | None]:
    """Join pieces; the list is emptied on the way, so that they need not all be there twice."""
    entries = Entries([], [], [], [], [])
    vectors = []
    pieces.reverse()
    while pieces:
        columns, rows = pieces.pop()
        entries.names.extend(columns.names)
        entries.flags.extend(columns.flags)
        entries.metadata.extend(columns.metadata)
        entries.titles.extend(columns.titles)
        entries.texts.extend(columns.texts)
        if rows is not None:
            vectors.append(rows)
    return entries, np.concatenate(vectors) if vectors else None


def _length(entries: Entries) -> int:
    optional = [part for parts in (entries.metadata, entries.titles) for part in parts if part is not None]
    return sum(map(len, entries.names)) + sum(map(len, entries.texts)) + sum(map(len, optional))


def _unnamed(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder, buffering=1 << 20)
