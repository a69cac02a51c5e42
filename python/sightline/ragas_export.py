"""Evaluations in the form of ragas' datasets, for its measures that need a language model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from sightline.datasets import Qrels
from sightline.errors import InvalidInputError, StorageError, checked_integer
from sightline.evaluation import Evaluation

__all__ = ["ragas_samples", "write_ragas"]


class _Index(Protocol):
    @property
    def get(self) -> Callable[..., Any]: ...


def ragas_samples(
    index: _Index,
    evaluation: Evaluation,
    queries: Mapping[str, str],
    qrels: Qrels,
    *,
    setting: str | None = None,
    k: int = 10,
    responses: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return a sample for each judged query, with the fields that ragas' single-turn samples have.

    ``user_input``, ``retrieved_contexts`` and ``retrieved_context_ids`` (best first), ``reference_contexts`` and
    ``reference_context_ids`` (documents graded above 0), and, where they are given, ``response`` and ``reference``.

    Parameters: index : what was evaluated; evaluation, queries, qrels : what ``evaluate`` returned and was given;
                setting : default the first; k : contexts of each sample; responses : answers by query that a language
                model gave; references : right answers by query
    Raises:     InvalidInputError for an unknown setting or query, or a judged or retrieved document that the index has
                not
    Source:     ragas 0.4, SingleTurnSample
    """
    depth = checked_integer("k", k, 1)
    name = next(iter(evaluation.runs)) if setting is None else setting
    if name not in evaluation.runs:
        raise InvalidInputError(f"setting: expected one of {', '.join(evaluation.runs)}, got {name!r}")
    samples = []
    for query, run in evaluation.runs[name].items():
        if query not in queries:
            raise InvalidInputError(f"queries: has no text for query {query!r}")
        retrieved = [document for document, _ in run[:depth]]
        relevant = [document for document, grade in qrels.get(query, {}).items() if grade > 0]
        sample: dict[str, Any] = {
            "user_input": queries[query],
            "retrieved_contexts": _texts(index, retrieved),
            "retrieved_context_ids": retrieved,
            "reference_contexts": _texts(index, relevant),
            "reference_context_ids": relevant,
        }
        for field, values in (("response", responses), ("reference", references)):
            if values is not None and query in values:
                sample[field] = values[query]
        samples.append(sample)
    return samples


def write_ragas(path: str | PathLike[str], samples: Iterable[Mapping[str, Any]]) -> None:
    """Write samples as JSON lines, which ragas' ``EvaluationDataset.from_jsonl`` reads.

    Raises:     StorageError
    """
    try:
        # In ASCII: ragas opens the file in whatever encoding the machine prefers.
        Path(path).write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="ascii")
    except OSError as error:
        raise StorageError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _texts(index: _Index, ids: list[str]) -> list[str]:
    found = index.get(ids)
    for name, document in zip(ids, found, strict=True):
        if document is None:
            raise InvalidInputError(f"index: has no document {name!r}, which was judged or retrieved")
    return [f"{document.title}\n{document.text}" if document.title else document.text for document in found]
