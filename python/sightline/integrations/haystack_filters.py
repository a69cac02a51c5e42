"""Haystack's filters as those of Sightline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sightline.columns import parse_instant
from sightline.errors import InvalidInputError

__all__ = ["filtering", "translate"]

_T = TypeVar("_T")
_COMPARISONS = {
    "==": "$eq",
    "!=": "$ne",
    ">": "$gt",
    ">=": "$gte",
    "<": "$lt",
    "<=": "$lte",
    "in": "$in",
    "not in": "$nin",
}
_ORDERINGS = (">", ">=", "<", "<=")
# Fields of a Haystack document that the index keeps as metadata, and those it does not keep in a form to filter by.
_STORED_FIELDS = ("id", "score")
_OTHER_FIELDS = ("content", "blob", "embedding", "sparse_embedding")
_NOTHING: dict[str, Any] = {"$not": {}}


def filtering(call: Callable[[dict[str, Any] | None], _T], where: dict[str, Any] | None) -> _T:
    """Call with a filter, and say in Haystack's words if the filter does not fit the index."""
    try:
        return call(where)
    except InvalidInputError as error:
        if str(error).startswith("where"):
            raise _error(str(error)) from None
        raise


def translate(filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Translate Haystack's filters.

    Raises:     FilterError naming the part that is malformed
    """
    return None if not filters else _condition(filters)


def _condition(filters: Any) -> dict[str, Any]:
    if not isinstance(filters, Mapping):
        raise _error(f"expected a dict with 'operator', got {filters!r}")
    if "operator" not in filters:
        raise _error(f"'operator' key missing in {filters}")
    operator = filters["operator"]
    if "field" in filters:
        if "value" not in filters:
            raise _error(f"'value' key missing in {filters}")
        return _comparison(filters["field"], operator, filters["value"])
    if "conditions" not in filters:
        raise _error(f"'field' or 'conditions' key missing in {filters}")
    if operator not in ("AND", "OR", "NOT"):
        raise _error(f"unknown logical operator {operator!r}; expected AND, OR or NOT")
    if not isinstance(filters["conditions"], list):
        raise _error(f"'conditions' must be a list, got {filters['conditions']!r}")
    parts = [_condition(part) for part in filters["conditions"]]
    if operator == "OR":
        return {"$or": parts} if parts else _NOTHING
    every = {"$and": parts} if parts else {}
    return every if operator == "AND" else {"$not": every}


def _comparison(field: Any, operator: Any, value: Any) -> dict[str, Any]:
    if operator not in _COMPARISONS:
        raise _error(f"unknown comparison operator {operator!r}; expected one of {', '.join(_COMPARISONS)}")
    if not isinstance(field, str) or not field:
        raise _error(f"field: expected a name such as 'meta.year', got {field!r}")
    root = field.split(".", 1)[0]
    if root in _OTHER_FIELDS:
        raise _error(f"field {field!r}: documents are filtered by meta, id and score")
    path = field if root in (*_STORED_FIELDS, "meta") else f"meta.{field}"  # how Haystack reads a bare name
    if operator in ("in", "not in") and not isinstance(value, list):
        raise _error(f"field {field!r}: operator {operator!r} needs a list, got {value!r}")
    if operator in _ORDERINGS:
        if value is None:
            return _NOTHING  # nothing is greater or less than None, says Haystack
        if isinstance(value, str) and parse_instant(value) is None:
            raise _error(f"field {field!r}: operator {operator!r} compares strings only as ISO dates, got {value!r}")
    return {path: {_COMPARISONS[operator]: value}}


def _error(message: str) -> Exception:
    from haystack.errors import FilterError

    error: Exception = FilterError(message)
    return error
