"""tantivy: frequencies without positions, a fast field for the number of a document, its usual settings.

Its lengths are rounded to one byte, so its scores are near BM25's but not equal.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Ids, LexicalPeer, Tokens

_HEAP_BYTES = 512_000_000


class Engine(LexicalPeer):
    distribution = "tantivy"
    modules = ("tantivy",)
    description = "index_option=freq, not stored, one segment"

    def build(self, tokens: Tokens) -> None:
        self._open(_index(self.folder, [" ".join(words) for words in tokens], "whitespace", 1))

    def _open(self, index: Any) -> None:
        self._index = index
        self._searcher = index.searcher()

    def index_texts(self, texts: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _index(Path(folder), texts, "en_stem", self.threads)

    def load(self) -> None:
        import tantivy

        self._open(tantivy.Index.open(str(self.folder)))

    def prepare(self, queries: Tokens) -> Any:
        import tantivy

        term, should = tantivy.Query.term_query, tantivy.Occur.Should
        return [
            tantivy.Query.boolean_query([(should, term(self._index.schema, "body", word, "freq")) for word in query])
            for query in queries
        ]

    def search(self, prepared: Any, k: int, options: dict[str, Any]) -> Ids:
        # One segment, written by one thread in order: the number in it is the number of the document.
        found = np.full((len(prepared), k), -1, dtype=np.int64)
        for row, query in enumerate(prepared):
            hits = self._searcher.search(query, k, count=False).hits
            found[row, : len(hits)] = [address.doc for _, address in hits]
        return found


def _index(folder: Path, documents: list[str], tokenizer: str, threads: int) -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("body", stored=False, tokenizer_name=tokenizer, index_option="freq")
    index = tantivy.Index(builder.build(), path=str(folder))
    writer = index.writer(heap_size=_HEAP_BYTES, num_threads=threads)
    for text in documents:
        writer.add_document(tantivy.Document(body=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index
