"""The segment files of an index on disk: written once, named in the manifest, mapped, merged, swept.

A segment is up to four files, ``segments/<number>.dense`` and ``.lexical``, each a whole checksummed index of its
rows, ``.columns``, the metadata that filters look at, and ``.documents``, what hits show. A number is used once, so a
file name never means two contents. Functions without state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.bm25_index import BM25Index
from sightline.column_file import ColumnFile, write_columns
from sightline.columns import Columns
from sightline.document_file import DocumentFile, Piece, write_documents
from sightline.documents import lexical_item
from sightline.errors import CorruptIndexError, StorageError
from sightline.pending import Batch
from sightline.store_format import HAS_TEXT, HAS_VECTOR, Entries, Record, Segment
from sightline.vector_index import VectorIndex

__all__ = [
    "FOLDER",
    "Engines",
    "load_segment",
    "merge_group",
    "number_of",
    "remove_files",
    "segment_files",
    "sweep",
    "write_segment",
]

Ids: TypeAlias = NDArray[np.int64]

FOLDER = "segments"
# And what writing one left half done.
_OURS = re.compile(r"\d+\.(dense|lexical|columns|documents)(\.tmp-.*)?", re.ASCII)
# Segments merge like digits of a counter in base 4: once what is newer holds three times as much as a segment, it and
# all of that become one. So a row is rewritten O(log n) times, and a search meets O(log n) segments.
_NEWER_SHARE = 3
_DEAD_SHARE = 4  # a segment of which more than a quarter is dead is rewritten on its own


@dataclass(frozen=True, slots=True)
class Engines:
    """Both engines over the same rows; ``dense`` is None while no vector has come.

    ``columns``, ``documents``: of an open segment the metadata and the documents of its rows, if it has files of them.
    """

    dense: VectorIndex | None
    lexical: BM25Index
    columns: ColumnFile | None = None
    documents: DocumentFile | None = None

    @staticmethod
    def empty_dense(dim: int) -> VectorIndex:
        """Return a dense engine without rows."""
        return VectorIndex(dim, metric="cosine")

    def fork(self) -> Engines:
        """Return engines of their own, which share memory with these; O(1)."""
        return Engines(None if self.dense is None else self.dense.fork(), self.lexical.fork())

    def _add(
        self,
        rows: Ids,
        vectors: Sequence[NDArray[np.float32]] | NDArray[np.float32],
        text_rows: Ids,
        texts: Sequence[str | dict[str, str]],
    ) -> Engines:
        dense = self.dense
        if len(rows):
            matrix = np.asarray(vectors, dtype=np.float32)
            dense = VectorIndex(matrix.shape[1], metric="cosine") if dense is None else dense
            dense.add(matrix, rows)
        if texts:
            items: Any = texts  # of one kind, that of the index
            self.lexical.add(items, text_rows)
        return Engines(dense, self.lexical)

    def add_records(self, records: Sequence[Record], rows: Ids, vectors: Sequence[NDArray[np.float32]]) -> Engines:
        """Add documents and vectors under their rows, in place but for a dense engine that was not there."""
        fields = self.lexical.fields
        found = [record for record in records if record.flags & HAS_TEXT]
        texts = [lexical_item(record.document.title, record.document.text, fields) for record in found]
        return self._add(rows, vectors, np.array([record.row for record in found], dtype=np.int64), texts)

    def add_documents(self, rows: Ids, batch: Batch) -> Engines:
        """Add documents under their rows, in place but for a dense engine that was not there."""
        kept = [each for each, here in zip(batch.documents, batch.has_text, strict=True) if here]
        fields = self.lexical.fields
        texts = [lexical_item(each.title, each.text, fields) for each in kept]
        vectors = () if batch.vectors is None else batch.vectors
        return self._add(rows[batch.has_vector], vectors, rows[batch.has_text], texts)

    def add_entries(self, rows: Ids, entries: Entries, vectors: NDArray[np.float32] | None) -> Engines:
        """Add documents as the database has them, in place but for a dense engine that was not there."""
        flags = np.array(entries.flags, dtype=np.int64)
        parts = zip(entries.titles, entries.texts, entries.flags, strict=True)
        fields = self.lexical.fields
        texts = [lexical_item(title, text, fields) for title, text, flag in parts if flag & HAS_TEXT]
        return self._add(
            rows[flags & HAS_VECTOR != 0], () if vectors is None else vectors, rows[flags & HAS_TEXT != 0], texts
        )

    def attach(self, part: Engines) -> Engines:
        """Take over the rows of other engines, in place but for a dense engine that was not there."""
        dense = self.dense
        if part.dense is not None:
            dense = VectorIndex(part.dense.dim, metric="cosine") if dense is None else dense
            dense.attach(part.dense)
        if len(part.lexical):
            self.lexical.attach(part.lexical)
        return Engines(dense, self.lexical)

    def remove(self, rows: Ids) -> None:
        """Remove rows from whichever engine knows them."""
        if self.dense is not None:
            self.dense.remove(rows)
        self.lexical.remove(rows)


class _Paths(NamedTuple):
    dense: Path
    lexical: Path
    columns: Path
    documents: Path


def _paths(folder: Path, number: int) -> _Paths:
    return _Paths(*(folder / FOLDER / f"{number}.{kind}" for kind in _Paths._fields))


def write_segment(
    folder: Path,
    number: int,
    first: int,
    last: int,
    engines: Engines,
    rows: Ids,
    columns: Columns,
    documents: Iterable[Piece],
) -> Segment | None:
    """Write the files of a segment, fsync'ed; they mean nothing until the manifest names them.

    Parameters: rows : of the documents, ascending, those that the engines do not know among them; columns, documents :
                of these
    Returns:    what the manifest is to say; None, and no files, if the engines are empty
    Raises:     StorageError; nothing is left behind
    """
    vectors = 0 if engines.dense is None else len(engines.dense)
    paths = _paths(folder, number)
    segment = Segment(number, first, last, vectors, len(engines.lexical), len(rows), len(rows))
    if not vectors and not segment.texts:
        return None
    try:
        if vectors and engines.dense is not None:
            engines.dense.save(paths.dense)
        if len(engines.lexical):
            engines.lexical.save(paths.lexical)
        write_columns(paths.columns, rows, columns)
        write_documents(paths.documents, documents)
    except BaseException:
        remove_files(segment_files(folder, [segment]))
        raise
    return segment


def load_segment(folder: Path, segment: Segment, dim: int | None, *, mmap: bool = True) -> Engines:
    """Open a segment. Every checksum is verified, which reads the files once; those of documents as they are read:
    these are mapped anyway, since they may be many times the memory.

    Raises:     StorageError, CorruptIndexError, IncompatibleIndexError
    """
    paths = _paths(folder, segment.number)
    dense = VectorIndex.load(paths.dense, mmap=mmap) if segment.vectors else None
    lexical = BM25Index.load(paths.lexical, mmap=mmap) if segment.texts else BM25Index(None)
    columns = ColumnFile(paths.columns, mmap=mmap) if segment.columns else None
    documents = DocumentFile(os.fsencode(paths.documents)) if segment.documents else None
    parts: tuple[tuple[Path, VectorIndex | BM25Index | ColumnFile | DocumentFile | None, int], ...] = (
        (paths.dense, dense, segment.vectors),
        (paths.lexical, lexical, segment.texts),
        (paths.columns, columns, segment.columns),
        (paths.documents, documents, segment.documents),
    )
    for path, part, expected in parts:
        if part is None or not expected:
            continue
        ids = part.ids
        if len(ids) != expected or ids[0] < segment.first or ids[-1] > segment.last:
            raise CorruptIndexError(
                f"'{path}' is not the file that the manifest names: it has {len(ids)} rows, expected {expected} from "
                f"{segment.first} to {segment.last}; restore it from a backup or build the index again"
            )
    if dense is not None and dense.dim != dim:
        raise CorruptIndexError(
            f"'{paths.dense}' has {dense.dim} dimensions, the index has {dim}; restore it from a backup"
        )
    return Engines(dense, lexical, columns, documents)


def merge_group(segments: Sequence[Segment], dead_in: Sequence[int], most_rows: int) -> list[Segment]:
    """Return the neighbours to merge next, oldest first; empty if there is nothing to do.

    Parameters: segments : in the order of rows; dead_in : how many rows of each are dead; most_rows : of several
                segments that become one, which bounds the memory that it takes
    """
    rows = [max(segment.vectors, segment.texts) for segment in segments]
    newer = sum(rows)
    for position, count in enumerate(rows):
        newer -= count
        if position + 1 < len(rows) and newer >= _NEWER_SHARE * count and newer + count <= most_rows:
            return list(segments[position:])
    for segment, count, dead in zip(segments, rows, dead_in, strict=True):
        if dead * _DEAD_SHARE > count:
            return [segment]
    return []


def number_of(path: Path) -> int:
    """Return the number of the segment that a file is of."""
    return int(path.name.partition(".")[0])


def segment_files(folder: Path, segments: Iterable[Segment]) -> list[Path]:
    """Return the files that segments may have."""
    return [path for segment in segments for path in _paths(folder, segment.number)]


def remove_files(paths: Iterable[Path]) -> list[Path]:
    """Remove files that the manifest does not name, if they are there.

    Returns:    those that the system did not remove, to try again later: Windows keeps what somebody has mapped. What
                is left in the end is swept at the next open.
    """
    return [path for path in paths if not _is_removed(path)]


def _is_removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def sweep(folder: Path, segments: Iterable[Segment]) -> list[Path]:
    """Make the folder of segments, and remove every segment file in it that the manifest does not name.

    Files with other names are not ours and stay.

    Returns:    as ``remove_files``
    Raises:     StorageError if the folder cannot be made
    """
    inside = folder / FOLDER
    try:
        inside.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"'{inside}' cannot be made: {error.strerror or error}") from None
    named = {path.name for path in segment_files(folder, segments)}
    unnamed = [path for path in inside.iterdir() if path.name not in named and _OURS.fullmatch(path.name)]
    return remove_files(path for path in unnamed if path.is_file())
