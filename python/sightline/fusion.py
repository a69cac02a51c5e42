"""Fusion of dense and lexical scores.

Every hit carries both true scores, whichever engine found it: what the other engine did not list is looked up.

``Convex`` is exact over all documents and runs in the core (``convex_search``); what stands here is its definition.
The other functions fuse the documents that either engine lists among its best D.

Source:     S. Bruch, S. Gai, A. Ingber, An analysis of fusion functions for hybrid retrieval, 2022
            G. Cormack, C. Clarke, S. Buettcher, Reciprocal rank fusion, 2009
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.errors import InvalidInputError, checked_integer

__all__ = [
    "DBSF",
    "RRF",
    "Convex",
    "Fused",
    "Fusion",
    "ScoredSource",
    "check_fusion",
    "convex_parts",
    "fuse",
    "listed",
]

Ids: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

# Settings beyond these bounds would make scores overflow or vanish; nobody means them.
_LEAST = 1e-30
_GREATEST = 1e30


class ScoredSource(Protocol):
    """One engine as fusion sees it, already confined to the rows a filter allows.

    ``search`` returns the best rows of one query each, by score descending and id ascending, fewer than ``depth`` only
    if no more exist. ``score`` gives the same numbers by random access, NaN for a row without such a score.
    """

    def search(self, queries: Ids, depth: int) -> list[tuple[Floats, Ids]]: ...

    def score(self, query: int, ids: Ids) -> Floats: ...


@dataclass(slots=True)
class Fused:
    """The answer to one query: aligned arrays, best first. ``dense`` is NaN where a document has no vector."""

    ids: Ids
    scores: Floats
    dense: Floats
    lexical: Floats
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, NDArray[Any]] = field(default_factory=dict)

    def explain(self, position: int) -> dict[str, Any]:
        """Return how the score at ``position`` came about."""
        return self.settings | {
            name: None if math.isnan(value) else value
            for name, values in self.parts.items()
            for value in (values[position].item(),)
        }


@dataclass(frozen=True, slots=True)
class Convex:
    """Fuse as ``alpha * cosine + (1 - alpha) * bm25 / lexical_scale``, exactly over all documents.

    A document without a vector has the dense part 0, one without a query term the lexical part 0; one with neither is
    no answer. Scales that do not depend on the other results keep the information of how good a match is, and are what
    makes the answer exact.

    Parameters: alpha : 0 (lexical only) to 1 (dense only); lexical_scale : the BM25 score that counts as much as cosine
                1, default 5.5 ln(1 + N) times the largest term-frequency factor of the BM25 variant: what 5.5 words
                that occur in one of the N documents each would score. It follows the size of the collection as BM25
                does.
    Raises:     InvalidInputError for an alpha outside 0 to 1 or a lexical_scale outside 1e-30 to 1e30
    """

    alpha: float = 0.5
    lexical_scale: float | None = None

    def __post_init__(self) -> None:
        alpha = _as_float(self.alpha)
        if not 0 <= alpha <= 1:
            raise InvalidInputError(f"alpha: expected a number from 0 to 1, got {self.alpha!r}")
        object.__setattr__(self, "alpha", alpha)
        if self.lexical_scale is not None:
            scale = _as_float(self.lexical_scale)
            if not _LEAST <= scale <= _GREATEST:
                raise InvalidInputError(
                    f"lexical_scale: expected a number from {_LEAST} to {_GREATEST} or None, got {self.lexical_scale!r}"
                )
            object.__setattr__(self, "lexical_scale", scale)

    def combine(self, dense: Any, lexical: Any, scale: float) -> Any:
        """Return the fused score; the core has the same operations in the same order, and so the same bits.

        Parameters: dense, lexical : scores; scale : ``lexical_scale``, resolved
        """
        return self.alpha * dense + (1.0 - self.alpha) * (lexical / scale)


@dataclass(frozen=True, slots=True)
class RRF:
    """Fuse by ranks: the sum of ``weight / (k + rank)`` over both engines' lists of the best ``depth`` documents.

    Robust when scores are not comparable at all; it forgets how good a match is, so ``Convex`` is the default. Ranks
    are those among the documents that a filter allows.

    Parameters: k : number > 0, damps the head of the lists; weights : (dense, lexical), each >= 0, not both 0;
                depth : int >= 1, at least as many as the hits asked for are listed
    Raises:     InvalidInputError for a k outside 1e-30 to 1e30, weights outside 0 to 1e30 or both below 1e-30, or a
                depth below 1
    """

    k: float = 60
    weights: tuple[float, float] = (1.0, 1.0)
    depth: int = 100

    def __post_init__(self) -> None:
        k = _as_float(self.k)
        if not _LEAST <= k <= _GREATEST:
            raise InvalidInputError(f"k: expected a number from {_LEAST} to {_GREATEST}, got {self.k!r}")
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "weights", _checked_weights(self.weights))
        object.__setattr__(self, "depth", checked_integer("depth", self.depth, 1))


@dataclass(frozen=True, slots=True)
class DBSF:
    """Fuse by distributions: each engine's list of the best ``depth`` scores is brought to mean 1/2 and deviation 1/6.

    That is, mean minus three deviations becomes 0 and mean plus three becomes 1, clipped; a list whose scores are all
    equal becomes 1/2. The fused score is the weighted sum; a document that a list lacks gets 0 from it.

    Parameters: weights : (dense, lexical), each >= 0, not both 0; depth : int >= 1, at least as many as the hits asked
                for are listed
    Raises:     InvalidInputError for weights outside 0 to 1e30 or both below 1e-30, or a depth below 1
    Source:     M. Mazzeschi, Distribution-based score fusion, 2023
    """

    weights: tuple[float, float] = (1.0, 1.0)
    depth: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _checked_weights(self.weights))
        object.__setattr__(self, "depth", checked_integer("depth", self.depth, 1))


def _checked_weights(given: object) -> tuple[float, ...]:
    # A tuple: a list would make the frozen object mutable and without a hash.
    weights = tuple(_as_float(weight) for weight in given) if isinstance(given, (tuple, list)) else ()
    if (
        len(weights) != 2
        or not all(0 <= weight <= _GREATEST for weight in weights)
        or not any(weight >= _LEAST for weight in weights)
    ):
        raise InvalidInputError(
            f"weights: expected two numbers from 0 to {_GREATEST}, one of them at least {_LEAST}, got {given!r}"
        )
    return weights


# (dense scores, NaN without a vector; lexical scores, 0 without a query term) -> fused scores, of the documents that
# either engine lists among its best
FusionFunction: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], Any]
Fusion: TypeAlias = "Convex | RRF | DBSF | FusionFunction"
_FUNCTION_DEPTH = 100


def check_fusion(fusion: object) -> Fusion:
    """Return what can fuse.

    Raises:     InvalidInputError for anything but Convex, RRF, DBSF objects or a callable
    """
    if isinstance(fusion, (Convex, RRF, DBSF)):
        return fusion
    if isinstance(fusion, type) or not callable(fusion):
        found = fusion.__name__ if isinstance(fusion, type) else type(fusion).__name__
        raise InvalidInputError(
            f"fusion: expected Convex(...), RRF(...), DBSF(...) or a callable (dense, lexical) -> scores, got {found}"
        )
    return fusion


def _as_float(value: object) -> float:
    """Return a real number as the nearest float, NaN for anything else, infinity where it is too large."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


@dataclass(slots=True)
class _Union:
    """The documents that either list holds, by ascending id, with both true scores."""

    ids: Ids
    dense: Floats
    lexical: Floats


def _unite(
    query: int,
    depth: int,
    dense: ScoredSource,
    lexical: ScoredSource,
    lists: tuple[tuple[Floats, Ids], ...],
) -> _Union:
    (dense_scores, dense_ids), (lexical_scores, lexical_ids) = lists
    ids = np.unique(np.concatenate([dense_ids, lexical_ids]))
    dense_true = np.full(len(ids), np.nan)
    lexical_true = np.full(len(ids), np.nan)
    dense_true[np.searchsorted(ids, dense_ids)] = dense_scores
    lexical_true[np.searchsorted(ids, lexical_ids)] = lexical_scores
    # A list shorter than asked for is complete: what it lacks has no vector, or no query term.
    if len(dense_ids) >= depth:
        absent = np.isnan(dense_true)
        dense_true[absent] = dense.score(query, ids[absent])
    if len(lexical_ids) >= depth:
        absent = np.isnan(lexical_true)
        lexical_true[absent] = lexical.score(query, ids[absent])
    lexical_true[np.isnan(lexical_true)] = 0.0
    return _Union(ids, dense_true, lexical_true)


def fuse(
    fusion: RRF | DBSF | FusionFunction, dense: ScoredSource, lexical: ScoredSource, query_count: int, k: int
) -> list[Fused]:
    """Return the best k documents of each query among those that either source lists."""
    depth = max(fusion.depth if isinstance(fusion, (RRF, DBSF)) else _FUNCTION_DEPTH, k)
    answers = []
    for union, pair in _unions(dense, lexical, query_count, depth):
        parts: dict[str, NDArray[Any]] = {}
        if isinstance(fusion, RRF):
            settings = {"method": "rrf", "k": fusion.k, "weights": list(fusion.weights), "depth": depth}
            fused = _by_rank(fusion, union, pair, parts)
        elif isinstance(fusion, DBSF):
            settings = {"method": "dbsf", "weights": list(fusion.weights), "depth": depth}
            fused = _by_distribution(fusion, union, pair, parts)
        else:
            settings = {"method": "callable", "depth": depth}
            fused = _by_function(fusion, union)
        best = np.lexsort((union.ids, -fused))[:k]
        answers.append(
            Fused(
                union.ids[best],
                fused[best],
                union.dense[best],
                union.lexical[best],
                settings,
                {name: values[best] for name, values in parts.items()},
            )
        )
    return answers


def convex_parts(
    convex: Convex, scale: float, dense: Floats, lexical: Floats
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what explains convex scores: settings, and each score's two parts."""
    settings = {"method": "convex", "alpha": convex.alpha, "lexical_scale": scale, "exact": True}
    parts = {
        "dense_part": convex.alpha * np.nan_to_num(dense, nan=0.0),
        "lexical_part": (1.0 - convex.alpha) * (lexical / scale),
    }
    return settings, parts


def _unions(
    dense: ScoredSource, lexical: ScoredSource, query_count: int, depth: int
) -> Iterator[tuple[_Union, _Lists]]:
    queries = np.arange(query_count, dtype=np.int64)
    lists = zip(dense.search(queries, depth), lexical.search(queries, depth), strict=True)
    for query, pair in enumerate(lists):
        yield _unite(query, depth, dense, lexical, pair), pair


def listed(
    dense: ScoredSource, lexical: ScoredSource, query_count: int, depth: int
) -> list[tuple[Ids, Floats, Floats]]:
    """Return ids, dense and lexical scores of the documents that either engine lists, by ascending id."""
    return [(union.ids, union.dense, union.lexical) for union, _ in _unions(dense, lexical, query_count, depth)]


_Lists: TypeAlias = tuple[tuple[Floats, Ids], ...]


def _by_rank(fusion: RRF, union: _Union, lists: _Lists, parts: dict[str, NDArray[Any]]) -> Floats:
    fused = np.zeros(len(union.ids))
    for name, weight, (_, ids) in zip(("dense_rank", "lexical_rank"), fusion.weights, lists, strict=True):
        parts[name] = np.full(len(union.ids), np.nan)
        parts[name][np.searchsorted(union.ids, ids)] = np.arange(1, len(ids) + 1)
        fused += np.nan_to_num(weight / (fusion.k + parts[name]), nan=0.0)
    return fused


def _by_distribution(fusion: DBSF, union: _Union, lists: _Lists, parts: dict[str, NDArray[Any]]) -> Floats:
    fused = np.zeros(len(union.ids))
    for name, weight, (scores, ids) in zip(("dense_part", "lexical_part"), fusion.weights, lists, strict=True):
        parts[name] = np.zeros(len(union.ids))
        if len(ids):
            spread = 6.0 * float(np.std(scores))
            share = (scores - np.mean(scores)) / spread + 0.5 if spread > 0 else np.full(len(ids), 0.5)
            parts[name][np.searchsorted(union.ids, ids)] = weight * np.clip(share, 0.0, 1.0)
        fused += parts[name]
    return fused


def _by_function(fusion: FusionFunction, union: _Union) -> Floats:
    count = len(union.ids)
    found = float_array(fusion(union.dense.copy(), union.lexical.copy()), "fusion", f"{count} scores", np.float64)
    if found.shape != (count,):
        raise InvalidInputError(f"fusion: expected {count} scores for {count} documents, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise InvalidInputError("fusion: returned NaN or infinity; a document without a vector has the dense score NaN")
    return found
