"""What is built by hand: faiss IndexFlatIP, bm25s and reciprocal rank fusion of both lists of 100, in memory.

A filter is a faiss selector and a mask of bm25s. There is no adding of single documents.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import Floats, HybridPeer

_DEPTH = 100
_RRF = 60


class Engine(HybridPeer):
    distribution = "faiss-cpu"
    modules = ("faiss", "bm25s", "numba", "Stemmer")
    description = "IndexFlatIP (blas=20) + bm25s numba, RRF(60) of both top 100, in memory, not durable"
    exact_modes = ("dense",)

    def build(self, texts: list[str], vectors: Floats, shards: list[int]) -> None:
        import bm25s
        import faiss
        import Stemmer

        faiss.omp_set_num_threads(self.threads)
        self._flat = faiss.IndexFlatIP(vectors.shape[1])
        self._flat.add(vectors)
        self._stemmer = Stemmer.Stemmer("english")
        tokens = bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)
        self._words = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
        self._words.index(tokens, show_progress=False)
        self._members = [np.flatnonzero(np.asarray(shards) == shard) for shard in range(max(shards) + 1)]
        self._count = len(texts)

    def search(self, mode: str, text: str, vector: Floats, k: int, shard: int) -> list[int]:
        members = self._members[shard] if mode == "filtered" else None
        depth = min(_DEPTH, self._count if members is None else len(members))
        lists = []
        if mode != "text":
            lists.append(self._dense(vector, k if mode == "dense" else depth, members))
        if mode != "dense":
            lists.append(self._text(text, k if mode == "text" else depth, members))
        if len(lists) == 1:
            return lists[0]
        fused: dict[int, float] = {}
        for ranked in lists:
            for rank, number in enumerate(ranked, start=1):
                fused[number] = fused.get(number, 0.0) + 1 / (_RRF + rank)
        return sorted(fused, key=lambda number: (-fused[number], number))[:k]

    def _dense(self, vector: Floats, k: int, members: Any) -> list[int]:
        import faiss

        parameters = None if members is None else faiss.SearchParameters(sel=faiss.IDSelectorArray(members))
        found: list[int] = self._flat.search(vector[np.newaxis], k, params=parameters)[1][0].tolist()
        return found

    def _text(self, text: str, k: int, members: Any) -> list[int]:
        import bm25s

        query = bm25s.tokenize([text], stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False)
        if not query[0]:
            return []
        mask = None
        if members is not None:
            mask = np.zeros(self._count, dtype=np.float32)
            mask[members] = 1
        found = self._words.retrieve(query, k=k, weight_mask=mask, show_progress=False, n_threads=0)
        return [int(number) for number, score in zip(found.documents[0], found.scores[0], strict=True) if score > 0]
