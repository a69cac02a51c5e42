"""The commands that work on an index on disk: info, verify, compact, export, import."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sightline.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    from sightline.documents import Document
    from sightline.hybrid_index import HybridIndex

__all__ = ["add_commands", "show"]

_KEYS = ("id", "title", "text", "metadata", "vector")


def add_commands(app: Any, typer: Any, as_json: Any) -> None:
    """Add the commands to the application.

    Parameters: as_json : the option that all commands share
    """
    index_path = typer.Argument(..., help="Directory of the index.")
    new_path = typer.Argument(..., help="Directory of the index, made if missing.")
    output = typer.Argument("-", help="JSON lines to write, - for standard output.")
    source = typer.Argument("-", help="JSON lines to read, - for standard input.")

    def info(kb: Path = index_path, as_json: bool = as_json) -> None:
        """Show what an index holds, what it was made with and how much space it takes."""
        with _open(kb, read_only=True) as index:
            show(index.stats(), as_json)

    def verify(kb: Path = index_path, as_json: bool = as_json) -> None:
        """Check every checksum and hash, and that database and segment files hold the same documents."""
        with _open(kb, read_only=True) as index:
            show({"intact": True} | index.verify(), as_json)

    def compact(kb: Path = index_path, as_json: bool = as_json) -> None:
        """Merge segments, forget removed documents and give their space back."""
        with _open(kb) as index:
            before = index.stats()["disk_bytes"]
            index.compact()
            show({"disk_bytes_before": before, "disk_bytes": index.stats()["disk_bytes"]}, as_json)

    def export(
        kb: Path = index_path,
        file: Path = output,
        vectors: bool = typer.Option(True, help="With vectors, also those that an embedder made."),
    ) -> None:
        """Write all documents as JSON lines: id, title, text, metadata, vector."""
        with _open(kb, read_only=True) as index, _stream(file, "w") as lines:
            for document in index.documents(embedded=vectors):
                lines.write(_as_line(document, vectors) + "\n")

    def import_(
        kb: Path = new_path,
        file: Path = source,
        replace: bool = typer.Option(False, help="Replace documents whose ids are present."),
        language: str = typer.Option(None, help="Of the texts, for a new index; default english."),
        progress: bool = typer.Option(False, help="Show a progress bar."),
        as_json: bool = as_json,
    ) -> None:
        """Add documents from JSON lines, as export writes them; all or none."""
        from sightline.hybrid_index import HybridIndex

        with _stream(file, "r") as lines, HybridIndex(kb, analyzer=language) as index:
            write = index.upsert if replace else index.add
            ids = write(_documents(lines, str(file)), progress=progress)
            show({"documents_read": len(ids), "documents": len(index)}, as_json)

    for name, command in (("info", info), ("verify", verify), ("compact", compact), ("export", export)):
        app.command(name)(command)
    app.command("import")(import_)


def _open(path: Path, *, read_only: bool = False) -> HybridIndex:
    from sightline.hybrid_index import HybridIndex

    return HybridIndex.open(path, read_only=read_only)


def _stream(path: Path, mode: str) -> IO[str]:
    try:
        if str(path) == "-":
            return open(1 if mode == "w" else 0, mode, encoding="utf-8", closefd=False)
        return path.open(mode, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"'{path}' cannot be opened: {error.strerror}") from None


def _as_line(document: Document, vectors: bool) -> str:
    values = {name: getattr(document, name) for name in _KEYS}
    vector = values.pop("vector")
    if vectors and vector is not None:
        values["vector"] = vector.tolist()  # float32 as float64: the digits bring back the same float32
    return json.dumps(values, ensure_ascii=False)


def _documents(lines: IO[str], name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InvalidInputError(f"{name}, line {number}: expected a JSON object ({error})") from None
        if not isinstance(found, dict):
            raise InvalidInputError(f"{name}, line {number}: expected a JSON object, got {type(found).__name__}")
        yield found


def show(values: dict[str, Any], as_json: bool) -> None:
    """Print names and values as a table, or as one JSON object."""
    if as_json:
        print(json.dumps(values, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name.replace("_", " "), _text(value))
    Console(file=sys.stdout).print(table)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items() if inner not in (None, {}, []))
    return f"{value:,}" if type(value) is int else str(value)
