"""The documents of a segment as a file: what hits show of them, found by row and read without asking the database.

A search reads ten documents that nobody looked at lately, after a scan has passed through the caches. SQLite takes
about 12 microseconds for each then, most of it waiting for its own structures; a file of known places takes one read.
The database stays what says which documents there are, and has them too: ``check_documents`` compares both.
cpp/documents/document_file.h has the format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from sightline import _core
from sightline.store_format import Entries, Ids, Record, content_hash, entries_of
from sightline.store_reader import Reader

__all__ = ["DocumentFile", "DocumentFiles", "Piece", "check_documents", "pieces_of", "write_documents"]

DocumentFile = _core.DocumentFile
# Of all open segments, for ``contents``.
DocumentFiles = _core.DocumentFiles
# Documents of ascending rows, and where to take them from.
Piece: TypeAlias = "tuple[Ids, Entries | DocumentFile]"

_AT_ONCE = 2048  # documents in memory at a time


def write_documents(path: Path, pieces: Iterable[Piece]) -> None:
    """Write documents to a file, fsync'ed; O(length), in memory for a few of them.

    Parameters: pieces : whose rows ascend from each to the next
    Raises:     StorageError; CorruptIndexError if a file that they come from is damaged. The path is then as it was
    """
    writer = _core.DocumentFileWriter(os.fsencode(path))
    try:
        for rows, source in pieces:
            if isinstance(source, Entries):
                writer.add(rows.tolist(), source)
            else:
                writer.copy(source, rows)
        writer.commit()
    except BaseException:
        writer.abandon()  # whoever keeps the error keeps the writer, and a full disk must not stay full for that
        raise


def pieces_of(
    rows: Ids, files: Sequence[DocumentFile], records: Callable[[Sequence[int]], list[Record]]
) -> Iterator[Piece]:
    """Yield the documents of rows: from files that have them, else from the database, a few at a time.

    Parameters: rows : ascending; files : which share no row; records : reads rows of the database
    """
    source = np.full(len(rows), -1)
    for number, file in enumerate(files):
        source[np.isin(rows, file.ids, assume_unique=True)] = number
    for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(source)) + 1):
        if not len(run):
            continue
        if source[run[0]] >= 0:
            yield rows[run], files[source[run[0]]]
            continue
        for first in range(0, len(run), _AT_ONCE):
            some = rows[run[first : first + _AT_ONCE]]
            found = records(some.tolist())
            yield some, entries_of([each.document for each in found], [each.flags for each in found])


def check_documents(reader: Reader, file: DocumentFile) -> None:
    """Compare the documents of a segment with the database.

    Raises:     CorruptIndexError naming the first row that differs
    """
    ids = file.ids
    for first in range(0, len(ids), _AT_ONCE):
        rows = ids[first : first + _AT_ONCE].tolist()
        hashes = reader.content_hashes(rows[0], rows[-1])
        for row, (flags, name, metadata, title, text) in zip(rows, file.documents(first, _AT_ONCE), strict=True):
            if content_hash(row, flags, name, metadata, title, text) != hashes.get(row):
                raise reader.damaged(f"'{file.path}' has another document of row {row} than it has")
