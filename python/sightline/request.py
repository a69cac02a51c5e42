"""The arguments of a search, checked before anything else happens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from sightline.documents import encodable, float_array
from sightline.embed import embed_queries
from sightline.errors import InvalidInputError, checked_integer
from sightline.filters import Filter, parse_filter
from sightline.fusion import Convex, Fusion, check_fusion
from sightline.query import Query
from sightline.rerank import OnError, Reranker

__all__ = ["Mode", "Request", "SearchOptions", "Selection", "parse_request", "parse_selection", "usual_vector"]

# Maximal marginal relevance and latest_by choose among so many candidates: at least a page, and some for every hit.
_CHOICE_LEAST = 50
_CHOICE_FACTOR = 4

_DEFAULT_FUSION = Convex()

Mode: TypeAlias = Literal["hybrid", "dense", "lexical"]


class SearchOptions(TypedDict, total=False):
    """The keyword arguments of ``HybridIndex.search``, for its overloads."""

    mode: Mode | None
    vector: Any
    where: Mapping[str, Any] | None
    fusion: Fusion | None
    rerank: Reranker | None
    rerank_depth: int
    rerank_budget: float | None
    on_rerank_error: OnError
    diversity: float | None
    near_duplicates: float | None
    group_by: str | None
    per_group: int
    latest_by: str | None
    min_score: float | None
    offset: int
    explain: bool


@dataclass(slots=True)  # not frozen, which would cost some microseconds a search
class Request:
    """Checked queries. ``texts`` are what embedders and rerankers see of them; ``vectors`` has a row for each, and is
    None in lexical mode.
    """

    mode: Mode
    queries: list[str | Query]
    texts: list[str]
    vectors: NDArray[np.float32] | None
    where: Filter | None
    fusion: Fusion
    explain: bool
    single: bool  # one query was given, not a list
    selection: Selection

    @property
    def is_plain(self) -> bool:
        """Whether the best documents become hits as they are, and their clauses, if any, are those of one query."""
        return (
            not self.explain and self.selection.is_plain and (self.single or all(type(q) is str for q in self.queries))
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What becomes of the retrieved documents."""

    k: int
    offset: int
    rerank: Reranker | None
    rerank_depth: int
    rerank_budget: float | None
    on_rerank_error: OnError
    diversity: float | None
    near_duplicates: float | None
    group_by: str | None
    per_group: int
    latest_by: str | None
    min_score: float | None

    @property
    def wanted(self) -> int:
        """How many hits there must be for a full page."""
        return self.offset + self.k

    @property
    def depth(self) -> int:
        """How many documents to retrieve, before grouping or suppressing near duplicates asks for more."""
        depth = self.wanted if self.rerank is None else max(self.wanted, self.rerank_depth)
        if self.diversity is None and self.latest_by is None:
            return depth
        return max(depth, _CHOICE_LEAST, _CHOICE_FACTOR * self.wanted)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is chosen among the documents: the best ones are the hits, in their order."""
        return (
            self.rerank is None
            and self.diversity is None
            and self.near_duplicates is None
            and self.group_by is None
            and self.min_score is None
        )

    @property
    def compares_vectors(self) -> bool:
        """Whether documents are compared with each other."""
        return self.diversity is not None or self.near_duplicates is not None


def parse_selection(
    *,
    k: object,
    offset: object = 0,
    rerank: object = None,
    rerank_depth: object = 50,
    rerank_budget: object = None,
    on_rerank_error: object = "raise",
    diversity: object = None,
    near_duplicates: object = None,
    group_by: object = None,
    per_group: object = 1,
    latest_by: object = None,
    min_score: object = None,
) -> Selection:
    """Check the arguments that decide which retrieved documents become hits.

    Raises:     InvalidInputError naming the argument
    """
    if rerank is rerank_budget is diversity is near_duplicates is group_by is latest_by is min_score is None:
        usual = type(k) is type(offset) is type(rerank_depth) is type(per_group) is int and on_rerank_error == "raise"
        if usual and (offset, rerank_depth, per_group) == (0, 50, 1):
            return _best(k)
    if rerank is not None and not callable(rerank):
        raise InvalidInputError(f"rerank: expected a callable (query, texts) -> scores, got {type(rerank).__name__}")
    if on_rerank_error not in ("raise", "keep"):
        raise InvalidInputError(f"on_rerank_error: expected 'raise' or 'keep', got {on_rerank_error!r}")
    if rerank is None and (rerank_budget is not None or on_rerank_error != "raise"):
        raise InvalidInputError("rerank_budget and on_rerank_error have no use without rerank")
    for name, field in (("group_by", group_by), ("latest_by", latest_by)):
        if field is not None and (not isinstance(field, str) or not field):
            raise InvalidInputError(f"{name}: expected the name of a metadata field or None, got {field!r}")
    if latest_by is not None and group_by is None:
        raise InvalidInputError("latest_by: needs group_by, the field that versions of one thing share")
    checked_per_group = checked_integer("per_group", per_group, 1)
    if group_by is None and checked_per_group != 1:
        raise InvalidInputError("per_group: has no use without group_by")
    return Selection(
        checked_integer("k", k, 1),
        checked_integer("offset", offset, 0),
        rerank,
        checked_integer("rerank_depth", rerank_depth, 1),
        _number("rerank_budget", rerank_budget, 0.0, math.inf),
        "keep" if on_rerank_error == "keep" else "raise",
        _number("diversity", diversity, 0.0, 1.0),
        _number("near_duplicates", near_duplicates, -1.0, 1.0),
        group_by if isinstance(group_by, str) else None,
        checked_per_group,
        latest_by if isinstance(latest_by, str) else None,
        _number("min_score", min_score, -math.inf, math.inf),
    )


@lru_cache(maxsize=64)
def _best(k: int) -> Selection:
    """Return the selection of the best k, which nearly every search wants; all the checks of others take 10 us."""
    return Selection(checked_integer("k", k, 1), 0, None, 50, None, "raise", None, None, None, 1, None, None)


def _number(name: str, value: object, least: float, most: float) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not least <= float(value) <= most:  # type: ignore[arg-type]
        bounds = f" from {least:g} to {most:g}" if most < math.inf else f" >= {least:g}" if least > -math.inf else ""
        raise InvalidInputError(f"{name}: expected a number{bounds} or None, got {value!r}")
    return float(value)  # type: ignore[arg-type]


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
    adapter: Callable[[Any], Any] | None = None,
    dim: int | None,
    vector_count: int,
    empty: bool,
) -> Request:
    """Check the arguments of a search and embed its queries.

    Parameters: adapter : of query vectors; dim : of the index's vectors, None if not known yet; vector_count : how many
                it has now; empty : whether the index has no document
    Raises:     InvalidInputError naming the argument; whatever the embedder raises
    """
    if not isinstance(explain, bool):
        raise InvalidInputError(f"explain: expected True or False, got {explain!r}")
    condition = None if where is None else parse_filter(where)
    chosen = _mode(mode, query, vector, embedder is not None or vector_count > 0)
    method = _DEFAULT_FUSION if fusion is None else check_fusion(fusion)
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
        if adapter is not None:
            vectors = _adapted(adapter, vectors)
    return Request(chosen, queries, texts, vectors, condition, method, explain, single, selection)


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


def _adapted(adapter: Callable[[Any], Any], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # named below
        # One by one: a product of matrices rounds differently for other numbers of rows.
        adapted: NDArray[np.float32] = np.stack([adapter(vector) for vector in vectors])
    good = np.isfinite(adapted).all(axis=1) & adapted.any(axis=1)
    if not good.all():
        which = "a query" if len(adapted) == 1 else f"query {int(np.argmin(good))}"
        raise InvalidInputError(f"adapter: turns the vector of {which} into zeros, NaN or infinity; set another one")
    return adapted


def usual_vector(vector: Any) -> NDArray[np.float32] | None:
    """Return the vector of one query as a row (1, dim) of its own if nothing at all is unusual about it, else None."""
    if type(vector) is not np.ndarray or vector.dtype != np.float32 or vector.ndim != 1 or not vector.size:
        return None
    least, greatest = float(np.minimum.reduce(vector)), float(np.maximum.reduce(vector))  # NaN if any is
    if not (-math.inf < least and greatest < math.inf) or least == greatest == 0.0:
        return None
    return np.array(vector, order="C", ndmin=2)


def _given_vectors(vector: Any, count: int, single: bool) -> NDArray[np.float32]:
    if single and (usual := usual_vector(vector)) is not None:
        return usual
    vectors = float_array(vector, "vector", "numbers", np.float32)
    expected = "(dim,) for one query" if single else f"({count}, dim) for {count} queries"
    if vectors.ndim != (1 if single else 2) or (not single and len(vectors) != count):
        raise InvalidInputError(f"vector: expected shape {expected}, got {vectors.shape}")
    vectors = np.atleast_2d(vectors)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidInputError(f"{_row(int(np.argmin(finite)), single)}: holds NaN or infinity")
    nonzero = vectors.any(axis=1)
    if not nonzero.all():
        raise InvalidInputError(f"{_row(int(np.argmin(nonzero)), single)}: is all zeros, which has no cosine")
    return vectors


def _row(position: int, single: bool) -> str:
    return "vector" if single else f"vector[{position}]"
