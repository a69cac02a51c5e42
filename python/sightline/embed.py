"""Embedders: the protocol, the checks on what they return, one that needs no model, and an adapter.

An embedder is any callable ``(list of str) -> array (n, dim)``. Many models prefix or weight queries and passages
differently: if it has ``embed_queries(list of str) -> array (n, dim)``, all queries of a search go there at once; else,
if it has ``embed_query(str) -> array (dim,)``, they go there one by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.errors import (
    CorruptIndexError,
    InvalidInputError,
    MissingExtraError,
    SightlineError,
    StorageError,
    checked_integer,
)

__all__ = [
    "Embedder",
    "LatentSemanticEmbedder",
    "SentenceTransformersEmbedder",
    "embed_documents",
    "embed_queries",
]

Vectors: TypeAlias = NDArray[np.float32]


class Embedder(Protocol):
    """Anything that turns texts into vectors."""

    def __call__(self, texts: list[str], /) -> Any: ...


def embed_documents(embedder: Callable[[list[str]], Any], texts: list[str], names: Sequence[str]) -> Vectors:
    """Embed texts and check the result.

    Parameters: names : what to call each text in an error message
    Returns:    float32 (n, dim), finite, no row all zeros
    Raises:     InvalidInputError if the embedder returns anything else; whatever the embedder itself raises
    """
    vectors = _as_matrix(embedder(texts), len(texts))
    _check_rows(vectors, names)
    return vectors


def embed_queries(embedder: Any, queries: list[str]) -> Vectors:
    """Embed queries, through ``embed_queries`` or ``embed_query`` where the embedder has it.

    Returns:    float32 (n, dim), finite, no row all zeros
    Raises:     InvalidInputError if the embedder returns anything else; whatever the embedder itself raises
    """
    if not queries:
        return np.empty((0, 0), dtype=np.float32)
    names = [f"query {query!r}" for query in queries]
    at_once = getattr(embedder, "embed_queries", None)
    if at_once is not None:
        vectors = _as_matrix(at_once(list(queries)), len(queries), "embedder.embed_queries")
        _check_rows(vectors, names)
        return vectors
    embed_query = getattr(embedder, "embed_query", None)
    if embed_query is None:
        return embed_documents(embedder, queries, names)
    rows: list[Vectors] = []
    for query in queries:
        row = _as_matrix([embed_query(query)], 1, "embedder.embed_query")
        if rows and row.shape != rows[0].shape:
            raise InvalidInputError(
                f"embedder.embed_query: returned {row.shape[1]} dimensions, and {rows[0].shape[1]} for another query"
            )
        rows.append(row)
    vectors = np.concatenate(rows)
    _check_rows(vectors, names)
    return vectors


def _as_matrix(result: Any, count: int, source: str = "embedder") -> Vectors:
    vectors = float_array(result, source, f"numbers of shape ({count}, dim)", np.float32)
    if vectors.ndim != 2 or vectors.shape[0] != count or vectors.shape[1] == 0:
        raise InvalidInputError(f"{source}: expected shape ({count}, dim) for {count} texts, got {vectors.shape}")
    return vectors


def _check_rows(vectors: Vectors, names: Sequence[str]) -> None:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidInputError(f"embedder: returned NaN or infinity for {names[int(np.argmin(finite))]}")
    nonzero = vectors.any(axis=1)
    if not nonzero.all():
        raise InvalidInputError(
            f"embedder: returned a zero vector, which has no cosine, for {names[int(np.argmin(nonzero))]}"
        )


_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class LatentSemanticEmbedder:
    """Embed by latent semantic analysis: TF-IDF of stemmed words and word pairs, reduced by a truncated SVD.

    Needs no model and no download; it learns from the corpus itself which words occur together, so a query finds
    passages that use other words. Far below a trained transformer in quality, useful where none is at hand. Call
    ``fit`` once before use. Costs O(n) for the TF-IDF and O(nonzeros * dim) for the SVD.

    One dimension is kept apart for texts without any known word: they all share one unit vector that is orthogonal to
    every other text, so their cosine with known texts is exactly 0.

    Parameters: dim : int >= 2; min_df : a word must occur in that many documents, default 2, and 1 below 1000
                documents; max_features : the most frequent words and pairs kept; seed : of the randomised SVD
    Raises:     MissingExtraError without scikit-learn (extra ``lsa``)
    Notes:      deterministic for the same texts, seed and library versions; identifiers such as ``returnExceptions``
                and ``return_exceptions`` are split into their words
    Source:     S. Deerwester et al., Indexing by latent semantic analysis, 1990; N. Halko et al., Finding structure
                with randomness, 2011
    """

    def __init__(
        self, dim: int = 256, *, min_df: int | None = None, max_features: int = 100_000, seed: int = 0
    ) -> None:
        self.dim = checked_integer("dim", dim, 2)
        self._min_df = None if min_df is None else checked_integer("min_df", min_df, 1)
        self._max_features = checked_integer("max_features", max_features, 1)
        self._seed = checked_integer("seed", seed, 0, 2**32 - 1)
        self.name: str | None = None
        self._vectorizer: Any = None
        self._projection: Any = None

    def fit(self, texts: Sequence[str]) -> LatentSemanticEmbedder:
        """Learn vocabulary, weights and projection from a corpus; replaces an earlier fit.

        Parameters: texts : list of str, the corpus or a sample of it
        Returns:    itself
        Raises:     MissingExtraError without scikit-learn; InvalidInputError if texts is no list of str or no word
                    occurs in min_df of them
        """
        texts = _texts(texts)
        min_df = self._min_df or (2 if len(texts) >= 1000 else 1)
        vectorizer = _vectorizer(min_df=min_df, max_features=self._max_features)
        from sklearn.utils.extmath import randomized_svd  # which _vectorizer found

        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise InvalidInputError(f"texts: no word occurs in {min_df} of {len(texts)} texts ({error})") from None
        rank = min(self.dim - 1, *weights.shape)
        _, _, components = randomized_svd(weights, rank, n_iter=4, random_state=self._seed)
        self._vectorizer = vectorizer
        self._projection = np.ascontiguousarray(components.T, dtype=np.float32)
        self.name = _fit_name(self._projection, vectorizer.vocabulary_)
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to a file, whole or not at all, so that queries can be embedded by it later.

        Parameters: path : of the file, replaced if present
        Raises:     SightlineError before ``fit``; StorageError
        """
        if self._vectorizer is None:
            raise SightlineError("LatentSemanticEmbedder: call fit(texts) before save(path)")
        words = sorted(self._vectorizer.vocabulary_, key=self._vectorizer.vocabulary_.__getitem__)
        path = Path(path)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                np.savez(
                    file,
                    dim=self.dim,
                    words=np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
                    idf=self._vectorizer.idf_,
                    projection=self._projection,
                )
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise StorageError(f"'{path}' cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LatentSemanticEmbedder:
        """Return what ``save`` wrote: it gives the vectors, and has the name, of the one that was saved.

        Parameters: path : of the file
        Raises:     MissingExtraError without scikit-learn; StorageError if the file cannot be read; CorruptIndexError
                    if it is no such file
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                dim, idf, projection = int(file["dim"]), file["idf"], file["projection"]
                words = json.loads(file["words"].tobytes())
            if projection.shape[0] != len(words) or idf.shape != (len(words),) or not 1 <= projection.shape[1] < dim:
                raise ValueError("its parts do not fit each other")
            embedder = cls(dim)
            embedder._projection = np.ascontiguousarray(projection, dtype=np.float32)
            embedder._vectorizer = _vectorizer(vocabulary={word: number for number, word in enumerate(words)})
            embedder._vectorizer.idf_ = idf
        except OSError as error:
            raise StorageError(f"'{path}' cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CorruptIndexError(f"'{path}' does not hold a LatentSemanticEmbedder ({error})") from None
        embedder.name = _fit_name(embedder._projection, embedder._vectorizer.vocabulary)
        return embedder

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, float32 (n, dim).

        Raises:     SightlineError before ``fit``
        """
        if self._vectorizer is None:
            raise SightlineError("LatentSemanticEmbedder: call fit(texts) before embedding")
        texts = _texts(texts)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        if not texts:
            return vectors
        latent = np.asarray(self._vectorizer.transform(texts) @ self._projection)
        norms = np.linalg.norm(latent, axis=1, keepdims=True)
        # TF-IDF rows have norm 1: a projection this short is rounding noise, not a direction.
        known = norms[:, 0] > 1e-6
        vectors[known, : latent.shape[1]] = latent[known] / norms[known]
        vectors[~known, -1] = 1.0
        return vectors

    def embed_query(self, text: str) -> Vectors:
        """Return the unit vector of one query, float32 (dim,).

        Parameters: text : str
        Raises:     SightlineError before ``fit``
        """
        vector: Vectors = self([text])[0]
        return vector


def _vectorizer(**options: Any) -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingExtraError("LatentSemanticEmbedder needs scikit-learn: pip install 'sightline[lsa]'") from None
    return TfidfVectorizer(analyzer=_Terms(), sublinear_tf=True, dtype=np.float32, **options)


def _fit_name(projection: NDArray[np.float32], vocabulary: Mapping[str, int]) -> str:
    """Name a fit by what it is made of: two fits have nothing in common, so an index that has one refuses another."""
    digest = hashlib.blake2b(projection.tobytes(), digest_size=8)
    digest.update(json.dumps(sorted((word, int(i)) for word, i in vocabulary.items())).encode())
    return f"latent semantic, fit {digest.hexdigest()}"


class _Terms:
    """Text to stemmed words and pairs of neighbours, without English stop words."""

    def __init__(self) -> None:
        import Stemmer
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        self._stop_words = ENGLISH_STOP_WORDS
        self._stemmer = Stemmer.Stemmer("english")
        self._stemming = threading.Lock()  # two threads must not use one stemmer at once
        self._stem_of: dict[str, str] = {}

    def __call__(self, text: str) -> Iterator[str]:
        previous = ""
        for word in _WORD.findall(_CAMEL.sub(" ", text).lower()):
            if word in self._stop_words:
                continue
            term = self._stem_of.get(word)
            if term is None:
                with self._stemming:
                    term = self._stem_of[word] = self._stemmer.stemWord(word)
            yield term
            if previous:
                yield f"{previous} {term}"
            previous = term


def _texts(texts: object) -> list[str]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InvalidInputError(f"texts: expected a list of str, got {type(texts).__name__}")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts[{position}]: expected a str, got {type(text).__name__}")
    return list(texts)


class SentenceTransformersEmbedder:
    """Embed with a model of the sentence-transformers package.

    Parameters: model : name or path to load, or a loaded ``SentenceTransformer``; batch_size : texts per forward pass;
                query_prefix, document_prefix : put before each text, as the model's card asks for (E5, BGE and others);
                options : further keyword arguments of ``SentenceTransformer``, such as device
    Raises:     MissingExtraError without sentence-transformers (extra ``embed``)
    """

    def __init__(
        self,
        model: str | Any = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        batch_size: int = 64,
        query_prefix: str = "",
        document_prefix: str = "",
        **options: Any,
    ) -> None:
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        self.name = model if isinstance(model, str) else None  # kept by an index, which refuses another
        self._query_prefix = query_prefix
        self._document_prefix = document_prefix
        if isinstance(model, str):
            try:
                package = import_module("sentence_transformers")
            except ImportError:
                raise MissingExtraError(
                    "SentenceTransformersEmbedder needs sentence-transformers: pip install 'sightline[embed]'"
                ) from None
            model = package.SentenceTransformer(model, **options)
        elif options:
            raise InvalidInputError(f"options {sorted(options)} apply only to a model given by name")
        self._model = model

    def __call__(self, texts: list[str]) -> Vectors:
        """Return the vectors of passages, float32 (n, dim)."""
        return self._encode([self._document_prefix + text for text in texts])

    def embed_query(self, text: str) -> Vectors:
        """Return the vector of one query, float32 (dim,).

        Parameters: text : str, to which ``query_prefix`` is added
        """
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: list[str]) -> Vectors:
        """Return the vectors of queries, float32 (n, dim), in as few forward passes as batch_size allows.

        Parameters: texts : list of str, to which ``query_prefix`` is added
        """
        return self._encode([self._query_prefix + text for text in texts])

    def _encode(self, texts: list[str]) -> Vectors:
        encoded = self._model.encode(texts, batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(encoded, dtype=np.float32)
