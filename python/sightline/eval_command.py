"""``sightline eval``: measure and compare settings on a judged collection, or on an index on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sightline.charts import save_chart
from sightline.cli_opening import is_index, opened_index, parsed_condition
from sightline.datasets import Qrels, Queries, read_qrels, read_queries, write_run
from sightline.embed import LatentSemanticEmbedder
from sightline.errors import InvalidInputError, StorageError
from sightline.evaluation import MEASURES, Evaluation, evaluate, split_queries
from sightline.fusion import RRF, Convex
from sightline.hybrid_index import HybridIndex
from sightline.judged_collection import read_collection, read_query_vectors
from sightline.named_embedders import load_embedder
from sightline.ragas_export import ragas_samples, write_ragas
from sightline.selection import value_at

__all__ = ["EvalOptions", "run"]

_LOOK_UP = 1024  # judged documents looked up at a time
_Settings: TypeAlias = "dict[str, dict[str, Any]]"


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """Hold the options of ``sightline eval``, which says what they mean."""

    queries: str | None = None
    qrels: str | None = None
    vectors: str | None = None
    query_vectors: str | None = None
    embedder: str | None = None
    api_key: str | None = None
    modes: Sequence[str] = ()
    settings: Sequence[str] = ()
    where: str | None = None
    judged_by: str | None = None
    ignore_identical_ids: bool = False
    measures: Sequence[str] = ()
    k: int = 100
    held_out: float | None = None
    runs: str | None = None
    chart: str | None = None
    ragas: str | None = None
    show: int = 0
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Judged:
    """Hold what is measured: an index and judged queries, with their vectors where no embedder makes them."""

    index: HybridIndex
    queries: Queries
    qrels: Qrels
    vectors: dict[str, Any] | None
    has_vectors: bool


def run(target: str, options: EvalOptions) -> None:
    """Search an index on disk, or one made of a collection in BEIR's form, for judged queries, and print what came out.

    Raises:     InvalidInputError, StorageError, MissingExtraError as the parts of it
    """
    if options.ragas is not None and options.judged_by is not None:
        raise InvalidInputError("ragas: needs judgments of the documents' own ids; leave --judged-by out")
    settings = _settings([*options.modes, *options.settings], parsed_condition(options.where))
    with _opened(target, options, settings) as judged:
        missing = _missing(judged.index, judged.qrels, options.judged_by)
        evaluation = evaluate(
            judged.index,
            judged.queries,
            judged.qrels,
            settings or _every_mode(judged.has_vectors, parsed_condition(options.where)),
            measures=options.measures or MEASURES,
            k=options.k,
            vectors=judged.vectors,
            judged_by=options.judged_by,
            ignore_identical_ids=options.ignore_identical_ids,
        )
        if options.runs is not None:
            _write_runs(Path(options.runs), evaluation)
        if options.chart is not None:
            save_chart(evaluation, options.chart)
        if options.ragas is not None:
            write_ragas(options.ragas, ragas_samples(judged.index, evaluation, judged.queries, judged.qrels))
        report = _report(evaluation, len(judged.index), missing, options.held_out)
    if options.as_json:
        print(json.dumps(report, indent=2))
    else:
        _print(report, evaluation, judged.queries, options.show)


@contextmanager
def _opened(target: str, options: EvalOptions, settings: _Settings) -> Iterator[_Judged]:
    """Yield an index with its judged queries; closes it."""
    if is_index(Path(target)):
        yield from _of_index(Path(target), options, settings)
        return
    collection = read_collection(
        target,
        options.queries,
        options.qrels,
        options.vectors,
        options.query_vectors,
        embedded=options.embedder is not None,
    )
    embedder: Any = None
    if options.embedder == "lsa":
        texts = (" ".join(filter(None, (each["title"], each["text"]))) for each in collection.documents())
        embedder = LatentSemanticEmbedder().fit(list(texts))
    elif options.embedder is not None:
        embedder = load_embedder(options.embedder, api_key=options.api_key)
    with HybridIndex(embedder=embedder) as index:
        index.add(collection.documents())
        has_vectors = embedder is not None or collection.vectors is not None
        yield _Judged(index, collection.queries, collection.qrels, collection.query_vectors, has_vectors)


def _of_index(folder: Path, options: EvalOptions, settings: _Settings) -> Iterator[_Judged]:
    for option, path in (("queries", options.queries), ("qrels", options.qrels)):
        if path is None:
            raise InvalidInputError(f"{folder}: an index holds no {option}; name the file with --{option}")
    if options.vectors is not None:
        raise InvalidInputError(f"vectors: {folder} has those of its documents; leave --vectors out")
    queries = read_queries(str(options.queries))
    qrels = read_qrels(str(options.qrels))
    vectors = read_query_vectors(options.query_vectors, queries)
    dense = not settings or any(setting.get("mode") != "lexical" for setting in settings.values())
    with opened_index(folder, options.embedder, options.api_key, dense=dense and vectors is None) as index:
        yield _Judged(index, queries, qrels, vectors, bool(index.stats()["with_vector"]))


def _missing(index: HybridIndex, qrels: Qrels, judged_by: str | None) -> int:
    """Return how many judged documents the index does not have.

    Raises:     InvalidInputError if it has none of them, since the figures would be zeros that say nothing
    """
    judged = list(dict.fromkeys(document for grades in qrels.values() for document in grades))
    found = sum(1 for _ in _present(index, judged, judged_by))
    if judged and not found:
        named = f"values of {judged_by!r}" if judged_by else "ids"
        shown = next(iter(index.ids()), None)
        raise InvalidInputError(
            f"qrels: none of the {len(judged)} judged documents, such as {judged[0]!r}, is among the index's {named}"
            + (f"; its first id is {shown!r}" if shown is not None else "")
            + "; where documents were cut into chunks, --judged-by names the metadata field that holds what is judged, "
            "such as source or record"
        )
    return len(judged) - found


def _present(index: HybridIndex, names: list[str], judged_by: str | None) -> Iterable[str]:
    if judged_by is None:
        for start in range(0, len(names), _LOOK_UP):
            yield from (each.id for each in index.get(names[start : start + _LOOK_UP]) if each is not None)
        return
    wanted = set(names)
    # Over all documents, since a number in the metadata is judged by its digits.
    values = {str(value_at(each.metadata, judged_by)) for each in index.documents({judged_by: {"$exists": True}})}
    yield from wanted & values


def _settings(given: Sequence[str], where: dict[str, Any] | None) -> _Settings:
    """Return settings by name; one is ``mode`` or ``name={"mode": ..., "alpha": ..., "rrf": ...}``."""
    settings: _Settings = {}
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
        settings[name] = _options(name, dict(options), where)
    return settings


def _every_mode(has_vectors: bool, where: dict[str, Any] | None) -> _Settings:
    modes = ("lexical", "dense", "hybrid") if has_vectors else ("lexical",)
    return {mode: _options(mode, {"mode": mode}, where) for mode in modes}


def _options(name: str, options: dict[str, Any], where: dict[str, Any] | None) -> dict[str, Any]:
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
    return options if where is None else {"where": where} | options


def _report(evaluation: Evaluation, document_count: int, missing: int, held_out: float | None) -> dict[str, Any]:
    """Return what is printed, as plain JSON."""
    base, *others = evaluation.scores
    report: dict[str, Any] = {
        "documents": document_count,
        "queries": len(evaluation.query_ids),
        "judged_documents_missing": missing,
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
    missing = report["judged_documents_missing"]
    console.print(
        f"{report['documents']} documents, {report['queries']} judged queries"
        + (f"; {missing} judged documents are not in the index" if missing else "")
    )
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
