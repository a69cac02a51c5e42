"""What searches found, kept for the next time: hits until a commit, the vectors of queries until they are crowded out.

Both are bounded and drop what was not used for longest. Thread-safe; nothing is computed under a lock, so two threads
may compute one thing twice. A child that forks begins with empty ones, whatever its parent's threads were doing.
"""

from __future__ import annotations

import datetime
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.documents import Hit, copy_plain
from sightline.embed import embed_queries

__all__ = ["CachedQueries", "Hits", "ResultCache", "key_of"]

Hits: TypeAlias = "list[list[Hit]]"
_Value = TypeVar("_Value")


class _Recent(Generic[_Value]):
    """The values used last, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Any, _Value] = OrderedDict()

    def get(self, key: Any) -> _Value | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Any, value: _Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()


class _Forgetting:
    """What a child that forks empties: its parent's other threads may have held the lock, and will never release it."""

    def __init__(self) -> None:
        self._forget()
        _living.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()


_living: weakref.WeakSet[_Forgetting] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_living):
        each._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class ResultCache(_Forgetting):
    """Keep what searches found in one state of an index.

    Parameters: size : how many searches at most
    """

    def __init__(self, size: int) -> None:
        self._size = size
        super().__init__()

    def _forget(self) -> None:
        super()._forget()
        self._state: object = None
        self._found: _Recent[Hits] = _Recent(self._size)

    def get(self, state: object, key: Any) -> Hits | None:
        """Return copies of the hits of a search, None if it was not made in this state.

        Parameters: state : what stands for a state of the index, compared by identity; key : of ``key_of``
        """
        with self._lock:
            if self._state is not state:  # a commit came: what was found before is of no use any more
                self._found.clear()
                self._state = state
            found = self._found.get(key)
        return None if found is None else _copies(found)

    def put(self, state: object, key: Any, hits: Hits) -> None:
        """Keep copies of hits, unless another state was asked for meanwhile or a reranker had no say in them."""
        if any(hit.degraded is not None for found in hits for hit in found):
            return  # for want of time, say: the next search may do better
        kept = _copies(hits)
        with self._lock:
            if self._state is state:
                self._found.put(key, kept)


def _copies(hits: Hits) -> Hits:
    """Copy hits and what can be changed in them, so that no caller changes another's."""
    return [
        [replace(hit, metadata=copy_plain(hit.metadata), explanation=copy_plain(hit.explanation)) for hit in found]
        for found in hits
    ]


class CachedQueries(_Forgetting):
    """Embed queries, those used last from memory.

    Parameters: embedder : which must give a text the same vector each time; size : how many vectors at most
    """

    def __init__(self, embedder: Callable[[list[str]], Any], size: int) -> None:
        self._embedder = embedder
        self._size = size
        super().__init__()

    def _forget(self) -> None:
        super()._forget()
        self._vectors: _Recent[NDArray[np.float32]] = _Recent(self._size)

    def __call__(self, texts: list[str]) -> Any:
        """Return the vectors of documents, which are not kept here."""
        return self._embedder(texts)

    def embed_queries(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, float32 (n, dim).

        Raises:     as ``sightline.embed.embed_queries``
        """
        with self._lock:
            known = {text: self._vectors.get(text) for text in texts}
        missing = [text for text, vector in known.items() if vector is None]
        if missing:
            made = embed_queries(self._embedder, missing)
            known.update(zip(missing, made, strict=True))
            with self._lock:
                for text, vector in zip(missing, made, strict=True):
                    self._vectors.put(text, vector.copy())
        found = [vector for text in texts if (vector := known[text]) is not None]
        return np.stack(found)


class _Same:
    """Stands for a callable, equal to itself only, and keeps another from being put at its address."""

    __slots__ = ("_callable",)

    def __init__(self, function: object) -> None:
        self._callable = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._callable is other._callable

    def __hash__(self) -> int:
        return id(self._callable)


class _IncomparableError(Exception):
    pass


_PLAIN = (str, int, float, bool, bytes, type(None), datetime.date, datetime.datetime)


def key_of(arguments: Any) -> Any:
    """Return what is equal for equal arguments of a search, and not otherwise; None if that cannot be told.

    Numbers, text and their containers compare by type and value, arrays by their content, immutable dataclasses such as
    queries and fusions by their fields, and callables by identity. Anything else, a tensor say, may change in place.
    """
    try:
        return _key(arguments)
    except (_IncomparableError, RecursionError):
        return None


def _key(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return kind, value  # with the type, since True == 1 == 1.0
    if kind in (list, tuple):
        return kind, tuple([_key(item) for item in value])
    if isinstance(value, Mapping):
        return "mapping", tuple([(_key(key), _key(item)) for key, item in value.items()])
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufmMU":
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return kind, tuple([_key(getattr(value, field.name)) for field in fields(kind)])
    if callable(value):
        return _Same(value)
    raise _IncomparableError
