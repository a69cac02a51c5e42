"""Named fields of a document, such as title and text: their weights, and documents as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sightline.errors import InvalidInputError, checked_number

__all__ = ["Field", "FieldSettings", "columns", "fields_from_json", "fields_to_json", "override_fields", "parse_fields"]

MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6  # as in cpp/lexical/field_search.h


@dataclass(frozen=True, slots=True)
class Field:
    """How a field counts in BM25F.

    Parameters: weight : 1e-6 to 1e6, how many occurrences elsewhere one here is worth; b : 0 to 1, normalisation by the
                field's length; None for the index's own
    Raises:     InvalidInputError outside these ranges
    """

    weight: float = 1.0
    b: float | None = None

    def __post_init__(self) -> None:
        # Python's float, whatever number was given: JSON, which settings are saved as, knows no NumPy.
        object.__setattr__(self, "weight", checked_number("weight", self.weight, MIN_WEIGHT, MAX_WEIGHT))
        if self.b is not None:
            object.__setattr__(self, "b", checked_number("b", self.b, 0.0, 1.0))


FieldSettings: TypeAlias = "dict[str, Field]"  # in the order in which the index keeps them


def parse_fields(fields: Any) -> FieldSettings:
    """Return the settings of what a user passed: names, or a mapping from names to weights or Fields.

    Raises:     InvalidInputError
    """
    if isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable):
        raise InvalidInputError(
            f"fields: expected names, or a mapping from names to weights or Fields, got {type(fields).__name__}; "
            'for example fields={"title": 2.0, "text": 1.0}'
        )
    if not isinstance(fields, Mapping):
        names = list(fields)
        fields = dict.fromkeys(names, 1.0) if all(isinstance(name, str) for name in names) else {}
        if len(fields) != len(names):
            raise InvalidInputError(f"fields: expected different names, got {names!r}")
    settings = {}
    for name, value in fields.items():
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"fields: expected non-empty str as names, got {name!r}")
        settings[name] = _field(name, value)
    if not settings:
        raise InvalidInputError("fields: expected at least one name, got none; leave fields out for an index without")
    return settings


def override_fields(settings: FieldSettings, changed: Any) -> FieldSettings:
    """Return the settings with some fields' replaced for one search.

    Raises:     InvalidInputError for a field that the index does not have
    """
    if not isinstance(changed, Mapping):
        raise InvalidInputError(
            f"fields: expected a mapping from names to weights or Fields, got {type(changed).__name__}"
        )
    for name in changed:
        if name not in settings:
            raise InvalidInputError(f"fields: expected names among {', '.join(map(repr, settings))}, got {name!r}")
    return {name: _field(name, changed[name]) if name in changed else field for name, field in settings.items()}


def _field(name: str, value: Any) -> Field:
    if isinstance(value, Field):
        return value
    try:
        return Field(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"fields[{name!r}]: {error}") from None


def columns(names: Sequence[str], documents: Sequence[Any], position: int) -> list[list[Any]]:
    """Return for each field what the documents have in it, None where they lack it.

    Parameters: position : of the first document, for errors
    Raises:     InvalidInputError naming the first document that is no mapping or has an unknown field
    """
    for i, document in enumerate(documents, position):
        if not isinstance(document, Mapping):
            raise InvalidInputError(
                f"texts: expected a mapping from fields to texts at position {i}, got {type(document).__name__}; "
                f"the index has the fields {', '.join(map(repr, names))}"
            )
        for name in document:
            if name not in names:
                raise InvalidInputError(
                    f"texts: expected fields among {', '.join(map(repr, names))} at position {i}, got {name!r}"
                )
    return [[document.get(name) for document in documents] for name in names]


def fields_to_json(settings: FieldSettings | None) -> Any:
    """Return the settings as JSON can hold them, in order."""
    return None if settings is None else [[name, field.weight, field.b] for name, field in settings.items()]


def fields_from_json(described: Any) -> FieldSettings | None:
    """Return the settings that ``fields_to_json`` described.

    Raises:     ValueError or TypeError (InvalidInputError among them) for anything else
    """
    return None if described is None else {str(name): Field(weight, b) for name, weight, b in described}
