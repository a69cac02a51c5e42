"""BM25Index over ready-made tokens."""

from __future__ import annotations

from typing import Any

import sightline as sl
from benchmarks.peers.base import Ids, LexicalPeer, Setting, Tokens


class Engine(LexicalPeer):
    distribution = "sightline"
    modules = ("sightline", "sightline.bm25_index", "sightline.analyzer")
    description = "BM25Index"

    def build(self, tokens: Tokens) -> None:
        self._index = sl.BM25Index(None)
        self._index.add(tokens)

    def index_texts(self, texts: list[str]) -> None:
        sl.BM25Index(sl.Analyzer("english")).add(texts)

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids:
        return self._index.search(prepared, k)[1]

    def save(self) -> None:
        self._index.save(self.folder / "index")

    def load(self) -> None:
        self._index = sl.BM25Index.load(self.folder / "index", mmap=True)
