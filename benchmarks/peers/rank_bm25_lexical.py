"""rank_bm25: Okapi weights, whose idf differs from Lucene's, so its top k is another one and its recall says so."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import Ids, LexicalPeer, Tokens


class Engine(LexicalPeer):
    distribution = "rank-bm25"
    modules = ("rank_bm25",)
    description = "BM25Okapi, one thread"

    def build(self, tokens: Tokens) -> None:
        import rank_bm25

        self._index = rank_bm25.BM25Okapi(tokens, k1=1.2, b=0.75)

    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids:
        found = np.full((len(prepared), k), -1, dtype=np.int64)
        for row, query in enumerate(prepared):
            scores = self._index.get_scores(query)
            best = np.argpartition(scores, -k)[-k:]
            found[row] = best[np.argsort(-scores[best], kind="stable")]
        return found
