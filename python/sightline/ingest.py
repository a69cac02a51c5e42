"""The way of documents into a HybridIndex up to the point where nothing can be wrong with them any more."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.columns import Columns, check_paths
from sightline.documents import Document, Vector, has_words, parsed_documents, searched_text
from sightline.embed import embed_documents
from sightline.errors import DuplicateIdError, InvalidInputError, MissingExtraError
from sightline.filters import Filter
from sightline.pending import Batch

__all__ = ["Progress", "check_scope", "prepare", "show_progress"]

# (stage, done, total or None if unknown)
Progress: TypeAlias = "Callable[[str, int, int | None], None]"


def prepare(
    documents: object,
    embedder: Callable[[list[str]], Any] | None,
    dim: int | None,
    fields: Container[str] | None,
    batch_size: int,
    known: Callable[[Sequence[str]], Container[str]] | None,
    reusable: Callable[[Sequence[Document]], list[NDArray[np.float32] | None]],
    report: Progress,
    *,
    dim_of: str = "index",
) -> Iterator[Batch]:
    """Read a stream of documents; check and yield it in batches, in which what has no vector is embedded.

    Parameters: dim : that vectors must have, None for any; dim_of : what has it, for the message; fields : of the
                index's lexical engine, None if it has none; known : which of some ids the index has, None if they may
                occur; reusable : vectors that the embedder made before, None where it must make them
    Raises:     InvalidInputError, DuplicateIdError, both naming the document; whatever the stream or embedder raises
    """
    total = len(documents) if isinstance(documents, Sized) else None
    stage = "embed" if embedder is not None else "read"
    count = 0
    seen: set[str] = set()
    report(stage, 0, total)
    for batch, given, matrix in parsed_documents(documents, batch_size):
        names = _Names(count, batch)
        _check_ids(batch, names, seen, known)
        searched = [searched_text(document) for document in batch]
        rows = _vectors(batch, given, searched, names, embedder, reusable)
        has_vector = [row is not None for row in rows]
        vectors = [row for row in rows if row is not None]
        if vectors and dim is None:
            dim = len(vectors[0])
        if matrix is None or len(matrix) != len(vectors) or matrix.shape[1] != dim:
            for i, row in enumerate(rows):
                if row is not None and len(row) != dim:
                    raise InvalidInputError(
                        f"{names[i]}: vector: expected {dim} dimensions as in the {dim_of}, got {len(row)}"
                    )
            matrix = np.stack(vectors) if vectors else None
        for i, document in enumerate(batch):
            if document.metadata:
                check_paths(document.metadata, f"{names[i]}: metadata")
        yield Batch(
            batch,
            matrix,
            np.array(has_vector, dtype=np.bool_),
            np.array([has_words(each.title, each.text, fields) for each in batch], dtype=np.bool_),
            np.array([here and vector is None for here, vector in zip(has_vector, given, strict=True)], dtype=np.bool_),
        )
        count += len(batch)
        report(stage, count, total)


class _Names(Sequence[str]):
    """What to call each document of a batch in an error; made when there is one."""

    def __init__(self, first: int, batch: list[Document]) -> None:
        self._first = first
        self._batch = batch

    def __len__(self) -> int:
        return len(self._batch)

    def __getitem__(self, i: Any) -> Any:
        return f"documents[{self._first + i}] (id {self._batch[i].id!r})"


def check_scope(documents: list[Document], scope: Filter, first: int) -> None:
    """Refuse documents that a filter does not match.

    Parameters: first : how many came before them
    Raises:     InvalidInputError naming the first of them
    """
    inside = scope.mask(Columns().extended(document.metadata for document in documents))
    if not inside.all():
        position = int(np.argmin(inside))
        raise InvalidInputError(f"{_Names(first, documents)[position]}: its metadata is outside the scope of this view")


def _check_ids(
    batch: list[Document],
    names: Sequence[str],
    seen: set[str],
    known: Callable[[Sequence[str]], Container[str]] | None,
) -> None:
    present = () if known is None else known([document.id for document in batch])
    for i, document in enumerate(batch):
        if document.id in seen:
            raise DuplicateIdError(f"{names[i]}: the id occurs twice in this call")
        if document.id in present:
            raise DuplicateIdError(f"{names[i]}: the id is already in the index; use upsert to replace it")
        seen.add(document.id)


def _vectors(
    batch: list[Document],
    given: list[Vector | None],
    searched: list[str],
    names: Sequence[str],
    embedder: Callable[[list[str]], Any] | None,
    reusable: Callable[[Sequence[Document]], list[NDArray[np.float32] | None]],
) -> list[NDArray[np.float32] | None]:
    rows = list(given)
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
