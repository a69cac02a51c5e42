"""BM25 as one would write it on a blackboard: float64, one document after another. Slow and obvious."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

VARIANTS = ("lucene", "robertson", "atire", "bm25l", "bm25+")


class ReferenceBM25:
    """Score token lists; ``documents`` maps ids to tokens."""

    def __init__(
        self,
        documents: Mapping[int, Sequence[str]],
        *,
        variant: str = "lucene",
        k1: float = 1.2,
        b: float = 0.75,
        delta: float = 0.5,
    ) -> None:
        self.documents = documents
        self.variant, self.k1, self.b, self.delta = variant, k1, b, delta
        self.counts = {key: Counter(tokens) for key, tokens in documents.items()}
        self.n = len(documents)
        self.average_length = sum(map(len, documents.values())) / max(self.n, 1)
        self.df = Counter(term for counts in self.counts.values() for term in counts)

    def idf(self, term: str) -> float:
        n, df = self.n, self.df[term]
        if self.variant == "lucene":
            return math.log(1 + (n - df + 0.5) / (df + 0.5))
        if self.variant == "robertson":
            return math.log(max(1.0, (n - df + 0.5) / (df + 0.5)))
        if self.variant == "atire":
            return math.log(n / df)
        if self.variant == "bm25l":
            return math.log((n + 1) / (df + 0.5))
        return math.log((n + 1) / df)

    def tf_component(self, tf: float, length: float) -> float:
        k1, norm = self.k1, 1 - self.b + self.b * length / self.average_length
        if self.variant in ("lucene", "robertson"):
            return tf / (k1 * norm + tf)
        if self.variant == "atire":
            return tf * (k1 + 1) / (tf + k1 * norm)
        if self.variant == "bm25l":
            c = tf / norm + self.delta
            return (k1 + 1) * c / (k1 + c) if c else 0.0
        return (k1 + 1) * tf / (k1 * norm + tf) + self.delta if tf else self.delta

    def score(self, query: Sequence[str], key: int) -> float | None:
        """Return the score, or None if the document has no term of the query."""
        counts, length = self.counts[key], len(self.documents[key])
        if not any(counts[term] for term in query):
            return None
        total = 0.0
        for term in query:
            if not self.df[term]:
                continue
            if counts[term]:
                total += self.idf(term) * self.tf_component(counts[term], length)
            elif self.variant in ("bm25l", "bm25+"):
                total += self.idf(term) * self.tf_component(0, self.average_length)
        return total

    def ranking(self, query: Sequence[str], allowed: set[int] | None = None) -> list[tuple[float, int]]:
        """Return (score, id) of every document with a query term, best first, ties by id."""
        scored = [(self.score(query, key), key) for key in self.documents if allowed is None or key in allowed]
        hits = [(float(np.float32(score)), key) for score, key in scored if score is not None]
        return sorted(hits, key=lambda hit: (-hit[0], hit[1]))


class ReferenceBM25F:
    """Score documents of several fields; ``fields`` maps names to (weight, b)."""

    def __init__(
        self,
        documents: Mapping[int, Mapping[str, Sequence[str]]],
        fields: Mapping[str, tuple[float, float]],
        *,
        variant: str = "lucene",
        k1: float = 1.2,
        delta: float = 0.5,
    ) -> None:
        self.documents, self.fields = documents, fields
        together = {key: [t for name in fields for t in document.get(name, ())] for key, document in documents.items()}
        # With b = 0 and a frequency that is normalised already, the formulas of one field are those of BM25F.
        self.plain = ReferenceBM25(together, variant=variant, k1=k1, b=0.0, delta=delta)
        self.average = {
            name: sum(len(document.get(name, ())) for document in documents.values()) / max(len(documents), 1)
            for name in fields
        }

    def frequency(self, term: str, key: int) -> float:
        total = 0.0
        for name, (weight, b) in self.fields.items():
            tokens = self.documents[key].get(name, ())
            if term in tokens:
                total += weight * list(tokens).count(term) / (1 - b + b * len(tokens) / self.average[name])
        return total

    def score(self, query: Sequence[str], key: int) -> float | None:
        """Return the score, or None if the document has no term of the query."""
        found = {term: self.frequency(term, key) for term in query}
        if not any(found.values()):
            return None
        total = 0.0
        for term in query:
            if self.plain.df[term] and (found[term] or self.plain.variant in ("bm25l", "bm25+")):
                total += self.plain.idf(term) * self.plain.tf_component(found[term], self.plain.average_length)
        return total
