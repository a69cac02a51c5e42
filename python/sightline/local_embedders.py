"""Adapters of two packages that embed without PyTorch: fastembed (ONNX) and model2vec (static vectors of words)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import InvalidInputError, MissingExtraError, checked_integer

__all__ = ["FastEmbedEmbedder", "Model2VecEmbedder"]

Vectors = NDArray[np.float32]


class _LocalEmbedder:
    """What both have in common: prefixes, and a name for the index."""

    def __init__(self, kind: str, model: object, batch_size: int, query_prefix: str, document_prefix: str) -> None:
        for argument, prefix in (("query_prefix", query_prefix), ("document_prefix", document_prefix)):
            if not isinstance(prefix, str):
                raise InvalidInputError(f"{argument}: expected a str, got {type(prefix).__name__}")
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        self._query_prefix, self._document_prefix = query_prefix, document_prefix
        # Kept by an index, which refuses another.
        self.name: str | None = f"{kind}:{model}" if isinstance(model, str) else None

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages, float32 (n, dim).

        Parameters: texts : list of str, to which ``document_prefix`` is added
        """
        return _matrix(self._passages([self._document_prefix + text for text in texts]))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of queries, float32 (n, dim).

        Parameters: texts : list of str, to which ``query_prefix`` is added
        """
        return _matrix(self._questions([self._query_prefix + text for text in texts]))

    def embed_query(self, text: str) -> Vectors:
        """Return the vector of one query, float32 (dim,).

        Parameters: text : str, to which ``query_prefix`` is added
        """
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def _passages(self, texts: list[str]) -> Iterable[Any]:
        raise NotImplementedError

    def _questions(self, texts: list[str]) -> Iterable[Any]:
        return self._passages(texts)


class FastEmbedEmbedder(_LocalEmbedder):
    """Embed with an ONNX model of the fastembed package, without PyTorch.

    Passages and queries go to the model's ``passage_embed`` and ``query_embed``, which treat them differently where the
    model was trained so.

    Parameters: model : name that ``TextEmbedding.list_supported_models()`` has, or a loaded ``TextEmbedding``;
                batch_size : texts per forward pass; query_prefix, document_prefix : put before each text, where the
                model's card asks for more than fastembed itself adds; options : further keyword arguments of
                ``TextEmbedding``, such as cache_dir, threads or specific_model_path
    Raises:     MissingExtraError without fastembed (extra ``fastembed``); InvalidInputError for options with a loaded
                model
    """

    def __init__(
        self,
        model: str | Any = "BAAI/bge-small-en-v1.5",
        *,
        batch_size: int = 256,
        query_prefix: str = "",
        document_prefix: str = "",
        **options: Any,
    ) -> None:
        super().__init__("fastembed", model, batch_size, query_prefix, document_prefix)
        if isinstance(model, str):
            package = _imported("fastembed", "FastEmbedEmbedder", "fastembed")
            model = package.TextEmbedding(model_name=model, **options)
        elif options:
            raise InvalidInputError(f"options {sorted(options)} apply only to a model given by name")
        self._model = model

    def _passages(self, texts: list[str]) -> Iterable[Any]:
        found: Iterable[Any] = self._model.passage_embed(texts, batch_size=self._batch_size)
        return found

    def _questions(self, texts: list[str]) -> Iterable[Any]:
        found: Iterable[Any] = self._model.query_embed(texts, batch_size=self._batch_size)
        return found


class Model2VecEmbedder(_LocalEmbedder):
    """Embed with a static model of the model2vec package: the mean of a vector for each token.

    Thousands of texts a second. A text none of whose tokens the model knows has no direction; the index refuses it and
    says which.

    Parameters: model : name or path for ``StaticModel.from_pretrained``, or a loaded ``StaticModel``; batch_size :
                texts that are tokenised at once; query_prefix, document_prefix : put before each text; max_length :
                tokens of a text that count, None for all; options : further keyword arguments of ``from_pretrained``,
                such as dimensionality or token
    Raises:     MissingExtraError without model2vec (extra ``model2vec``); InvalidInputError for options with a loaded
                model
    """

    def __init__(
        self,
        model: str | Any = "minishlab/potion-base-8M",
        *,
        batch_size: int = 1024,
        query_prefix: str = "",
        document_prefix: str = "",
        max_length: int | None = 512,
        **options: Any,
    ) -> None:
        super().__init__("model2vec", model, batch_size, query_prefix, document_prefix)
        self._max_length = None if max_length is None else checked_integer("max_length", max_length, 1)
        if isinstance(model, str):
            package = _imported("model2vec", "Model2VecEmbedder", "model2vec")
            model = package.StaticModel.from_pretrained(model, **options)
        elif options:
            raise InvalidInputError(f"options {sorted(options)} apply only to a model given by name")
        self._model = model

    def _passages(self, texts: list[str]) -> Iterable[Any]:
        if not texts:
            return []
        # In this process: the texts come in batches, for which starting others does not pay.
        found: Iterable[Any] = self._model.encode(
            texts,
            show_progress_bar=False,
            max_length=self._max_length,
            batch_size=self._batch_size,
            use_multiprocessing=False,
        )
        return found


def _matrix(rows: Iterable[Any]) -> Vectors:
    vectors = rows if isinstance(rows, np.ndarray) else list(rows)
    return np.asarray(vectors, dtype=np.float32) if len(vectors) else np.empty((0, 0), dtype=np.float32)


def _imported(module: str, user: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(f"{user} needs {module}: pip install 'sightline[{extra}]'") from None
