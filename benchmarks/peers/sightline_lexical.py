"""BM25Index over ready-made tokens."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import sightline as sl
from benchmarks.peers.base import Ids, LexicalPeer, Setting, Tokens


class Engine(LexicalPeer):
    distribution = "sightline"
    modules = ("sightline", "sightline.bm25_index", "sightline.analyzer")
    description = "BM25Index"
    postings: ClassVar[Literal["scan", "packed"]] = "scan"

    def build(self, tokens: Tokens) -> None:
        self._index = sl.BM25Index(None, postings=self.postings)
        self._index.add(tokens)

    def index_texts(self, texts: list[str]) -> None:
        sl.BM25Index(sl.Analyzer("english"), postings=self.postings).add(texts)

    def settings(self) -> list[Setting]:
        return [Setting(exact=True)]

    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids:
        return self._index.search(prepared, k)[1]

    def add_and_find(self, document: list[str]) -> None:
        (added,) = self._index.add([document])
        found = self._index.search([document[-1:]], 1)[1]
        if found.tolist() != [[added]]:
            raise RuntimeError(f"a search does not find the document added before it: got {found}, not {added}")

    def save(self) -> None:
        self._index.save(self.folder / "index")

    def load(self) -> None:
        self._index = sl.BM25Index.load(self.folder / "index", mmap=True)
