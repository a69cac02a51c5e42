"""``python -m benchmarks quality``: are the answers good? nDCG@10 on judged collections.

By default known items: the summary line of a docstring of the standard library should find the rest of that docstring;
vectors are made by latent semantic analysis of these texts (extra ``lsa``). ``--data`` takes a judged BEIR folder.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec

import numpy as np

import sightline as sl
from benchmarks import data, texts
from benchmarks.data import Collection
from benchmarks.hybrid import inputs_of
from benchmarks.peers import HYBRID, LEXICAL
from benchmarks.results import Row
from benchmarks.session import Session
from benchmarks.truth import ndcg
from benchmarks.workers import WorkerError

__all__ = ["add_options", "run"]

_K = 10
_LSA_DIM = 128


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--documents", type=int, default=100_000, help="at most so many (default: %(default)s)")
    parser.add_argument("--max-queries", type=int, default=500)


def run(session: Session) -> None:
    options = session.options
    found = _judged(options)
    queries = [number for number in sorted(found.judged or {}) if (found.judged or {})[number]][: options.max_queries]
    described = f"{found.described()}, {len(queries)} judged queries"
    print(f"\nquality: {described}", flush=True)
    _lexical(session, found, queries, described)
    if found.rows is None:
        reason = "no vectors: pip install 'sightline[lsa]', or give docs.npy and queries.npy"
        row = Row("quality", described, "hybrid engines", "sightline", status="missing", problem=reason)
        session.finish([row], {})
        return
    with (
        inputs_of(session, found) as (inputs, _),
        session.started("quality", described, HYBRID, inputs, changed=True) as engines,
    ):
        for mode in ("dense", "text", "hybrid", "hybrid, RRF"):
            rows = []
            for engine in engines:
                if mode == "hybrid, RRF" and engine.name != "sightline":
                    continue
                row = Row("quality", described, mode, engine.name, unit=f"nDCG@{_K}", k=_K, count=len(found.texts))
                if engine.worker is None:
                    row.status, row.problem = engine.gap, engine.problem or ""
                else:
                    case = {"what": "search", "mode": "rrf" if mode.endswith("RRF") else mode, "k": _K}
                    try:
                        ids, _, _ = engine.ids(case, max(queries) + 1)
                        _score(row, ids, found, queries)
                    except WorkerError as error:
                        row.status, row.problem = "failed", str(error)
                rows.append(row)
            session.finish(rows, {})


def _judged(options: argparse.Namespace) -> Collection:
    if options.data:
        found = data.load_collection(options.data, options.documents)
        if not found.judged:
            raise SystemExit(f"{options.data}: expected judgments in qrels/*.tsv")
        return found
    bodies, summaries = texts.known_items(options.documents)
    judged = {number: {number: 1} for number in range(len(summaries))}
    rows = query_rows = None
    if find_spec("sklearn") is not None:
        embed = sl.LatentSemanticEmbedder(dim=_LSA_DIM).fit(bodies)
        rows = np.asarray(embed(bodies), dtype=np.float32)
        query_rows = np.asarray(embed(summaries), dtype=np.float32)
    return Collection("known items of the standard library", bodies, summaries, rows, query_rows, judged)


def _lexical(session: Session, found: Collection, queries: list[int], described: str) -> None:
    """BM25 of every lexical engine over the same words: what remains is the formula and how ties break.

    bm25s stands there once: its backends compute the same scores.
    """
    analyzer = sl.Analyzer("english")
    asked = analyzer.batch([found.queries[number] for number in queries])
    tokens = analyzer.batch(found.texts)
    vocabulary = {word for words in tokens for word in words}
    known = [at for at, words in enumerate(asked) if not vocabulary.isdisjoint(words)]
    with (
        session.inputs("quality", described, tokens=tokens, query_tokens=[asked[at] for at in known]) as inputs,
        session.unbuilt(
            "quality", {n: m for n, m in LEXICAL.items() if n != "bm25s-numba"}, inputs, changed=True
        ) as engines,
    ):
        rows = []
        for engine in engines:
            row = Row("quality", described, "BM25", engine.name, unit=f"nDCG@{_K}", k=_K, count=len(tokens))
            rows.append(row)
            if engine.worker is None:
                row.status, row.problem = engine.gap, engine.problem or ""
                continue
            try:
                engine.worker.ask("build")
                ids, _, _ = engine.ids({"what": "search", "setting": 0, "k": _K, "batch": 1}, len(known))
            except WorkerError as error:
                row.status, row.problem = "failed", str(error)
                continue
            everything = np.full((max(queries) + 1, _K), -1, dtype=np.int64)
            everything[[queries[at] for at in known]] = ids  # a query without a known word finds nothing
            _score(row, everything, found, queries)
        session.finish(rows, {})


def _score(row: Row, ids: np.typing.NDArray[np.int64], found: Collection, queries: list[int]) -> None:
    judged = found.judged or {}
    values = [
        ndcg([str(i) for i in ids[number] if i >= 0], {str(i): g for i, g in judged[number].items()}, _K)
        for number in queries
    ]
    row.median = row.least = row.most = float(np.mean(values))
    row.rounds = [row.median]
