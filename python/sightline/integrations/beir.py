"""BEIR: its search protocol over a HybridIndex. It is a matter of names only, so the package itself is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sightline.documents import Hit
from sightline.errors import InvalidInputError, checked_integer
from sightline.hybrid_index import HybridIndex

__all__ = ["CollectionSearch", "SightlineSearch", "run_scores"]

_BATCH = 64  # queries searched at a time


class CollectionSearch:
    """Make an index of a collection and answer its queries: what the protocols of BEIR and MTEB share.

    Parameters: embedder : as for HybridIndex, or None; vectors, query_vectors : ready-made ones by id of document and
                query, in place of an embedder; analyzer : language; search_options : of ``HybridIndex.search``, such as
                mode, fusion, rerank
    Raises:     InvalidInputError if vectors of one side are given without the other's
    """

    def __init__(
        self,
        embedder: Callable[[list[str]], Any] | None = None,
        *,
        vectors: Mapping[str, Any] | None = None,
        query_vectors: Mapping[str, Any] | None = None,
        analyzer: str = "english",
        **search_options: Any,
    ) -> None:
        if (vectors is None) != (query_vectors is None):
            raise InvalidInputError("vectors: give those of the documents and query_vectors, or neither")
        self._embedder = embedder
        self._vectors = vectors
        self._query_vectors = query_vectors
        self._analyzer = analyzer
        self._options = search_options

    def make_index(self, documents: Iterable[dict[str, Any]]) -> HybridIndex:
        """Return a new index, in memory, of documents as ``HybridIndex.add`` takes them.

        Raises:     InvalidInputError if a document has no vector where vectors were given
        """
        index = HybridIndex(embedder=self._embedder, analyzer=self._analyzer)
        index.add(self._with_vectors(documents))
        return index

    def answer(
        self, index: HybridIndex, queries: Mapping[str, str], k: int, among: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, dict[str, float]]:
        """Return for each query the scores of its best documents, as ``run_scores`` makes them.

        Parameters: k : int >= 1; among : by query the only documents to rank, for reranking tasks; the index must then
                    have their ids in the metadata field ``id``
        """
        depth = checked_integer("top_k", k, 1)
        names = list(queries)
        run: dict[str, dict[str, float]] = {}
        step = _BATCH if among is None else 1
        for start in range(0, len(names), step):
            batch = names[start : start + step]
            options = dict(self._options)
            if among is not None:
                options["where"] = {"id": {"$in": list(among.get(batch[0], ()))}}
            if self._query_vectors is not None and options.get("mode") != "lexical":
                options["vector"] = [_vector(self._query_vectors, name, "query_vectors") for name in batch]
            found: list[list[Hit]] = index.search([queries[name] for name in batch], depth, **options)
            run.update((name, run_scores(hits)) for name, hits in zip(batch, found, strict=True))
        return run

    def _with_vectors(self, documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for document in documents:
            if self._vectors is None:
                yield document
            else:
                yield document | {"vector": _vector(self._vectors, document["id"], "vectors")}


class SightlineSearch(CollectionSearch):
    """Search for BEIR's ``EvaluateRetrieval(SightlineSearch(...))``: exact, lexical, dense or hybrid.

    Parameters: as for ``CollectionSearch``
    """

    def search(
        self,
        corpus: Mapping[str, Mapping[str, str]],
        queries: Mapping[str, str],
        top_k: int,
        score_function: str | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Index a corpus, search it and return scores by query and document, greater is better.

        BEIR drops a document that has the id of its query, so there is one hit more than top_k.

        Parameters: corpus : ``{id: {"title": ..., "text": ...}}``; queries : texts by id; top_k : int >= 1;
                    score_function : "cos_sim" or None, as dense scores are cosines
        Raises:     InvalidInputError for another score function, or as HybridIndex
        """
        if score_function not in (None, "cos_sim"):
            raise InvalidInputError(f"score_function: expected 'cos_sim', got {score_function!r}")
        index = self.make_index(
            {"id": name, "text": fields.get("text") or "", "title": fields.get("title") or None}
            for name, fields in corpus.items()
        )
        return self.answer(index, queries, checked_integer("top_k", top_k, 1) + 1)


def run_scores(hits: Sequence[Hit]) -> dict[str, float]:
    """Return scores by document that order them as the hits are ordered.

    They are the hits' own where those descend; where something else orders the hits (a reranker, diversity), they are
    1 / rank.
    """
    scores = [hit.score for hit in hits]
    if any(hit.rerank_score is not None for hit in hits) or scores != sorted(scores, reverse=True):
        scores = [1.0 / rank for rank in range(1, len(hits) + 1)]
    return {hit.id: float(score) for hit, score in zip(hits, scores, strict=True)}


def _vector(vectors: Mapping[str, Any], name: str, argument: str) -> Any:
    try:
        return vectors[name]
    except KeyError:
        raise InvalidInputError(f"{argument}: has none for {name!r}") from None
