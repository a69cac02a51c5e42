"""MTEB: its search protocol over a HybridIndex, and judged collections on disk as its tasks (extra ``mteb``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sightline.datasets import Qrels, Queries
from sightline.errors import InvalidInputError, MissingExtraError, SightlineError
from sightline.hybrid_index import HybridIndex
from sightline.integrations.beir import CollectionSearch

try:
    import mteb
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.model_meta import ModelMeta
except ImportError as error:
    raise MissingExtraError("sightline.integrations.mteb needs mteb: pip install 'sightline[mteb]'") from error

__all__ = ["SightlineSearch", "collection_task", "evaluate_task"]


class SightlineSearch(CollectionSearch):
    """Search in MTEB's retrieval and reranking tasks: ``mteb.evaluate(SightlineSearch(embedder), tasks)``.

    Texts only: a document's title and text, a query's text and, after it, its instruction. Exact, so that what a task
    measures is the embedder and the fusion, not an approximation.

    Parameters: name : of the results, as ``organisation/name``; the others as for ``CollectionSearch``
    """

    def __init__(self, embedder: Any = None, *, name: str = "sightline/search", **options: Any) -> None:
        super().__init__(embedder, **options)
        if not isinstance(name, str) or not re.fullmatch(r"[^/\s]+/[^/\s]+", name):
            raise InvalidInputError(f"name: expected organisation/name, got {name!r}")
        self._index: HybridIndex | None = None
        self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": name, "revision": "exact"})

    def index(self, corpus: Any, **_: Any) -> None:
        """Index a corpus of rows with ``id``, ``text`` and perhaps ``title``; replaces the one before.

        Raises:     InvalidInputError for a corpus without texts, or as HybridIndex
        """
        _check_columns(corpus, "corpus")
        self._index = self.make_index(
            {
                "id": row["id"],
                "text": row["text"] or "",
                "title": row.get("title") or None,
                "metadata": {"id": row["id"]},
            }
            for row in corpus
        )

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, list[str]] | None = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Search the corpus that was indexed last.

        Parameters: queries : rows with ``id``, ``text`` and perhaps ``instruction``; top_ranked : by query the only
                    documents to rank
        Returns:    scores by query and document
        Raises:     SightlineError before ``index``
        """
        if self._index is None:
            raise SightlineError("SightlineSearch: call index(corpus) before search(queries)")
        _check_columns(queries, "queries")
        return self.answer(self._index, {row["id"]: _query(row) for row in queries}, top_k, top_ranked)


def collection_task(
    name: str,
    corpus: Iterable[Mapping[str, Any]],
    queries: Queries,
    qrels: Qrels,
    *,
    languages: tuple[str, ...] = ("eng-Latn",),
) -> AbsTaskRetrieval:
    """Make a task of MTEB of a judged collection, such as one that ``sightline.datasets`` has read.

    Parameters: name : of the task; corpus : mappings with id, text and perhaps title; queries : texts by id; qrels :
                grades by query and document; languages : ISO 639-3 and script
    Returns:    AbsTaskRetrieval with one split, ``test``, whose data needs no network
    """
    documents = [{"id": row["id"], "title": row.get("title") or "", "text": row["text"]} for row in corpus]
    data = {
        "corpus": Dataset.from_list(documents),
        "queries": Dataset.from_list([{"id": query, "text": queries[query]} for query in qrels]),
        "relevant_docs": {query: dict(grades) for query, grades in qrels.items()},
        "top_ranked": None,
    }

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        self.dataset = {"default": {"test": dict(data)}}
        self.data_loaded = True

    metadata = TaskMetadata(
        name=re.sub(r"\W+", "", name) or "Collection",
        description="A judged collection on this machine.",
        dataset={"path": "local/collection", "revision": "local"},
        type="Retrieval",
        category="t2t",
        eval_splits=["test"],
        eval_langs=list(languages),
        main_score="ndcg_at_10",
    )
    made: AbsTaskRetrieval = type(
        "CollectionTask", (AbsTaskRetrieval,), {"metadata": metadata, "load_data": load_data}
    )()
    return made


def evaluate_task(search: SightlineSearch, task: AbsTaskRetrieval) -> dict[str, float]:
    """Evaluate by MTEB, without its cache of results and without a network.

    Returns:    measures by MTEB's names, such as ``ndcg_at_10``, for a task of one split
    """
    result = mteb.evaluate(search, task, cache=None, co2_tracker=False, show_progress_bar=False)
    (scores,) = result.task_results[0].scores.values()
    return {name: float(value) for name, value in scores[0].items() if isinstance(value, (int, float))}


def _check_columns(dataset: Any, what: str) -> None:
    missing = [name for name in ("id", "text") if name not in dataset.column_names]
    if missing:
        raise InvalidInputError(f"{what}: expected rows with id and text, got {', '.join(dataset.column_names)}")


def _query(row: Mapping[str, Any]) -> str:
    text = row["text"]
    if not isinstance(text, str):  # a conversation: its turns, each a str or a mapping with what was said
        text = " ".join(turn if isinstance(turn, str) else turn["content"] for turn in text)
    instruction = row.get("instruction")
    return f"{text} {instruction}" if instruction else text
