"""bm25s with its numba backend, the faster one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.base import Ids, LexicalPeer, Setting, Tokens


class Engine(LexicalPeer):
    distribution = "bm25s"
    modules: ClassVar[tuple[str, ...]] = ("bm25s", "numba")
    description = "method=lucene, backend=numba"
    backend = "numba"

    def build(self, tokens: Tokens) -> None:
        import bm25s

        self._index = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend=self.backend)
        self._index.index(tokens, show_progress=False)

    def index_texts(self, texts: list[str]) -> None:
        import bm25s
        import Stemmer

        tokens = bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
        bm25s.BM25(method="lucene").index(tokens, show_progress=False)

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids:
        # Below 2 it runs in the calling thread, which is its fastest way for one thread.
        threads = self.threads if self.threads > 1 and len(prepared) > 1 else 0
        found = self._index.retrieve(prepared, k=k, show_progress=False, n_threads=threads)
        # It fills up with documents that score 0.
        return np.where(found.scores > 0, found.documents, -1).astype(np.int64)

    def save(self) -> None:
        self._index.save(str(self.folder), show_progress=False)

    def load(self) -> None:
        import bm25s

        self._index = bm25s.BM25.load(str(self.folder), mmap=True)
        self._index.backend = self.backend
