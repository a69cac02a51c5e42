"""Rerankers: the hook, the checks on what it returns, and adapters.

A reranker is any callable ``(query, texts) -> one score per text``, greater for better; it sees the text that was
searched, title first.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.errors import InvalidInputError, MissingExtraError, checked_integer
from sightline.fork_locks import renew_in_children

__all__ = [
    "CachedReranker",
    "OnError",
    "Reranker",
    "RerankersReranker",
    "SentenceTransformersReranker",
    "rerank_scores",
    "rerank_within",
]

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


OnError: TypeAlias = Literal["raise", "keep"]


def rerank_within(
    reranker: Reranker, query: str, texts: list[str], deadline: float | None, on_error: OnError
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Call a reranker as far as time and errors allow.

    Parameters: deadline : of time.monotonic(), None for none; past it the reranker goes on in its thread, since nothing
                can stop it, and its scores are dropped; on_error : whether its errors are raised, or keep the order
    Returns:    scores, None; or None and the reason why there are none
    Raises:     as ``rerank_scores``, unless on_error is "keep"
    """
    answer: list[NDArray[np.float64]] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(rerank_scores(reranker, query, texts))
        except Exception as error:
            failure.append(error)

    if deadline is None:
        run()
    else:
        thread = threading.Thread(target=run, name="sightline-rerank", daemon=True)
        left = deadline - time.monotonic()
        if left > 0:
            thread.start()
            thread.join(left)
        if not answer and not failure:
            return None, "the reranker took longer than rerank_budget"
    if failure:
        if on_error == "raise":
            raise failure[0]
        return None, f"the reranker failed: {type(failure[0]).__name__}: {failure[0]}"
    return answer[0], None


class CachedReranker:
    """Remember the scores of a reranker, and ask it only for what it has not scored yet.

    Parameters: reranker : callable ``(query, texts) -> scores``; size : how many scores are kept, the last used ones;
                about 100 bytes each, and the texts
    Raises:     InvalidInputError if the reranker is not callable or size is below 1
    Notes:      thread-safe; for rerankers whose score of a text does not depend on the other texts
    """

    def __init__(self, reranker: Reranker, size: int = 10_000) -> None:
        if not callable(reranker):
            raise InvalidInputError(f"reranker: expected a callable, got {type(reranker).__name__}")
        self._reranker = reranker
        self._size = checked_integer("size", size, 1)
        self._scores: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()
        renew_in_children(self, "_lock")

    def __call__(self, query: str, texts: list[str]) -> NDArray[np.float64]:
        """Return the score of each text, float64 (n,)."""
        with self._lock:
            found = {text: self._scores.get((query, text)) for text in texts}
        missing = [text for text, score in found.items() if score is None]
        fresh = rerank_scores(self._reranker, query, missing).tolist() if missing else []
        known = {text: score for text, score in found.items() if score is not None}
        known.update(zip(missing, fresh, strict=True))
        with self._lock:
            for text, score in known.items():
                self._scores[query, text] = score
                self._scores.move_to_end((query, text))
            while len(self._scores) > self._size:
                self._scores.popitem(last=False)
        return np.array([known[text] for text in texts])


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
