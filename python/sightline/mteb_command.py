"""``sightline mteb``: a judged collection on disk, measured by MTEB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sightline.fusion import Convex
from sightline.judged_collection import read_collection
from sightline.named_embedders import load_embedder

__all__ = ["run"]

_SHOWN = ("ndcg_at_10", "map_at_10", "recall_at_100", "precision_at_10", "mrr_at_10")


def run(
    collection: str,
    *,
    queries: str | None,
    qrels: str | None,
    vectors: str | None,
    query_vectors: str | None,
    embedder: str | None,
    api_key: str | None,
    mode: str | None,
    alpha: float | None,
    as_json: bool,
) -> None:
    """Make a task of a collection in BEIR's form, have MTEB evaluate it, and print what came out.

    Raises:     InvalidInputError, StorageError, MissingExtraError as the parts of it
    """
    from sightline.integrations.mteb import SightlineSearch, collection_task, evaluate_task

    judged = read_collection(collection, queries, qrels, vectors, query_vectors, embedded=embedder is not None)
    options: dict[str, Any] = {} if mode is None else {"mode": mode}
    if alpha is not None:
        options["fusion"] = Convex(alpha=alpha)
    if embedder is not None:
        options["embedder"] = load_embedder(embedder, api_key=api_key)
    elif judged.vectors is not None:
        options["query_vectors"] = judged.query_vectors
        options["vectors"] = {document["id"]: document["vector"] for document in judged.documents()}
    name = Path(collection).absolute().name
    task = collection_task(name, judged.documents(), judged.queries, judged.qrels)
    scores = evaluate_task(SightlineSearch(**options), task)
    if as_json:
        found = {measure: None if np.isnan(value) else value for measure, value in scores.items()}
        print(json.dumps({"task": task.metadata.name, "queries": len(judged.qrels), "scores": found}, indent=2))
        return
    print(f"{task.metadata.name}, {len(judged.qrels)} judged queries")
    for measure in _SHOWN:
        print(f"{measure:<16}{scores[measure]:.4f}")
