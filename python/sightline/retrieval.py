"""The search of a HybridIndex: engines, fusion, reranking, hits.

``retrieve`` runs on one state of the index, which never changes; ``finish`` needs only what it returned, because
a reranker is foreign code and may take seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Mask
from sightline.convex_search import UsualSearch, search_convex
from sightline.documents import Document, Hit, copy_plain, encodable, hits_of, searched_text
from sightline.fusion import Convex, Floats, Fused, Ids, fuse, listed
from sightline.query import Query
from sightline.request import Request, Selection, usual_vector
from sightline.rerank import rerank_within
from sightline.selection import distinct, limit_groups, mmr
from sightline.sources import Allowed, DenseSource, LexicalSource
from sightline.table import Rows, Table

if TYPE_CHECKING:
    from sightline.adapter import LowRankAdapter
    from sightline.bm25_index import BM25Index
    from sightline.vector_index import VectorIndex

__all__ = ["Candidate", "State", "finish", "list_candidates", "plain_hits", "retrieve", "usual_hits"]

# See Convex.lexical_scale: so many words that occur in a single document weigh as much as cosine 1. Chosen on four
# judged collections and the train judgments of one of them: of the values from 3 to 8, 5.5 and 6 have the best mean
# nDCG@10 (0.6562), and all stay within 0.004 of it.
_SCALE_WORDS = 5.5
_GROWTH = 4  # of the depth, while grouping lacks groups


@dataclass(frozen=True, slots=True)
class State:
    """One state of the index: table and engines that agree. Never changes; a write makes another.

    ``tf_limit`` is what the term-frequency factor of the BM25 variant approaches; ``adapter`` turns query vectors.
    """

    table: Table
    dense: VectorIndex | None
    lexical: BM25Index
    tf_limit: float
    adapter: LowRankAdapter | None = None
    token: object = field(default_factory=object, init=False, compare=False)  # this state's and no other's
    # The one of usual_search, once asked for.
    _usual: list[UsualSearch] = field(default_factory=list, init=False, compare=False, repr=False)

    @property
    def dim(self) -> int | None:
        """The dimension of the vectors, None until it was given or the first one came."""
        return None if self.dense is None else self.dense.dim

    @property
    def vector_count(self) -> int:
        """How many documents have a vector."""
        return 0 if self.dense is None else len(self.dense)

    @property
    def lexical_scale(self) -> float:
        """The default scale of ``Convex``."""
        return _SCALE_WORDS * self.tf_limit * math.log1p(max(len(self.lexical), 1))

    def usual_search(self, dense: VectorIndex) -> UsualSearch:
        """Return the search of the default fusion; dense: this state's."""
        if not self._usual:
            self._usual.append(UsualSearch(self.lexical_scale, dense, self.lexical))
        return self._usual[0]


@dataclass(slots=True)  # not frozen, which would cost a microsecond each
class Candidate:
    """A document that one query retrieved; scores are NaN where they do not apply."""

    document: Document
    score: float
    dense: float
    lexical: float
    explanation: dict[str, Any] | None
    vector: NDArray[np.float32] | None  # only where documents are compared
    shared: bool  # whether the document is the index's own, of which a hit needs a copy


def retrieve(state: State, request: Request) -> list[list[Candidate]]:
    """Return for each query the best documents, best first, as many as its selection may need.

    The clauses of a parsed query confine both engines, like a filter of its own; so such queries go one by one.
    Grouping and suppressing near duplicates need more than k; how many more only the documents tell, so the depth grows
    until there are enough.
    """
    if len(request.queries) > 1 and any(isinstance(query, Query) for query in request.queries):
        return [candidates for one in _one_by_one(request) for candidates in retrieve(state, one)]
    selection = request.selection
    depth = selection.depth
    wanted = selection.wanted if selection.diversity is None else depth
    while True:
        found = _retrieve(state, request, depth)
        if all(
            len(candidates) < depth or len(_different(candidates, range(len(candidates)), selection, wanted)) >= wanted
            for candidates in found
        ):
            return found
        depth *= _GROWTH


def _different(candidates: list[Candidate], order: Sequence[int], selection: Selection, most: int) -> Sequence[int]:
    """Return those of the candidates that grouping and near duplicates leave, in their order."""
    if selection.group_by is not None:
        metadatas = [candidates[i].document.metadata for i in order]
        kept = limit_groups(metadatas, selection.group_by, selection.per_group, selection.latest_by)
        order = [order[j] for j in kept]
    if selection.near_duplicates is not None:
        texts = [searched_text(candidates[i].document) for i in order]
        vectors = [candidates[i].vector for i in order]
        order = [order[j] for j in distinct(texts, vectors, selection.near_duplicates, most)]
    return order


def usual_hits(state: State, query: str, vector: Any, k: int) -> list[Hit] | None:
    """Return the hybrid answer to one query as most ask it, with no option but the vector; None if it is not usual.

    It is what ``parse_request`` and ``plain_hits`` find. After a scan has passed through the caches, each Python
    function on the way waits for memory: all of theirs take 0.2 ms more.

    Raises:     RowGoneError if a newer version does not have the documents
    """
    dense = state.dense
    row = usual_vector(vector)
    if row is None or dense is None or row.shape[1] != dense.dim or state.adapter is not None:
        return None
    if type(k) is not int or k < 1:
        return None
    encodable(query, "query")
    ids, scores, cosines, words = state.usual_search(dense)(query, row, k)
    return hits_of(state.table.contents(ids), scores, cosines, words, 1)


def plain_hits(state: State, request: Request) -> list[list[Hit]]:
    """Return what ``finish`` would make of ``retrieve`` for a request that is plain, as most are, in less time."""
    offset = request.selection.offset
    found = []
    for answer in _answers(state, request, request.selection.wanted):
        contents = state.table.contents(answer.ids[offset:])
        scores = answer.scores[offset:], answer.dense[offset:], answer.lexical[offset:]
        found.append(hits_of(contents, *scores, offset + 1))
    return found


def _retrieve(state: State, request: Request, k: int) -> list[list[Candidate]]:
    return [_candidates(state, request, query, answer) for query, answer in enumerate(_answers(state, request, k))]


def _answers(state: State, request: Request, k: int) -> list[Fused]:
    allowed = _allowed(state, request)
    query_count = len(request.texts)
    answers: list[Fused]
    if request.mode == "lexical":
        answers = _single(_lexical_source(state, request, allowed), query_count, k, dense=False)
    elif request.mode == "dense":
        answers = _single(_dense_source(state, request, allowed), query_count, k, dense=True)
    elif isinstance(request.fusion, Convex):
        answers = _convex(state, request, request.fusion, allowed, k)
    else:
        sources = _dense_source(state, request, allowed), _lexical_source(state, request, allowed)
        answers = fuse(request.fusion, *sources, query_count, k)
    return answers


def list_candidates(state: State, request: Request, depth: int) -> list[tuple[Ids, Floats, Floats]]:
    """Return for each query ids, dense and lexical scores of the documents that either engine lists among its best.

    Parameters: request : in hybrid mode
    """
    allowed = _allowed(state, request)
    dense, lexical = _dense_source(state, request, allowed), _lexical_source(state, request, allowed)
    return listed(dense, lexical, len(request.texts), depth)


def _allowed(state: State, request: Request) -> Allowed:
    table = state.table
    if request.where is not None and not isinstance(request.queries[0], Query):
        rows = table.few(request.where, Allowed.most_few(table))
        if rows is not None:
            return Allowed.of_few(table, rows)
    selected = None if request.where is None else table.select(request.where)
    if isinstance(request.queries[0], Query):  # the only one
        met = _meeting(state, request.queries[0])
        within = table.live if selected is None else selected
        selected = met if within is None else within & met
    return Allowed(table, selected)


def _dense_source(state: State, request: Request, allowed: Allowed) -> DenseSource:
    if request.vectors is None:
        raise TypeError("the request is in lexical mode")
    return DenseSource(state.dense, request.vectors, allowed)


def _lexical_source(state: State, request: Request, allowed: Allowed) -> LexicalSource:
    return LexicalSource(state.lexical, request.queries, allowed)


def _convex(state: State, request: Request, convex: Convex, allowed: Allowed, k: int) -> list[Fused]:
    if state.dense is None or request.vectors is None:  # of an empty index, which alone may lack vectors here
        nothing = np.empty(0)
        return [Fused(np.empty(0, dtype=np.int64), nothing, nothing, nothing) for _ in request.texts]
    scale = convex.lexical_scale or state.lexical_scale
    table = state.table
    few = allowed.few
    return search_convex(
        convex,
        scale,
        state.dense,
        state.lexical,
        request.queries,
        request.vectors,
        k,
        dense_mask=None if few is not None else allowed.bits(table.has_vector),
        lexical_mask=None if few is not None else allowed.bits(table.has_text),
        among=few,
        explain=request.explain,
    )


def _one_by_one(request: Request) -> Iterator[Request]:
    for i, (query, text) in enumerate(zip(request.queries, request.texts, strict=True)):
        vectors = None if request.vectors is None else request.vectors[i : i + 1]
        yield replace(request, queries=[query], texts=[text], vectors=vectors)


def _meeting(state: State, query: Query) -> Mask:
    """Return the rows whose documents meet the clauses of a query; a document without text has no word."""
    table = state.table
    met = np.zeros(len(table.row_ids), dtype=np.bool_) if query.demands else ~table.has_text
    met[table.rows(state.lexical.matching(query))] = True
    return met


def _single(source: DenseSource | LexicalSource, query_count: int, k: int, *, dense: bool) -> list[Fused]:
    answers = []
    for scores, ids in source.search(np.arange(query_count, dtype=np.int64), k):
        missing = np.full(len(ids), np.nan)
        answers.append(Fused(ids, scores, scores if dense else missing, missing if dense else scores))
    return answers


def _candidates(state: State, request: Request, query: int, answer: Fused) -> list[Candidate]:
    found = []
    rows = state.table.rows(answer.ids)
    vectors = _stored_vectors(state, answer.ids, rows) if request.selection.compares_vectors else {}
    documents = state.table.documents(rows)
    scores = zip(answer.scores.tolist(), answer.dense.tolist(), answer.lexical.tolist(), strict=True)
    shared = not state.table.reads_documents
    if not request.explain and not vectors:  # the usual case, for every hit of every search
        return [
            Candidate(document, score, dense, lexical, None, None, shared)
            for document, (score, dense, lexical) in zip(documents, scores, strict=True)
        ]
    for position, (document, (score, dense, lexical)) in enumerate(zip(documents, scores, strict=True)):
        explanation: dict[str, Any] | None = None
        if request.explain:
            explanation = {"mode": request.mode}
            if request.mode == "hybrid":
                explanation["fusion"] = answer.explain(position)
            if request.mode != "dense" and state.table.has_text[rows[position]]:
                bm25 = state.lexical.explain(request.queries[query], int(answer.ids[position]))
                explanation["lexical"] = asdict(bm25) | {"terms": [term._asdict() for term in bm25.terms]}
        found.append(Candidate(document, score, dense, lexical, explanation, vectors.get(position), shared))
    return found


def _stored_vectors(state: State, ids: Ids, rows: Rows) -> dict[int, NDArray[np.float32]]:
    """Return the vectors by position, of the documents that have one."""
    positions = np.flatnonzero(state.table.has_vector[rows])
    if state.dense is None or not len(positions):
        return {}
    return dict(zip(positions.tolist(), state.dense.get(ids[positions]), strict=True))


def finish(request: Request, found: list[list[Candidate]]) -> list[list[Hit]]:
    """Rerank the head of each list, group, diversify, and make hits of the best k."""
    budget = request.selection.rerank_budget
    deadline = None if budget is None else time.monotonic() + budget
    pairs = zip(request.texts, found, strict=True)
    return [_hits(text, candidates, request.selection, deadline) for text, candidates in pairs]


def _hits(text: str, candidates: list[Candidate], selection: Selection, deadline: float | None) -> list[Hit]:
    order: Sequence[int] = range(len(candidates))
    if selection.min_score is not None:
        order = [i for i in order if candidates[i].score >= selection.min_score]
    rerank_score: dict[int, float] = {}
    degraded = None
    if selection.rerank is not None and order:
        # Diversity weighs relevances against each other, so all of its candidates need scores of one kind.
        head = order if selection.diversity is not None else order[: selection.rerank_depth]
        texts = [searched_text(candidates[i].document) for i in head]
        scores, degraded = rerank_within(selection.rerank, text, texts, deadline, selection.on_rerank_error)
        if scores is not None:
            rerank_score = dict(zip(head, scores.tolist(), strict=True))
            # A stable sort: equal scores stay in the order of retrieval.
            order = [*sorted(head, key=lambda i: -rerank_score[i]), *order[len(head) :]]
    order = _different(candidates, order, selection, selection.wanted if selection.diversity is None else len(order))
    if selection.diversity is not None:
        relevance = np.array([rerank_score.get(i, candidates[i].score) for i in order])
        vectors = [candidates[i].vector for i in order]
        order = [order[j] for j in mmr(relevance, vectors, selection.diversity, selection.wanted)]
    page = order[selection.offset : selection.wanted]
    first = selection.offset + 1
    return [_hit(candidates[i], rank, rerank_score.get(i), degraded) for rank, i in enumerate(page, start=first)]


def _hit(candidate: Candidate, rank: int, rerank_score: float | None, degraded: str | None) -> Hit:
    document, dense, lexical = candidate.document, candidate.dense, candidate.lexical
    metadata: Any = document.metadata  # of its own, unless the index has it
    return Hit(
        document.id,
        document.text,
        document.title,
        copy_plain(metadata) if candidate.shared else metadata,
        candidate.score,
        rank,
        dense if dense == dense else None,  # NaN is not equal to itself
        lexical if lexical == lexical else None,
        rerank_score,
        candidate.explanation,
        degraded,
    )
