"""``python -m benchmarks lexical``: BM25 over the same tokens, and indexing from text; each promise beside its figure.

Searches use one thread each unless ``--threads`` says otherwise; several queries in one call, and one. Every engine
gets the same tokens, ready made, documents and queries alike; an engine's own form of a query is prepared untimed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import sightline as sl
from benchmarks import data, texts
from benchmarks.data import Collection
from benchmarks.lexical_bars import Bars
from benchmarks.peers import LEXICAL
from benchmarks.results import Row
from benchmarks.session import Entry, Session
from benchmarks.truth import BM25Truth

__all__ = ["add_options", "collection", "run", "run_on"]

_POSTING_BYTES = 3  # Sightline's: two of the offset, one of the code
_ADDING = ("sightline", "sightline-packed")  # the others are built once, or searchable only after a commit of the whole


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queries", type=Path, help="a text file with more queries, one a line")
    parser.add_argument("--sentences", action="store_true", help="index each sentence as a document")
    parser.add_argument("--documents", type=int, default=100_000, help="at most so many (default: %(default)s)")
    parser.add_argument("--index-documents", type=int, default=20_000, help="of them for the indexing comparison")
    parser.add_argument("--max-queries", type=int, default=1000)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100], help="queries a call")
    parser.add_argument("--check", type=int, default=100, help="queries compared with float64")
    parser.add_argument("--index-threads", type=int, default=2, help="for indexing; bm25s has one (default: 2)")


def collection(session: Session) -> Collection:
    options = session.options
    key = ("collection", options.documents)
    if options.data and data.has_texts(options.data):
        return session.once(key, lambda: data.load_collection(options.data, options.documents))
    return session.once(key, lambda: data.default_collection(options.documents, options.seed))


def run(session: Session) -> None:
    options = session.options
    found = collection(session)
    if options.sentences:
        found = replace(found, name=f"{found.name}, sentences", texts=texts.sentences(found.texts))
    run_on(session, found)
    if options.queries:
        lines = options.queries.read_text(encoding="utf-8").splitlines()
        run_on(session, replace(found, name=f"{found.name}, other queries", queries=lines), indexing=False)


def run_on(session: Session, found: Collection, *, indexing: bool = True) -> None:
    options = session.options
    if not session.worthwhile(LEXICAL):
        return
    print(f"\nlexical: {found.described()}, {session.threads} thread(s)", flush=True)
    analyzer = sl.Analyzer("english")
    tokens = analyzer.batch(found.texts)
    vocabulary = {word for words in tokens for word in words}
    # bm25s cannot answer a query without a known word; all engines get the rest.
    asked = analyzer.batch(found.queries[: options.max_queries])
    known = [query for query in asked if not vocabulary.isdisjoint(query)]
    batches = [batch for batch in options.batches if batch <= len(known)]
    truth = session.once(
        ("BM25 truth", found.described()), lambda: BM25Truth(tokens, known[: options.check], max(options.k))
    )
    postings = truth.postings.mean() * _POSTING_BYTES
    bars = Bars(sentences=options.sentences)
    with (
        session.inputs("lexical", found.described(), tokens=tokens, query_tokens=known) as inputs,
        session.started("lexical", found.described(), LEXICAL, inputs, changed=True) as engines,
    ):
        bars.sizes(engines)
        for k in options.k:
            for batch in batches:
                entries = []
                for engine in engines:
                    exact = bool(engine.built and engine.built["settings"][0]["exact"])
                    entries.append(Entry(engine, {"what": "search", "setting": 0, "k": k, "batch": batch}, 0, exact))
                case = f"{batch} {'query' if batch == 1 else 'queries'}, k = {k}"
                rows = session.compare(
                    "lexical",
                    found.described(),
                    case,
                    entries,
                    truth,
                    queries=batch,
                    k=k,
                    count=len(tokens),
                    bytes_read=postings * batch,
                )
                bars.searched(case, rows)
        if indexing:  # last, because it changes the indexes
            adding = [Entry(engine, {"what": "add"}) for engine in engines if engine.name in _ADDING]
            name = "one document added and found"
            work = ("read_gb_s", sum(len(text.encode()) for text in found.texts) / len(found.texts))  # of one text
            rows = session.compare(
                "lexical", found.described(), name, adding, None, queries=0, k=1, count=len(tokens), work=work
            )
            bars.added(rows)
    if indexing:
        bars.indexed(index_texts(session, "lexical", found))
    bars.show()


def index_texts(session: Session, suite: str, found: Collection) -> list[Row]:
    """Text to index: words, stop words and stems included."""
    options = session.options
    count = min(options.index_documents, len(found.texts))
    part = found.texts[:count]
    megabytes = sum(len(text.encode()) for text in part) / 1e6
    table = {name: module for name, module in LEXICAL.items() if name not in ("bm25s-numpy", "rank-bm25")}
    if not session.worthwhile(table):
        return []
    with (
        # No engine holds an index here: each call makes one and drops it.
        session.inputs(
            "index texts", suite, found.described(), texts=part, tokens=[["word"]], query_tokens=[["word"]]
        ) as inputs,
        session.unbuilt(f"{suite}: index texts", table, inputs, options.index_threads) as engines,
    ):
        entries = [Entry(engine, {"what": "index texts", "documents": count}) for engine in engines]
        name = f"text to index, {count:,} documents, {megabytes:.1f} MB, {options.index_threads} threads"
        work = ("read_gb_s", megabytes * 1e6)
        return session.compare(suite, found.described(), name, entries, None, queries=0, k=0, count=count, work=work)
