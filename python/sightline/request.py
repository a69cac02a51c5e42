"""The arguments of a search, checked before anything else happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.documents import encodable, float_array
from sightline.embed import embed_queries
from sightline.errors import InvalidInputError, checked_integer
from sightline.filters import Filter, parse_filter
from sightline.fusion import RRF, Convex
from sightline.query import Query
from sightline.rerank import Reranker

__all__ = ["Mode", "Request", "Selection", "parse_request", "parse_selection"]

# Maximal marginal relevance chooses among so many candidates: at least a page of them, and some for every hit.
_MMR_CANDIDATES = 50
_MMR_FACTOR = 4

Mode: TypeAlias = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class Request:
    """Checked queries. ``texts`` are what embedders and rerankers see of them; ``vectors`` has a row for each, and is
    None in lexical mode.
    """

    mode: Mode
    queries: list[str | Query]
    texts: list[str]
    vectors: NDArray[np.float32] | None
    where: Filter | None
    fusion: Convex | RRF
    explain: bool
    single: bool  # one query was given, not a list
    selection: Selection


@dataclass(frozen=True, slots=True)
class Selection:
    """What becomes of the retrieved documents."""

    k: int
    rerank: Reranker | None
    rerank_depth: int
    diversity: float | None
    group_by: str | None
    per_group: int

    @property
    def depth(self) -> int:
        """How many documents to retrieve, before grouping asks for more."""
        depth = self.k if self.rerank is None else max(self.k, self.rerank_depth)
        return depth if self.diversity is None else max(depth, _MMR_CANDIDATES, _MMR_FACTOR * self.k)


def parse_selection(
    *, k: object, rerank: object, rerank_depth: object, diversity: object, group_by: object, per_group: object
) -> Selection:
    """Check the arguments that decide which retrieved documents become hits.

    Raises:     InvalidInputError naming the argument
    """
    if rerank is not None and not callable(rerank):
        raise InvalidInputError(f"rerank: expected a callable (query, texts) -> scores, got {type(rerank).__name__}")
    if diversity is not None:
        if isinstance(diversity, bool) or not isinstance(diversity, (int, float)) or not 0 <= diversity <= 1:
            raise InvalidInputError(f"diversity: expected a number from 0 to 1 or None, got {diversity!r}")
        diversity = float(diversity)
    if group_by is not None and (not isinstance(group_by, str) or not group_by):
        raise InvalidInputError(f"group_by: expected the name of a metadata field or None, got {group_by!r}")
    checked_per_group = checked_integer("per_group", per_group, 1)
    if group_by is None and checked_per_group != 1:
        raise InvalidInputError("per_group: has no use without group_by")
    return Selection(
        checked_integer("k", k, 1),
        rerank,
        checked_integer("rerank_depth", rerank_depth, 1),
        diversity,
        group_by,
        checked_per_group,
    )


def parse_request(
    query: object,
    *,
    mode: object,
    vector: object,
    where: object,
    fusion: object,
    explain: object,
    selection: Selection,
    embedder: Callable[[list[str]], Any] | None,
    dim: int | None,
    vector_count: int,
    empty: bool,
) -> Request:
    """Check the arguments of a search and embed its queries.

    Parameters: dim : of the index's vectors, None if not known yet; vector_count : how many it has now;
                empty : whether the index has no document
    Raises:     InvalidInputError naming the argument; whatever the embedder raises
    """
    if not isinstance(explain, bool):
        raise InvalidInputError(f"explain: expected True or False, got {explain!r}")
    condition = None if where is None else parse_filter(where)
    chosen = _mode(mode, query, vector, embedder is not None or vector_count > 0)
    if fusion is not None and not isinstance(fusion, (Convex, RRF)):
        raise InvalidInputError(f"fusion: expected Convex(...) or RRF(...), got {type(fusion).__name__}")
    if fusion is not None and chosen != "hybrid":
        raise InvalidInputError(f"fusion: applies to mode='hybrid' only, the mode is {chosen!r}")
    if vector is not None and chosen == "lexical":
        raise InvalidInputError("vector: has no use in mode='lexical'")
    if selection.diversity is not None and dim is None and not empty:
        raise InvalidInputError("diversity: needs vectors to compare documents, and this index has none")
    queries, single = _queries(query, vector, chosen)
    texts = [query if isinstance(query, str) else query.text for query in queries]
    vectors = None
    if chosen != "lexical" and texts:
        vectors = _vectors(texts, single, vector, chosen, embedder)
        if dim is None and not empty:
            raise InvalidInputError(f"mode={chosen!r}: no document of this index has a vector; use mode='lexical'")
        if dim is not None and vectors.shape[1] != dim:
            source = "embedder" if vector is None else "vector"
            raise InvalidInputError(f"{source}: expected {dim} dimensions as in the index, got {vectors.shape[1]}")
    return Request(chosen, queries, texts, vectors, condition, fusion or Convex(), explain, single, selection)


def _mode(mode: object, query: object, vector: object, has_dense_side: bool) -> Mode:
    if mode is None:
        if vector is not None:
            return "dense" if query is None else "hybrid"
        return "hybrid" if has_dense_side else "lexical"
    if isinstance(mode, str):  # an array would compare element by element
        for known in ("hybrid", "dense", "lexical"):
            if mode == known:
                return known
    raise InvalidInputError(f"mode: expected 'hybrid', 'dense' or 'lexical', got {mode!r}")


def _queries(query: object, vector: object, mode: Mode) -> tuple[list[str | Query], bool]:
    """Return the queries and whether it was a single one."""
    if isinstance(query, (str, Query)):
        return [_query(query, "query")], True
    if query is None:
        if mode != "dense" or vector is None:
            raise InvalidInputError("query: expected a str or a list of str; None only with vector= and mode='dense'")
        return [""], True
    if not isinstance(query, Sequence) or isinstance(query, (bytes, bytearray)):
        raise InvalidInputError(f"query: expected a str or a list of str, got {type(query).__name__}")
    return [_query(item, f"query[{i}]") for i, item in enumerate(query)], False


def _query(query: object, name: str) -> str | Query:
    if isinstance(query, str):
        return encodable(query, name)
    if not isinstance(query, Query):
        raise InvalidInputError(f"{name}: expected a str, got {type(query).__name__}")
    for clause in query.clauses:
        encodable(clause.text, name)
    return query


def _vectors(
    texts: list[str], single: bool, vector: object, mode: Mode, embedder: Callable[[list[str]], Any] | None
) -> NDArray[np.float32]:
    if vector is not None:
        return _given_vectors(vector, len(texts), single)
    if embedder is None:
        raise InvalidInputError(
            f"mode={mode!r} needs a vector for the query, and the index has no embedder: give vector=, or "
            "mode='lexical', or make the index with an embedder"
        )
    return embed_queries(embedder, texts)


def _given_vectors(vector: Any, count: int, single: bool) -> NDArray[np.float32]:
    vectors = float_array(vector, "vector", "numbers", np.float32)
    expected = "(dim,) for one query" if single else f"({count}, dim) for {count} queries"
    if vectors.ndim != (1 if single else 2) or (not single and len(vectors) != count):
        raise InvalidInputError(f"vector: expected shape {expected}, got {vectors.shape}")
    vectors = np.atleast_2d(vectors)
    if not np.isfinite(vectors).all():
        raise InvalidInputError("vector: holds NaN or infinity")
    if not vectors.any(axis=1).all():
        raise InvalidInputError("vector: is all zeros, which has no cosine")
    return vectors
