"""A view of a HybridIndex that is confined to a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from sightline.async_calls import AsyncCalls
from sightline.documents import Document
from sightline.filters import Filter, parse_filter, within
from sightline.ingest import Progress

__all__ = ["ScopedIndex"]


class _Index(Protocol):
    """What a scope needs of the index below it, which stands above this module."""

    @property
    def search(self) -> Callable[..., Any]: ...

    # ``where`` may be a parsed filter here.

    def count(self, where: Any = None) -> int: ...

    def ids(self, where: Any = None) -> list[str]: ...

    def delete(self, ids: Any = None, where: Any = None) -> int: ...

    def _get(self, ids: object, scope: Filter | None) -> list[Document | None]: ...

    def _write(
        self, documents: object, progress: bool | Progress, *, replace: bool, scope: Filter | None
    ) -> list[str]: ...


class ScopedIndex(AsyncCalls):
    """Confine every call to the documents that a filter matches.

    What is outside cannot be found, fetched, counted or deleted, and what is written must be inside, so an application
    cannot forget the filter. Nor does an error tell what kinds of values the documents outside hold. Ids are those of
    the whole index: one that a document outside has cannot be used. Corpus statistics (idf, lengths) stay those of the
    whole index. Made by ``HybridIndex.scoped``.

    Parameters: index : HybridIndex; where : filter, see sightline.filters; copied
    Raises:     InvalidInputError if the filter is malformed
    Notes:      thread-safe as the index is; evaluates the filter once more for every call
    """

    def __init__(self, index: _Index, where: Mapping[str, Any] | Filter) -> None:
        self._scope = parse_filter(where)  # parsed, so that it does not follow changes to the caller's dictionary
        self._index = index

    def search(self, query: Any, k: int = 10, *, where: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Search inside the scope.

        Parameters: where : filter inside the scope; the others as for ``HybridIndex.search``
        Returns:    as ``HybridIndex.search``
        Raises:     as ``HybridIndex.search``
        """
        return self._index.search(query, k, where=self._within(where), **options)

    def add(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add documents inside the scope, all or none.

        Parameters: as for ``HybridIndex.add``
        Returns:    the ids, in order
        Raises:     as ``HybridIndex.add``; InvalidInputError, too, if a document is outside the scope
        """
        return self._index._write(documents, progress, replace=False, scope=self._scope)

    def upsert(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add or replace documents inside the scope, all or none.

        Parameters: as for ``HybridIndex.upsert``
        Returns:    the ids, in order
        Raises:     as ``HybridIndex.upsert``; InvalidInputError, too, if a document is outside the scope;
                    DuplicateIdError, too, if an id belongs to a document outside
        """
        return self._index._write(documents, progress, replace=True, scope=self._scope)

    def get(self, ids: str | Iterable[str]) -> list[Document | None]:
        """Return documents inside the scope by id.

        Parameters: ids : str or iterable of str
        Returns:    a Document for each id, in the order of ``ids``, None where unknown or outside the scope
        Raises:     as ``HybridIndex.get``
        """
        return self._index._get(ids, self._scope)

    def delete(self, ids: str | Iterable[str] | None = None, where: Mapping[str, Any] | None = None) -> int:
        """Remove documents inside the scope by id, by filter, or those of the ids that a filter matches.

        Parameters: ids : unknown ones, and those outside the scope, are no error; where : ``{}`` means all of the scope
        Returns:    how many were removed
        Raises:     InvalidInputError if neither is given, and as ``HybridIndex.delete``
        """
        if ids is None and where is None:
            return self._index.delete()  # which says what is missing
        return self._index.delete(ids, self._within(where))

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents the scope holds, or how many of them match a filter.

        Parameters: where : filter inside the scope; None counts all of it
        Returns:    int
        Raises:     as ``HybridIndex.count``
        """
        return self._index.count(self._within(where))

    def ids(self, where: Mapping[str, Any] | None = None) -> list[str]:
        """Return the ids of the scope's documents, or of those of them that match a filter, in the order of writing.

        Parameters: where : filter inside the scope; None means all of it
        Returns:    list of str
        Raises:     as ``HybridIndex.ids``
        """
        return self._index.ids(self._within(where))

    def scoped(self, where: Mapping[str, Any]) -> ScopedIndex:
        """Return a view confined further.

        Parameters: where : filter inside the scope; copied
        Returns:    ScopedIndex
        Raises:     InvalidInputError if the filter is malformed
        """
        return ScopedIndex(self._index, within(self._scope, parse_filter(where)))

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        # Not the index's own, which tells how many documents there are outside.
        return f"ScopedIndex of a {type(self._index).__name__}"

    def _within(self, where: Mapping[str, Any] | None) -> Filter:
        return self._scope if where is None else within(self._scope, parse_filter(where))
