"""Which weight of dense and lexical scores suits a collection: measured on judged queries, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import document_id
from sightline.errors import InvalidInputError
from sightline.fusion import Convex

__all__ = ["Judged", "Tuning", "parse_judgements", "tune_alpha"]

Floats: TypeAlias = NDArray[np.float64]

_ALPHAS = np.linspace(0.0, 1.0, 21)
_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Tuning:
    """What ``HybridIndex.tune`` found.

    Parameters: fusion : to give to ``search``; ndcg : mean nDCG@k over the queries, each with the weight chosen without
                its fold (what to expect on new queries); interval : 95 % bootstrap interval of it; default_ndcg : with
                ``Convex()``; gain : 95 % bootstrap interval of the difference of both, paired by query; if it holds 0,
                these queries do not show that tuning helps; curve : mean nDCG by alpha, on all queries; queries : how
                many were judged
    """

    fusion: Convex
    ndcg: float
    interval: tuple[float, float]
    default_ndcg: float
    gain: tuple[float, float]
    curve: dict[float, float]
    queries: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged queries: texts, and for each the grade of the documents that have one above 0."""

    names: list[str]
    texts: list[str]
    grades: list[dict[str, float]]


def parse_judgements(queries: object, qrels: object) -> Judged:
    """Check queries and judgements.

    Parameters: queries : {query id: text}; qrels : {query id: {document id: grade}}, grades >= 0
    Raises:     InvalidInputError naming what is wrong; also if fewer than two queries have a relevant document
    """
    if not isinstance(queries, Mapping):
        raise InvalidInputError(f"queries: expected a dict of texts by query id, got {type(queries).__name__}")
    if not isinstance(qrels, Mapping):
        raise InvalidInputError(f"qrels: expected a dict by query id, got {type(qrels).__name__}")
    unknown = [name for name in qrels if name not in queries]
    if unknown:
        raise InvalidInputError(f"qrels: query {unknown[0]!r} is not among the queries")
    judged = Judged([], [], [])
    for name, documents in qrels.items():
        text = queries[name]
        if not isinstance(text, str):
            raise InvalidInputError(f"queries[{name!r}]: expected a str, got {type(text).__name__}")
        if not isinstance(documents, Mapping):
            raise InvalidInputError(f"qrels[{name!r}]: expected a dict of grades, got {type(documents).__name__}")
        found = {}
        for document, grade in documents.items():
            where = f"qrels[{name!r}][{document!r}]"
            is_number = isinstance(grade, (int, float, np.integer, np.floating)) and not isinstance(grade, bool)
            if not is_number or not 0 <= float(grade) < np.inf:
                raise InvalidInputError(f"{where}: expected a grade >= 0, got {grade!r}")
            if grade > 0:
                found[document_id(document, where)] = float(grade)
        if found:
            judged.names.append(name)
            judged.texts.append(text)
            judged.grades.append(found)
    if len(judged.texts) < 2:
        raise InvalidInputError("qrels: expected at least two queries with a relevant document")
    return judged


def _ndcg(order: NDArray[np.intp], gains: Floats, ideal: float, k: int) -> float:
    best = gains[order[:k]]
    return float((best / np.log2(np.arange(2, len(best) + 2))).sum() / ideal)


def tune_alpha(
    candidates: Sequence[tuple[Floats, Floats, Floats]],
    grades: Sequence[Mapping[Any, float]],
    scale: float,
    k: int,
    folds: int,
    seed: int,
) -> Tuning:
    """Choose alpha of ``Convex`` by cross-validation.

    Parameters: candidates : for each query dense scores (NaN: none), lexical scores and gains of the documents that
                either engine lists, in the order of writing; grades : of all its relevant documents; scale : of the
                lexical scores
    Source:     J. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002 (linear gains)
    """
    random = np.random.default_rng(seed)
    count = len(candidates)
    table = np.zeros((count, len(_ALPHAS)))
    default = np.zeros(count)
    for query, (dense, lexical, gains) in enumerate(candidates):
        best = np.sort(np.array(list(grades[query].values())))[::-1][:k]
        ideal = float((best / np.log2(np.arange(2, len(best) + 2))).sum())
        known = np.nan_to_num(dense, nan=0.0)
        for column, alpha in enumerate(_ALPHAS):
            fused = Convex(float(alpha)).combine(known, lexical, scale)
            table[query, column] = _ndcg(np.argsort(-fused, kind="stable"), gains, ideal, k)
        fused = Convex().combine(known, lexical, scale)
        default[query] = _ndcg(np.argsort(-fused, kind="stable"), gains, ideal, k)
    fold_of = random.permutation(count) % min(folds, count)
    held_out = np.zeros(count)
    for fold in range(int(fold_of.max()) + 1):
        inside = fold_of == fold
        held_out[inside] = table[inside, _best(table[~inside])]
    samples = random.integers(0, count, size=(_RESAMPLES, count))
    tails = [50 * (1 - _CONFIDENCE), 50 * (1 + _CONFIDENCE)]
    low, high = np.percentile(held_out[samples].mean(axis=1), tails)
    least, most = np.percentile((held_out - default)[samples].mean(axis=1), tails)
    curve = {round(float(alpha), 2): float(mean) for alpha, mean in zip(_ALPHAS, table.mean(axis=0), strict=True)}
    return Tuning(
        Convex(round(float(_ALPHAS[_best(table)]), 2)),
        float(held_out.mean()),
        (float(low), float(high)),
        float(default.mean()),
        (float(least), float(most)),
        curve,
        count,
    )


def _best(table: NDArray[np.float64]) -> int:
    """Return the column with the best mean; of equals the one nearest the default, which needs the least faith."""
    means = table.mean(axis=0)
    near = np.abs(_ALPHAS - Convex().alpha)
    return int(np.lexsort((near, -np.round(means, 12)))[0])
