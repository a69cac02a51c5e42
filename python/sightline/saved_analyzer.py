"""Analyzers in index files: settings where they are data, a name where they are code.

Code is never written to a file. What a file keeps of a callable is its name, and who opens the index gives the callable
again: without it, or with one of another name, the index is not opened.
"""

from __future__ import annotations

from typing import Any

from sightline.analyzer import Analyzer
from sightline.errors import IncompatibleIndexError, InvalidInputError

__all__ = ["describe_analyzer", "restore_analyzer"]


def _name(code: Any) -> str:
    """Return the name of a function or class, or of an object's class."""
    named = code if hasattr(code, "__qualname__") else type(code)
    module = getattr(named, "__module__", None)  # methods of built-in types have none
    return f"{module}.{named.__qualname__}" if isinstance(module, str) else str(named.__qualname__)


def describe_analyzer(analyzer: Any) -> Any:
    """Return what a file keeps of an analyzer: values that JSON can hold."""
    if analyzer is None:
        return None
    if type(analyzer) is not Analyzer:
        return {"callable": _name(analyzer)}
    if callable(analyzer.stemmer):
        return {"stemmer": {"callable": _name(analyzer.stemmer)}, **analyzer.plain_settings()}
    return analyzer.settings()


def restore_analyzer(described: Any, given: Any, path: str) -> Any:
    """Return the analyzer that was described.

    Parameters: given : the analyzer that the caller supplies, None if it supplies none
    Raises:     InvalidInputError if one must be given and is not, or if another one is given;
                IncompatibleIndexError if its language or stemmer does not exist here; KeyError, TypeError for
                anything that ``describe_analyzer`` does not write
    """
    needed = described if described is None else _needed_code(described)
    if needed is not None and given is None:
        raise InvalidInputError(
            f"analyzer: '{path}' needs {needed}, which is code and not in the file; "
            "give it: BM25Index.load(path, analyzer=...)"
        )
    if needed is None:
        restored = None if described is None else _from_settings(described, path)
        if given is not None and given != restored:
            raise InvalidInputError(f"analyzer: '{path}' was made with {restored!r}, got {given!r}; leave analyzer out")
        return restored
    if describe_analyzer(given) != described:
        raise InvalidInputError(
            f"analyzer: '{path}' needs {needed}, got {given!r}; terms of another analyzer would not be found"
        )
    return given


def _needed_code(described: dict[str, Any]) -> str | None:
    if "callable" in described:
        return f"the analyzer {described['callable']!r}"
    stemmer = described["stemmer"]
    return f"an Analyzer with the stemmer {stemmer['callable']!r}" if isinstance(stemmer, dict) else None


def _from_settings(described: dict[str, Any], path: str) -> Analyzer:
    try:
        return Analyzer.from_settings(described)
    except InvalidInputError as error:
        raise IncompatibleIndexError(
            f"'{path}' needs an analyzer that cannot be made here ({error}); upgrade PyStemmer"
        ) from None
