"""``python -m benchmarks lexical``: BM25Index against bm25s (numba backend) and, if installed, tantivy.

Searches use one thread each by default.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sightline as sl
from benchmarks import tantivy_peer, texts
from benchmarks.timing import measure

Tokens = list[list[str]]
Search = Callable[[Tokens, int], tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]


def build_bm25s(tokens: Tokens, threads: int) -> Search:
    import bm25s

    retriever = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
    retriever.index(tokens, show_progress=False)

    def search(queries: Tokens, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        found = retriever.retrieve(queries, k=k, show_progress=False, n_threads=threads)
        return found.scores, found.documents

    return search


def index_text_bm25s(documents: list[str]) -> None:
    """Index from text as bm25s's own documentation does it: tokenise with a stemmer, then index."""
    import bm25s
    import Stemmer

    tokens = bm25s.tokenize(documents, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    bm25s.BM25(method="lucene").index(tokens, show_progress=False)


def index_text(documents: list[str]) -> None:
    sl.BM25Index(sl.Analyzer("english")).add(documents)


def check_equal(ours: Search, theirs: Search, queries: Tokens, k: int) -> None:
    """Stop unless both give the same top k: scores to 1e-5, ids wherever the scores tell documents apart."""
    our_scores, our_ids = ours(queries, k)
    their_scores, their_ids = theirs(queries, k)
    found = our_ids >= 0  # bm25s fills up with documents that score 0
    if not np.allclose(our_scores[found], their_scores[found], rtol=1e-5, atol=1e-5):
        raise SystemExit("WRONG ANSWER: the scores differ from those of bm25s")
    if (their_scores[~found] > 1e-5).any():
        raise SystemExit("WRONG ANSWER: bm25s finds documents that BM25Index does not")
    for row in np.flatnonzero((our_ids != their_ids).any(axis=1)):
        for rank in np.flatnonzero((our_ids[row] != their_ids[row]) & found[row]):
            last_or_tied = (
                rank == k - 1 or np.isclose(our_scores[row, rank], np.delete(our_scores[row], rank), rtol=1e-5).any()
            )
            tied_with_last = np.isclose(our_scores[row, rank], our_scores[row, -1], rtol=1e-5)
            if not (last_or_tied or tied_with_last):
                raise SystemExit(f"WRONG ANSWER: query {row} ranks other documents than bm25s")


def compare_indexing(documents: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Text to index, with ``--index-threads`` threads where the engine has them."""
    part = documents[: options.index_documents]
    megabytes = sum(len(text.encode()) for text in part) / 1e6
    calls: dict[str, Callable[[], object]] = {
        "sightline": lambda: index_text(part),
        "bm25s": lambda: index_text_bm25s(part),
    }
    if tantivy_peer.available():
        calls["tantivy"] = lambda: tantivy_peer.index_text_tantivy(part, options.index_threads)
    sl.set_num_threads(options.index_threads)
    times = measure(calls, repeats=options.repeats, seconds=options.seconds)
    sl.set_num_threads(options.threads)
    rate = {name: megabytes / timing.median * 1e3 for name, timing in times.items()}
    print(
        f"  indexing {len(part):,} documents from text, {megabytes:.1f} MB, {options.index_threads} thread(s), "
        f"bm25s one: sightline {rate['sightline']:.1f} MB/s"
    )
    report = []
    for peer in calls.keys() - {"sightline"}:
        ratio = rate["sightline"] / rate[peer]
        print(f"    {peer} {rate[peer]:.1f} MB/s: {ratio:.2f} times")
        report.append(
            {"what": "indexing", "peer": peer, "sightline": rate["sightline"], "other": rate[peer], "ratio": ratio}
        )
    return report


def compare_queries(
    name: str, calls: dict[str, Callable[[], object]], query_count: int, k: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    times = measure(calls, repeats=options.repeats, seconds=options.seconds)
    rate = {engine: query_count / timing.median * 1e3 for engine, timing in times.items()}
    ours = rate.pop("sightline")
    print(f"  {query_count} {name}, k = {k}: sightline {ours:.0f} queries/s")
    report = []
    for peer, theirs in rate.items():
        note = f" (same top {k})" if peer == "bm25s" else ""
        print(f"    {peer} {theirs:.0f} queries/s: {ours / theirs:.2f} times{note}")
        report.append({"what": name, "k": k, "peer": peer, "sightline": ours, "other": theirs, "ratio": ours / theirs})
    return report


def compare_forms(
    name: str, scan: sl.BM25Index, packed: sl.BM25Index, queries: Tokens, k: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The packed form of the same index: the same bits, more time."""
    for one, other in zip(scan.search(queries, k), packed.search(queries, k), strict=True):
        if one.tobytes() != other.tobytes():
            raise SystemExit("WRONG ANSWER: the packed form differs from the scan form")
    calls: dict[str, Callable[[], object]] = {
        "scan": lambda: scan.search(queries, k),
        "packed": lambda: packed.search(queries, k),
    }
    times = measure(calls, repeats=options.repeats, seconds=options.seconds)
    ratio = times["packed"].median / times["scan"].median
    print(f"    packed form: {ratio:.2f} times the time of the scan form (bar: at most 2; same bits)")
    return {"what": name, "k": k, "peer": "packed form", "time_ratio": ratio}


def measure_one_added(index: sl.BM25Index, document: list[str]) -> dict[str, Any]:
    """Milliseconds from one document to a search that finds it, in a copy of the index that grows by a few."""
    copy = index.fork()
    samples = []
    for i in range(200):
        marked = [*document, f"only in addition {i}"]
        start = time.perf_counter()
        (new,) = copy.add([marked])
        added = time.perf_counter()
        if copy.search([marked[-1:]], 1)[1][0, 0] != new:
            raise SystemExit("WRONG ANSWER: an added document is not found")
        samples.append([(added - start) * 1e3, (time.perf_counter() - start) * 1e3])
    add, found = np.median(samples, axis=0)
    worst = float(np.quantile([both for _, both in samples], 0.99))
    print(
        f"  one document added ({index.postings} form): {add:.3f} ms, {found:.3f} ms with a search that finds it, "
        f"the slowest hundredth {worst:.3f} ms (bar: 1 ms)"
    )
    return {"what": "one added", "form": index.postings, "add_ms": add, "found_ms": found, "slowest_ms": worst}


def compare_sizes(
    index: sl.BM25Index, packed: sl.BM25Index, folder: Path, their_bytes: int | None
) -> list[dict[str, Any]]:
    """Files of both forms, and what tantivy's folder takes."""
    report = []
    for one in (index, packed):
        path = folder / one.postings
        one.save(path)
        size = path.stat().st_size
        memory = sum(one.memory().values())
        print(f"  {one.postings} form: file {size / 1e6:.1f} MB, memory {memory / 1e6:.1f} MB", end="")
        print(f" ({memory / len(one):.0f} bytes a document)")
        entry: dict[str, Any] = {"what": "size", "form": one.postings, "bytes": size, "memory": memory}
        if their_bytes is not None:
            bar = " (bar: at most 1.2)" if one is packed else ""
            print(f"    tantivy {their_bytes / 1e6:.1f} MB: {size / their_bytes:.2f} times its size{bar}")
            entry |= {"tantivy": their_bytes, "ratio": size / their_bytes}
        report.append(entry)
    return report


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks lexical", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with corpus.jsonl[.gz] and queries.jsonl (default: standard-library docstrings)",
    )
    parser.add_argument("--queries", type=Path, help="a text file with more queries, one a line")
    parser.add_argument("--sentences", action="store_true", help="index each sentence as a document")
    parser.add_argument("--documents", type=int, default=100_000, help="at most so many (default: %(default)s)")
    parser.add_argument("--index-documents", type=int, default=20_000, help="of them for the indexing comparison")
    parser.add_argument("--max-queries", type=int, default=1000)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--index-threads", type=int, default=2, help="for indexing; bm25s has one (default: 2)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=20, help="at most this long a line of the report")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)

    sl.set_num_threads(options.threads)
    documents, queries = (
        texts.load(options.data, options.documents) if options.data else texts.docstrings(options.documents)
    )
    if options.sentences:
        documents = texts.sentences(documents)
    print(f"{len(documents):,} documents, {options.threads} thread(s)")
    report = compare_indexing(documents, options)

    analyzer = sl.Analyzer("english")
    tokens = analyzer.batch(documents)
    index = sl.BM25Index(None)
    index.add(tokens)
    packed = sl.BM25Index(None, postings="packed")
    packed.add(tokens)
    report += [measure_one_added(one, tokens[0]) for one in (index, packed)]
    with tempfile.TemporaryDirectory() as folder:
        bm25s_search = build_bm25s(tokens, options.threads)
        their_bytes = None
        if tantivy_peer.available():
            tantivy_folder = Path(folder) / "tantivy"
            tantivy_folder.mkdir()
            prepare, their_bytes = tantivy_peer.build_tantivy(tantivy_folder, tokens)
        report += compare_sizes(index, packed, Path(folder), their_bytes)

        sets = {"queries of the data set" if options.data else "first lines": queries}
        if options.queries:
            sets["other queries"] = options.queries.read_text(encoding="utf-8").splitlines()
        for name, wanted in sets.items():
            # bm25s cannot answer a query without a known word; all engines get the rest.
            known = [
                query
                for query in analyzer.batch(wanted[: options.max_queries])
                if index.search([query], 1)[1][0, 0] >= 0
            ]
            tantivy_search = prepare(known) if tantivy_peer.available() else None
            for k in options.k:
                check_equal(index.search, bm25s_search, known, k)
                calls: dict[str, Callable[[], object]] = {
                    "sightline": lambda known=known, k=k: index.search(known, k),
                    "bm25s": lambda known=known, k=k: bm25s_search(known, k),
                }
                if tantivy_search is not None:
                    calls["tantivy"] = lambda search=tantivy_search, k=k: search(k)
                report += compare_queries(name, calls, len(known), k, options)
                report.append(compare_forms(name, index, packed, known, k, options))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))
    return 0
