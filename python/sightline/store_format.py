"""What the database of an index holds: its tables, the values that stand for them in Python, and their hashes."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline import _core
from sightline.documents import Content, Document
from sightline.errors import SightlineError

__all__ = [
    "ADAPTER",
    "ADAPTER_HASH",
    "AT_ONCE",
    "EMBEDDED",
    "HAS_TEXT",
    "HAS_VECTOR",
    "SCHEMA",
    "SETTINGS_HASH",
    "Entries",
    "Head",
    "Ids",
    "Record",
    "RowGoneError",
    "Segment",
    "checked_contents",
    "chunks",
    "content_hash",
    "content_rows",
    "digest_of",
    "entries_of",
    "metadata_check",
    "plain",
    "settings_hash",
    "text_hash",
    "vector_hash",
]

Ids: TypeAlias = NDArray[np.int64]

# Bits of contents.flags
HAS_VECTOR, HAS_TEXT, EMBEDDED = 1, 2, 4

# Keys of the table of settings that are not what the index was made with; the adapter may change.
SETTINGS_HASH, ADAPTER, ADAPTER_HASH = "hash", "adapter", "adapter_hash"

AT_ONCE = 500  # parameters of one statement; SQLite allows 999 at least

SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1), commits INTEGER NOT NULL, generation INTEGER NOT NULL,
    next_row INTEGER NOT NULL, sealed INTEGER NOT NULL, count INTEGER NOT NULL, digest INTEGER NOT NULL, dim INTEGER
);
CREATE TABLE documents (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE contents (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, flags INTEGER NOT NULL, hash BLOB NOT NULL, text_hash BLOB,
    metadata TEXT, metadata_check INTEGER, title TEXT, text TEXT NOT NULL
);
CREATE INDEX contents_text ON contents (text_hash) WHERE text_hash IS NOT NULL;
CREATE INDEX contents_blank ON contents (row) WHERE flags & 3 = 0;
CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE segments (
    number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, vectors INTEGER NOT NULL,
    texts INTEGER NOT NULL, columns INTEGER NOT NULL DEFAULT 0, documents INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE tombstones (row INTEGER PRIMARY KEY, killed INTEGER NOT NULL);
CREATE INDEX tombstones_killed ON tombstones (killed);
CREATE TABLE embeddings (text_hash BLOB PRIMARY KEY, vector BLOB NOT NULL, hash BLOB NOT NULL);
"""


class RowGoneError(SightlineError):
    """A row was purged since the state that names it; a newer state does not. Never leaves the package."""


@dataclass(frozen=True, slots=True)
class Head:
    """Counters of a commit. Rows up to ``sealed`` are in segment files; ``generation`` counts changes of those."""

    commits: int = 0
    generation: int = 0
    next_row: int = 0
    sealed: int = -1
    count: int = 0
    digest: int = 0  # digest_of the live rows
    dim: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """The files of a segment: the rows from ``first`` to ``last`` that were alive when it was made."""

    number: int
    first: int
    last: int
    vectors: int  # how many; a segment without any has no such file
    texts: int
    columns: int = 0  # rows whose metadata it has; 0 before schema version 3, which has no such files
    documents: int = 0  # rows whose documents it has; 0 before schema version 4


@dataclass(frozen=True, slots=True)
class Record:
    """What was written under one row."""

    row: int
    document: Document  # without its vector
    flags: int


class Entries(NamedTuple):
    """Documents as the database has them, by column: many small objects would cost the garbage collector dearly."""

    names: list[str]
    flags: list[int]
    metadata: list[str | None]  # JSON
    titles: list[str | None]
    texts: list[str]

    def part(self, some: slice) -> Entries:
        """Return some of the documents."""
        return Entries(self.names[some], self.flags[some], self.metadata[some], self.titles[some], self.texts[some])


def entries_of(documents: Sequence[Document], flags: list[int]) -> Entries:
    """Return documents as the database has them."""
    return Entries(
        [document.id for document in documents],
        flags,
        _core.encode_metadata([document.metadata for document in documents]),  # type: ignore[misc]
        [document.title for document in documents],
        [document.text for document in documents],
    )


def content_rows(rows: Sequence[int], entries: Entries) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table ``contents``."""
    for first in range(0, len(rows), AT_ONCE):  # a large write need not have all of them at a time
        some = slice(first, first + AT_ONCE)
        yield from _core.content_rows(list(rows[some]), entries.part(some))


def digest_of(rows: Ids) -> int:
    """Return a hash of a set of rows, to which rows are added and from which they are subtracted modulo 2**64.

    Source:     S. Vigna, splitmix64, the finaliser
    """
    return _core.digest_of_rows(np.ascontiguousarray(rows, dtype=np.int64))


def text_hash(text: str) -> bytes:
    """Return what stands for a searched text in the cache of embeddings."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def settings_hash(settings: Mapping[str, str]) -> str:
    """Return a hash of settings, JSON by name."""
    return text_hash(json.dumps(dict(settings), sort_keys=True)).hex()


def content_hash(row: int, flags: int, name: str, metadata: str | None, title: str | None, text: str) -> bytes:
    """Return the hash of all that is kept of a document: BLAKE2b, 16 bytes, of its values and their lengths.

    Raises:     TypeError if damage to the database changed the type of a value
    """
    return _core.content_hash(row, flags, name, metadata, title, text)


def checked_contents(fetched: list[tuple[Any, ...]], rows: Sequence[int]) -> list[Content] | int | None:
    """Return what hits show of documents, in the order of rows: checked against their hashes, their metadata decoded.

    Parameters: fetched : (row, id, flags, hash, metadata, title, text) of each, in any order
    Returns:    a list of (id, text, title, metadata), whose metadata nobody else has; an int instead where a hash does
                not hold: the row, or -1 if that is damaged, too; None where a row is missing
    """
    return _core.checked_contents(fetched, list(rows), json.loads)


def vector_hash(key: int | bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(vector, digest_size=8, key=str(key).encode()).digest()


def metadata_check(row: int, metadata: str | None) -> int:
    """Return a checksum of metadata alone, so that building columns need not read the texts to verify it."""
    return zlib.crc32((metadata or "").encode(), row & 0xFFFFFFFF)


def plain(metadata: str | None) -> dict[str, Any]:
    """Return the metadata of its JSON."""
    found: dict[str, Any] = {} if metadata is None else json.loads(metadata)
    return found


def chunks(values: Sequence[Any]) -> Iterator[tuple[Sequence[Any], str]]:
    for start in range(0, len(values), AT_ONCE):
        chunk = values[start : start + AT_ONCE]
        yield chunk, ",".join("?" * len(chunk))
