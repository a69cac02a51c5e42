"""The columns of rows on disk: of the files of segments where these have them, else made of the database's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.column_file import ColumnFile
from sightline.column_streams import Mask, Values
from sightline.columns import Columns, PackedField, Part, parsed_fields
from sightline.errors import InvalidInputError
from sightline.store_format import Ids, RowGoneError
from sightline.store_reader import Reader

__all__ = ["check_columns", "stored_columns", "stored_metadata"]


def stored_columns(
    reader: Reader, ids: Ids, files: Iterable[ColumnFile] = (), *, needed: Mask | None = None
) -> Columns:
    """Return the columns of rows; O(rows), and O(length) of the metadata that no file has.

    Parameters: ids : ascending; files : of any state of the index, since a row never changes; needed : bool, which rows
                must be found, default all; others may have no values
    Raises:     RowGoneError if a row was purged; CorruptIndexError
    """
    found = np.zeros(len(ids), dtype=np.bool_)
    parts = []
    for file in files:
        places = np.searchsorted(ids, file.ids)
        inside = places < len(ids)
        inside[inside] = ids[places[inside]] == file.ids[inside]
        found[places[inside]] = True
        parts.append(Part(np.where(inside, places, -1).astype(np.int32), file.paths, file.field))
    rest = np.flatnonzero(~found if needed is None else needed & ~found)
    if len(rest):
        # A range of the database at a time, wherever no row of a file lies between.
        group = np.cumsum(found)[rest]
        texts: list[str | None] = []
        for run in np.split(rest, np.flatnonzero(np.diff(group)) + 1):
            texts += stored_metadata(reader, ids[run])
        try:
            fields = parsed_fields(texts)
        except InvalidInputError as error:
            raise reader.damaged(f"its metadata cannot be read ({error})") from None
        parts.append(Part(rest.astype(np.int32), fields, fields.__getitem__))
    return Columns.of_parts(len(ids), parts)


def stored_metadata(reader: Reader, ids: Ids) -> list[str | None]:
    """Return the metadata of rows as JSON; one read of the range that they span.

    Parameters: ids : ascending, one at least
    Raises:     RowGoneError if a row was purged; CorruptIndexError
    """
    rows, texts = reader.metadata(int(ids[0]), int(ids[-1]))
    if len(rows) == len(ids) and rows == ids.tolist():
        return texts
    text_of = dict(zip(rows, texts, strict=True))
    try:
        return [text_of[row] for row in ids.tolist()]
    except KeyError:
        raise RowGoneError("the metadata of a row was purged") from None


def check_columns(reader: Reader, file: ColumnFile) -> None:
    """Compare the columns of a segment with the metadata they were made of.

    Raises:     CorruptIndexError naming the first field that differs
    """
    mine = Columns.of_parts(file.row_count, [Part(np.arange(file.row_count, dtype=np.int32), file.paths, file.field)])
    try:
        theirs = stored_columns(reader, file.ids)
    except RowGoneError:
        raise reader.damaged(f"'{file.path}' has a row that it has not") from None
    for path in sorted({*mine.paths, *theirs.paths}):
        if not _same(mine.packed(path), theirs.packed(path)):
            raise reader.damaged(f"'{file.path}' has other values of {path!r} than its documents")


def _same(one: PackedField, other: PackedField) -> bool:
    if not np.array_equal(np.sort(one.present), np.sort(other.present)) or len(one.streams) != len(other.streams):
        return False
    streams = {(stream.in_list, stream.kind): stream for stream in other.streams}
    for in_list, kind, rows, values in one.streams:
        match = streams.get((in_list, kind))
        if match is None:
            return False
        # Rows need not be in order; the values of one row are, in both.
        mine, theirs = np.argsort(rows, kind="stable"), np.argsort(match.rows, kind="stable")
        if not np.array_equal(rows[mine], match.rows[theirs]):
            return False
        pairs = zip(_comparable(values, match.values), _comparable(match.values, values), strict=True)
        if not all(np.array_equal(a[mine], b[theirs]) for a, b in pairs):
            return False
    return True


def _comparable(values: Values, others: Values) -> Sequence[NDArray[np.generic]]:
    """Return arrays that are equal where the values are: strings by their codes in one dictionary for both."""
    if len(values) == 3:
        codes, strings, _ = values
        number_of = {text: number for number, text in enumerate(sorted({*strings, *others[1]}))}
        return [np.array([number_of[text] for text in strings], dtype=np.int64)[codes]]
    if len(values) == 2:
        high, low = values
        return [high, np.zeros(len(high)) if low is None else low]
    return values
