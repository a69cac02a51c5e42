"""Embedders by name: what an index keeps of its embedder is enough to make it again."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from sightline.embed import LatentSemanticEmbedder, SentenceTransformersEmbedder
from sightline.errors import IncompatibleIndexError, InvalidInputError
from sightline.local_embedders import FastEmbedEmbedder, Model2VecEmbedder
from sightline.openai_embed import OpenAIEmbedder

__all__ = ["LATENT_SEMANTIC_FILE", "is_latent_semantic", "load_embedder", "same_model"]

# In the directory of an index, beside its database.
LATENT_SEMANTIC_FILE = "latent-semantic.npz"
_LATENT_SEMANTIC = "latent semantic, fit "
_LOCAL: dict[str, Callable[[str], Any]] = {
    "sentence-transformers:": SentenceTransformersEmbedder,
    "fastembed:": FastEmbedEmbedder,
    "model2vec:": Model2VecEmbedder,
}
_HTTP = "openai:"


def load_embedder(
    name: str, *, folder: str | PathLike[str] | None = None, api_key: str | None = None
) -> Callable[[list[str]], Any]:
    """Make an embedder by its name, such as the one in ``HybridIndex.stats()["settings"]["embedder"]``.

    Parameters: name : "sentence-transformers:MODEL", "fastembed:MODEL", "model2vec:MODEL", "openai:URL#MODEL" (any
                endpoint of that protocol), or that of a fitted LatentSemanticEmbedder, which is then read from
                ``folder``, the directory of the index; api_key : for an endpoint, never kept
    Returns:    the embedder, whose ``name`` is the one given
    Raises:     InvalidInputError if the name is none of these; MissingExtraError; StorageError if the folder lacks the
                file; IncompatibleIndexError if it holds another fit
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"embedder: expected a name, got {type(name).__name__}")
    if is_latent_semantic(name):
        if folder is None:
            raise InvalidInputError(f"embedder: {name!r} is kept in the directory of its index; give it as folder")
        path = Path(folder) / LATENT_SEMANTIC_FILE
        fitted = LatentSemanticEmbedder.load(path)
        if fitted.name != name:
            raise IncompatibleIndexError(f"'{path}' holds {fitted.name!r}, the index was made with {name!r}")
        return fitted
    for kind, load in _LOCAL.items():
        if name.startswith(kind) and len(name) > len(kind):
            local: Any = load(name[len(kind) :])
            local.name = name
            return local  # type: ignore[no-any-return]
    url, hash_sign, model = name.removeprefix(_HTTP).rpartition("#")
    if name.startswith(_HTTP) and hash_sign and url and model:
        remote = OpenAIEmbedder(url, model, api_key=api_key)
        remote.name = name
        return remote
    raise InvalidInputError(
        f"embedder: expected sentence-transformers:MODEL, fastembed:MODEL, model2vec:MODEL or openai:URL#MODEL, got "
        f"{name!r}; one that only its program knows must be given from there"
    )


def is_latent_semantic(name: str | None) -> bool:
    """Whether a name is that of a fitted LatentSemanticEmbedder."""
    return name is not None and name.startswith(_LATENT_SEMANTIC)


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model: an endpoint may have moved."""
    if one.startswith(_HTTP) and other.startswith(_HTTP):
        return one.rpartition("#")[2] == other.rpartition("#")[2]
    return one == other
