"""Keep an index in step with files: what changed is read, cut and written again, what vanished is removed.

What a chunk was made of is known by a hash in its metadata: of the bytes of its file, or, where a file holds records,
of its record; and of how it was read and cut, so that other options are a change, too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from sightline.chunking import chunk_documents
from sightline.columns import check_paths
from sightline.documents import Document
from sightline.errors import InvalidInputError, MissingExtraError, SightlineError, checked_integer
from sightline.hybrid_index import HybridIndex
from sightline.ingest import Progress, show_progress
from sightline.readers.files import File, as_paths, chunk_format, file_name, find_files, read_bytes, read_file
from sightline.readers.parts import ReadOptions

__all__ = ["FilePlan", "SyncReport", "plan_files", "sync_files"]

_Paths: TypeAlias = "Iterable[str | PathLike[str]] | str | PathLike[str]"
_Source: TypeAlias = "tuple[str, str | None]"  # path, record
_VERSION = 1  # raised when readers or chunking give something else for the same file
_BATCH = 256  # chunks a commit: what an interrupted run wrote is not written again
_LOOK_UP = 1024


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Say what a call did.

    Parameters: added, updated, removed : files by path, records as ``path#record``; unchanged : how many; without_text
                : files in which there is nothing to find, such as scanned pages; failed : files that cannot be read,
                with the reason; their documents stay as they were
    """

    added: list[str]
    updated: list[str]
    removed: list[str]
    unchanged: int
    without_text: list[str]
    failed: dict[str, str]
    chunks_written: int
    chunks_removed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Known:
    """What an index has of a source."""

    hashes: set[str] = field(default_factory=set)
    ids: list[str] = field(default_factory=list)
    bases: set[str] = field(default_factory=set)  # what its path is relative to, as _base_mark() has it


@dataclass(slots=True)
class FilePlan:
    """Hold what is to be written and removed, before anything is; made by ``plan_files``."""

    _changes: list[tuple[list[Document], list[str]]] = field(default_factory=list)  # chunks, ids they leave over
    _removed_ids: list[str] = field(default_factory=list)
    _added: list[str] = field(default_factory=list)
    _updated: list[str] = field(default_factory=list)
    _removed: list[str] = field(default_factory=list)
    _without_text: list[str] = field(default_factory=list)
    _failed: dict[str, str] = field(default_factory=dict)
    _unchanged: int = 0

    def chunks(self) -> Iterator[Document]:
        """Yield the chunks to be written."""
        for chunks, _ in self._changes:
            yield from chunks

    def apply(self, index: HybridIndex, *, progress: bool | Progress = False) -> SyncReport:
        """Write and remove, in commits of about 256 chunks, none of which has a part of a file or record only.

        Raises:     as ``HybridIndex.upsert`` and ``delete``; what was committed stays, and the next run goes on there
        """
        total = sum(len(chunks) for chunks, _ in self._changes)
        written = removed = 0
        with show_progress(progress) as report:
            report("index", 0, total)
            for chunks, stale in self._batches():
                if chunks:
                    index.upsert(chunks)
                # Only now: a search meanwhile finds too much of a file rather than nothing of it.
                removed += index.delete(stale) if stale else 0
                written += len(chunks)
                report("index", written, total)
            removed += index.delete(self._removed_ids) if self._removed_ids else 0
        return SyncReport(
            self._added, self._updated, self._removed, self._unchanged, self._without_text, self._failed, written,
            removed,
        )  # fmt: skip

    def _batches(self) -> Iterator[tuple[list[Document], list[str]]]:
        chunks: list[Document] = []
        stale: list[str] = []
        for more, left_over in self._changes:
            chunks += more
            stale += left_over
            if len(chunks) >= _BATCH:
                yield chunks, stale
                chunks, stale = [], []
        yield chunks, stale

    def _compare(self, source: _Source, content_hash: str, known: _Known | None, read: Callable[[], Any]) -> None:
        """Plan what a source needs; read: yields its chunks, called only if it changed."""
        if known is not None and known.hashes == {content_hash}:
            self._unchanged += 1
            return
        chunks = list(read())
        for chunk in chunks:  # all that the index would refuse, before it has written anything
            check_paths(chunk.metadata, "metadata")
        if not chunks:
            self._without_text.append(_shown(source))
        if known is not None:
            # A source without chunks leaves no trace in the index, so one that lost its text is gone from it.
            (self._updated if chunks else self._removed).append(_shown(source))
        elif chunks:
            self._added.append(_shown(source))
        new = {document.id for document in chunks}
        self._changes.append((chunks, [name for name in (known.ids if known else ()) if name not in new]))


def sync_files(
    index: HybridIndex,
    paths: _Paths,
    *,
    base: str | PathLike[str] | None = None,
    format: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    options: ReadOptions | None = None,
    max_tokens: int = 256,
    overlap: int = 32,
    moved: bool = False,
    skip_errors: bool = False,
    progress: bool | Progress = False,
) -> SyncReport:
    """Bring an index in step with files and folders: add what is new, replace what changed, remove what vanished.

    Chunks carry ``path``, ``title``, ``format``, ``page`` or ``record``, ``start`` and ``end`` (characters of the text
    as read), ``content_hash``, and ``base``, a hash, if names are relative to one. Documents that came into the index
    another way stay as they are, as does what lies outside ``paths``, below another base, or still exists but is not
    among what is read now. What is embedded already is not embedded again.

    Costs the bytes of all files; parsing, chunking and writing only of those that changed, but all records of files
    of records are parsed. Holds the chunks of what changed in memory: a file that cannot be read is an error before
    anything is written.

    Parameters: index : HybridIndex, open for writing; paths, base, format, include, exclude : see
                sightline.readers.find_files; a path that does not exist any more is one whose files vanished, if the
                index knows any; options : encoding and fields; max_tokens, overlap : see ``sl.chunk``; moved : what
                the index has of these names below other bases is what this base holds now; without it such a name is
                an error, since another folder's file would be lost; skip_errors : leave files out that cannot be
                read; progress : True shows a bar, or a callable
    Returns:    SyncReport
    Raises:     InvalidInputError, StorageError naming the file; MissingExtraError (extra ``ingest``)
    """
    plan = plan_files(
        index,
        paths,
        base=base,
        format=format,
        include=include,
        exclude=exclude,
        options=options,
        max_tokens=max_tokens,
        overlap=overlap,
        moved=moved,
        skip_errors=skip_errors,
        progress=progress,
    )
    return plan.apply(index, progress=progress)


def plan_files(
    index: HybridIndex | None,
    paths: _Paths,
    *,
    base: str | PathLike[str] | None = None,
    format: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    options: ReadOptions | None = None,
    max_tokens: int = 256,
    overlap: int = 32,
    moved: bool = False,
    skip_errors: bool = False,
    progress: bool | Progress = False,
) -> FilePlan:
    """Find out what ``sync_files`` would do; the index is None where there is none yet.

    Parameters: as for ``sync_files``
    Raises:     as ``sync_files``
    """
    budget = checked_integer("max_tokens", max_tokens, 1)
    mark = _base_mark(base)
    shared = checked_integer("overlap", overlap, 0, budget - 1)
    reading = options or ReadOptions()
    known = {} if index is None else _known(index)
    if moved:
        known = {source: replace(entry, bases={mark}) for source, entry in known.items()}
    roots = as_paths(paths)
    names = [file_name(root, base) for root in roots]
    gone = [root for root, name in zip(roots, names, strict=True) if not root.exists() and _below(name, known)]
    present = [root for root in roots if root not in gone]
    files = find_files(present, base=base, format=format, include=include, exclude=exclude) if present else []
    plan = FilePlan()
    seen: set[_Source] = set()
    read: set[str] = set()

    def chunks(documents: Iterable[Document], content_hash: str) -> Iterator[Document]:
        marks = {"content_hash": content_hash} | ({"base": mark} if mark else {})
        marked = (replace(each, metadata={**each.metadata, **marks}) for each in documents)
        return chunk_documents(marked, max_tokens=budget, overlap=shared, format=chunk_format)

    with show_progress(progress) as report:
        for number, file in enumerate(files):
            report("read", number, len(files))
            how = json.dumps([_VERSION, file.format, asdict(reading), budget, shared, mark])
            try:
                # Into a plan of its own: a file that fails at its end is left out as a whole.
                found = FilePlan()
                sources = _compare_file(found, file, reading, how, known, chunks)
            except SightlineError as error:
                if not skip_errors or isinstance(error, MissingExtraError):
                    raise
                plan._failed[file.name] = str(error)
                continue
            for source in sources:
                if source in known and known[source].bases != {mark}:
                    raise InvalidInputError(
                        f"'{file.path}': the index has {_shown(source)!r} of another base; give bases that keep names "
                        "apart, or moved=True (--moved) if it is the same folder at another place"
                    )
            _join(plan, found)
            seen |= sources
            read.add(file.name)
        report("read", len(files), len(files))
    root_names = tuple(name.rstrip("/") for name in names)
    for source, entry in known.items():
        path = source[0]
        vanished = path in read and source not in seen
        # A path relative to another base names another file, of which nothing is known here.
        if not vanished and path not in read and entry.bases == {mark} and _is_below(path, root_names):
            vanished = not Path("/" if base is None else os.path.abspath(base), path).exists()
        if vanished:
            plan._removed.append(_shown(source))
            plan._removed_ids += entry.ids
    _check_ids(plan, index, {name for entry in known.values() for name in entry.ids})
    return plan


def _check_ids(plan: FilePlan, index: HybridIndex | None, of_files: set[str]) -> None:
    """Refuse a plan that would write one id twice, or over a document that came into the index another way.

    Raises:     InvalidInputError
    """
    written: set[str] = set()
    for chunk in plan.chunks():
        if chunk.id in written:
            raise InvalidInputError(f"paths: two sources give the id {chunk.id!r}; rename one of them")
        if index is not None and chunk.id not in of_files and chunk.id in index:
            raise InvalidInputError(
                f"paths: the index has a document {chunk.id!r} that came from no file; delete it, or rename the file"
            )
        written.add(chunk.id)


def _compare_file(
    plan: FilePlan,
    file: File,
    options: ReadOptions,
    how: str,
    known: dict[_Source, _Known],
    chunks: Callable[[Iterable[Document], str], Iterator[Document]],
) -> set[_Source]:
    """Plan what a file needs, and return its sources."""
    try:
        if not file.has_records:
            data = read_bytes(file)
            content_hash = _hash(how.encode(), data)
            source = (file.name, None)
            plan._compare(
                source, content_hash, known.get(source), lambda: chunks(read_file(file, options, data), content_hash)
            )
            return {source}
        sources: set[_Source] = set()
        for document in read_file(file, options):
            source = (file.name, document.metadata["record"])
            values = [document.text, document.title, dict(document.metadata)]
            content_hash = _hash(how.encode(), json.dumps(values, sort_keys=True, default=str).encode())
            plan._compare(source, content_hash, known.get(source), partial(chunks, [document], content_hash))
            sources.add(source)
        return sources
    except SightlineError as error:
        if str(file.path) in str(error) or isinstance(error, MissingExtraError):
            raise
        raise type(error)(f"'{file.path}': {error}") from None


def _join(plan: FilePlan, found: FilePlan) -> None:
    for name in ("_changes", "_added", "_updated", "_removed", "_without_text"):
        getattr(plan, name).extend(getattr(found, name))
    plan._unchanged += found._unchanged


def _known(index: HybridIndex) -> dict[_Source, _Known]:
    """Return what an index has of files."""
    known: dict[_Source, _Known] = {}
    ids = index.ids({"content_hash": {"$exists": True}})
    for start in range(0, len(ids), _LOOK_UP):
        for document in index.get(ids[start : start + _LOOK_UP]):
            if document is None or not _is_chunk_of_file(document):
                continue
            entry = known.setdefault((document.metadata["path"], document.metadata.get("record")), _Known())
            entry.hashes.add(document.metadata["content_hash"])
            entry.ids.append(document.id)
            entry.bases.add(str(document.metadata.get("base", "")))
    return known


def _base_mark(base: str | PathLike[str] | None) -> str:
    """Return what tells bases apart without naming folders of this machine in an index; "" for absolute names."""
    return "" if base is None else _hash(os.path.abspath(base).encode())[:16]


def _is_chunk_of_file(document: Document) -> bool:
    """Whether a document was made here; others may have the same names in their metadata."""
    metadata = document.metadata
    names = ("path", "content_hash", "source")
    if not all(isinstance(metadata.get(name), str) for name in names) or "chunk" not in metadata:
        return False
    return bool(
        document.id == f"{metadata['source']}#{metadata['chunk']}" and metadata["source"].startswith(metadata["path"])
    )


def _hash(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _shown(source: _Source) -> str:
    return source[0] if source[1] is None else f"{source[0]}#{source[1]}"


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(root in ("", ".") or path == root or path.startswith(root + "/") for root in roots)


def _below(root: str, known: Iterable[_Source]) -> bool:
    return any(_is_below(path, (root,)) for path, _ in known)
