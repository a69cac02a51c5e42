"""Slow stand-ins for VectorIndex, BM25Index and Analyzer."""

from __future__ import annotations

import math
import sys
import types

import numpy as np

from sightline.errors import DuplicateIdError, InvalidInputError, NotFoundError


class Analyzer:
    def __init__(self, language="english", stopwords="default", stemmer="default"):
        self.language = language

    def __call__(self, text):
        return text.lower().split()


class _Rows:
    def __init__(self):
        self._rows = {}

    def __len__(self):
        return len(self._rows)

    @property
    def ids(self):
        return np.array(sorted(self._rows), dtype=np.int64)

    def remove(self, ids):
        return sum(self._rows.pop(int(i), None) is not None for i in ids)

    def _allowed(self, mask):
        ids = self.ids
        if mask is None:
            return ids
        assert mask.shape == ids.shape and mask.dtype == bool
        return ids[mask]

    def _top(self, scored, k):
        scored = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]
        scores, ids = np.full(k, -np.inf, np.float32), np.full(k, -1, np.int64)
        for i, (score, id_) in enumerate(scored):
            scores[i], ids[i] = score, id_
        return scores, ids

    def _check(self, ids):
        for i in ids:
            if int(i) not in self._rows:
                raise NotFoundError(f"ids: {i}")


class VectorIndex(_Rows):
    def __init__(self, dim, metric="cosine"):
        super().__init__()
        self.dim = dim

    def add(self, vectors, ids):
        for i in ids:
            if int(i) in self._rows:
                raise DuplicateIdError("dup")
        assert vectors.shape == (len(ids), self.dim) and vectors.dtype == np.float32
        for row, i in zip(vectors, ids, strict=True):
            self._rows[int(i)] = row / np.float32(np.linalg.norm(row.astype(np.float64)))

    def get(self, ids):
        return np.stack([self._rows[int(i)] for i in ids])

    def score(self, query, ids):
        self._check(ids)
        q = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        return np.array([self._rows[int(i)].astype(np.float64) @ q for i in ids], dtype=np.float32)

    def search(self, queries, k=10, mask=None):
        allowed = self._allowed(mask)
        out = [self._top(list(zip(self.score(q, allowed).tolist(), allowed.tolist(), strict=True)), k) for q in queries]
        return np.array([s for s, _ in out], np.float32).reshape(-1, k), np.array([i for _, i in out], np.int64).reshape(-1, k)


class BM25Index(_Rows):
    def __init__(self, analyzer=None, k1=1.2, b=0.75, delta=0.5, variant="lucene"):
        super().__init__()
        if not isinstance(analyzer, Analyzer):
            raise InvalidInputError("analyzer")
        self.k1, self.b, self.analyzer = k1, b, analyzer

    def add(self, texts, ids):
        assert len(texts) == len(ids)
        for i, text in zip(ids, texts, strict=True):
            self._rows[int(i)] = self.analyzer(text)

    def score(self, query, ids):
        self._check(ids)
        n = len(self._rows)
        mean = sum(map(len, self._rows.values())) / max(n, 1)
        out = []
        for i in ids:
            total, terms = 0.0, self._rows[int(i)]
            for term in self.analyzer(query):
                tf = terms.count(term)
                df = sum(term in row for row in self._rows.values())
                if tf:
                    idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
                    total += idf * tf / (tf + self.k1 * (1 - self.b + self.b * len(terms) / mean))
            out.append(total)
        return np.array(out, dtype=np.float32)

    def search(self, queries, k=10, mask=None):
        allowed = self._allowed(mask)
        out = []
        for query in queries:
            terms = set(self.analyzer(query))
            matching = [i for i in allowed.tolist() if terms & set(self._rows[i])]
            out.append(self._top(list(zip(self.score(query, matching).tolist(), matching, strict=True)), k))
        return np.array([s for s, _ in out], np.float32).reshape(-1, k), np.array([i for _, i in out], np.int64).reshape(-1, k)

    def explain(self, query, id_):
        return {"score": float(self.score(query, [id_])[0])}


def install():
    for name, cls in (("vector_index", VectorIndex), ("bm25_index", BM25Index), ("analyzer", Analyzer)):
        try:
            __import__(f"sightline.{name}")
        except ImportError:
            module = types.ModuleType(f"sightline.{name}")
            setattr(module, cls.__name__, cls)
            sys.modules[f"sightline.{name}"] = module
