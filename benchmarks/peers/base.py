"""What an engine must offer to be measured: one small class for each, in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Tokens = list[list[str]]

__all__ = ["DensePeer", "Floats", "HybridPeer", "Ids", "LexicalPeer", "Peer", "Setting", "Tokens", "folder_bytes"]


@dataclass(frozen=True)
class Setting:
    """One way to search a built index.

    ``exact``: it promises the true top k, which is checked, and a wrong answer ends the run.
    """

    label: str = ""
    exact: bool = False
    options: dict[str, Any] = field(default_factory=dict)


class Peer(ABC):
    """One engine in a process of its own, with ``threads`` threads and an empty ``folder`` for its files."""

    distribution: ClassVar[str]  # whose version is printed
    modules: ClassVar[tuple[str, ...]]  # what must be installed
    description: ClassVar[str]  # build settings, as printed

    def __init__(self, threads: int, folder: Path) -> None:
        self.threads = threads
        self.folder = folder

    def settings(self) -> list[Setting]:
        """The ways to search it, to be asked for after the build."""
        return [Setting()]

    def save(self) -> None:  # noqa: B027  # most engines have nothing to do here
        """Write the index into ``folder``; an engine without files of its own writes nothing."""

    def close(self) -> None:  # noqa: B027  # most engines are done when they are dropped
        """Let go of files and threads."""

    def described(self) -> str:
        """The build settings, with what depends on the data; to be asked for after the build."""
        return self.description

    def load(self) -> None:
        """Open in this process what ``save`` of another wrote."""
        raise NotImplementedError(f"{type(self).__name__} keeps no files")


class DensePeer(Peer):
    """Nearest neighbours by inner product of unit vectors; ids are row numbers."""

    filters: ClassVar[bool] = False

    @abstractmethod
    def build(self, rows: Floats) -> None: ...

    @abstractmethod
    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        """The best k of each query, best first, -1 where there are none."""

    def set_filter(self, allowed: Ids) -> None:
        """Confine ``search_filtered`` to these rows, in the form this engine takes fastest."""
        raise NotImplementedError(f"{type(self).__name__} has no filter")

    def search_filtered(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        raise NotImplementedError(f"{type(self).__name__} has no filter")

    def bytes_read(self, queries: Floats, k: int) -> int | None:
        """Bytes of codes and vectors that a search reads, if the engine tells."""
        return None


class LexicalPeer(Peer):
    """BM25 with k1 = 1.2 and b = 0.75 over ready-made tokens; ids are document numbers."""

    @abstractmethod
    def build(self, tokens: Tokens) -> None: ...

    def index_texts(self, texts: list[str]) -> None:
        """Index from text, English stemming and stop words as its documentation recommends, and drop the result."""
        raise NotImplementedError(f"{type(self).__name__} has no analyzer")

    def prepare(self, queries: Tokens) -> Any:
        """Bring queries into the engine's own form, which is not timed."""
        return queries

    @abstractmethod
    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids: ...

    def add_and_find(self, document: list[str]) -> None:
        """Add one document and find it by its last token, which no other has; raise if that fails."""
        raise NotImplementedError(f"{type(self).__name__} is built once")


class HybridPeer(Peer):
    """Documents with text, vector and an integer field ``shard``; answers are document numbers, best first.

    ``description`` says what fuses the two lists and whether an acknowledged write is on the disk.
    """

    modes: ClassVar[tuple[str, ...]] = ("hybrid", "dense", "text", "filtered")
    exact_modes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, texts: list[str], vectors: Floats, shards: list[int]) -> None: ...

    @abstractmethod
    def search(self, mode: str, text: str, vector: Floats, k: int, shard: int) -> list[int]: ...

    def upsert(self, number: int, text: str, vector: Floats, shard: int) -> None:
        """Replace one document, so that the next search finds it."""
        raise NotImplementedError(f"{type(self).__name__} is built once")


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
