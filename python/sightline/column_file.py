"""The metadata columns of a segment as a file: what a filter needs of it is mapped and need not be made of JSON again.

A section file (cpp/storage/section_file.h has the container) with one JSON section, the directory, and one section for
each array. The directory: {"rows": how many, "ids": array of their internal ids, "fields": [...]}, a field: {"path",
"present": array of rows, "streams": [{"list", "kind", "rows", "values": [arrays]}]}. An array is [number of its
section, dtype], or null: of rows, that they are 0, 1, 2 ... (value i belongs to row i); of values, that there is none.
Strings are [codes, the distinct strings one after the other as UTF-8, where each begins in characters and the last
ends, instants].

Every checksum is verified when a file is opened, and what the arrays say when a field is first asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import _core
from sightline.column_streams import NO_INSTANT, Kind, Values
from sightline.columns import Columns, PackedField, PackedStream
from sightline.errors import CorruptIndexError

__all__ = ["ColumnFile", "write_columns"]

_DTYPES = ("|b1", "|u1", "<i4", "<i8", "<f8")
# By kind, the arrays of its values and which of them may be missing.
_VALUES: dict[Kind, tuple[tuple[str, bool], ...]] = {
    "string": (("<i4", False), ("|u1", False), ("<i8", False), ("<i8", True)),
    "number": (("<f8", False), ("<f8", True)),
    "boolean": (("|b1", False),),
    "object": (),
}


def write_columns(path: Path, ids: NDArray[np.int64], columns: Columns) -> None:
    """Write the columns of some rows to a file, fsync'ed; O(values).

    Parameters: ids : of the rows, ascending
    Raises:     StorageError; the path is then as it was
    """
    writer = _Writer()
    count = len(ids)
    fields = []
    for name in columns.paths:
        packed = columns.packed(name)
        streams = [
            {
                "list": in_list,
                "kind": kind,
                "rows": writer.rows(rows, count),
                "values": [writer.array(value) for value in _stored(kind, values)],
            }
            for in_list, kind, rows, values in packed.streams
        ]
        fields.append({"path": name, "present": writer.rows(packed.present, count), "streams": streams})
    directory = {"rows": count, "ids": writer.array(ids), "fields": fields}
    _core.write_column_file(os.fsencode(path), json.dumps(directory).encode(), writer.arrays)


class _Writer:
    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []

    def array(self, values: NDArray[Any] | None) -> list[Any] | None:
        if values is None:
            return None
        dtype = values.dtype.newbyteorder("<").str
        self.arrays.append(np.ascontiguousarray(values, dtype=dtype))
        return [len(self.arrays) - 1, dtype]

    def rows(self, rows: NDArray[np.int32], count: int) -> list[Any] | None:
        if len(rows) == count and np.array_equal(rows, np.arange(count, dtype=np.int32)):
            return None
        return self.array(rows)


def _stored(kind: Kind, values: Values) -> Iterator[NDArray[Any] | None]:
    """Yield the arrays of a stream's values as a file has them."""
    if kind != "string":
        yield from values
        return
    codes, strings, instants = values
    # A lone surrogate has no UTF-8 form; documents are refused for it, so there is none here.
    yield codes
    yield np.array(bytearray("".join(strings).encode()), dtype=np.uint8)
    yield np.cumsum([0, *map(len, strings)], dtype=np.int64)
    yield instants if (instants != NO_INSTANT).any() else None


class ColumnFile:
    """The columns of a segment, open; immutable.

    Parameters: path : of the file; mmap : whether to map it, or read it into memory
    Raises:     StorageError, CorruptIndexError, IncompatibleIndexError
    """

    def __init__(self, path: Path, *, mmap: bool = True) -> None:
        self.path = path
        self._file = _core.ColumnFile(os.fsencode(path), mmap)
        self._told: dict[str, Any] = {}
        with_fields = self._checked(self._directory)
        self.row_count: int = with_fields[0]
        self.ids: NDArray[np.int64] = with_fields[1]

    def _checked(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise CorruptIndexError(
                f"'{self.path}' is damaged: {error}; restore it from a backup or build the index again"
            ) from None

    def _directory(self) -> tuple[int, NDArray[np.int64]]:
        directory = json.loads(self._file.directory())
        count = directory["rows"]
        ids = self._array(directory["ids"], "<i8", count)
        if type(count) is not int or not bool((ids[1:] > ids[:-1]).all()):
            raise ValueError("its rows are not in order")
        self._told = {field["path"]: field for field in directory["fields"]}
        return count, ids

    @property
    def paths(self) -> list[str]:
        """The fields that the rows have."""
        return list(self._told)

    def field(self, path: str) -> PackedField:
        """Return a field; O(distinct strings), numbers are views of the file.

        Raises:     CorruptIndexError if its arrays contradict each other
        """
        found: PackedField = self._checked(lambda: self._field(self._told[path]))
        return found

    def _field(self, told: dict[str, Any]) -> PackedField:
        streams = []
        for stream in told["streams"]:
            kind: Kind = stream["kind"]
            rows = self._rows(stream["rows"])
            arrays = [
                None if array is None and optional else self._array(array, dtype)
                for array, (dtype, optional) in zip(stream["values"], _VALUES[kind], strict=True)
            ]
            values: Values = self._strings(*arrays) if kind == "string" else tuple(arrays)
            # One value a row and stream; of strings the codes.
            if kind != "object" and any(v is not None and len(v) != len(rows) for v in _aligned(kind, values)):
                raise ValueError(f"rows and values of {told['path']!r} disagree")
            if kind == "boolean":
                values = (values[0].view(np.uint8) != 0,)  # whatever the bytes are
            streams.append(PackedStream(bool(stream["list"]), kind, rows, values))
        return PackedField(self._rows(told["present"]), streams)

    def _rows(self, told: list[Any] | None) -> NDArray[np.int32]:
        if told is None:
            return np.arange(self.row_count, dtype=np.int32)
        rows = self._array(told, "<i4")
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < self.row_count):
            raise ValueError("a row is not one of its rows")
        return rows

    def _array(self, told: list[Any] | None, dtype: str, count: int | None = None) -> NDArray[Any]:
        if told is None or told[1] != dtype or dtype not in _DTYPES:
            raise ValueError(f"an array is not {dtype}")
        array = self._file.array(told[0]).view(np.dtype(dtype))
        if count is not None and len(array) != count:
            raise ValueError(f"an array has {len(array)} values instead of {count}")
        return array

    def _strings(
        self,
        codes: NDArray[np.int32] | None,
        text: NDArray[np.uint8] | None,
        ends: NDArray[np.int64] | None,
        instants: NDArray[np.int64] | None,
    ) -> Values:
        if codes is None or text is None or ends is None or not len(ends):
            raise ValueError("strings lack an array")
        whole = text.tobytes().decode()
        if ends[0] != 0 or ends[-1] != len(whole) or not bool((ends[1:] >= ends[:-1]).all()):
            raise ValueError("strings do not end where they should")
        strings = [whole[begin:end] for begin, end in pairwise(ends.tolist())]
        if len(codes) and not (int(codes.min()) >= 0 and int(codes.max()) < len(strings)):
            raise ValueError("a code stands for no string")
        if len(set(strings)) != len(strings):
            raise ValueError("a string occurs twice")
        if instants is not None and len(instants) != len(strings):
            raise ValueError("instants are not those of its strings")
        return codes, strings, np.full(len(strings), NO_INSTANT) if instants is None else instants


def _aligned(kind: Kind, values: Values) -> Values:
    return values[:1] if kind == "string" else values
