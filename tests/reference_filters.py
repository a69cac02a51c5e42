"""The filter language, one document at a time: slow and obvious, to compare the columns with."""

from __future__ import annotations

import datetime
import re
from typing import Any

from sightline.errors import InvalidInputError

_MISSING = object()
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)


def instant(text: str) -> datetime.datetime | None:
    """Read an ISO date through the standard library; without an offset it is UTC."""
    if not _DATE.fullmatch(text):
        return None
    text = re.sub(r"\.(\d+)", lambda m: "." + m.group(1).ljust(6, "0"), text.replace("Z", "+00:00"))
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def values_at(metadata: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or _MISSING; a key that itself has dots counts too."""
    found = _MISSING
    for key, value in metadata.items():
        if key == path:
            found = value
        elif isinstance(value, dict) and path.startswith(key + "."):
            inner = values_at(value, path[len(key) + 1 :])
            found = inner if inner is not _MISSING else found
    return _MISSING if found is None else found


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, (int, float)) else "object"


def equal(value: Any, operand: Any) -> bool:
    if kind(value) != kind(operand):
        return False
    if isinstance(value, str):
        left, right = instant(value), instant(operand)
        return value == operand or (left is not None and left == right)
    return bool(value == operand)


def ordered(value: Any, operator: str, operand: Any) -> bool:
    if kind(value) != kind(operand):
        return False
    if isinstance(operand, str) and instant(operand) is not None:
        value, operand = instant(value), instant(operand)
        if value is None:
            return False
    return bool(
        {
            "$gt": lambda: value > operand,
            "$gte": lambda: value >= operand,
            "$lt": lambda: value < operand,
            "$lte": lambda: value <= operand,
        }[operator]()
    )


def _elements(value: Any) -> list[Any]:
    if value is _MISSING:
        return []
    return [item for item in value if item is not None] if isinstance(value, list) else [value]


def check_kinds(metadatas: list[dict[str, Any]], path: str, operator: str, operand: Any) -> None:
    """Raise if the field holds values somewhere but nowhere one that the operand could be compared with."""
    others = False
    for metadata in metadatas:
        value = values_at(metadata, path)
        for element in _elements(value):
            scalar = not isinstance(value, list)
            if kind(element) == kind(operand) and not (
                operator == "$contains" and scalar and not isinstance(operand, str)
            ):
                return
            others = True
    if others:
        raise InvalidInputError("clash")


def matches(metadata: dict[str, Any], where: dict[str, Any], everything: list[dict[str, Any]]) -> bool:
    results = []
    for key, value in where.items():
        if key == "$and":
            parts = [matches(metadata, part, everything) for part in value]  # all of them, so that each clash shows
            results.append(all(parts))
        elif key == "$or":
            parts = [matches(metadata, part, everything) for part in value]
            results.append(any(parts))
        elif key == "$not":
            results.append(not matches(metadata, value, everything))
        else:
            operators = value if isinstance(value, dict) else {"$eq": value}
            results.append(_field(metadata, key, operators, everything))
    return all(results)


def _field(metadata: dict[str, Any], path: str, operators: dict[str, Any], everything: list[dict[str, Any]]) -> bool:
    value = values_at(metadata, path)
    results = []
    for operator, operand in operators.items():
        if operator == "$not":
            result = not _field(metadata, path, operand, everything)
        elif operator == "$exists":
            result = (value is not _MISSING) == operand
        elif operator in ("$eq", "$ne", "$in", "$nin"):
            operands = operand if operator in ("$in", "$nin") else [operand]
            for item in operands:
                if item is not None:
                    check_kinds(everything, path, operator, item)
            result = any(
                (value is _MISSING) if item is None else any(equal(element, item) for element in _elements(value))
                for item in operands
            )
            result = result == (operator in ("$eq", "$in"))
        elif operator == "$contains":
            check_kinds(everything, path, operator, operand)
            if isinstance(value, str):
                result = isinstance(operand, str) and operand in value
            else:
                result = isinstance(value, list) and any(equal(element, operand) for element in _elements(value))
        elif operator == "$icontains":
            check_kinds(everything, path, operator, operand)
            texts = [element for element in _elements(value) if isinstance(element, str)]
            result = any(operand.casefold() in text.casefold() for text in texts)
        else:
            check_kinds(everything, path, operator, operand)
            result = any(ordered(element, operator, operand) for element in _elements(value))
        results.append(result)
    return all(results)
