"""HybridIndex as a dictionary and float64 loops: slow and obvious, to compare the real one with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_filters import matches
from sightline.analyzer import Analyzer

WORDS = 5.5  # Convex's documented default scale is 5.5 ln(1 + N)


class ReferenceHybrid:
    """Documents by id, in the order of their last write."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self._terms = Analyzer("english")

    def write(self, documents: list[dict[str, Any]]) -> None:
        for document in documents:
            self.documents.pop(document["id"], None)
            self.documents[document["id"]] = document

    def delete(self, ids: list[str]) -> int:
        return sum(self.documents.pop(name, None) is not None for name in set(ids))

    def selected(self, where: dict[str, Any] | None) -> list[str]:
        everything = [document["metadata"] for document in self.documents.values()]
        return [
            name
            for name, document in self.documents.items()
            if where is None or matches(document["metadata"], where, everything)
        ]

    def dense(self, query: Any) -> dict[str, float]:
        q = np.asarray(query, dtype=np.float32).astype(np.float64)
        scores = {}
        for name, document in self.documents.items():
            if document["vector"] is not None:
                v = np.asarray(document["vector"], dtype=np.float32).astype(np.float64)
                scores[name] = float(v @ q / np.linalg.norm(v) / np.linalg.norm(q))
        return scores

    def lexical(self, query: str) -> dict[str, float]:
        terms = {name: self._terms(_searched(d)) for name, d in self.documents.items() if _searched(d).strip()}
        count = len(terms)
        mean = sum(map(len, terms.values())) / count if count else 0.0
        scores: dict[str, float] = {}
        for term in self._terms(query):
            df = sum(term in words for words in terms.values())
            idf = math.log(1 + (count - df + 0.5) / (df + 0.5))
            for name, words in terms.items():
                tf = words.count(term)
                if tf:
                    part = idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * len(words) / mean))
                    scores[name] = scores.get(name, 0.0) + part
        return scores

    def scores(self, mode: str, query: str, vector: Any, alpha: float, where: Any) -> dict[str, float]:
        selected = set(self.selected(where))
        dense = {} if mode == "lexical" else self.dense(vector)
        lexical = {} if mode == "dense" else self.lexical(query)
        if mode == "hybrid":
            scale = WORDS * math.log1p(max(sum(bool(_searched(d).strip()) for d in self.documents.values()), 1))
            scores = {
                name: alpha * dense.get(name, 0.0) + (1 - alpha) * lexical.get(name, 0.0) / scale
                for name in dense.keys() | lexical.keys()
            }
        else:
            scores = dense or lexical
        return {name: score for name, score in scores.items() if name in selected}


def _searched(document: dict[str, Any]) -> str:
    return f"{document['title']} {document['text']}" if document["title"] else document["text"]


def check_hits(hits: list[Any], expected: dict[str, float], k: int, tolerance: float = 2e-6) -> None:
    """Compare hits with the model's scores of all documents, up to the rounding of float32 scores."""
    best = sorted(expected.values(), reverse=True)[:k]
    assert len(hits) == len(best), (len(hits), len(best))
    assert len({hit.id for hit in hits}) == len(hits)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    for hit, score in zip(hits, best, strict=True):
        assert abs(hit.score - score) <= tolerance * max(1.0, abs(score)), (hit, score)
        assert abs(expected[hit.id] - score) <= 2 * tolerance * max(1.0, abs(score)), (hit, score)
