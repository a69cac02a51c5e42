"""Metadata as typed, append-only NumPy columns, so that a filter over a million rows is a few vector operations.

Invariants: rows are numbered 0, 1, 2 ... in the order of ``extended`` and never change. A version that readers hold
never changes; only the newest may be extended.

A field (a dotted path) holds one stream of (row, value) pairs per kind of value, see column_streams. Where columns come
from files or from JSON, a field is made when it is first asked for: a filter on one field reads no other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline import _core
from sightline.column_streams import STREAM_OF, Kind, Mask, Stream, StringStream, Values, parse_instant
from sightline.errors import InvalidInputError

__all__ = [
    "Columns",
    "Field",
    "Kind",
    "Mask",
    "PackedField",
    "PackedStream",
    "Part",
    "Stream",
    "StringStream",
    "check_paths",
    "parse_instant",
    "parsed_fields",
]

_MOST_WAITING = 1000  # versions of a field that nobody looked at
_KINDS: tuple[Kind, ...] = ("string", "number", "boolean", "object")  # numbered as in the core


class PackedStream(NamedTuple):
    """A stream as arrays: of scalars or of elements of lists."""

    in_list: bool
    kind: Kind
    rows: NDArray[np.int32]
    values: Values


class PackedField(NamedTuple):
    """A field as arrays, whose rows are those of where it comes from."""

    present: NDArray[np.int32]
    streams: list[PackedStream]


@dataclass(frozen=True, slots=True)
class Part:
    """Columns that are elsewhere. ``places``: where each of its rows is here, -1 for nowhere; ``field`` : by path."""

    places: NDArray[np.int32]
    paths: Iterable[str]
    field: Callable[[str], PackedField]


def parsed_fields(texts: Sequence[str | None]) -> dict[str, PackedField]:
    """Return the fields of metadata that is JSON; row i is that of text i, None for no metadata.

    Raises:     InvalidInputError if a text is no JSON object
    """
    found = {}
    for path, present, streams in _core.parse_metadata(list(texts)):
        packed = []
        for in_list, number, rows, values in streams:
            kind = _KINDS[number]
            if kind == "string":
                values = (*values, None)
            elif kind == "boolean":
                values = (values.view(np.bool_),)
            packed.append(PackedStream(in_list, kind, rows, () if values is None else values))
        found[path] = PackedField(present, packed)
    return found


class Field:
    """All values at one dotted path."""

    __slots__ = ("elements", "present", "scalars")

    def __init__(self) -> None:
        self.present = Stream()
        self.scalars: dict[Kind, Stream] = {}
        self.elements: dict[Kind, Stream] = {}  # of lists

    def stream(self, in_list: bool, kind: Kind) -> Stream:
        """Return a stream, a new one if there is none."""
        streams = self.elements if in_list else self.scalars
        stream = streams.get(kind)
        if stream is None:
            stream = streams[kind] = STREAM_OF[kind]()
        return stream

    def copy(self) -> Field:
        """Return the next version of the field."""
        clone = Field()
        clone.present = self.present.copy()
        clone.scalars = {kind: stream.copy() for kind, stream in self.scalars.items()}
        clone.elements = {kind: stream.copy() for kind, stream in self.elements.items()}
        return clone


_Values: TypeAlias = tuple[list[int], list[Any]]  # rows, and what they have


class _News(Protocol):
    """What is new of one field."""

    def add_to(self, field: Field) -> None: ...


class _Staged:
    """The new values of one field."""

    __slots__ = ("elements", "present", "scalars")

    def __init__(self) -> None:
        self.present: list[int] = []
        self.scalars: dict[Kind, _Values] = {}
        self.elements: dict[Kind, _Values] = {}

    def add_to(self, field: Field) -> None:
        field.present.extend(self.present, ())
        for in_list, groups in ((False, self.scalars), (True, self.elements)):
            for kind, (rows, values) in groups.items():
                field.stream(in_list, kind).extend(rows, values)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A field of a part."""

    part: Part
    path: str

    def add_to(self, field: Field) -> None:
        packed = self.part.field(self.path)
        rows = self.part.places[packed.present]
        field.present.append(rows[rows >= 0], ())
        for in_list, kind, own_rows, values in packed.streams:
            rows = self.part.places[own_rows]
            keep = rows >= 0
            if keep.all():
                field.stream(in_list, kind).append(rows, values)
            elif keep.any():
                field.stream(in_list, kind).append(rows[keep], STREAM_OF[kind].taken(values, keep))


class _Version:
    """One version of a field, made when it is first asked for, by what is new since the version before.

    Thread safety: any; all versions of a field share their lock, so that each is made once, from the one before it.
    """

    __slots__ = ("_before", "_field", "_lock", "_news", "waiting")

    def __init__(self, before: _Version | None, news: Sequence[_News]) -> None:
        self._lock: threading.Lock = threading.Lock() if before is None else before._lock
        self._before = before
        self._news = news
        # Versions before this one that are not made yet.
        self.waiting: int = 0 if before is None or before.is_made else before.waiting + 1
        self._field: Field | None = None

    @property
    def is_made(self) -> bool:
        return self._field is not None

    def field(self) -> Field:
        """Return the field.

        Raises:     whatever its parts raise; a later call tries again
        """
        if self._field is None:
            with self._lock:
                versions: list[_Version] = []
                version: _Version | None = self
                while version is not None and version._field is None:
                    versions.append(version)
                    version = version._before
                while versions:  # one that many writes separate from what was made must not recurse
                    versions.pop()._make()
        made: Any = self._field
        return made  # type: ignore[no-any-return]

    def _make(self) -> None:
        before = None if self._before is None else self._before._field
        field = Field() if before is None else before.copy()
        for news in self._news:
            news.add_to(field)
        self._field = field
        self._before, self._news = None, ()


class Columns:
    """The metadata of all rows; one version, which never changes."""

    def __init__(self) -> None:
        self._versions: dict[str, _Version] = {}
        self.row_count = 0

    @classmethod
    def of_parts(cls, row_count: int, parts: Sequence[Part]) -> Columns:
        """Return columns that are made of parts, field by field as these are asked for."""
        columns = cls()
        columns.row_count = row_count
        news: dict[str, list[_News]] = {}
        for part in parts:
            for path in part.paths:
                news.setdefault(path, []).append(_Placed(part, path))
        columns._versions = {path: _Version(None, found) for path, found in news.items()}
        return columns

    @property
    def paths(self) -> list[str]:
        """The fields that there are."""
        return list(self._versions)

    def field(self, path: str) -> Field | None:
        """Return a field, None if no row ever had it; O(1), but for the first time where it comes from parts."""
        version = self._versions.get(path)
        return None if version is None else version.field()

    def packed(self, path: str) -> PackedField:
        """Return a field as arrays."""
        field = self.field(path) or Field()
        streams = [
            PackedStream(in_list, kind, stream.rows, stream.values())
            for in_list, group in ((False, field.scalars), (True, field.elements))
            for kind, stream in group.items()
            if len(stream.rows)
        ]
        return PackedField(field.present.rows, streams)

    def extended(self, metadatas: Iterable[Mapping[str, Any]]) -> Columns:
        """Return the next version, with one more row per metadata object.

        Costs O(values), not O(rows): fields that do not occur are shared with this version.

        Parameters: metadatas : plain JSON, as ``read_documents`` yields it
        """
        staged: dict[str, _Staged] = {}
        row = self.row_count
        for metadata in metadatas:
            if metadata:
                _stage_object(staged, row, "", metadata)
            row += 1
        return self._following(row, staged)

    def extended_json(self, texts: Sequence[str | None]) -> Columns:
        """Return the next version, with one more row per text; the same as ``extended`` of what the texts hold.

        Raises:     InvalidInputError if a text is no JSON object
        """
        fields = parsed_fields(texts)
        row_count = self.row_count + len(texts)
        part = Part(np.arange(self.row_count, row_count, dtype=np.int32), fields, fields.__getitem__)
        return self._following(row_count, {path: _Placed(part, path) for path in fields})

    def _following(self, row_count: int, news: Mapping[str, _News]) -> Columns:
        following = Columns()
        following.row_count = row_count
        following._versions = dict(self._versions)
        for path, new in news.items():
            before = self._versions.get(path)
            version = following._versions[path] = _Version(before, (new,))
            # Else it waits with what it follows; but what waits takes more memory than what is made.
            if before is None or before.is_made or version.waiting >= _MOST_WAITING:
                version.field()
        return following


def check_paths(metadata: Mapping[str, Any], where: str) -> None:
    """Refuse metadata where a key with dots and a nested object spell one path: {"a.b": 1, "a": {"b": 2}}."""
    if type(metadata) is dict and _core.is_flat(metadata):
        return
    seen: set[str] = set()
    pending: list[tuple[str, Mapping[str, Any]]] = [("", metadata)]
    while pending:
        prefix, current = pending.pop()
        for key, value in current.items():
            path = prefix + key
            if path in seen:
                raise InvalidInputError(f"{where}: the path {path!r} occurs twice, as a key with dots and nested")
            seen.add(path)
            if isinstance(value, dict):
                pending.append((path + ".", value))


def _stage_object(staged: dict[str, _Staged], row: int, prefix: str, metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():  # once for every value of every document, hence no calls for the usual ones
        if value is None:
            continue
        path = prefix + key
        entry = staged.get(path)
        if entry is None:
            entry = staged[path] = _Staged()
        entry.present.append(row)
        if type(value) is list:
            for item in value:
                if item is not None:
                    _append(entry.elements, row, item)
            continue
        _append(entry.scalars, row, value)
        if type(value) is dict:
            _stage_object(staged, row, path + ".", value)


def _append(groups: dict[Kind, _Values], row: int, value: Any) -> None:
    kind = _KIND_OF.get(type(value)) or _kind_of(value)
    group = groups.get(kind)
    if group is None:
        group = groups[kind] = ([], [])
    group[0].append(row)
    group[1].append(value)


_KIND_OF: dict[type, Kind] = {str: "string", int: "number", float: "number", bool: "boolean", dict: "object"}


def _kind_of(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "object"
