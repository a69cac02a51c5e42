"""Every error that Sightline raises on purpose.

Each class is also the built-in kind that fits it, so ``except ValueError`` works without importing anything from here.
A message names the argument, what was expected, what came, and what to do. The checks that modules of every layer
need stand here too, below all of them.
"""

from __future__ import annotations

import numbers
import operator
from typing import Any

__all__ = [
    "CorruptIndexError",
    "DuplicateIdError",
    "IncompatibleIndexError",
    "IndexLockedError",
    "InvalidInputError",
    "MissingExtraError",
    "ModelError",
    "NotFoundError",
    "NotImprovedError",
    "SightlineError",
    "StorageError",
    "checked_integer",
    "checked_number",
]


class SightlineError(Exception):
    """Base class of all errors below."""


class InvalidInputError(SightlineError, ValueError):
    """An argument has the wrong type, shape, range or content. The index is as it was before the call."""


class NotFoundError(SightlineError, KeyError):
    """An id that must exist does not."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0]) if self.args else ""


class DuplicateIdError(SightlineError, ValueError):
    """An id occurs twice in one call, or is already present in the index (``add``; ``upsert`` replaces)."""


class CorruptIndexError(SightlineError):
    """A file of an index is damaged: a checksum, a size or an invariant does not hold."""


class IncompatibleIndexError(SightlineError):
    """A file was written by another format version, another class or with other settings."""


class IndexLockedError(SightlineError):
    """Another writer holds the index."""


class StorageError(SightlineError, OSError):
    """The operating system refused to read or write a file."""


class MissingExtraError(SightlineError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class ModelError(SightlineError):
    """A model's endpoint cannot be reached, refused, or answered something that is no answer."""


class NotImprovedError(SightlineError):
    """What was fitted does not help on data that it was not fitted on; the message has the figures."""


def checked_integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return ``value`` as an int; NumPy's integers are integers, booleans and whole floats are not.

    Raises:     InvalidInputError naming the argument, if it is no integer or outside least..most
    """
    try:
        # NumPy's booleans have no __index__ either.
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least or (most is not None and found > most):
        bounds = f">= {least}" if most is None else f"from {least} to {most}"
        raise InvalidInputError(f"{name}: expected an integer {bounds}, got {value!r}")
    return found


def checked_number(name: str, value: Any, least: float, most: float) -> float:
    """Return ``value`` as a float; NumPy's numbers are numbers, booleans and strings are not.

    Raises:     InvalidInputError naming the argument, if it is no number or outside least..most (NaN is)
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and least <= float(value) <= most:
        return float(value)
    raise InvalidInputError(f"{name}: expected a number from {least:g} to {most:g}, got {value!r}")
