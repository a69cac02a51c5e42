"""LlamaIndex's metadata filters as those of Sightline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.errors import InvalidInputError

__all__ = ["EMPTY_FIELDS", "NODE_ID", "empty_fields", "translate"]

# Metadata that stored nodes have beside their own.
NODE_ID = "_node_id"
EMPTY_FIELDS = "_empty_fields"  # the names of those that hold "" or [], which columns cannot tell apart from others

_NOTHING: dict[str, Any] = {"$not": {}}
_PLAIN = {
    "==": "$eq",
    "!=": "$ne",
    ">": "$gt",
    "<": "$lt",
    ">=": "$gte",
    "<=": "$lte",
    "contains": "$contains",
    "text_match": "$contains",
    "text_match_insensitive": "$icontains",
}
_LISTS = ("in", "nin", "any", "all")


def empty_fields(metadata: Mapping[str, Any]) -> list[str]:
    """Return the names of fields that ``is_empty`` must find although they are there."""
    return [name for name, value in metadata.items() if value == "" or value == []]


def translate(filters: Any) -> dict[str, Any] | None:
    """Return MetadataFilters as a filter of Sightline, None as None.

    ``not`` matches where none of its filters does. ``any`` and ``all`` look for elements of lists and parts of strings,
    as ``contains`` does.

    Raises:     InvalidInputError for anything else, or a value that its operator cannot take
    """
    if filters is None:
        return None
    parts = getattr(filters, "filters", None)
    if not isinstance(parts, list):
        raise InvalidInputError(f"filters: expected MetadataFilters, got {type(filters).__name__}")
    if not parts:
        return {}
    inner = [_single(part) if hasattr(part, "operator") else translate(part) for part in parts]
    condition = filters.condition
    name = "and" if condition is None else str(getattr(condition, "value", condition))
    if name == "and":
        return {"$and": inner}
    if name not in ("or", "not"):
        raise InvalidInputError(f"filters: expected the condition and, or or not, got {name!r}")
    return {"$or": inner} if name == "or" else {"$not": {"$or": inner}}


def _single(part: Any) -> dict[str, Any]:
    key, value = part.key, part.value
    operator = str(getattr(part.operator, "value", part.operator))
    if operator == "is_empty":
        return {"$or": [{key: {"$exists": False}}, {EMPTY_FIELDS: {"$contains": key}}]}
    if operator in _LISTS:
        if not isinstance(value, list):
            raise InvalidInputError(f"filters: operator {operator!r} on {key!r} needs a list, got {value!r}")
        if operator in ("in", "nin"):
            return {key: {"$" + operator: value}}
        found = [{key: {"$contains": item}} for item in value]
        if operator == "any":
            return {"$or": found} if found else _NOTHING
        return {"$and": [{key: {"$exists": True}}, *found]}
    if operator not in _PLAIN:
        raise InvalidInputError(f"filters: unknown operator {operator!r} on {key!r}")
    return {key: {_PLAIN[operator]: value}}
