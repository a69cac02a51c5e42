"""Routing: which collections a question belongs to, with a confidence.

A router is any callable ``(query, vector) -> {collection: confidence}``, or one that returns a name. The two here
compare the query's vector with what each collection stands for; their confidence is a softmax of cosines, which orders
questions by how clear they are but is no calibrated probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.embed import embed_documents
from sightline.errors import InvalidInputError, checked_integer

__all__ = ["CentroidRouter", "ExampleRouter", "Route", "Router", "choose"]

Router: TypeAlias = "Callable[[str, Any], str | Mapping[str, float]]"

_ITERATIONS = 10  # of k-means: centroids that route need not be optimal


@dataclass(frozen=True, slots=True)
class Route:
    """Hold where a question goes.

    Parameters: collections : the one chosen, or all where the router was not sure; confidence : of the best, 0 to 1;
                scores : of every collection the router named; certain : whether it reached the threshold
    """

    collections: tuple[str, ...]
    confidence: float
    scores: dict[str, float]
    certain: bool


def choose(router: Router, query: str, vector: Any, names: Sequence[str], threshold: float) -> Route:
    """Ask a router, and fall back to all collections below a threshold.

    Raises:     InvalidInputError if it names unknown collections or gives confidences outside 0 to 1; what it raises
    """
    answer = router(query, vector)
    scores = {answer: 1.0} if isinstance(answer, str) else answer
    if not isinstance(scores, Mapping):
        raise InvalidInputError(f"router: expected a name or a dict of confidences, got {type(answer).__name__}")
    plain: dict[str, float] = {}
    for name, score in scores.items():
        if name not in names:
            raise InvalidInputError(f"router: named {name!r}; the collections are {', '.join(names)}")
        if not isinstance(score, Real) or isinstance(score, bool) or not 0 <= float(score) <= 1:
            raise InvalidInputError(f"router: expected a confidence from 0 to 1 for {name!r}, got {score!r}")
        plain[name] = float(score)
    best = max(plain, key=lambda name: plain[name], default=None)
    if best is None or plain[best] < threshold:
        return Route(tuple(names), 0.0 if best is None else plain[best], plain, False)
    return Route((best,), plain[best], plain, True)


class _Nearest:
    """Compares a query with the prototypes of each collection; the nearest one counts."""

    def __init__(self, prototypes: Mapping[str, NDArray[np.float64]], embedder: Any, temperature: float) -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 < temperature < 1e6:
            raise InvalidInputError(f"temperature: expected a number above 0, got {temperature!r}")
        if not prototypes:
            raise InvalidInputError("router: expected at least one collection, got none")
        self._prototypes = dict(prototypes)
        self._embedder = embedder
        self._temperature = float(temperature)

    def __call__(self, query: str, vector: Any = None) -> dict[str, float]:
        """Return a confidence for each collection; they sum to 1."""
        if vector is None:
            if self._embedder is None:
                raise InvalidInputError("router: needs vector= of the query, or an embedder")
            vector = _embed_query(self._embedder, query)
        unit = float_array(vector, "vector", "numbers", np.float64)
        norm = np.linalg.norm(unit)
        dim = next(iter(self._prototypes.values())).shape[1]
        if unit.shape != (dim,) or not 0 < norm < np.inf:
            raise InvalidInputError(f"vector: expected {dim} finite numbers, not all 0, got shape {unit.shape}")
        cosines = np.array([float((rows @ (unit / norm)).max()) for rows in self._prototypes.values()])
        weights = np.exp((cosines - cosines.max()) / self._temperature)
        return dict(zip(self._prototypes, (weights / weights.sum()).tolist(), strict=True))


class CentroidRouter(_Nearest):
    """Route to the collection that has a centroid nearest to the question.

    Parameters: vectors : by collection (n, dim), of its documents or a sample of them; centroids : of each collection,
                by spherical k-means; embedder : of questions that come without a vector; temperature : smaller is surer
    Raises:     InvalidInputError if an argument does not fit
    Notes:      deterministic; O(n * dim * centroids) to make, a product with all centroids a question
    """

    def __init__(
        self, vectors: Mapping[str, Any], *, centroids: int = 4, embedder: Any = None, temperature: float = 0.05
    ) -> None:
        count = checked_integer("centroids", centroids, 1)
        rows = {name: _unit_rows(name, values) for name, values in vectors.items()}
        _check_dims(rows)
        super().__init__({name: _centroids(found, count) for name, found in rows.items()}, embedder, temperature)


class ExampleRouter(_Nearest):
    """Route to the collection of the labelled example that is nearest to the question.

    Parameters: examples : questions by collection; embedder : of questions; temperature : smaller is surer
    Raises:     InvalidInputError if an argument does not fit; whatever the embedder raises
    """

    def __init__(self, examples: Mapping[str, Sequence[str]], embedder: Any, *, temperature: float = 0.05) -> None:
        if not callable(embedder):
            raise InvalidInputError(f"embedder: expected a callable, got {type(embedder).__name__}")
        rows = {}
        for name, questions in examples.items():
            if isinstance(questions, str) or not questions:
                raise InvalidInputError(f"examples[{name!r}]: expected a list of questions, got {questions!r}")
            embedded = [_embed_query(embedder, question) for question in questions]
            rows[name] = _unit_rows(name, np.stack(embedded))
        _check_dims(rows)
        super().__init__(rows, embedder, temperature)


def _embed_query(embedder: Any, query: str) -> NDArray[np.float32]:
    one = getattr(embedder, "embed_query", None)
    if callable(one):
        return float_array(one(query), "embedder.embed_query", "numbers", np.float32)
    row: NDArray[np.float32] = embed_documents(embedder, [query], [f"query {query!r}"])[0]
    return row


def _unit_rows(name: str, vectors: Any) -> NDArray[np.float64]:
    rows = float_array(vectors, f"vectors[{name!r}]", "numbers of shape (n, dim)", np.float64)
    if rows.ndim != 2 or not rows.size:
        raise InvalidInputError(f"vectors[{name!r}]: expected shape (n, dim) with n >= 1, got {rows.shape}")
    norms = np.linalg.norm(rows, axis=1)
    if not np.isfinite(norms).all() or not norms.all():
        raise InvalidInputError(f"vectors[{name!r}]: a row is all zeros, or holds NaN or infinity")
    unit: NDArray[np.float64] = rows / norms[:, None]
    return unit


def _check_dims(rows: Mapping[str, NDArray[np.float64]]) -> None:
    dims = {name: found.shape[1] for name, found in rows.items()}
    if len(set(dims.values())) > 1:
        raise InvalidInputError(f"vectors: the collections have different dimensions: {dims}")


def _centroids(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return at most ``count`` unit centroids, started far apart from each other (farthest-first)."""
    mean = rows.mean(axis=0)
    first = int(np.argmax(rows @ mean))
    chosen = [first]
    nearest = rows @ rows[first]
    while len(chosen) < min(count, len(rows)):
        following = int(np.argmin(nearest))
        if nearest[following] > 1 - 1e-9:
            break  # all that is left equals a centroid
        chosen.append(following)
        nearest = np.maximum(nearest, rows @ rows[following])
    centroids = rows[chosen]
    for _ in range(_ITERATIONS):
        owner = np.argmax(rows @ centroids.T, axis=1)
        for position in range(len(centroids)):
            total = rows[owner == position].sum(axis=0)
            norm = np.linalg.norm(total)
            if norm > 0:
                centroids[position] = total / norm
    return centroids
