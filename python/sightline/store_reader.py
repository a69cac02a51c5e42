"""What is read of one commit of an index's database; every value is checked against its hash on the way."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.documents import Content, Document
from sightline.errors import CorruptIndexError
from sightline.store_format import (
    ADAPTER,
    ADAPTER_HASH,
    AT_ONCE,
    HAS_VECTOR,
    SETTINGS_HASH,
    Head,
    Ids,
    Record,
    RowGoneError,
    Segment,
    checked_contents,
    chunks,
    content_hash,
    metadata_check,
    plain,
    settings_hash,
    vector_hash,
)

__all__ = ["Reader"]

_Found = TypeVar("_Found")
_LAST_ROW = (1 << 63) - 1
_RECORD = "row, contents.id, flags, hash, metadata, title, text"


@lru_cache(maxsize=64)
def _contents_of(count: int) -> str:
    """Return the statement: the very same str each time, which sqlite3 finds again sooner than one of ``chunks``."""
    return f"SELECT {_RECORD} FROM contents WHERE row IN ({','.join('?' * count)})"


class Reader:
    """Reads of one commit.

    Parameters: connection : in a transaction, or for reads of rows only, which never change; damaged : makes the error
                for a database that contradicts itself; an attribute, too
    """

    def __init__(self, connection: sqlite3.Connection, damaged: Callable[[str], CorruptIndexError]) -> None:
        self._connection = connection
        self.damaged = damaged

    def settings(self) -> dict[str, str]:
        """Return what the index was made with, as JSON by name."""
        found = dict(self._connection.execute("SELECT key, value FROM settings"))
        for key in (ADAPTER, ADAPTER_HASH):
            found.pop(key, None)
        check = found.pop(SETTINGS_HASH, None)
        if not all(type(part) is str for pair in found.items() for part in pair) or settings_hash(found) != check:
            raise self.damaged("its settings do not have their hash")
        return found

    def setting(self, key: str) -> str | None:
        """Return one of the settings that may change."""
        found = self._connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def head(self) -> Head:
        """Return the counters of the commit."""
        found = self._connection.execute(
            "SELECT commits, generation, next_row, sealed, count, digest, dim FROM head"
        ).fetchone()
        if (
            found is None
            or not all(type(value) is int for value in found[:6])
            or type(found[6]) not in (int, type(None))
        ):
            raise self.damaged("its counters cannot be read")
        head = Head(*found)
        return replace(head, digest=head.digest % (1 << 64))

    def segments(self) -> list[Segment]:
        """Return the manifest, in the order of rows."""
        rows = self._connection.execute("SELECT * FROM segments ORDER BY first").fetchall()
        # Five columns before schema version 3, six before 4; damage to the text of the schema may make more of them.
        if not all(len(row) in (5, 6, 7) and all(type(value) is int and value >= 0 for value in row) for row in rows):
            raise self.damaged("its manifest of segments cannot be read")
        found = [Segment(*row) for row in rows]
        for before, after in itertools.pairwise(found):
            if before.last >= after.first:
                raise self.damaged(f"segments {before.number} and {after.number} overlap")
        return found

    def tombstones(self, first: int = 0, last: int | None = None, since: int | None = None) -> Ids:
        """Return the dead rows of a range, or those killed after a commit."""
        if since is not None:
            return self._rows("SELECT row FROM tombstones WHERE killed > ? ORDER BY row", (since,))
        between = (first, _LAST_ROW if last is None else last)
        return self._rows("SELECT row FROM tombstones WHERE row BETWEEN ? AND ? ORDER BY row", between)

    def tombstone_count(self, first: int, last: int) -> int:
        """Return how many rows of a range are dead."""
        query = "SELECT count(*) FROM tombstones WHERE row BETWEEN ? AND ?"
        count: int = self._connection.execute(query, (first, last)).fetchone()[0]
        return count

    def blank(self) -> Ids:
        """Return the live rows that have neither vector nor text, so that no engine knows them."""
        return self._rows(
            "SELECT documents.row FROM contents JOIN documents USING (row) WHERE flags & 3 = 0 ORDER BY row", ()
        )

    def _rows(self, query: str, values: tuple[Any, ...]) -> Ids:
        return np.array([row for (row,) in self._connection.execute(query, values)], dtype=np.int64)

    def _live_after(self, row: int) -> list[Record]:
        """Return the live documents written after a row, in order."""
        return [
            self._record(entry)
            for entry in self._connection.execute(
                f"SELECT {_RECORD} FROM contents JOIN documents USING (row) WHERE row > ? ORDER BY row", (row,)
            )
        ]

    def unsealed_after(self, row: int) -> tuple[list[Record], Ids, list[NDArray[np.float32]]]:
        """Return the live documents after a row that no segment file holds, and the rows and vectors of those with one.

        Raises:     CorruptIndexError if a hash does not hold, or documents and vectors disagree
        """
        records = self._live_after(row)
        rows, vectors = [], []
        query = "SELECT row, vector, hash FROM vectors WHERE row > ? ORDER BY row"
        for key, blob, check in self._connection.execute(query, (row,)):
            vectors.append(self._vector(key, blob, check))
            rows.append(key)
        # Rows have no hash, but those of documents and of vectors must agree.
        if rows != [record.row for record in records if record.flags & HAS_VECTOR]:
            raise self.damaged("documents and vectors that are not in a segment disagree")
        return records, np.array(rows, dtype=np.int64), vectors

    def _vector(self, key: int | bytes, blob: bytes, check: bytes) -> NDArray[np.float32]:
        if not isinstance(blob, bytes) or vector_hash(key, blob) != check:
            raise self.damaged(f"the vector of row {key!r} does not have its checksum")
        return np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False)

    def records(self, rows: Sequence[int]) -> list[Record]:
        """Return what was written under rows, in their order.

        Raises:     RowGoneError if one was purged; CorruptIndexError if a hash does not hold
        """
        found = {}
        for chunk, marks in chunks(rows):
            for entry in self._connection.execute(f"SELECT {_RECORD} FROM contents WHERE row IN ({marks})", chunk):
                found[entry[0]] = self._record(entry)
        return self._in_order(found, rows)

    def contents(self, rows: Sequence[int]) -> list[Content]:
        """Return what hits show of the documents of rows, in their order.

        Searches end here, for each hit that no file of documents has, hence no Python call for each.

        Raises:     as ``records``
        """
        fetched: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            fetched += self._connection.execute(_contents_of(len(some)), some)
        found = checked_contents(fetched, rows)
        if isinstance(found, int):
            raise self._mismatch(found)
        if found is None:
            raise RowGoneError("a row was purged")
        return found

    def names(self, rows: Sequence[int]) -> list[str]:
        """Return the ids written under rows, in their order, without reading documents.

        Raises:     RowGoneError if one was purged; CorruptIndexError if that of a live row is not the one it goes by
        """
        found: dict[int, str] = {}
        for chunk, marks in chunks(rows):
            for row, written, name in self._connection.execute(
                "SELECT row, contents.id, documents.id FROM contents LEFT JOIN documents USING (row) "
                f"WHERE row IN ({marks})",
                chunk,
            ):
                if name not in (None, written):
                    raise self.damaged(f"row {row} is that of {written!r}, not of {name!r}")
                found[row] = written
        return self._in_order(found, rows)

    def _in_order(self, found: dict[int, _Found], rows: Sequence[int]) -> list[_Found]:
        try:
            return [found[row] for row in rows]
        except KeyError:
            raise RowGoneError("a row was purged") from None

    def all_records(self) -> Iterator[Record]:
        """Yield the live documents in the order of writing."""
        for entry in self._connection.execute(
            f"SELECT {_RECORD} FROM documents JOIN contents USING (row) ORDER BY documents.row"
        ):
            yield self._record(entry)

    def _record(self, entry: tuple[Any, ...]) -> Record:
        row, name, flags, check, metadata, title, text = entry
        try:
            if content_hash(row, flags, name, metadata, title, text) != check:
                raise ValueError
            document = Document(name, text, plain(metadata), None, title)
        except (ValueError, TypeError):
            raise self._mismatch(row) from None
        return Record(row, document, flags)

    def _mismatch(self, row: int) -> CorruptIndexError:
        return self.damaged(f"the document of row {row} does not have its hash")

    def metadata(self, first: int, last: int) -> tuple[list[int], list[str | None]]:
        """Return the rows of a range, dead ones too, and their metadata as JSON, without reading their texts."""
        query = "SELECT row, metadata, metadata_check FROM contents WHERE row BETWEEN ? AND ? ORDER BY row"
        rows, texts = [], []
        try:
            for row, text, check in self._connection.execute(query, (first, last)):
                if metadata_check(row, text) != check:
                    raise ValueError(f"that of row {row} does not have its checksum")
                rows.append(row)
                texts.append(text)
        except (ValueError, TypeError, AttributeError) as error:  # SQLite columns hold values of any type
            raise self.damaged(f"its metadata cannot be read ({error})") from None
        return rows, texts

    def content_hashes(self, first: int, last: int) -> dict[int, bytes]:
        """Return the hashes of the documents of a range, dead ones too, by row, without reading the documents."""
        return dict(self._connection.execute("SELECT row, hash FROM contents WHERE row BETWEEN ? AND ?", (first, last)))

    def live_rows(self, first: int, last: int) -> Ids:
        """Return the live rows of a range."""
        return self._rows("SELECT row FROM documents WHERE row BETWEEN ? AND ? ORDER BY row", (first, last))

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the rows of the ids that are present."""
        found: dict[str, int] = {}
        for chunk, marks in chunks(names):
            for name, row, written in self._connection.execute(
                "SELECT documents.id, row, contents.id FROM documents LEFT JOIN contents USING (row) "
                f"WHERE documents.id IN ({marks})",
                chunk,
            ):
                if written != name:
                    raise self.damaged(f"row {row} is that of {written!r}, not of {name!r}")
                found[name] = row
        return found

    def embedded_rows(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return live rows whose vectors the embedder made for these text hashes."""
        found: dict[bytes, int] = {}
        for chunk, marks in chunks(keys):
            found.update(
                self._connection.execute(
                    f"SELECT text_hash, row FROM contents JOIN documents USING (row) WHERE text_hash IN ({marks})",
                    chunk,
                )
            )
        return found

    def cached_embeddings(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return vectors that were made for documents that are gone."""
        found: dict[bytes, NDArray[np.float32]] = {}
        for chunk, marks in chunks(keys):
            for key, blob, check in self._connection.execute(
                f"SELECT text_hash, vector, hash FROM embeddings WHERE text_hash IN ({marks})", chunk
            ):
                found[key] = self._vector(key, blob, check)
        return found

    def check(self) -> None:
        """Run SQLite's own check and compare documents with contents.

        Raises:     CorruptIndexError
        """
        problems = [text for (text,) in self._connection.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise self.damaged("; ".join(problems))
        lost = self._connection.execute(
            "SELECT documents.row FROM documents LEFT JOIN contents USING (row) WHERE contents.id IS NOT documents.id "
            "UNION ALL SELECT row FROM tombstones JOIN documents USING (row) "
            "UNION ALL SELECT row FROM contents WHERE row NOT IN (SELECT row FROM documents) "
            "AND row NOT IN (SELECT row FROM tombstones) LIMIT 1"
        ).fetchone()
        if lost is not None:
            raise self.damaged(f"row {lost[0]} of documents, contents and tombstones disagree")
