"""tantivy (the ``tantivy`` package) as a peer: frequencies without positions, no stored text, its usual settings.

Its lengths are rounded to one byte, so its scores are near BM25's but not equal; only times and sizes are compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["available", "build_tantivy", "index_text_tantivy"]

Tokens = list[list[str]]

_HEAP_BYTES = 512_000_000


def available() -> bool:
    """Return whether the package is installed."""
    try:
        import tantivy  # noqa: F401
    except ImportError:
        return False
    return True


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


def index_text_tantivy(documents: list[str], threads: int) -> None:
    """Index texts, stemmed, into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        _index(Path(folder), documents, "en_stem", threads)


def build_tantivy(
    folder: Path, tokens: list[list[str]]
) -> tuple[Callable[[list[list[str]]], Callable[[int], None]], int]:
    """Index ready tokens in one segment; return what prepares a search of all queries, and the bytes on disk."""
    import tantivy

    index = _index(folder, [" ".join(words) for words in tokens], "whitespace", 1)
    searcher = index.searcher()
    size = sum(path.stat().st_size for path in folder.iterdir())

    def prepare(queries: Tokens) -> Callable[[int], None]:
        prepared = [
            tantivy.Query.boolean_query(
                [(tantivy.Occur.Should, tantivy.Query.term_query(index.schema, "body", word, "freq")) for word in query]
            )
            for query in queries
        ]

        def search(k: int) -> None:
            for query in prepared:
                searcher.search(query, k, count=False)

        return search

    return prepare, size
