"""The way of documents into a HybridIndex up to the point where nothing can be wrong with them any more."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Columns, Mask, check_paths
from sightline.documents import Document, read_documents, searched_text
from sightline.embed import embed_documents
from sightline.errors import DuplicateIdError, InvalidInputError, MissingExtraError
from sightline.filters import Filter

__all__ = ["Prepared", "Progress", "check_scope", "prepare", "show_progress"]

# (stage, done, total or None if unknown)
Progress: TypeAlias = "Callable[[str, int, int | None], None]"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Checked documents, ready for both engines. ``vectors`` and ``texts`` hold rows only where the masks are set."""

    documents: list[Document]  # without their vectors, which the dense engine keeps
    vectors: NDArray[np.float32] | None
    texts: list[str]
    has_vector: Mask
    has_text: Mask
    embedded: Mask  # whose vectors the embedder made


def prepare(
    documents: object,
    embedder: Callable[[list[str]], Any] | None,
    dim: int | None,
    batch_size: int,
    known: Callable[[Sequence[str]], Container[str]] | None,
    reusable: Callable[[Sequence[Document]], list[NDArray[np.float32] | None]],
    report: Progress,
) -> Prepared:
    """Read a stream of documents, check all of it and embed what has no vector.

    Parameters: dim : of the index, None if it has no vector yet; known : which of some ids the index has, None if they
                may occur; reusable : vectors that the embedder made before, None where it must make them
    Raises:     InvalidInputError, DuplicateIdError, both naming the document; whatever the stream or embedder raises
    """
    total = len(documents) if isinstance(documents, Sized) else None
    kept: list[Document] = []
    vectors: list[NDArray[np.float32]] = []
    has_vector: list[bool] = []
    texts: list[str] = []
    has_text: list[bool] = []
    embedded: list[bool] = []
    seen: set[str] = set()
    report("embed" if embedder is not None else "read", 0, total)
    for batch in read_documents(documents, batch_size):
        names = [f"documents[{len(kept) + i}] (id {document.id!r})" for i, document in enumerate(batch)]
        _check_ids(batch, names, seen, known)
        searched = [searched_text(document) for document in batch]
        rows = _vectors(batch, searched, names, embedder, reusable)
        for name, row in zip(names, rows, strict=True):
            if row is None:
                continue
            if dim is None:
                dim = len(row)
            if len(row) != dim:
                raise InvalidInputError(f"{name}: vector: expected {dim} dimensions as in the index, got {len(row)}")
            vectors.append(row)
        for document, text, name, row in zip(batch, searched, names, rows, strict=True):
            check_paths(document.metadata, f"{name}: metadata")
            kept.append(Document(document.id, document.text, document.metadata, None, document.title))
            has_vector.append(row is not None)
            embedded.append(row is not None and document.vector is None)
            has_text.append(bool(text.strip()))
            if has_text[-1]:
                texts.append(text)
        report("embed" if embedder is not None else "read", len(kept), total)
    return Prepared(
        kept,
        np.stack(vectors) if vectors else None,
        texts,
        np.array(has_vector, dtype=np.bool_),
        np.array(has_text, dtype=np.bool_),
        np.array(embedded, dtype=np.bool_),
    )


def check_scope(documents: list[Document], scope: Filter) -> None:
    """Refuse documents that a filter does not match.

    Raises:     InvalidInputError naming the first of them
    """
    inside = scope.mask(Columns().extended(document.metadata for document in documents))
    if not inside.all():
        position = int(np.argmin(inside))
        raise InvalidInputError(
            f"documents[{position}] (id {documents[position].id!r}): its metadata is outside the scope of this view"
        )


def _check_ids(
    batch: list[Document],
    names: list[str],
    seen: set[str],
    known: Callable[[Sequence[str]], Container[str]] | None,
) -> None:
    present = () if known is None else known([document.id for document in batch])
    for document, name in zip(batch, names, strict=True):
        if document.id in seen:
            raise DuplicateIdError(f"{name}: the id occurs twice in this call")
        if document.id in present:
            raise DuplicateIdError(f"{name}: the id is already in the index; use upsert to replace it")
        seen.add(document.id)


def _vectors(
    batch: list[Document],
    searched: list[str],
    names: list[str],
    embedder: Callable[[list[str]], Any] | None,
    reusable: Callable[[Sequence[Document]], list[NDArray[np.float32] | None]],
) -> list[NDArray[np.float32] | None]:
    rows: list[NDArray[np.float32] | None] = [document.vector for document in batch]
    # The embedding of nothing says nothing, so a blank document gets none.
    missing = [i for i, row in enumerate(rows) if row is None and searched[i].strip()]
    if embedder is not None and missing:
        for i, row in zip(missing, reusable([batch[i] for i in missing]), strict=True):
            rows[i] = row
        missing = [i for i in missing if rows[i] is None]
    if embedder is not None and missing:
        embedded = embed_documents(embedder, [searched[i] for i in missing], [names[i] for i in missing])
        for i, row in zip(missing, embedded, strict=True):
            rows[i] = row
    return rows


@contextmanager
def show_progress(progress: object) -> Iterator[Progress]:
    """Yield the function to report to: one that does nothing, a caller's own, or a progress bar on stderr."""
    if progress is False:
        yield lambda stage, done, total: None
        return
    if progress is not True:
        if not callable(progress):
            raise InvalidInputError(f"progress: expected a bool or a callable, got {type(progress).__name__}")
        yield progress
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
    except ImportError:
        raise MissingExtraError("progress=True needs rich: pip install 'sightline[cli]'") from None
    with Bars(
        TextColumn("{task.description:<6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
