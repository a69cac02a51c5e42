"""Catalog: named indexes, searched one by one, together on one scale, or where a router sends the question."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.documents import Document, Hit, searched_text
from sightline.embed import embed_documents
from sightline.errors import DuplicateIdError, InvalidInputError, NotFoundError, checked_integer
from sightline.fusion import Convex
from sightline.hybrid_index import HybridIndex
from sightline.request import Mode
from sightline.rerank import Reranker, rerank_scores
from sightline.routing import CentroidRouter, Route, Router, choose

__all__ = ["Catalog", "CatalogHit"]

# Of each collection so many candidates are rescored: its own statistics may rank its documents in another order.
_CANDIDATES = 50
_CANDIDATES_FACTOR = 4
_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class CatalogHit(Hit):
    """Hold one answer, as ``Hit`` does with the same fields, and the collection it is from.

    ``score`` and ``lexical_score`` are on the scale of all collections searched, so they differ from what the
    collection alone would say; ``rank`` counts over all of them.

    Parameters: collection : its name; the others as for ``Hit``
    """

    collection: str = ""


class Catalog:
    """Keep named HybridIndexes (legal, finance, product ...) and search one, several or all of them.

    Across collections, cosines compare as they are. BM25 does not: a word that is common in one collection and rare in
    another would weigh more there. So the best 50 (or 4 k) candidates of each collection are scored again with the idf
    of all collections searched. In dense mode the answer is exact over all of them; otherwise it is among these
    candidates.

    Parameters: path : directory below which ``create`` makes durable indexes, None for indexes in memory; router : see
                sightline.routing; threshold : confidence below which a routed question goes to all collections;
                options : of HybridIndex, for all that ``create`` makes, such as embedder
    Raises:     InvalidInputError if an argument has the wrong type or range
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        router: Router | None = None,
        threshold: float = 0.6,
        **options: Any,
    ) -> None:
        if router is not None and not callable(router):
            raise InvalidInputError(f"router: expected a callable (query, vector), got {type(router).__name__}")
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
            raise InvalidInputError(f"threshold: expected a number from 0 to 1, got {threshold!r}")
        self._path = None if path is None else Path(path)
        self._threshold = float(threshold)
        self._options = options
        self._indexes: dict[str, HybridIndex] = {}
        self.router = router

    def create(self, name: str, **options: Any) -> HybridIndex:
        """Make an index of that name, with the catalog's options but for those given here.

        Parameters: name : non-empty str, with a ``path`` also the name of a folder; options : of HybridIndex
        Returns:    HybridIndex, the same that ``catalog[name]`` gives
        Raises:     DuplicateIdError if the name is taken; InvalidInputError as HybridIndex
        """
        self._check_new(name)
        if self._path is not None and Path(name).name != name:
            raise InvalidInputError(f"name: {name!r} cannot be the name of a folder")
        path = None if self._path is None else self._path / name
        index = HybridIndex(**{"path": path, **self._options, **options})
        self._indexes[name] = index
        return index

    def attach(self, name: str, index: HybridIndex) -> None:
        """Take in an index that exists.

        Parameters: name : non-empty str; index : HybridIndex, which ``close`` will close
        Raises:     DuplicateIdError if the name is taken
        """
        self._check_new(name)
        if not isinstance(index, HybridIndex):
            raise InvalidInputError(f"index: expected a HybridIndex, got {type(index).__name__}")
        self._indexes[name] = index

    def _check_new(self, name: object) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"name: expected a non-empty str, got {name!r}")
        if name in self._indexes:
            raise DuplicateIdError(f"name: the catalog already has a collection {name!r}")

    def __getitem__(self, name: str) -> HybridIndex:
        if name not in self._indexes:
            raise NotFoundError(f"the catalog has no collection {name!r}; it has {', '.join(self._indexes) or 'none'}")
        return self._indexes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._indexes

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexes)

    def __len__(self) -> int:
        return len(self._indexes)

    def close(self) -> None:
        """Close all indexes."""
        for index in self._indexes.values():
            index.close()

    # Routing

    def fit_router(self, *, embedder: Any = None, centroids: int = 4, sample: int = _SAMPLE) -> CentroidRouter:
        """Make the catalog's router of the centroids of each collection, and return it.

        Parameters: embedder : of documents whose vectors the caller did not give, and of questions, default that of the
                    catalog's options; centroids : of each collection; sample : documents of each collection to look at,
                    evenly spread
        Returns:    CentroidRouter
        Raises:     InvalidInputError if a collection has no document with a vector or a text to embed
        """
        chosen = embedder if embedder is not None else self._options.get("embedder")
        count = checked_integer("sample", sample, 1)
        vectors = {name: _sample_vectors(name, index, chosen, count) for name, index in self._indexes.items()}
        router = CentroidRouter(vectors, centroids=centroids, embedder=chosen)
        self.router = router
        return router

    def route(self, query: str, vector: Any = None) -> Route:
        """Ask the router where a question belongs; all collections where it is not sure.

        Parameters: query : str; vector : (dim,), default what the router's embedder makes of the query
        Returns:    Route
        Raises:     InvalidInputError without a router, or if it answers with something else
        """
        if self.router is None:
            raise InvalidInputError("router: the catalog has none; set one, or call fit_router")
        return choose(self.router, query, vector, tuple(self._indexes), self._threshold)

    # Searching

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        collections: str | Iterable[str] | None = None,
        routed: bool = False,
        mode: Mode | None = None,
        vector: Any = None,
        where: Mapping[str, Any] | None = None,
        fusion: Convex | None = None,
        rerank: Reranker | None = None,
        rerank_depth: int = 50,
    ) -> list[CatalogHit]:
        """Return the best k documents of the collections, on one scale.

        Costs one search for 50 candidates, or 4 k, in each collection.

        Parameters: query : str; k : int >= 1; collections : a name or several, default all; routed : let the router
                    choose among all; rerank : sees the best ``rerank_depth`` of all collections together; the others as
                    for HybridIndex.search
        Returns:    at most k CatalogHits, best first
        Raises:     NotFoundError for an unknown collection; InvalidInputError as HybridIndex.search, or for a fusion by
                    ranks, which do not compare across collections
        """
        count = checked_integer("k", k, 1)
        depth = checked_integer("rerank_depth", rerank_depth, 1)
        if fusion is not None and not isinstance(fusion, Convex):
            raise InvalidInputError("fusion: expected Convex(...), as ranks of different collections do not compare")
        if not isinstance(query, str):
            raise InvalidInputError(f"query: expected a str, got {type(query).__name__}")
        names = self._names(query, vector, collections, routed)
        wanted = count if rerank is None else max(count, depth)
        found = {
            name: self._indexes[name].search(
                query,
                max(_CANDIDATES, _CANDIDATES_FACTOR * wanted),
                mode=mode,
                vector=vector,
                where=where,
                fusion=fusion,
                explain=True,
            )
            for name in names
            if len(self._indexes[name])
        }
        _check_one_mode(found)
        statistics = _Statistics(hits for hits in found.values())
        merged = [statistics.rescored(name, hit, fusion) for name, hits in found.items() for hit in hits]
        merged.sort(key=lambda hit: -hit.score)  # stable: equal scores in the order of collections, then of each
        merged = merged[:wanted]
        if rerank is not None and merged:
            texts = [searched_text(Document(hit.id, hit.text, title=hit.title)) for hit in merged[:depth]]
            scores = rerank_scores(rerank, query, texts).tolist()
            head = [replace(hit, rerank_score=score) for hit, score in zip(merged[:depth], scores, strict=True)]
            merged = sorted(head, key=lambda hit: -(hit.rerank_score or 0.0)) + merged[depth:]
        return [replace(hit, rank=rank) for rank, hit in enumerate(merged[:count], start=1)]

    def _names(self, query: str, vector: Any, collections: str | Iterable[str] | None, routed: bool) -> list[str]:
        if routed:
            if collections is not None:
                raise InvalidInputError("collections: has no use beside routed=True; give one of them")
            return list(self.route(query, vector).collections)
        if collections is None:
            return list(self._indexes)
        names = [collections] if isinstance(collections, str) else list(dict.fromkeys(collections))
        for name in names:
            self[name]  # which says what is wrong
        return names


def _check_one_mode(found: Mapping[str, list[Hit]]) -> None:
    """Refuse to merge cosines with BM25: without ``mode`` each index chooses by what it holds."""
    modes = {name: (hits[0].explanation or {}).get("mode") for name, hits in found.items() if hits}
    if len(set(modes.values())) > 1:
        raise InvalidInputError(f"mode: the collections would be searched in different ones, {modes}; give mode=")


class _Statistics:
    """The document frequencies of the query's words over all collections searched."""

    def __init__(self, lists: Iterable[list[Hit]]) -> None:
        self._documents = 0
        self._frequencies: dict[str, int] = {}
        for hits in lists:
            lexical = next((part for hit in hits if (part := _lexical_part(hit)) is not None), None)
            if lexical is not None:  # all hits of a collection tell the same
                self._documents += lexical["document_count"]
                for term in lexical["terms"]:
                    self._frequencies[term["term"]] = self._frequencies.get(term["term"], 0) + term["df"]

    def _idf(self, term: str) -> float:
        frequency = self._frequencies[term]
        return math.log1p((self._documents - frequency + 0.5) / (frequency + 0.5))

    def rescored(self, name: str, hit: Hit, fusion: Convex | None) -> CatalogHit:
        """Return a hit with the scores it would have if the collections' words were counted together."""
        lexical = _lexical_part(hit)
        score, lexical_score = hit.score, hit.lexical_score
        if lexical is not None:
            lexical_score = math.fsum(
                term["contribution"] / term["idf"] * self._idf(term["term"]) for term in lexical["terms"] if term["idf"]
            )
        explanation = hit.explanation or {}
        if explanation.get("mode") == "lexical" and lexical_score is not None:
            score = lexical_score
        elif explanation.get("mode") == "hybrid":
            fused = explanation["fusion"]
            scale = fused["lexical_scale"]
            if lexical is not None and (fusion is None or fusion.lexical_scale is None):
                scale *= math.log1p(self._documents) / math.log1p(lexical["document_count"])
            score = fused["alpha"] * (hit.dense_score or 0.0) + (1 - fused["alpha"]) * (lexical_score or 0.0) / scale
        return CatalogHit(
            hit.id,
            hit.text,
            hit.title,
            hit.metadata,
            score,
            hit.rank,
            dense_score=hit.dense_score,
            lexical_score=lexical_score,
            collection=name,
        )


def _lexical_part(hit: Hit) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (hit.explanation or {}).get("lexical")
    return found


def _sample_vectors(name: str, index: HybridIndex, embedder: Any, count: int) -> NDArray[np.float32]:
    ids = index.ids()
    step = max(1, len(ids) // count)
    documents = [found for found in index.get(ids[::step][:count]) if found is not None]
    rows = [np.asarray(d.vector, dtype=np.float32) for d in documents if d.vector is not None]
    texts = [searched_text(d) for d in documents if d.vector is None]
    texts = [text for text in texts if text.strip()]
    if texts and embedder is not None:
        rows += list(embed_documents(embedder, texts, texts))
    if not rows:
        raise InvalidInputError(f"collection {name!r}: has no document with a vector, or a text and an embedder for it")
    return np.stack(rows)
