"""The native search behind ``Convex``: both engines in one call, exactly, with the GIL released.

It is the threshold algorithm with one list and one bound (cpp/hybrid/fused_query.h has the argument): the best few
documents of BM25 get their cosines by random access, which gives a threshold to the scan of the vectors; what reaches
it gets its BM25 score by random access. The scores have the bits of ``Convex.combine``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import _core
from sightline.bm25_index import BM25Index
from sightline.columns import Mask
from sightline.fusion import Convex, Floats, Fused, Ids, convex_parts
from sightline.query import Query
from sightline.vector_index import VectorIndex

__all__ = ["UsualSearch", "search_convex"]


def search_convex(
    convex: Convex,
    scale: float,
    dense: VectorIndex,
    lexical: BM25Index,
    queries: list[str | Query],
    vectors: NDArray[np.float32],
    k: int,
    *,
    dense_mask: Mask | None = None,
    lexical_mask: Mask | None = None,
    among: Ids | None = None,
    explain: bool = False,
) -> list[Fused]:
    """Return the best k documents of each query that have a vector or a query term.

    Ties are by ascending id. The clauses of a parsed query are the caller's to turn into masks; its words rank.
    One pass over the codes of the vectors for up to 1024 queries; O(m * (dim + words * log postings)) among m ids.

    Parameters: scale : lexical scores are divided by it, > 0; dense, lexical : engines whose ids name the same
                documents; vectors : float32 (q, dim), C-contiguous;
                dense_mask, lexical_mask : bool, an entry for each row of the engine in the order of its ids, the same
                documents in both, None for all; among : int64, ascending, the only documents to look at, instead of
                masks
    Returns:    a Fused for each query; with ``settings`` and ``parts`` only if ``explain``
    Raises:     InvalidInputError for a mask that does not fit, or a query vector that is not finite or zero
    """
    ranked, _ = lexical._queries(queries)
    call = _core_call(dense, lexical)
    parameters = lexical._core_parameters(None, None, None, None, None)
    counts, scores, ids, cosines, words = call(
        ranked, vectors, k, convex.alpha, scale, dense_mask, lexical_mask, among, *parameters
    )
    answers = []
    for query, count in enumerate(counts.tolist()):
        fused = Fused(ids[query, :count], scores[query, :count], cosines[query, :count], words[query, :count])
        if explain:
            fused.settings, fused.parts = convex_parts(convex, scale, fused.dense, fused.lexical)
        answers.append(fused)
    return answers


class UsualSearch:
    """``search_convex`` with ``Convex()`` for one query at a time, all else prepared.

    Parameters: scale, dense, lexical : as for ``search_convex``
    """

    __slots__ = ("_call", "_rest", "_terms")

    def __init__(self, scale: float, dense: VectorIndex, lexical: BM25Index) -> None:
        self._call = _core_call(dense, lexical)
        self._terms = lexical._terms
        masks = (None, None, None)
        self._rest = (Convex().alpha, scale, *masks, *lexical._core_parameters(None, None, None, None, None))

    def __call__(self, query: str, vector: NDArray[np.float32], k: int) -> tuple[Ids, Floats, Floats, Floats]:
        """Return ids, scores, cosines and BM25 scores, best first.

        Parameters: vector : (1, dim)
        Raises:     as ``search_convex``
        """
        _, scores, ids, cosines, words = self._call(self._terms([query]), vector, k, *self._rest)
        return ids[0], scores[0], cosines[0], words[0]  # which are as long as the only answer


def _core_call(dense: VectorIndex, lexical: BM25Index) -> Callable[..., tuple[Any, ...]]:
    search: Any = _core.search_convex if lexical.fields is None else _core.search_convex_fields
    return partial(search, dense._core, lexical._core, lexical._native)
