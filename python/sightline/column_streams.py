"""The values of one kind in one field, as NumPy arrays that only grow: what a filter's operators look at.

A *stream* holds (row, value) pairs. Scalars and list elements are streams of the same shape, which is what gives lists
their membership semantics: a row matches if any of its values does. A field that few rows have costs memory for those
rows only.

Invariant: ``copy`` gives the next version its own length over the same memory, so a version that readers hold never
changes; only the newest may be extended.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline import _core

__all__ = [
    "NO_INSTANT",
    "STREAM_OF",
    "BooleanStream",
    "Growable",
    "Kind",
    "Mask",
    "NumberStream",
    "Stream",
    "StringStream",
    "Values",
    "parse_instant",
    "split_number",
]

Mask: TypeAlias = NDArray[np.bool_]
Kind: TypeAlias = Literal["string", "number", "boolean", "object"]
# The values of a stream as arrays, by its kind. Strings: int32 codes, the distinct strings, and int64 instants of those
# (NO_INSTANT for one that is no date; None: not known yet). Numbers: float64 (high, low), see split_number; low None
# where all are 0. Booleans: bool. Objects: nothing.
Values: TypeAlias = tuple[Any, ...]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
# Up to this many values, one vector comparison each is cheaper than a look-up table or a sort.
_FEW = 8
# Rows are grouped by their values at the fourth look for equal ones, which costs about as much. A search that does not
# find its rows at once looks twice, so that is its second filter.
_SCANS_BEFORE_GROUPS = 4
# They are grouped again once a greater share of the values came later. And what a greater share of the rows has is
# scanned for: a vector comparison is faster than setting so many bits one by one.
_LATER_SHARE = 16
_SCANNED_SHARE = 64
# Below this every integer is a float64.
_LEAST_INEXACT = 2.0**53
_NO_ROWS = np.empty(0, dtype=np.int32)
# Stands for "this string is no date"; datetime cannot express an instant this early.
NO_INSTANT = np.iinfo(np.int64).min
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def parse_instant(text: str) -> int | None:
    """Return an ISO 8601 date or date and time as microseconds since 1970, or None if it is not one.

    A date is its midnight; a time without an offset is UTC; digits below the microsecond are dropped.
    """
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return None
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    instant = (moment - _EPOCH) // _MICROSECOND + int(((fraction or "") + "000000")[:6])
    if zone and zone not in "Zz":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60_000_000
        instant -= offset if zone[0] == "+" else -offset
    return instant


def _instant_or_none(text: str) -> int:
    instant = parse_instant(text)
    return NO_INSTANT if instant is None else instant


def split_number(value: float) -> tuple[float, float]:
    """Return (high, low) with high + low == value exactly, high being the nearest float64.

    Comparing such pairs lexicographically orders 64-bit integers exactly, where float64 alone would merge neighbours.
    """
    high = float(value)
    return high, float(int(value) - int(high)) if isinstance(value, int) else 0.0


class Growable:
    """An array that appends in amortised O(1) per value."""

    __slots__ = ("_data", "_size")

    def __init__(self, dtype: Any) -> None:
        self._data: NDArray[Any] = np.empty(0, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> NDArray[Any]:
        return self._data[: self._size]

    def copy(self) -> Growable:
        """Return an array of its own length over the same memory. Only the newest copy may be extended."""
        clone = Growable.__new__(Growable)
        clone._data, clone._size = self._data, self._size
        return clone

    def extend(self, values: Sequence[Any] | NDArray[Any]) -> None:
        if not len(values):  # for all that is known the memory is that of a file, and cannot be written to
            return
        size = self._size + len(values)
        if size > len(self._data):
            grown = np.empty(max(size, 2 * len(self._data), 64), dtype=self._data.dtype)
            grown[: self._size] = self.view
            self._data = grown
        self._data[self._size : size] = values
        self._size = size


class Stream:
    """The rows that have values of one kind; a row may occur several times (a list).

    The rows of each value are grouped once that is worth it: ``_groups`` are those of the first so many values, which
    all later versions have, too, or None where they are not worth their memory; ``_scans`` counts searches since then.
    """

    __slots__ = ("_groups", "_rows", "_scans", "aligned")

    def __init__(self) -> None:
        self._rows = Growable(np.int32)
        self._groups: tuple[_core.ValueGroups | None, int] = None, 0
        self._scans = 0
        # True while value i belongs to row i, the usual case of a field that every document has: no scatter needed.
        self.aligned = True

    def copy(self) -> Stream:
        """Return the next version of the stream; see the module's invariants."""
        clone = type(self).__new__(type(self))
        for cls in type(self).__mro__:
            for name in getattr(cls, "__slots__", ()):
                value = getattr(self, name)
                setattr(clone, name, value.copy() if isinstance(value, Growable) else value)
        return clone

    @property
    def rows(self) -> NDArray[np.int32]:
        return self._rows.view

    def extend(self, rows: list[int], values: Sequence[Any]) -> None:
        start = len(self._rows)
        self.aligned = self.aligned and rows == list(range(start, start + len(rows)))
        self._rows.extend(rows)

    def append(self, rows: NDArray[np.int32], values: Values) -> None:
        """Append what is in arrays already."""
        start = len(self._rows)
        self.aligned = self.aligned and np.array_equal(rows, np.arange(start, start + len(rows), dtype=np.int32))
        self._rows.extend(rows)

    def values(self) -> Values:
        """Return the values, a view."""
        return ()

    @staticmethod
    def taken(values: Values, keep: Mask) -> Values:
        """Return some of the values."""
        return ()

    def row_mask(self, matches: Mask, row_count: int) -> Mask:
        """Return the rows that own at least one matching value."""
        if self.aligned and len(matches) == row_count:
            return matches
        mask = np.zeros(row_count, dtype=np.bool_)
        if self.aligned:
            mask[: len(matches)] = matches
        else:
            mask[self.rows[np.flatnonzero(matches)]] = True  # far faster than by the mask itself
        return mask

    def any_row(self) -> Mask:
        return np.ones(len(self._rows), dtype=np.bool_)

    def equals_any(self, operands: Sequence[Any]) -> Mask:
        raise NotImplementedError

    def compare(self, comparison: str, operand: Any) -> Mask:
        raise NotImplementedError

    def equal_rows(self, operands: Sequence[Any]) -> NDArray[np.int32] | None:
        """Return the rows that have a value equal to any operand, ascending, if that takes no look at all values.

        O(found rows * log), and now and then O(values). None where only ``equals_any`` can tell, or is faster.
        """
        return None

    def _grouped(
        self, count: int, group: Callable[[], _core.ValueGroups | None]
    ) -> tuple[_core.ValueGroups | None, int]:
        """Return the groups and of how many values they are; makes them, of all ``count``, where that is worth it."""
        groups, grouped = found = self._groups
        self._scans += 1
        if self._scans >= _SCANS_BEFORE_GROUPS and (count - grouped) * _LATER_SHARE > count:
            found = self._groups = group(), count
            self._scans = 0
        elif groups is not None and (count - grouped) * _LATER_SHARE > count:
            return None, 0
        return found

    def _joined(self, groups: list[NDArray[np.int32]], later: NDArray[np.int32]) -> NDArray[np.int32] | None:
        """Return the rows of some groups, and of later values, as one list; None if they are many."""
        if self.aligned and (sum(map(len, groups)) + len(later)) * _SCANNED_SHARE > len(self._rows):
            return None
        if len(groups) == 1 and not len(later):
            return groups[0]
        return np.unique(np.concatenate([*groups, later]))


class BooleanStream(Stream):
    __slots__ = ("_values",)

    def __init__(self) -> None:
        super().__init__()
        self._values = Growable(np.bool_)

    def extend(self, rows: list[int], values: Sequence[Any]) -> None:
        super().extend(rows, values)
        self._values.extend(values)

    def append(self, rows: NDArray[np.int32], values: Values) -> None:
        super().append(rows, values)
        self._values.extend(values[0])

    def values(self) -> Values:
        return (self._values.view,)

    @staticmethod
    def taken(values: Values, keep: Mask) -> Values:
        return (values[0][keep],)

    def equals_any(self, operands: Sequence[bool]) -> Mask:
        result: Mask = np.isin(self._values.view, list(set(operands)))
        return result


class NumberStream(Stream):
    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        super().__init__()
        self._high = Growable(np.float64)
        self._low: Growable | None = None  # made when the first integer beyond 2**53 arrives

    def extend(self, rows: list[int], values: Sequence[Any]) -> None:
        super().extend(rows, values)
        highs = np.array(values, dtype=np.float64)
        if self._low is not None or float(np.abs(highs).max(initial=0.0)) >= _LEAST_INEXACT:
            lows = [split_number(value)[1] for value in values]
            if self._low is None and any(lows):
                self._low = Growable(np.float64)
                self._low.extend(np.zeros(len(self._high)))
            if self._low is not None:
                self._low.extend(lows)
        self._high.extend(highs)

    def append(self, rows: NDArray[np.int32], values: Values) -> None:
        super().append(rows, values)
        high, low = values
        if low is not None and self._low is None:
            self._low = Growable(np.float64)
            self._low.extend(np.zeros(len(self._high)))
        if self._low is not None:
            self._low.extend(np.zeros(len(high)) if low is None else low)
        self._high.extend(high)

    def values(self) -> Values:
        return self._high.view, None if self._low is None else self._low.view

    @staticmethod
    def taken(values: Values, keep: Mask) -> Values:
        high, low = values
        return high[keep], None if low is None else low[keep]

    def equals_any(self, operands: Sequence[float]) -> Mask:
        pairs = [split_number(operand) for operand in operands]
        if self._low is None:
            highs = {high for high, low in pairs if low == 0.0}
            if len(highs) > _FEW:
                return np.isin(self._high.view, np.array(sorted(highs)))
            pairs = [(high, 0.0) for high in highs]
        if self._low is None and len(pairs) == 1:
            only: Mask = self._high.view == pairs[0][0]
            return only
        mask = np.zeros(len(self._high), dtype=np.bool_)
        for high, low in pairs:
            equal = self._high.view == high
            if self._low is not None:
                equal &= self._low.view == low
            mask |= equal
        return mask

    def equal_rows(self, operands: Sequence[float]) -> NDArray[np.int32] | None:
        if self._low is not None:  # two values may have one nearest float64
            return None
        values, rows = self._high.view, self.rows
        groups, grouped = self._grouped(len(values), lambda: _core.ValueGroups.of_numbers(values, rows))
        if groups is None:
            return None
        numbers = {high for high, low in map(split_number, operands) if low == 0.0}
        later = rows[grouped:][np.isin(values[grouped:], list(numbers))] if grouped < len(values) else _NO_ROWS
        return self._joined([groups.rows_of_number(number) for number in numbers], later)

    def compare(self, comparison: str, operand: float) -> Mask:
        high, low = split_number(operand)
        lows: Any = 0.0 if self._low is None else self._low.view
        if self._low is None and low == 0.0:
            result: Mask = _COMPARE[comparison](self._high.view, high)
            return result
        strict: Mask = _COMPARE[comparison[:3]](self._high.view, high)
        tied: Mask = (self._high.view == high) & _COMPARE[comparison](lows, low)
        return strict | tied


class StringStream(Stream):
    """Strings as codes into a dictionary of the distinct ones; those that are ISO dates also as instants.

    All versions share the dictionary: it only grows, and a version's codes stay within what it knew.
    """

    __slots__ = ("_all_dated", "_code_of", "_codes", "_instant_of", "_instants", "_strings")

    def __init__(self) -> None:
        super().__init__()
        self._codes = Growable(np.int32)
        self._code_of: dict[str, int] = {}
        self._strings: list[str] = []
        self._instant_of: list[int] = []  # by code
        self._instants: Growable | None = None  # one per value, made when the first date arrives
        self._all_dated = True  # whether each value has one

    def extend(self, rows: list[int], values: Sequence[Any]) -> None:
        super().extend(rows, values)
        for value in dict.fromkeys(values):
            if value not in self._code_of:
                self._instant_of.append(_instant_or_none(value))
                self._strings.append(value)
                # Last: a search in another thread looks strings up here and sizes its table by _strings.
                self._code_of[value] = len(self._strings) - 1
        codes = [self._code_of[value] for value in values]
        self._extend_instants(codes)
        self._codes.extend(codes)

    def _extend_instants(self, codes: list[int]) -> None:
        self._add_instants(np.array([self._instant_of[code] for code in codes], dtype=np.int64))

    def _add_instants(self, instants: NDArray[np.int64]) -> None:
        self._all_dated = self._all_dated and bool((instants != NO_INSTANT).all())
        if self._instants is None:
            if (instants == NO_INSTANT).all():
                return
            self._instants = Growable(np.int64)
            self._instants.extend(np.full(len(self._codes), NO_INSTANT))
        self._instants.extend(instants)

    def append(self, rows: NDArray[np.int32], values: Values) -> None:
        """Append codes into a dictionary of their own.

        Raises:     ValueError if a string occurs twice in the dictionary, or a code is not in it
        """
        codes, strings, instants = values
        if instants is None:
            instants = np.array([_instant_or_none(text) for text in strings], dtype=np.int64)
        if len(codes) and not (int(codes.min()) >= 0 and int(codes.max()) < len(strings)):
            raise ValueError("a code stands for no string")
        super().append(rows, values)
        if len(codes):
            self._add_instants(instants[codes])
        self._codes.extend(self._recoded(strings, instants)[codes])

    def _recoded(self, strings: list[str], instants: NDArray[np.int64]) -> NDArray[np.int32]:
        """Take strings into the dictionary; return their codes in it."""
        known = self._code_of
        first = len(self._strings)
        fresh = strings if not known else [text for text in strings if text not in known]
        codes = dict(zip(fresh, range(first, first + len(fresh)), strict=True))
        if len(codes) != len(fresh):
            raise ValueError("a string occurs twice in a dictionary")
        if len(fresh) == len(strings):
            self._instant_of.extend(instants.tolist())
        else:
            instant_of = dict(zip(strings, instants.tolist(), strict=True))
            self._instant_of.extend([instant_of[text] for text in fresh])
        self._strings.extend(fresh)
        known.update(codes)  # last, as in ``extend``
        if len(fresh) == len(strings):
            return np.arange(first, first + len(fresh), dtype=np.int32)
        return np.array([known[text] for text in strings], dtype=np.int32)

    def values(self) -> Values:
        """Return codes into a dictionary of the strings that occur, these, and their instants."""
        used, codes = np.unique(self._codes.view, return_inverse=True)
        strings = [self._strings[code] for code in used.tolist()]
        instants = np.array([self._instant_of[code] for code in used.tolist()], dtype=np.int64)
        return codes.astype(np.int32), strings, instants

    @staticmethod
    def taken(values: Values, keep: Mask) -> Values:
        codes, strings, instants = values
        return codes[keep], strings, instants

    def equals_any(self, operands: Sequence[str]) -> Mask:
        """Match equal strings, and of dates those that name the same instant in whatever notation."""
        codes = {code for operand in operands if (code := self._code_of.get(operand)) is not None}
        mask = self._has_code(codes)
        if self._instants is not None:
            instants = {instant for operand in operands if (instant := parse_instant(operand)) is not None}
            if len(instants) > _FEW:
                mask |= np.isin(self._instants.view, np.array(sorted(instants)))
            else:
                for instant in instants:
                    mask |= self._instants.view == instant
        return mask

    def equal_rows(self, operands: Sequence[str]) -> NDArray[np.int32] | None:
        if self._instants is not None and any(parse_instant(operand) is not None for operand in operands):
            return None  # dates in other notations are other strings
        values, rows, code_count = self._codes.view, self.rows, len(self._strings)
        groups, grouped = self._grouped(len(values), lambda: _core.ValueGroups.of_codes(values, rows, code_count))
        if groups is None:
            return None
        codes = {code for operand in operands if (code := self._code_of.get(operand)) is not None}
        later = rows[grouped:][np.isin(values[grouped:], list(codes))] if grouped < len(values) else _NO_ROWS
        return self._joined([groups.rows_of_code(code) for code in codes], later)

    def compare(self, comparison: str, operand: str) -> Mask:
        """Compare as instants if the operand is an ISO date (other strings never match), else as strings."""
        instant = parse_instant(operand)
        if instant is None:
            compare = _COMPARE[comparison]
            return self._has_code({code for code, text in enumerate(self._strings) if compare(text, operand)})
        if self._instants is None:
            return np.zeros(len(self._codes), dtype=np.bool_)
        mask: Mask = np.asarray(_COMPARE[comparison](self._instants.view, instant))
        if comparison in ("$lt", "$lte") and not self._all_dated:
            mask &= self._instants.view != NO_INSTANT
        return mask

    def contains(self, part: str, *, ignore_case: bool = False) -> Mask:
        if ignore_case:
            part = part.casefold()
            return self._has_code({code for code, text in enumerate(self._strings) if part in text.casefold()})
        return self._has_code({code for code, text in enumerate(self._strings) if part in text})

    def _has_code(self, codes: set[int]) -> Mask:
        if len(codes) > _FEW:
            table = np.zeros(len(self._strings), dtype=np.bool_)
            table[list(codes)] = True
            result: Mask = table[self._codes.view]
            return result
        if len(codes) == 1:
            (one,) = codes
            found: Mask = self._codes.view == one
            return found
        mask = np.zeros(len(self._codes), dtype=np.bool_)
        for code in codes:
            mask |= self._codes.view == code
        return mask


STREAM_OF: dict[Kind, type[Stream]] = {
    "string": StringStream,
    "number": NumberStream,
    "boolean": BooleanStream,
    "object": Stream,
}
