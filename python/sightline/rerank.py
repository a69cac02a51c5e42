"""Rerankers: the hook, the checks on what it returns, and adapters.

A reranker is any callable ``(query, texts) -> one score per text``, greater for better; it sees the text that was
searched, title first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.errors import InvalidInputError, MissingExtraError, checked_integer

__all__ = ["Reranker", "RerankersReranker", "SentenceTransformersReranker", "rerank_scores"]

Reranker: TypeAlias = "Callable[[str, list[str]], Sequence[float] | NDArray[Any]]"


def rerank_scores(reranker: Reranker, query: str, texts: list[str]) -> NDArray[np.float64]:
    """Call a reranker and check its scores.

    Returns:    float64 (n,), finite
    Raises:     InvalidInputError if it returns anything else; whatever the reranker itself raises
    """
    result = reranker(query, list(texts))  # a list of its own, which it may change
    scores = float_array(result, "rerank", f"{len(texts)} scores", np.float64)
    if scores.shape != (len(texts),):
        raise InvalidInputError(
            f"rerank: expected {len(texts)} scores for {len(texts)} texts, got shape {scores.shape}"
        )
    finite = np.isfinite(scores)
    if not finite.all():
        position = int(np.argmin(finite))
        raise InvalidInputError(
            f"rerank: score {position} of query {query!r} is {scores[position]}, expected a finite number"
        )
    return scores


class SentenceTransformersReranker:
    """Rerank with a cross-encoder of the sentence-transformers package.

    Parameters: model : name or path to load, or a loaded ``CrossEncoder``; batch_size : pairs per forward pass;
                options : further keyword arguments of ``CrossEncoder``, such as device or max_length
    Raises:     MissingExtraError without sentence-transformers (extra ``rerank``); InvalidInputError for a batch_size
                below 1 or options for a loaded model
    """

    def __init__(
        self,
        model: str | Any = "cross-encoder/ms-marco-MiniLM-L6-v2",
        *,
        batch_size: int = 32,
        **options: Any,
    ) -> None:
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        if isinstance(model, str):
            try:
                package = import_module("sentence_transformers")
            except ImportError:
                raise MissingExtraError(
                    "SentenceTransformersReranker needs sentence-transformers: pip install 'sightline[rerank]'"
                ) from None
            model = package.CrossEncoder(model, **options)
        elif options:
            raise InvalidInputError(f"options {sorted(options)} apply only to a model given by name")
        self._model = model

    def __call__(self, query: str, texts: list[str]) -> NDArray[np.float64]:
        """Return the cross-encoder's score of each (query, text) pair."""
        if not texts:
            return np.empty(0)
        scores = self._model.predict(
            [(query, text) for text in texts], batch_size=self._batch_size, show_progress_bar=False
        )
        return np.asarray(scores, dtype=np.float64)


class RerankersReranker:
    """Rerank with any model of the ``rerankers`` package (cross-encoders, T5, ColBERT, FlashRank, API services ...).

    Parameters: model : name or path for ``rerankers.Reranker``, or a ranker it made; options : its further keyword
                arguments, such as model_type or api_key
    Raises:     MissingExtraError without the package (extra ``rerank``); InvalidInputError if it cannot load the model
    Notes:      where a model only orders and gives no scores, minus the rank serves as one
    """

    def __init__(self, model: str | Any, **options: Any) -> None:
        if isinstance(model, str):
            try:
                package = import_module("rerankers")
            except ImportError:
                raise MissingExtraError("RerankersReranker needs rerankers: pip install 'sightline[rerank]'") from None
            ranker = package.Reranker(model, **options)
            if ranker is None:  # how the package reports a model type whose own dependencies are missing
                raise InvalidInputError(f"model: rerankers could not load {model!r}; it printed what is missing")
        elif options:
            raise InvalidInputError(f"options {sorted(options)} apply only to a model given by name")
        else:
            ranker = model
        self._ranker = ranker

    def __call__(self, query: str, texts: list[str]) -> NDArray[np.float64]:
        """Return the ranker's score of each text, in the order of the texts."""
        if not texts:
            return np.empty(0)
        results = self._ranker.rank(query=query, docs=texts, doc_ids=list(range(len(texts)))).results
        scores = np.full(len(texts), np.nan)  # a text the ranker dropped stays NaN, which rerank_scores reports
        for result in results:
            score = -float(result.rank) if result.score is None else float(result.score)
            scores[int(result.document.doc_id)] = score
        return scores
