"""``python -m benchmarks hybrid``: documents with text, vector and metadata, against other embedded engines.

One client, one query a call. With ``--data`` (titles with embeddings) first the figures of an index on disk that have
bars of their own. Fusions differ between engines, so only Sightline's fused answers have a truth to be compared with;
the lists that are fused are judged by those of cosine and of BM25 over Sightline's terms. Other analysers have other
words.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import sightline as sl
from benchmarks import hybrid_bars, lexical, vectors
from benchmarks.data import Collection
from benchmarks.peers import HYBRID
from benchmarks.peers.base import Floats
from benchmarks.session import Entry, Session
from benchmarks.truth import BM25Truth, DenseTruth, Truth, fused_truth

__all__ = ["add_options", "inputs_of", "run", "run_on"]

_DIM = 384
_SHARD = 50  # documents that the filter keeps
_MODES = ("hybrid", "dense", "text", "filtered")
_NAMES = {"filtered": f"hybrid, a filter keeping {_SHARD}"}


def add_options(parser: argparse.ArgumentParser) -> None:
    hybrid_bars.add_options(parser)
    parser.add_argument("--documents", type=int, default=100_000, help="at most so many (default: %(default)s)")
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--check", type=int, default=50)
    parser.add_argument("--no-peers", action="store_true", help="only the figures with bars, from --data")


def run(session: Session) -> None:
    options = session.options
    if options.data and _has_bars(options.data):
        if session.first:
            session.cases += hybrid_bars.run(options)
    elif options.no_peers:
        raise SystemExit("--no-peers: expected --data with titles, metadata (corpus.jsonl.gz) and docs.npy")
    if not options.no_peers:
        run_on(session, lexical.collection(session))


def _has_bars(folder: Path) -> bool:
    """Whether these are titles with metadata and embeddings, which the figures with bars are made from."""
    corpus = folder / "corpus.jsonl.gz"
    if not corpus.exists() or not (folder / "docs.npy").exists():
        return False
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        first = json.loads(next(iter(lines), "{}"))
    return {"title", "metadata"} <= first.keys()


@contextmanager
def inputs_of(session: Session, found: Collection) -> Iterator[tuple[Path, str]]:
    """The files that workers of hybrid engines read, and how the data is called."""
    rows, query_rows = found.rows, found.query_rows
    if rows is None or query_rows is None:
        rows, query_rows = vectors.embedding_like(len(found.texts), _DIM, len(found.queries), session.options.seed)
    shards = _shards(len(found.texts))
    described = f"{found.described()}, {rows.shape[1]}-d vectors"
    with session.inputs(
        "hybrid",
        described,
        texts=found.texts,
        rows=np.ascontiguousarray(rows),
        shards=shards,
        query_texts=found.queries,
        queries=np.ascontiguousarray(query_rows),
    ) as folder:
        yield folder, described


def _shards(count: int) -> list[int]:
    """A metadata field with so many values that each keeps about _SHARD documents."""
    return [i % max(1, count // _SHARD) for i in range(count)]


def truths(found: Collection, rows: Floats, query_rows: Floats, checked: int, k: int) -> dict[str, Truth]:
    analyzer = sl.Analyzer("english")
    words = BM25Truth(analyzer.batch(found.texts), analyzer.batch(found.queries[:checked]), k)
    cosines = query_rows[:checked].astype(np.float64) @ rows.astype(np.float64).T
    shards = np.asarray(_shards(len(found.texts)))
    members = [np.flatnonzero(shards == i % (shards.max() + 1)) for i in range(checked)]
    return {
        "dense": DenseTruth(rows, query_rows[:checked], k),
        "text": words,
        "hybrid": fused_truth(cosines, words.scores, k),
        "filtered": fused_truth(cosines, words.scores, k, members),
    }


def run_on(session: Session, found: Collection) -> None:
    options = session.options
    if not session.worthwhile(HYBRID):
        return
    checked = min(options.check, len(found.queries))
    with inputs_of(session, found) as (inputs, described):
        print(f"\nhybrid: {described}, {session.threads} threads", flush=True)
        rows, query_rows = np.load(inputs / "rows.npy"), np.load(inputs / "queries.npy")
        truth = session.once(
            ("hybrid truths", described), lambda: truths(found, rows, query_rows, checked, max(options.k))
        )
        first_pass = rows.size / 2  # four bits a dimension
        postings = float(truth["text"].postings.mean()) * 3  # type: ignore[attr-defined]
        filtered = min(_SHARD, len(rows)) * rows.shape[1] / 2
        work = {"hybrid": first_pass + postings, "dense": first_pass, "text": postings, "filtered": filtered}
        with session.started("hybrid", described, HYBRID, inputs, changed=True) as engines:
            for k in options.k:
                for mode in _MODES:
                    entries = []
                    for engine in engines:
                        exact = bool(engine.built and mode in engine.built["exact_modes"])
                        case = {"what": "search", "mode": mode, "k": k, "shards": max(_shards(len(rows))) + 1}
                        judged = exact or mode in ("dense", "text")  # each engine fuses in its own way
                        entries.append(Entry(engine, case, 0, exact, judged))
                    session.compare(
                        "hybrid",
                        described,
                        f"{_NAMES.get(mode, mode)}, 1 query, k = {k}",
                        entries,
                        truth[mode],
                        queries=1,
                        k=k,
                        count=len(rows),
                        bytes_read=work[mode],
                    )
            upserting = [
                Entry(engine, {"what": "upsert", "mode": "text", "k": 1})
                for engine in engines
                if engine.built is None or engine.built["upserts"]
            ]
            session.compare(
                "hybrid",
                described,
                "upsert to searchable",
                upserting,
                None,
                queries=0,
                k=1,
                count=len(rows),
                work=("syncs_s", 1.0),  # an acknowledged write waits for the disk at least once
            )
