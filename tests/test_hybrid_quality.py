"""Ranking quality of the default fusion over judged collections, so that a change of scale or weight cannot slip by."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np

from sightline import RRF, Convex, HybridIndex

COLLECTIONS = ("scifact", "cranfield", "med", "cosqa")


def load(folder):
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        corpus = [json.loads(line) for line in lines]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        relevant.setdefault(query, {})[document] = int(grade)
    documents = [
        {"id": d["_id"], "text": d["text"], "title": d.get("title") or None, "vector": vector}
        for d, vector in zip(corpus, np.load(folder / "docs.npy").astype(np.float32), strict=True)
    ]
    judged = [i for i, query in enumerate(queries) if query["_id"] in relevant]
    vectors = np.load(folder / "queries.npy").astype(np.float32)[judged]
    texts = [queries[i]["text"] for i in judged]
    return documents, texts, vectors, [relevant[queries[i]["_id"]] for i in judged]


def ndcg(hits, grades):
    gain = sum(grades.get(hit.id, 0) / math.log2(hit.rank + 1) for hit in hits[:10])
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(grades.values(), reverse=True)[:10]))
    return gain / ideal if ideal else 0.0


def evaluate(data, settings):
    """Return {setting: {collection: nDCG@10}}; a setting is the keyword arguments of a search."""
    table = {name: {} for name in settings}
    for collection in COLLECTIONS:
        documents, texts, vectors, grades = load(data / collection)
        index = HybridIndex()
        index.add(documents)
        for name, options in settings.items():
            vector = None if options.get("mode") == "lexical" else vectors
            found = index.search(texts, 10, vector=vector, **options)
            table[name][collection] = float(np.mean([ndcg(h, g) for h, g in zip(found, grades, strict=True)]))
    return table


def test_default_fusion_beats_both_engines_and_rrf(shared_data):
    table = evaluate(
        shared_data,
        {
            "BM25": {"mode": "lexical"},
            "dense": {"mode": "dense"},
            "RRF(60)": {"fusion": RRF()},
            "Convex()": {"fusion": Convex()},
        },
    )
    means = {}
    print()
    for name, row in table.items():
        means[name] = float(np.mean(list(row.values())))
        print(f"{name:10}", *(f"{row[collection]:.4f}" for collection in COLLECTIONS), f"{means[name]:.4f}")
    assert means["Convex()"] >= 0.63
    assert means["Convex()"] > max(means["BM25"], means["dense"], means["RRF(60)"])
