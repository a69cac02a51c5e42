"""The filter language: dictionaries such as ``{"year": {"$gte": 2024}, "source": {"$in": ["a", "b"]}}``.

Semantics, where RAG users' habits leave them open:
- ``{"field": value}`` means ``$eq``. Several fields, or several operators on one field, must all hold. ``{}`` matches
  all.
- A list matches if any of its elements does. ``$contains`` asks for an element of a list, or a part of a string;
  ``$icontains`` for a part of a string, or of any string of a list, letter case aside.
- A missing value and None are the same. ``$eq: None`` and ``$exists: False`` find them; ``$ne``, ``$nin`` and ``$not``
  are plain negations, so they match documents without the field; nothing is greater or less than a missing value.
- Two ISO dates compare as instants, in whatever notation. Other strings compare by code points.
- Kinds never mix: true is not 1 and "5" is not 5. If a field holds values in the index but none of the operand's kind,
  that is an error, because it is a mistake in the filter far more often than an intended empty answer.
- A dotted path reaches into nested objects: ``{"author.name": "Ada"}``.
"""

from __future__ import annotations

import datetime
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Columns, Field, Kind, Mask, Stream, StringStream
from sightline.documents import python_scalar
from sightline.errors import InvalidInputError

__all__ = ["Filter", "parse_filter", "within"]

Scalar: TypeAlias = "str | float | bool"

_OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$contains", "$icontains", "$not")
_MAX_DEPTH = 64
_ROWS_AT_ONCE = 4096
_MAX_NUMBER = sys.float_info.max
_PLURAL = {"string": "strings", "number": "numbers", "boolean": "booleans", "object": "objects"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a filter is evaluated on: the columns and which of their rows are alive (None: all)."""

    columns: Columns
    live: Mask | None

    def has_live(self, stream: Stream) -> bool:
        if self.live is None:
            return len(stream.rows) > 0
        # A few at a time: nearly always one of the first is alive.
        pieces = range(0, len(stream.rows), _ROWS_AT_ONCE)
        return any(self.live[stream.rows[first : first + _ROWS_AT_ONCE]].any() for first in pieces)


class Filter(ABC):
    """A parsed filter: an immutable tree, to be evaluated on any columns."""

    __slots__ = ()

    def mask(self, columns: Columns, live: Mask | None = None) -> Mask:
        """Return which rows match, and are alive if ``live`` is given.

        Raises:     InvalidInputError if an operand's kind clashes with what its field holds
        """
        mask = self._evaluate(_Rows(columns, live))
        return mask if live is None else mask & live

    def few(self, columns: Columns, live: Mask | None, most: int) -> NDArray[np.int32] | None:
        """Return the live rows that match, ascending, if that takes no look at all rows; None says nothing.

        Parameters: most : None, too, if there are more

        Raises:     as ``mask``
        """
        found = self._few(_Rows(columns, live), most)
        if found is None or live is None:
            return found
        return found[live[found]]

    def _few(self, rows: _Rows, most: int) -> NDArray[np.int32] | None:
        return None

    @abstractmethod
    def _evaluate(self, rows: _Rows) -> Mask: ...


@dataclass(frozen=True, slots=True)
class _And(Filter):
    parts: tuple[Filter, ...]

    def _evaluate(self, rows: _Rows) -> Mask:
        if not self.parts:
            return np.ones(rows.columns.row_count, dtype=np.bool_)
        mask = self.parts[0]._evaluate(rows)  # a part's mask is nobody else's
        for part in self.parts[1:]:
            mask &= part._evaluate(rows)
        return mask

    def _few(self, rows: _Rows, most: int) -> NDArray[np.int32] | None:
        for position, part in enumerate(self.parts):
            found = part._few(rows, most)
            if found is not None:
                for other in (*self.parts[:position], *self.parts[position + 1 :]):
                    found = found[other._evaluate(rows)[found]]
                return found
        return None


@dataclass(frozen=True, slots=True)
class _Or(Filter):
    parts: tuple[Filter, ...]

    def _evaluate(self, rows: _Rows) -> Mask:
        mask = np.zeros(rows.columns.row_count, dtype=np.bool_)
        for part in self.parts:
            mask |= part._evaluate(rows)
        return mask


@dataclass(frozen=True, slots=True)
class _Not(Filter):
    part: Filter

    def _evaluate(self, rows: _Rows) -> Mask:
        result: Mask = ~self.part._evaluate(rows)
        return result


@dataclass(frozen=True, slots=True)
class _Within(Filter):
    """A filter on the rows of a scope only: not even its errors tell what other rows hold."""

    scope: Filter
    inner: Filter

    def _evaluate(self, rows: _Rows) -> Mask:
        inside = self.scope.mask(rows.columns, rows.live)
        return self.inner.mask(rows.columns, inside)


@dataclass(frozen=True, slots=True)
class _Exists(Filter):
    path: str

    def _evaluate(self, rows: _Rows) -> Mask:
        field = rows.columns.field(self.path)
        if field is None:
            return np.zeros(rows.columns.row_count, dtype=np.bool_)
        return field.present.row_mask(field.present.any_row(), rows.columns.row_count)


@dataclass(frozen=True, slots=True)
class _OnField(Filter):
    """An operator on the values of one field, which are in a stream for each kind."""

    path: str
    operator: str

    @abstractmethod
    def _operands(self) -> Iterable[tuple[Kind, Any]]: ...

    @abstractmethod
    def _row_mask(self, field: Field, stream: Stream, operand: Any, row_count: int) -> Mask: ...

    def _evaluate(self, rows: _Rows) -> Mask:
        mask: Mask | None = None
        field = rows.columns.field(self.path)
        if field is not None:
            for kind, operand in self._operands():
                for stream in _streams(field, kind, self, rows):
                    found = self._row_mask(field, stream, operand, rows.columns.row_count)
                    mask = found if mask is None else mask | found
        return np.zeros(rows.columns.row_count, dtype=np.bool_) if mask is None else mask


@dataclass(frozen=True, slots=True)
class _EqualsAny(_OnField):
    """``$eq`` and ``$in``."""

    operands: dict[Kind, list[Any]]

    def _operands(self) -> Iterable[tuple[Kind, Any]]:
        return self.operands.items()

    def _row_mask(self, field: Field, stream: Stream, operand: Any, row_count: int) -> Mask:
        return _equal_mask(stream, operand, row_count)

    def _few(self, rows: _Rows, most: int) -> NDArray[np.int32] | None:
        field = rows.columns.field(self.path)
        found: list[NDArray[np.int32]] = []
        if field is not None:
            for kind, operands in self.operands.items():
                for stream in _streams(field, kind, self, rows):
                    equal = stream.equal_rows(operands)
                    if equal is None or len(equal) > most:
                        return None
                    found.append(equal)
        if len(found) == 1:
            return found[0]
        union = np.unique(np.concatenate([np.empty(0, dtype=np.int32), *found]))
        return union if len(union) <= most else None


@dataclass(frozen=True, slots=True)
class _OneOperand(_OnField):
    kind: Kind
    operand: Any

    def _operands(self) -> Iterable[tuple[Kind, Any]]:
        return ((self.kind, self.operand),)


@dataclass(frozen=True, slots=True)
class _Compare(_OneOperand):
    def _row_mask(self, field: Field, stream: Stream, operand: Any, row_count: int) -> Mask:
        return stream.row_mask(stream.compare(self.operator, operand), row_count)


@dataclass(frozen=True, slots=True)
class _Contains(_OneOperand):
    def _row_mask(self, field: Field, stream: Stream, operand: Any, row_count: int) -> Mask:
        if isinstance(stream, StringStream):
            if self.operator == "$icontains":
                return stream.row_mask(stream.contains(operand, ignore_case=True), row_count)
            if stream is field.scalars.get("string"):
                return stream.row_mask(stream.contains(operand), row_count)
        return _equal_mask(stream, [operand], row_count)


def _equal_mask(stream: Stream, operands: list[Any], row_count: int) -> Mask:
    found = stream.equal_rows(operands)
    if found is None:
        return stream.row_mask(stream.equals_any(operands), row_count)
    mask = np.zeros(row_count, dtype=np.bool_)
    mask[found] = True
    return mask


def _streams(field: Field, kind: Kind, node: _OnField, rows: _Rows) -> list[Stream]:
    """Return the streams of a field that can hold the operand.

    Raises:     InvalidInputError if none of them has a live row although the field has live values of other kinds
    """
    members = [("elements", field.elements), ("scalars", field.scalars)]
    found = []
    for group, streams in members:
        stream = streams.get(kind)
        if stream is None or (node.operator == "$contains" and group == "scalars" and kind != "string"):
            continue
        found.append(stream)
    if not any(rows.has_live(stream) for stream in found):
        others = sorted(
            ("lists of " if group == "elements" else "") + _PLURAL[other]
            for group, streams in members
            for other, stream in streams.items()
            if rows.has_live(stream)
        )
        if others:
            raise InvalidInputError(
                f"where: {node.path!r} holds {' and '.join(others)}, which {node.operator} cannot match with a "
                f"{kind}; filters never convert between kinds"
            )
    return found


def parse_filter(where: object) -> Filter:
    """Check a filter dictionary and return it in a form to evaluate, which shares nothing with the dictionary.

    Parameters: where : dict in the language described at the top of this module, or a filter that was parsed before
    Raises:     InvalidInputError naming the path of the wrong part
    """
    return where if isinstance(where, Filter) else _parse_object(where, "where", 0)


def within(scope: Filter, inner: Filter) -> Filter:
    """Return a filter for rows that match both, in which ``inner`` is evaluated as if only the scope's rows existed."""
    return _Within(scope, inner)


def _parse_object(where: object, at: str, depth: int) -> Filter:
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"{at}: is nested deeper than {_MAX_DEPTH} levels")
    if not isinstance(where, Mapping):
        raise InvalidInputError(f"{at}: expected a dict, got {type(where).__name__} {where!r}")
    parts: list[Filter] = []
    for key, value in where.items():
        if not isinstance(key, str) or not key:
            raise InvalidInputError(f"{at}: keys must be non-empty str, got {key!r}")
        here = f"{at}[{key!r}]"
        if key in ("$and", "$or"):
            if not isinstance(value, (list, tuple)) or not value:
                raise InvalidInputError(f"{here}: expected a non-empty list of filters, got {value!r}")
            inner = tuple(_parse_object(part, f"{here}[{i}]", depth + 1) for i, part in enumerate(value))
            parts.append(_And(inner) if key == "$and" else _Or(inner))
        elif key == "$not":
            parts.append(_Not(_parse_object(value, here, depth + 1)))
        elif key.startswith("$"):
            raise InvalidInputError(
                f"{at}: unknown operator {key!r}; expected a field, $and, $or or $not "
                f"({', '.join(_OPERATORS[:-1])} belong inside a field's dict)"
            )
        elif isinstance(value, Mapping):
            parts.extend(_parse_field(key, value, here, depth + 1))
        else:
            parts.append(_parse_operator(key, "$eq", value, here))
    return parts[0] if len(parts) == 1 else _And(tuple(parts))


def _parse_field(path: str, operators: Mapping[Any, Any], at: str, depth: int) -> list[Filter]:
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"{at}: is nested deeper than {_MAX_DEPTH} levels")
    if not operators:
        raise InvalidInputError(f"{at}: expected an operator such as $eq, got an empty dict")
    parts: list[Filter] = []
    for name, operand in operators.items():
        here = f"{at}[{name!r}]"
        if name not in _OPERATORS:
            hint = "" if isinstance(name, str) and name.startswith("$") else f"; write {path}.{name} for a nested field"
            raise InvalidInputError(f"{at}: unknown operator {name!r}; expected one of {', '.join(_OPERATORS)}{hint}")
        if name == "$not":
            if not isinstance(operand, Mapping):
                raise InvalidInputError(f"{here}: expected a dict of operators, got {operand!r}")
            parts.append(_Not(_And(tuple(_parse_field(path, operand, here, depth + 1)))))
        else:
            parts.append(_parse_operator(path, name, operand, here))
    return parts


def _parse_operator(path: str, name: str, operand: object, at: str) -> Filter:
    if name == "$exists":
        if not isinstance(operand, bool):
            raise InvalidInputError(f"{at}: expected True or False, got {operand!r}")
        return _Exists(path) if operand else _Not(_Exists(path))
    if name in ("$in", "$nin"):
        if isinstance(operand, (str, bytes, Mapping)) or not isinstance(
            operand, (Sequence, set, frozenset, np.ndarray)
        ):
            raise InvalidInputError(f"{at}: expected a list of values, got {operand!r}")
        found = _equals_any(path, name, list(operand), at)
        return found if name == "$in" else _Not(found)
    if name in ("$eq", "$ne"):
        found = _equals_any(path, name, [operand], at)
        return found if name == "$eq" else _Not(found)
    kind, value = _parse_operand(operand, at)
    if name == "$icontains" and kind != "string":
        raise InvalidInputError(f"{at}: expected a str, got {operand!r}")
    if name in ("$contains", "$icontains"):
        return _Contains(path, name, kind, value)
    if kind == "boolean":
        raise InvalidInputError(f"{at}: booleans have no order; use $eq")
    return _Compare(path, name, kind, value)


def _equals_any(path: str, name: str, operands: list[object], at: str) -> Filter:
    by_kind: dict[Kind, list[Any]] = {}
    wants_missing = False
    for operand in operands:
        operand = python_scalar(operand, at)  # first, since NaT is a missing value, too
        if operand is None:
            wants_missing = True
        else:
            kind, value = _parse_operand(operand, at)
            by_kind.setdefault(kind, []).append(value)
    found = _EqualsAny(path, name, by_kind)
    return _Or((found, _Not(_Exists(path)))) if wants_missing else found


def _parse_operand(operand: object, at: str) -> tuple[Kind, Scalar]:
    operand = python_scalar(operand, at)
    if isinstance(operand, bool):
        return "boolean", operand
    if isinstance(operand, str):
        return "string", operand
    if isinstance(operand, (datetime.datetime, datetime.date)):
        return "string", operand.isoformat()
    if isinstance(operand, (int, float)):
        if not abs(operand) <= _MAX_NUMBER:  # also False for NaN
            raise InvalidInputError(f"{at}: expected a finite number, got {operand!r}")
        return "number", operand
    if isinstance(operand, (list, tuple, set, frozenset)):
        raise InvalidInputError(f"{at}: expected one value, got {operand!r}; use $in, or $contains for lists")
    raise InvalidInputError(f"{at}: expected a str, number, bool or date, got {type(operand).__name__} {operand!r}")
