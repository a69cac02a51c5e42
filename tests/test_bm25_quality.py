"""Retrieval quality of the defaults on judged queries."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict

import sightline as sl


def read_json_lines(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ndcg(ranked, judged, depth=10):
    gain = sum(judged.get(key, 0) / math.log2(rank + 2) for rank, key in enumerate(ranked[:depth]))
    best = sum(value / math.log2(rank + 2) for rank, value in enumerate(sorted(judged.values(), reverse=True)[:depth]))
    return gain / best


def test_scifact_with_default_settings(shared_data):
    folder = shared_data / "scifact"
    documents = read_json_lines(folder / "corpus.jsonl.gz")
    queries = {query["_id"]: query["text"] for query in read_json_lines(folder / "queries.jsonl")}
    judgments = defaultdict(dict)
    with open(folder / "qrels" / "test.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                judgments[row["query-id"]][row["corpus-id"]] = int(row["score"])
    index = sl.BM25Index()
    index.add([f"{document['title']} {document['text']}" for document in documents])
    judged = sorted(judgments)
    _, ids = index.search([queries[key] for key in judged], k=10)
    values = [
        ndcg([documents[i]["_id"] for i in row if i >= 0], judgments[key]) for key, row in zip(judged, ids, strict=True)
    ]
    assert len(values) == 300
    mean = sum(values) / len(values)
    print(f"nDCG@10 on scifact: {mean:.4f}")
    assert mean >= 0.675
