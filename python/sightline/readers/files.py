"""From paths to documents: which files there are, the format of each, and what a document of it says of itself."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from sightline.documents import Document
from sightline.errors import InvalidInputError, SightlineError, StorageError
from sightline.readers.html import read_html
from sightline.readers.parts import Part, ReadOptions
from sightline.readers.pdf import read_pdf
from sightline.readers.prose import read_markdown, read_text
from sightline.readers.records import read_csv, read_jsonl, read_parquet
from sightline.readers.rst import read_rst

__all__ = ["FORMATS", "RESERVED", "File", "chunk_format", "find_files", "read_bytes", "read_file", "read_files"]

_WHOLE: dict[str, Callable[[bytes, ReadOptions], list[Part]]] = {
    "text": read_text,
    "code": read_text,
    "markdown": read_markdown,
    "rst": read_rst,
    "html": read_html,
    "pdf": read_pdf,
}
_RECORDS: dict[str, Callable[[Path, ReadOptions], Iterator[Part]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
}
FORMATS = (*_WHOLE, *_RECORDS)
_SUFFIXES = {
    **dict.fromkeys((".txt", ".text"), "text"),
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd"), "markdown"),
    **dict.fromkeys((".rst", ".rest"), "rst"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    **dict.fromkeys((".jsonl", ".ndjson", ".jsonl.gz"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    ".parquet": "parquet",
}
# What Sightline says of a document or a chunk; a record's own field of such a name gets an underscore behind it.
RESERVED = frozenset(
    ("path", "format", "title", "page", "record", "content_hash", "base", "source", "chunk", "start", "end")
)
_AS_MARKDOWN = ("markdown", "html", "rst")


@dataclass(frozen=True, slots=True)
class File:
    """Hold a file to read.

    Parameters: name : its path as documents carry it, with slashes; format : one of FORMATS
    """

    path: Path
    name: str
    format: str

    @property
    def has_records(self) -> bool:
        """Whether each record in it is a document, rather than the file or its pages."""
        return self.format in _RECORDS


def chunk_format(document: Document) -> str:
    """Return how ``sl.chunk`` should cut a document that was read from a file: "markdown", "code" or "text".

    Parameters: document : from ``read_files``; its metadata say what it was
    """
    format = document.metadata.get("format")
    return "markdown" if format in _AS_MARKDOWN else "code" if format == "code" else "text"


def find_files(
    paths: Iterable[str | PathLike[str]] | str | PathLike[str],
    *,
    base: str | PathLike[str] | None = None,
    format: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> list[File]:
    """Find the files to read: those that are named, and in folders, at any depth, those of a known format.

    Nothing hidden (``.git`` ...) and no link to a folder is followed. Each file comes once, in the order of names.

    Parameters: base : folder that names are relative to, default absolute names; format : of all files, default by
                suffix; include, exclude : patterns such as ``*.md`` or ``drafts/*``, of the path below the folder or
                the file's name
    Raises:     InvalidInputError for a named file of unknown format, or one outside base; StorageError if a path does
                not exist or a folder cannot be listed
    """
    if format is not None and format not in FORMATS:
        raise InvalidInputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    wanted, unwanted = _patterns("include", include), _patterns("exclude", exclude)
    found: dict[str, File] = {}
    for path in as_paths(paths):
        if path.is_dir():
            for inner in _walk(path):
                below = inner.relative_to(path).as_posix()
                kind = format or _format_of(inner)
                if kind and (not wanted or _matches(below, wanted)) and not _matches(below, unwanted):
                    name = file_name(inner, base)
                    found[name] = File(inner, name, kind)
        elif path.exists():
            kind = format or _format_of(path)
            if kind is None:
                known = ", ".join(_SUFFIXES)
                raise InvalidInputError(f"'{path}': its format is unknown; name one of {known}, or give format")
            name = file_name(path, base)
            found[name] = File(path, name, kind)
        else:
            raise StorageError(f"'{path}' does not exist")
    return [found[name] for name in sorted(found)]


def as_paths(paths: Iterable[str | PathLike[str]] | str | PathLike[str]) -> list[Path]:
    """Return absolute paths.

    Raises:     InvalidInputError if there are none, or one is no path
    """
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    if not given:
        raise InvalidInputError("paths: expected files or folders, got none")
    for path in given:
        if not isinstance(path, (str, PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
            raise InvalidInputError(f"paths: expected files or folders, got {path!r}")
    return [Path(os.path.abspath(path)) for path in given]


def file_name(path: Path, base: str | PathLike[str] | None) -> str:
    """Return the path that documents carry: absolute, or below a base."""
    if base is None:
        return path.as_posix()
    try:
        return path.relative_to(os.path.abspath(base)).as_posix()
    except ValueError:
        raise InvalidInputError(f"base: '{path}' is not below '{base}'") from None


def read_files(
    paths: Iterable[str | PathLike[str]] | str | PathLike[str],
    *,
    base: str | PathLike[str] | None = None,
    format: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    options: ReadOptions | None = None,
    on_error: Callable[[File, SightlineError], None] | None = None,
) -> Iterator[Document]:
    """Read files of text, Markdown, reStructuredText, HTML, PDF, JSON lines, CSV and Parquet as documents.

    A file is a document with its path as id; each page of a PDF is one (``path#page=3``), each record is one
    (``path#id``). Metadata are ``path``, ``title``, ``format``, ``page`` or ``record``, and a record's other fields; a
    field of one of these names gets an underscore behind it. HTML and reStructuredText become Markdown. Give the result
    to ``chunk_documents(..., format=chunk_format)``. Holds one file in memory, or one record of a file of records.

    Parameters: as for ``find_files``; options : encoding and fields; on_error : called with a file that cannot be read,
                which is then left out; else its error is raised
    Raises:     InvalidInputError, StorageError naming the file; MissingExtraError (extra ``ingest``)
    """
    for file in find_files(paths, base=base, format=format, include=include, exclude=exclude):
        try:
            yield from read_file(file, options or ReadOptions())
        except SightlineError as error:  # noqa: PERF203
            if on_error is None or isinstance(error, ImportError):
                raise
            on_error(file, error)


def read_bytes(file: File) -> bytes:
    """Return the bytes of a file.

    Raises:     StorageError naming it
    """
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise StorageError(f"'{file.path}' cannot be read: {error.strerror or error}") from None


def read_file(file: File, options: ReadOptions, data: bytes | None = None) -> Iterator[Document]:
    """Yield the documents of a file; a text may be blank.

    Parameters: data : its bytes, where they were read before
    Raises:     InvalidInputError, StorageError naming the file
    """
    for part in _parts_of(file, options, data):
        yield _document(file, part)


def _parts_of(file: File, options: ReadOptions, data: bytes | None) -> Iterable[Part]:
    if file.has_records:
        return _RECORDS[file.format](file.path, options)
    try:
        return _WHOLE[file.format](read_bytes(file) if data is None else data, options)
    except InvalidInputError as error:
        raise InvalidInputError(f"'{file.path}' {error}") from None


def _document(file: File, part: Part) -> Document:
    metadata = {name + "_" * (name in RESERVED): value for name, value in part.metadata.items()}
    title = part.title or (Path(file.name).stem if part.record is None else "")
    metadata |= {"path": file.name, "format": file.format}
    if title:
        metadata["title"] = title
    name = file.name
    if part.page is not None:
        metadata["page"] = part.page
        name += f"#page={part.page}"
    if part.record is not None:
        metadata["record"] = part.record
        name += f"#{part.record}"
    return Document(name, part.text, metadata, None, title or None)


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise StorageError(f"'{error.filename}' cannot be listed: {error.strerror}") from None

    for inside, folders, names in os.walk(folder, onerror=refuse):
        # An index that lies among what it is made of is no document.
        folders[:] = sorted(name for name in folders if name[0] != "." and not _is_index(Path(inside, name)))
        for name in sorted(names):
            path = Path(inside, name)
            if name[0] != "." and path.is_file():
                yield path


def _is_index(folder: Path) -> bool:
    return (folder / "sightline.db").exists()


def _format_of(path: Path) -> str | None:
    name = path.name.lower()
    return next((format for suffix, format in _SUFFIXES.items() if name.endswith(suffix)), None)


def _patterns(argument: str, patterns: Iterable[str]) -> list[str]:
    if isinstance(patterns, str):
        raise InvalidInputError(f"{argument}: expected a list of patterns, got one str")
    return list(patterns)


def _matches(below: str, patterns: list[str]) -> bool:
    name = below.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(below, pattern) or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
