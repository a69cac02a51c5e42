"""What several commands do: open an index with the embedder that it was made with, read a filter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sightline.errors import IncompatibleIndexError, InvalidInputError
from sightline.hybrid_index import HybridIndex
from sightline.named_embedders import is_latent_semantic, load_embedder, same_model
from sightline.store import FILE_NAME

__all__ = ["is_index", "kept_embedder", "opened_index", "parsed_condition"]


def is_index(folder: Path) -> bool:
    """Whether a directory holds an index."""
    return (folder / FILE_NAME).is_file()


def kept_embedder(kb: Path, spec: str | None, api_key: str | None) -> Any:
    """Return the embedder that an index was made with.

    Raises:     IncompatibleIndexError if another one is asked for, or only a program has it
    """
    with HybridIndex.open(kb, read_only=True) as index:
        stats = index.stats()
    name = stats["settings"]["embedder"]
    if name is None and stats["with_vector"]:
        raise IncompatibleIndexError(f"'{kb}' has vectors of an embedder without a name; write to it from its program")
    wanted = name if spec is None or (spec == "lsa" and is_latent_semantic(name)) else spec
    wanted = None if wanted == "none" else wanted
    if wanted is not None and name is not None and same_model(wanted, name):
        embedder: Any = load_embedder(wanted, folder=kb, api_key=api_key)
        embedder.name = name
        return embedder
    if wanted != name:
        raise IncompatibleIndexError(
            f"embedder: '{kb}' was made with {name or 'none'}, got {spec}; leave it out, or index into a new directory"
        )
    return None


def opened_index(kb: Path, spec: str | None, api_key: str | None, *, dense: bool) -> HybridIndex:
    """Open an index for reading, with its embedder if dense search is wanted and it has vectors.

    Parameters: spec : the embedder, where its endpoint has moved; default the one that the index names
    Raises:     IncompatibleIndexError if only a program has the embedder; as load_embedder
    """
    index = HybridIndex.open(kb, read_only=True)
    try:
        stats = index.stats()
        if not dense or not (stats["with_vector"] or spec):
            return index
        name = stats["settings"]["embedder"]
        wanted = spec or name
        if wanted is None:
            raise IncompatibleIndexError(f"'{kb}' has vectors of an embedder without a name; say --mode lexical")
        embedder: Any = load_embedder(wanted, folder=kb, api_key=api_key)
        if name is not None and same_model(wanted, name):
            embedder.name = name
    except BaseException:
        index.close()
        raise
    index.close()
    return HybridIndex.open(kb, embedder, read_only=True)


def parsed_condition(text: str | None) -> dict[str, Any] | None:
    """Return a filter given as JSON, None for None."""
    if text is None:
        return None
    try:
        condition = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"where: is not JSON: {error}") from None
    if not isinstance(condition, dict):
        raise InvalidInputError(f"where: expected an object, got {text}")
    return condition
