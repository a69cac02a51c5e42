"""Judged collections on disk, in BEIR's form and with vectors beside them: what ``eval`` and ``mteb`` measure on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.datasets import Qrels, Queries, read_corpus, read_qrels, read_queries
from sightline.errors import InvalidInputError, StorageError

__all__ = ["Collection", "read_collection", "read_query_vectors"]


@dataclass(frozen=True, slots=True)
class Collection:
    """Hold a judged collection on disk; its documents are read when they are needed."""

    corpus: str
    queries: Queries
    qrels: Qrels
    vectors: NDArray[Any] | None  # a row a document
    query_vectors: dict[str, NDArray[np.float32]] | None

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield what ``HybridIndex.add`` takes, with vectors where there are any."""
        return _documents(self.corpus, self.vectors)


def read_collection(
    collection: str,
    queries: str | None,
    qrels: str | None,
    vectors: str | None,
    query_vectors: str | None,
    *,
    embedded: bool = False,
) -> Collection:
    """Read a collection in BEIR's form; what is None has the file name that is usual there.

    Parameters: embedded : vectors come from an embedder, those on disk are not looked for
    Raises:     InvalidInputError, StorageError naming the file
    """
    folder = Path(collection)
    corpus = _existing(folder, "corpus.jsonl", "corpus.jsonl.gz")
    if corpus is None:
        raise InvalidInputError(f"{folder}: expected a folder with corpus.jsonl or corpus.jsonl.gz, as BEIR has them")
    texts = read_queries(queries or _required(folder, "queries", "queries.jsonl", "queries.jsonl.gz"))
    judged = read_qrels(qrels or _required(folder, "qrels", "qrels/test.tsv"))
    if embedded:
        if vectors or query_vectors:
            raise InvalidInputError("vectors: an embedder makes them; give either")
        return Collection(corpus, texts, judged, None, None)
    document_vectors = _vectors(vectors or _existing(folder, "docs.npy"))
    by_query = read_query_vectors(query_vectors or _existing(folder, "queries.npy"), texts)
    if (document_vectors is None) != (by_query is None):
        raise InvalidInputError("vectors: give those of the documents and those of the queries, or neither")
    return Collection(corpus, texts, judged, document_vectors, by_query)


def _existing(folder: Path, *names: str) -> str | None:
    return next((str(folder / name) for name in names if (folder / name).is_file()), None)


def _required(folder: Path, option: str, *names: str) -> str:
    found = _existing(folder, *names)
    if found is None:
        raise InvalidInputError(f"{folder}: has no {names[0]}; name the file with --{option}")
    return found


def _vectors(path: str | None) -> NDArray[Any] | None:
    if path is None:
        return None
    try:
        # allow_pickle stays False: a file of vectors must not be able to run code.
        vectors = np.load(path, mmap_mode="r")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidInputError(f"{path}: is not an array of numbers in NumPy's format: {error}") from None
    if vectors.ndim != 2:
        raise InvalidInputError(f"{path}: expected a row for each line, got an array of shape {vectors.shape}")
    found: NDArray[Any] = vectors
    return found


def read_query_vectors(path: str | None, texts: Queries) -> dict[str, NDArray[np.float32]] | None:
    """Read vectors of queries, a row for each in the order of their file.

    Returns:    vectors by id; None for no path
    Raises:     InvalidInputError, StorageError naming the file
    """
    vectors = _vectors(path)
    if vectors is None:
        return None
    if len(vectors) != len(texts):
        raise InvalidInputError(f"{path}: expected {len(texts)} rows, one for each query, got {len(vectors)}")
    return {name: np.asarray(row, dtype=np.float32) for name, row in zip(texts, vectors, strict=True)}


def _documents(corpus: str, vectors: NDArray[Any] | None) -> Iterator[dict[str, Any]]:
    count = 0
    for count, document in enumerate(read_corpus(corpus), start=1):
        if vectors is None:
            yield document
        elif count > len(vectors):
            break
        else:
            yield document | {"vector": np.asarray(vectors[count - 1], dtype=np.float32)}
    if vectors is not None and count != len(vectors):
        relation = "fewer" if count > len(vectors) else "more"
        raise InvalidInputError(f"vectors: {len(vectors)} rows are {relation} than the corpus has documents")
