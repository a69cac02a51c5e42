"""The commands that make an index of files and search it: index, search."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.cli_index import show
from sightline.cli_opening import is_index, kept_embedder, opened_index, parsed_condition
from sightline.named_embedders import LATENT_SEMANTIC_FILE, load_embedder

if TYPE_CHECKING:
    from sightline.documents import Hit
    from sightline.file_sync import FilePlan, SyncReport

__all__ = ["add_commands"]

_SNIPPET = 240
_MOST_NAMED = 20


def add_commands(app: Any, typer: Any, as_json: Any) -> None:
    """Add the commands to the application.

    Parameters: as_json : the option that all commands share
    """
    paths = typer.Argument(..., help="Files and folders: text, Markdown, reStructuredText, HTML, PDF, JSONL, CSV ...")
    into = typer.Option(..., "--into", help="Directory of the index, made if missing.")
    spec = typer.Option(
        None,
        "--embedder",
        help="none, lsa, sentence-transformers:MODEL, fastembed:MODEL, model2vec:MODEL or openai:URL#MODEL. "
        "Default: what the index has; none if new.",
    )
    key = typer.Option(None, "--api-key", envvar="OPENAI_API_KEY", help="For openai:URL#MODEL; never kept.")
    include = typer.Option([], help="In folders, only files such as '*.md' or 'guides/*'. Repeat for more.")
    exclude = typer.Option([], help="In folders, no files such as 'drafts/*'. Repeat for more.")
    text_field = typer.Option([], help="Of records: field that holds text; default text. Repeat to join several.")
    metadata_field = typer.Option([], help="Of records: field to keep; default all. Repeat for more.")
    kb_path = typer.Argument(..., help="Directory of the index.")

    def index(
        paths: list[str] = paths,
        into: Path = into,
        embedder: str = spec,
        language: str = typer.Option(None, help="Of the texts, for a new index; default english."),
        max_tokens: int = typer.Option(256, help="Budget of a chunk, in words and punctuation marks."),
        overlap: int = typer.Option(32, help="Tokens of a chunk that the next one repeats."),
        format: str = typer.Option(
            None, help="Of all files: text, code, markdown, rst, html, pdf, jsonl, csv, parquet."
        ),
        encoding: str = typer.Option(None, help="Of texts and records; default UTF-8."),
        include: list[str] = include,
        exclude: list[str] = exclude,
        base: str = typer.Option(None, help="Folder that paths are kept relative to; default absolute paths."),
        text_field: list[str] = text_field,
        id_field: str = typer.Option(None, help="Of records: default id or _id, else a hash of the record."),
        title_field: str = typer.Option(None, help="Of records: default title."),
        metadata_field: list[str] = metadata_field,
        moved: bool = typer.Option(False, "--moved", help="The base is the same folder as before, at another place."),
        skip_errors: bool = typer.Option(
            False, "--skip-errors", help="Leave out files that cannot be read, and say so."
        ),
        api_key: str = key,
        progress: bool = typer.Option(None, help="Show a progress bar; default where there is a terminal."),
        as_json: bool = as_json,
    ) -> None:
        """Index files and folders; run again, it does only what changed, and removes what vanished."""
        from sightline.readers.parts import ReadOptions

        reading = {
            "base": base,
            "format": format,
            "include": include,
            "exclude": exclude,
            "options": ReadOptions(
                encoding, tuple(text_field) or ("text",), id_field, title_field, tuple(metadata_field) or None
            ),
            "max_tokens": max_tokens,
            "overlap": overlap,
            "moved": moved,
            "skip_errors": skip_errors,
            "progress": sys.stderr.isatty() if progress is None else progress,
        }
        # pypdf warns of whatever it repairs; what it cannot read is an error anyway.
        logging.getLogger("pypdf").setLevel(logging.ERROR)
        report, documents = _index(into, paths, reading, embedder, language, api_key)
        _report(report, documents, as_json)

    def search(
        kb: Path = kb_path,
        query: str = typer.Argument(..., help="The question."),
        k: int = typer.Option(10, "--k", "-k", help="Hits to show."),
        mode: str = typer.Option(None, help="hybrid, dense or lexical; default hybrid, lexical without an embedder."),
        where: str = typer.Option(None, help="""Filter over the metadata, such as '{"year": {"$gte": 2024}}'."""),
        explain: bool = typer.Option(False, "--explain", help="Show what each score is made of."),
        embedder: str = typer.Option(None, help="If the endpoint of the model has moved: openai:URL#MODEL."),
        api_key: str = key,
        as_json: bool = as_json,
    ) -> None:
        """Search an index."""
        condition = parsed_condition(where)
        with opened_index(kb, embedder, api_key, dense=mode != "lexical") as found:
            options: dict[str, Any] = {"mode": mode, "where": condition, "explain": explain}
            hits = found.search(query, k, **options)
        if as_json:
            print(json.dumps({"query": query, "hits": [asdict(hit) for hit in hits]}, ensure_ascii=False, indent=2))
        else:
            _print(hits)

    app.command("index")(index)
    app.command("search")(search)


def _index(
    into: Path, paths: list[str], reading: dict[str, Any], spec: str | None, language: str | None, api_key: str | None
) -> tuple[SyncReport, int]:
    from sightline.file_sync import plan_files, sync_files
    from sightline.hybrid_index import HybridIndex

    if is_index(into):
        embedder = kept_embedder(into, spec, api_key)
        with HybridIndex(into, embedder, analyzer=language) as index:
            return sync_files(index, paths, **reading), len(index)
    if spec == "lsa":
        plan = plan_files(None, paths, **reading)
        return _fitted(into, plan, language, reading["progress"])
    embedder = None if spec in (None, "none") else load_embedder(spec, api_key=api_key)
    plan = plan_files(None, paths, **reading)  # before there is an index: bad files leave none behind
    with HybridIndex(into, embedder, analyzer=language) as index:
        return plan.apply(index, progress=reading["progress"]), len(index)


def _fitted(into: Path, plan: FilePlan, language: str | None, progress: bool) -> tuple[SyncReport, int]:
    """Fit an embedder on the chunks, and keep it beside the new index."""
    from sightline.documents import searched_text
    from sightline.embed import LatentSemanticEmbedder
    from sightline.hybrid_index import HybridIndex

    embedder = LatentSemanticEmbedder().fit([searched_text(chunk) for chunk in plan.chunks()])
    with HybridIndex(into, embedder, analyzer=language) as index:
        embedder.save(into / LATENT_SEMANTIC_FILE)
        return plan.apply(index, progress=progress), len(index)


def _report(report: SyncReport, documents: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.to_dict() | {"documents": documents}, ensure_ascii=False, indent=2))
        return
    show(
        {
            "added": len(report.added),
            "updated": len(report.updated),
            "unchanged": report.unchanged,
            "removed": len(report.removed),
            "without_text": len(report.without_text),
            "failed": len(report.failed),
            "chunks_written": report.chunks_written,
            "chunks_removed": report.chunks_removed,
            "chunks_in_the_index": documents,
        },
        False,
    )
    named = [f"no text: {name}" for name in report.without_text] + [f"failed: {why}" for why in report.failed.values()]
    for line in named[:_MOST_NAMED]:
        print(f"sightline: {line}", file=sys.stderr)
    if len(named) > _MOST_NAMED:
        print(f"sightline: and {len(named) - _MOST_NAMED} more; --json names them all", file=sys.stderr)


def _print(hits: list[Hit]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if not hits:
        console.print("nothing found")
    for hit in hits:
        console.print(
            f"[bold]{hit.rank}[/]  [bold cyan]{escape(hit.title or hit.id)}[/]  {hit.score:.4f}", highlight=False
        )
        console.print(escape(_place(hit)), style="dim", highlight=False, soft_wrap=True)
        text = " ".join(hit.text.split())
        console.print(escape(text if len(text) <= _SNIPPET else text[: _SNIPPET - 3] + "..."), highlight=False)
        for line in _explained(hit):
            console.print(escape(line), style="dim", highlight=False)
        console.print()


def _place(hit: Hit) -> str:
    """Return where a chunk stands: its file, the page or record, the characters."""
    found = hit.metadata
    if "path" not in found:
        return hit.id
    place = str(found["path"])
    place += f", page {found['page']}" if "page" in found else ""
    place += f", record {found['record']}" if "record" in found else ""
    return place + (f", characters {found['start']} to {found['end']}" if "start" in found and "end" in found else "")


def _explained(hit: Hit) -> list[str]:
    if hit.explanation is None:
        return []
    parts = []
    if hit.dense_score is not None:
        parts.append(f"cosine {hit.dense_score:.4f}")
    if hit.lexical_score is not None:
        parts.append(f"BM25 {hit.lexical_score:.4f}")
    terms = hit.explanation.get("lexical", {}).get("terms", [])
    found = [
        f"{term['term']} {term['contribution']:.3f} (tf {term['tf']}, df {term['df']})" for term in terms if term["tf"]
    ]
    fusion = hit.explanation.get("fusion")
    lines = [", ".join(parts)]
    if fusion:
        lines.append("fusion: " + ", ".join(f"{name} {_short(value)}" for name, value in fusion.items()))
    return lines + (["terms: " + ", ".join(found)] if found else [])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
