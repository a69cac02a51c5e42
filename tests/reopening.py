"""An index on disk that is closed and opened again before every call: whatever a call leaves only in memory is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline import HybridIndex


class Reopening:
    """Stands in for the HybridIndex of a store, in a directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index = HybridIndex.open(path)

    def _opened(self) -> HybridIndex:
        self._index.close()
        self._index = HybridIndex.open(self._path)
        return self._index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    def __len__(self) -> int:
        return len(self._opened())

    def __contains__(self, id: object) -> bool:
        return id in self._opened()


KINDS = ["memory", "reopened"]


@contextmanager
def new_store(kind: str, folder: Path, make: Callable[[Path | None], Any]) -> Iterator[Any]:
    """Yield an empty store of a framework, and close it.

    Parameters: kind : one of KINDS; folder : for its directory; make : takes the path
    """
    store = make(None if kind == "memory" else folder / "kb")
    if kind == "reopened":
        store._index.close()
        store._index = Reopening(folder / "kb")
    yield store
    store._index.close()
