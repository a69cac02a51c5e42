"""``sightline eval``: measure and compare settings on a judged collection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.charts import save_chart
from sightline.datasets import Qrels, Queries, read_corpus, read_qrels, read_queries, write_run
from sightline.errors import InvalidInputError, StorageError
from sightline.evaluation import MEASURES, Evaluation, evaluate, split_queries
from sightline.fusion import RRF, Convex
from sightline.hybrid_index import HybridIndex
from sightline.ragas_export import ragas_samples, write_ragas

__all__ = ["Collection", "read_collection", "run"]


@dataclass(frozen=True, slots=True)
class Collection:
    """Hold a judged collection on disk; its documents are read when they are needed."""

    corpus: str
    queries: Queries
    qrels: Qrels
    vectors: NDArray[Any] | None  # a row a document
    query_vectors: dict[str, NDArray[np.float32]] | None

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield what ``HybridIndex.add`` takes, with vectors where there are any."""
        return _documents(self.corpus, self.vectors)


def read_collection(
    collection: str, queries: str | None, qrels: str | None, vectors: str | None, query_vectors: str | None
) -> Collection:
    """Read a collection in BEIR's form; what is None has the file name that is usual there.

    Raises:     InvalidInputError, StorageError naming the file
    """
    folder = Path(collection)
    corpus = _existing(folder, "corpus.jsonl", "corpus.jsonl.gz")
    if corpus is None:
        raise InvalidInputError(f"{folder}: expected a folder with corpus.jsonl or corpus.jsonl.gz, as BEIR has them")
    texts = read_queries(queries or _required(folder, "queries", "queries.jsonl", "queries.jsonl.gz"))
    judged = read_qrels(qrels or _required(folder, "qrels", "qrels/test.tsv"))
    document_vectors = _vectors(vectors or _existing(folder, "docs.npy"))
    by_query = _query_vectors(query_vectors or _existing(folder, "queries.npy"), texts)
    if (document_vectors is None) != (by_query is None):
        raise InvalidInputError("vectors: give those of the documents and those of the queries, or neither")
    return Collection(corpus, texts, judged, document_vectors, by_query)


def run(
    collection: str,
    *,
    queries: str | None,
    qrels: str | None,
    vectors: str | None,
    query_vectors: str | None,
    settings: Sequence[str],
    measures: Sequence[str],
    k: int,
    held_out: float | None,
    runs: str | None,
    show: int,
    chart: str | None,
    ragas: str | None,
    as_json: bool,
) -> None:
    """Index a collection in BEIR's form, search it for its judged queries, and print what came out.

    Raises:     InvalidInputError, StorageError, MissingExtraError as the parts of it
    """
    judged = read_collection(collection, queries, qrels, vectors, query_vectors)
    chosen = _settings(settings, judged.vectors is not None)
    index = HybridIndex()
    index.add(judged.documents())
    evaluation = evaluate(
        index, judged.queries, judged.qrels, chosen, measures=measures or MEASURES, k=k, vectors=judged.query_vectors
    )
    if runs is not None:
        _write_runs(Path(runs), evaluation)
    if chart is not None:
        save_chart(evaluation, chart)
    if ragas is not None:
        write_ragas(ragas, ragas_samples(index, evaluation, judged.queries, judged.qrels))
    report = _report(evaluation, len(index), held_out)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _print(report, evaluation, judged.queries, show)


def _existing(folder: Path, *names: str) -> str | None:
    return next((str(folder / name) for name in names if (folder / name).is_file()), None)


def _required(folder: Path, option: str, *names: str) -> str:
    found = _existing(folder, *names)
    if found is None:
        raise InvalidInputError(f"{folder}: has no {names[0]}; name the file with --{option}")
    return found


def _vectors(path: str | None) -> NDArray[Any] | None:
    if path is None:
        return None
    try:
        # allow_pickle stays False: a file of vectors must not be able to run code.
        vectors = np.load(path, mmap_mode="r")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidInputError(f"{path}: is not an array of numbers in NumPy's format: {error}") from None
    if vectors.ndim != 2:
        raise InvalidInputError(f"{path}: expected a row for each line, got an array of shape {vectors.shape}")
    found: NDArray[Any] = vectors
    return found


def _query_vectors(path: str | None, texts: Queries) -> dict[str, NDArray[np.float32]] | None:
    vectors = _vectors(path)
    if vectors is None:
        return None
    if len(vectors) != len(texts):
        raise InvalidInputError(f"{path}: expected {len(texts)} rows, one for each query, got {len(vectors)}")
    return {name: np.asarray(row, dtype=np.float32) for name, row in zip(texts, vectors, strict=True)}


def _documents(corpus: str, vectors: NDArray[Any] | None) -> Iterator[dict[str, Any]]:
    count = 0
    for count, document in enumerate(read_corpus(corpus), start=1):
        if vectors is None:
            yield document
        elif count > len(vectors):
            break
        else:
            yield document | {"vector": np.asarray(vectors[count - 1], dtype=np.float32)}
    if vectors is not None and count != len(vectors):
        relation = "fewer" if count > len(vectors) else "more"
        raise InvalidInputError(f"vectors: {len(vectors)} rows are {relation} than the corpus has documents")


def _settings(given: Sequence[str], has_vectors: bool) -> dict[str, dict[str, Any]]:
    """Return settings by name; an option is ``mode`` or ``name={"mode": ..., "alpha": ..., "rrf": ...}``."""
    if not given:
        modes = ("lexical", "dense", "hybrid") if has_vectors else ("lexical",)
        return {mode: {"mode": mode} for mode in modes}
    settings: dict[str, dict[str, Any]] = {}
    for text in given:
        name, equals, options_text = text.partition("=")
        options: Any = {"mode": name}
        if equals:
            try:
                options = json.loads(options_text)
            except json.JSONDecodeError as error:
                raise InvalidInputError(f"setting {name!r}: is not JSON: {error}") from None
            if not isinstance(options, dict):
                raise InvalidInputError(f"setting {name!r}: expected an object, got {options_text}")
        if name in settings:
            raise InvalidInputError(f"setting {name!r}: is given twice")
        settings[name] = _options(name, dict(options))
    return settings


def _options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    known = ("mode", "where", "alpha", "rrf", "diversity", "group_by", "per_group")
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InvalidInputError(f"setting {name!r}: unknown option {unknown[0]!r}; expected {', '.join(known)}")
    if "alpha" in options and "rrf" in options:
        raise InvalidInputError(f"setting {name!r}: alpha and rrf are two fusions; give one of them")
    if "alpha" in options:
        options["fusion"] = Convex(alpha=options.pop("alpha"))
    if "rrf" in options:
        options["fusion"] = RRF(k=options.pop("rrf"))
    return options


def _report(evaluation: Evaluation, document_count: int, held_out: float | None) -> dict[str, Any]:
    """Return what is printed, as plain JSON."""
    base, *others = evaluation.scores
    report: dict[str, Any] = {
        "documents": document_count,
        "queries": len(evaluation.query_ids),
        "means": evaluation.means(),
        "comparisons": [evaluation.compare(base, other).to_dict() for other in others],
    }
    if held_out is not None:
        tuning, kept = split_queries(evaluation.query_ids, held_out)
        before, after = evaluation.restricted(tuning), evaluation.restricted(kept)
        measure = evaluation.measures[0]
        best = max(evaluation.scores, key=lambda name: before.mean(name, measure))
        report["held_out"] = {
            "chosen": best,
            "by": measure,
            "tuning_queries": len(tuning),
            "held_out_queries": len(kept),
            "tuning": before.mean(best, measure),
            "held_out": after.mean(best, measure),
            "comparison": None if best == base else after.compare(base, best).to_dict(),
        }
    return report


def _write_runs(folder: Path, evaluation: Evaluation) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {error.strerror}") from None
    for name, run in evaluation.runs.items():
        if Path(name).name != name:
            raise InvalidInputError(f"setting {name!r}: cannot be the name of a file; --runs writes one for each")
        write_run(folder / f"{name}.trec", run)


def _print(report: dict[str, Any], evaluation: Evaluation, texts: Queries, show: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"{report['documents']} documents, {report['queries']} judged queries")
    table = Table(box=None)
    table.add_column("setting", style="bold")
    for measure in evaluation.measures:
        table.add_column(measure, justify="right")
    for name, means in report["means"].items():
        table.add_row(escape(name), *(f"{value:.4f}" for value in means.values()))
    console.print(table)
    for comparison in report["comparisons"]:
        console.print(_sentence(comparison), markup=False)
        _print_queries(console, evaluation, comparison, texts, show)
    chosen = report.get("held_out")
    if chosen is not None:
        console.print(
            f"chosen on {chosen['tuning_queries']} queries by {chosen['by']}: {chosen['chosen']} "
            f"({chosen['tuning']:.4f}); on {chosen['held_out_queries']} held out: {chosen['held_out']:.4f}",
            markup=False,
        )
        if chosen["comparison"] is not None:
            console.print("held out: " + _sentence(chosen["comparison"]), markup=False)


def _sentence(comparison: dict[str, Any]) -> str:
    return (
        f"{comparison['other']} against {comparison['base']}: {comparison['measure']} {comparison['difference']:+.4f}, "
        f"p = {comparison['p_value']:.4g}; {comparison['wins']} wins, {comparison['losses']} losses, "
        f"{comparison['ties']} ties"
    )


def _print_queries(console: Any, evaluation: Evaluation, comparison: dict[str, Any], texts: Queries, show: int) -> None:
    """Print the queries that gained and lost most."""
    differences = evaluation.compare(comparison["base"], comparison["other"]).differences
    ranked = list(differences.items())
    gains = [item for item in ranked[:show] if item[1] > 0]
    losses = [item for item in ranked[::-1][:show] if item[1] < 0]
    for query, difference in [*gains, *losses]:
        console.print(f"  {difference:+.4f}  {query}: {texts[query]}", markup=False, no_wrap=True, overflow="ellipsis")
