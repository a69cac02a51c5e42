"""The arguments that a HybridIndex is made or opened with, checked, and the keeper that follows from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sightline.adapter import LowRankAdapter
from sightline.analyzer import Analyzer
from sightline.durable import DurableKeeper
from sightline.errors import InvalidInputError
from sightline.keeper import Keeper
from sightline.settings import Settings, checked_fields, embedder_name
from sightline.vector_index import VectorIndex

__all__ = ["checked_adapter", "checked_embedder", "checked_settings", "open_keeper"]


def checked_embedder(embedder: Any) -> Any:
    """Return an embedder that can be called.

    Raises:     InvalidInputError
    """
    if embedder is not None and not callable(embedder):
        raise InvalidInputError(f"embedder: expected a callable or None, got {type(embedder).__name__}")
    for name in ("embed_query", "embed_queries"):
        method = getattr(embedder, name, None)
        if method is not None and not callable(method):
            raise InvalidInputError(f"embedder: expected its {name} to be a method, got {type(method).__name__}")
    return embedder


def checked_adapter(adapter: Any) -> LowRankAdapter | None:
    """Return an adapter or None.

    Raises:     InvalidInputError
    """
    if adapter is not None and not isinstance(adapter, LowRankAdapter):
        raise InvalidInputError(f"adapter: expected a LowRankAdapter or None, got {type(adapter).__name__}")
    return adapter


def checked_settings(
    embedder: object,
    *,
    analyzer: object = None,
    variant: Any = None,
    k1: Any = None,
    b: Any = None,
    delta: Any = None,
    fields: Any = None,
    positions: Any = None,
) -> Settings:
    """Return what a caller said about the settings of an index.

    Raises:     InvalidInputError naming the argument
    """
    if isinstance(analyzer, str):
        analyzer = Analyzer(analyzer)
    if analyzer is not None and not isinstance(analyzer, Analyzer):
        raise InvalidInputError(
            f"analyzer: expected an Analyzer or the name of a language, got {type(analyzer).__name__}"
        )
    if positions is not None and not isinstance(positions, bool):
        raise InvalidInputError(f"positions: expected True, False or None, got {positions!r}")
    named = None if fields is None else checked_fields(fields)
    given = Settings(analyzer, variant, k1, b, delta, embedder_name(embedder), named, positions)
    given.completed()  # which checks the parameters
    return given


def open_keeper(
    path: Any, given: Settings, *, create: bool, dim: int | None, read_only: bool, durability: Any
) -> Keeper:
    """Return the keeper of an index: in memory, or in the directory ``path``.

    Raises:     InvalidInputError naming the argument; what DurableKeeper raises
    """
    if dim is not None:
        VectorIndex(dim)  # which checks it
    if durability not in ("full", "os"):
        raise InvalidInputError(f"durability: expected 'full' or 'os', got {durability!r}")
    if path is None:
        settings = given.completed()
        return Keeper(dim, settings.lexical(), settings.tf_limit)
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise InvalidInputError(f"path: expected a directory as str or os.PathLike, got {path!r}")
    return DurableKeeper(
        Path(path).absolute(), given, create=create, dim=dim, read_only=read_only, durability=durability
    )
