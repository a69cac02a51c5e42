"""HybridIndex: documents in, hits out."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from sightline.documents import Document, Hit, copy_plain, document_id
from sightline.errors import DuplicateIdError, InvalidInputError, SightlineError, checked_integer
from sightline.filters import Filter, parse_filter
from sightline.fusion import RRF, Convex
from sightline.ingest import Prepared, Progress, check_scope, prepare, show_progress
from sightline.request import Mode, parse_request, parse_selection
from sightline.rerank import Reranker
from sightline.retrieval import State, finish, retrieve
from sightline.scoped import ScopedIndex
from sightline.table import Rows, Table

if TYPE_CHECKING:
    from sightline.analyzer import Analyzer
    from sightline.bm25_index import Variant

__all__ = ["HybridIndex"]


class HybridIndex:
    """Index documents for search by meaning, by words, and by both fused exactly.

    In memory. Safe to use from several threads: a write makes a new state of documents and engines beside the current
    one (they share what did not change) and publishes it at its end, so searches never wait for it and see all of a
    write or nothing of it. Writes wait for each other, after checking and embedding.

    A document without a vector, where there is an embedder, is embedded as ``title + " " + text``, unless that is
    blank. Without embedder and vectors the index is lexical only.

    Parameters: path : must be None, on-disk indexes come with a later version; embedder : ``(list of str) -> array
                (n, dim)``, to which queries may go another way, see sightline.embed; dim : of the vectors, default that
                of the first; analyzer : Analyzer or the language of one; k1, b, delta, variant : of BM25, see
                BM25Index; batch_size : documents checked and embedded at a time
    Raises:     InvalidInputError if an argument has the wrong type or range
    """

    def __init__(
        self,
        path: None = None,
        embedder: Callable[[list[str]], Any] | None = None,
        *,
        dim: int | None = None,
        analyzer: Analyzer | str = "english",
        k1: float = 1.2,
        b: float = 0.75,
        delta: float = 0.5,
        variant: Variant = "lucene",
        batch_size: int = 256,
    ) -> None:
        from sightline.analyzer import Analyzer
        from sightline.bm25_index import BM25Index
        from sightline.vector_index import VectorIndex

        if path is not None:
            raise InvalidInputError(
                f"path: indexes on disk are not available in this version, got {path!r}; path=None makes one in memory"
            )
        if embedder is not None and not callable(embedder):
            raise InvalidInputError(f"embedder: expected a callable or None, got {type(embedder).__name__}")
        for name in ("embed_query", "embed_queries"):
            method = getattr(embedder, name, None)
            if method is not None and not callable(method):
                raise InvalidInputError(f"embedder: expected its {name} to be a method, got {type(method).__name__}")
        if isinstance(analyzer, str):
            analyzer = Analyzer(analyzer)
        if not isinstance(analyzer, Analyzer):
            raise InvalidInputError(
                f"analyzer: expected an Analyzer or the name of a language, got {type(analyzer).__name__}"
            )
        self._embedder = embedder
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        lexical = BM25Index(analyzer, k1=k1, b=b, delta=delta, variant=variant)
        dense = None if dim is None else VectorIndex(dim, metric="cosine")
        self._state = State(Table(), dense, lexical, _tf_limit(variant, k1, delta))
        self._id_of: dict[str, int] = {}  # of the documents in _state, to their internal ids
        self._publishing = threading.Lock()  # held only to replace the two together, or to read both
        self._writing = threading.Lock()
        self._closed = False

    # Writing

    def add(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add documents, all or none.

        The iterable is consumed as a stream; nothing is visible before its end, and an error anywhere, in the stream
        itself, a document or the embedder, leaves the index as it was.

        Parameters: documents : Document, dict of the same keys, or str (which gets a random UUID as its id);
                    progress : True shows a bar (extra ``cli``); or a callable (stage, done, total or None), whose
                    errors end the call, but for one in the last report, which comes when the documents are there
        Returns:    the ids, in order
        Raises:     DuplicateIdError if an id occurs twice or is present; InvalidInputError naming the document
                    otherwise
        """
        return self._write(documents, progress, replace=False, scope=None)

    def upsert(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add documents, all or none, replacing those whose ids are present.

        Parameters: as for ``add``
        Returns:    the ids, in order
        Raises:     DuplicateIdError if an id occurs twice in the call; InvalidInputError naming the document otherwise
        """
        return self._write(documents, progress, replace=True, scope=None)

    def delete(self, ids: str | Iterable[str] | None = None, where: Mapping[str, Any] | None = None) -> int:
        """Remove documents by id, by filter, or those of the ids that a filter matches.

        Parameters: ids : unknown ones are no error; where : see sightline.filters, ``{}`` means all
        Returns:    how many were removed
        Raises:     InvalidInputError if neither is given
        """
        if ids is None and where is None:
            raise InvalidInputError("delete: give ids or where; to remove everything, say where={}")
        wanted = None if ids is None else _ids(ids)
        condition = None if where is None else parse_filter(where)
        with self._writing:
            self._check_open()
            table = self._state.table
            if wanted is None:
                rows = np.arange(len(table.row_ids))
                alive = table.live
                rows = rows if alive is None else rows[alive]
            else:
                rows = table.rows([i for name in dict.fromkeys(wanted) if (i := self._id_of.get(name)) is not None])
            if condition is not None:
                rows = rows[condition.mask(table.columns, table.live)[rows]]
            if len(rows):
                self._replace(rows, None)
            return len(rows)

    def _write(self, documents: object, progress: bool | Progress, *, replace: bool, scope: Filter | None) -> list[str]:
        self._check_open()
        with show_progress(progress) as report:
            known = None if replace else self._id_of
            prepared = prepare(documents, self._embedder, self._state.dim, self._batch_size, known, report)
            if not prepared.documents:
                return []
            if scope is not None:
                check_scope(prepared.documents, scope)
            count = len(prepared.documents)
            report("index", 0, count)  # outside the lock: a caller's function may itself search
            with self._writing:
                self._check_open()
                self._replace(self._replaced_rows(prepared, replace, scope), prepared)
            with suppress(Exception):  # the documents are there: an error now would say that they are not
                report("index", count, count)
        return [document.id for document in prepared.documents]

    def _replaced_rows(self, prepared: Prepared, replace: bool, scope: Filter | None) -> Rows:
        """Return the rows that prepared documents replace.

        Raises:     DuplicateIdError if they must not; InvalidInputError for vectors of another dimension. Both were
                    checked while the stream was read, but other threads may have written since.
        """
        state = self._state
        if prepared.vectors is not None and state.dim not in (None, prepared.vectors.shape[1]):
            raise InvalidInputError(
                f"documents: vectors have {prepared.vectors.shape[1]} dimensions, the index has {state.dim}"
            )
        present = [document.id for document in prepared.documents if document.id in self._id_of]
        if present and not replace:
            raise DuplicateIdError(f"documents: id {present[0]!r} is already in the index; use upsert to replace it")
        rows = state.table.rows([self._id_of[name] for name in present])
        if present and scope is not None:
            inside = scope.mask(state.table.columns, state.table.live)[rows]
            if not inside.all():
                name = present[int(np.argmin(inside))]
                raise DuplicateIdError(f"documents: id {name!r} is taken by a document outside the scope")
        return rows

    def _replace(self, rows: Rows, prepared: Prepared | None) -> None:
        """Publish the state in which some rows are gone and prepared documents are there. An error changes nothing."""
        from sightline.vector_index import VectorIndex

        state = self._state
        table, dense, lexical = state.table, state.dense, state.lexical.fork()
        dense = None if dense is None else dense.fork()
        added: dict[str, int] = {}
        if prepared is not None:
            ids = np.arange(table.next_id, table.next_id + len(prepared.documents), dtype=np.int64)
            if prepared.vectors is not None:
                dense = VectorIndex(prepared.vectors.shape[1], metric="cosine") if dense is None else dense
                dense.add(prepared.vectors, ids[prepared.has_vector])
            if prepared.texts:
                lexical.add(prepared.texts, ids[prepared.has_text])
            added = {document.id: i for document, i in zip(prepared.documents, ids.tolist(), strict=True)}
        removed = table.row_ids[rows]
        if dense is not None:
            dense.remove(removed)
        lexical.remove(removed)
        names = [table.document(row).id for row in rows.tolist()]
        if prepared is None:
            table = table.after(rows)
        else:
            table = table.after(rows, prepared.documents, prepared.has_vector, prepared.has_text, prepared.embedded)
        following = State(table, dense, lexical, state.tf_limit)
        with self._publishing:
            for name in names:
                del self._id_of[name]
            self._id_of.update(added)
            self._state = following

    # Reading

    def __len__(self) -> int:
        self._check_open()
        return len(self._state.table)

    def __contains__(self, id: object) -> bool:
        self._check_open()
        return id in self._id_of

    def get(self, ids: str | Iterable[str]) -> list[Document | None]:
        """Return documents by id.

        A document can be changed (``dataclasses.replace``) and given to ``upsert``: ``vector`` is set only where the
        caller gave it, so that what the embedder made is made again from the new text. O(m log n) for m ids.

        Parameters: ids : str or iterable of str
        Returns:    a Document for each id, in the order of ``ids``, None where unknown; a copy
        Raises:     InvalidInputError if ids holds anything but non-empty str; SightlineError after ``close``
        """
        return self._get(ids, None)

    def _get(self, ids: object, scope: Filter | None) -> list[Document | None]:
        wanted = _ids(ids)
        self._check_open()
        with self._publishing:
            state = self._state
            known = [self._id_of.get(name) for name in wanted]
        table = state.table
        inside = None if scope is None else scope.mask(table.columns, table.live)
        found: list[Document | None] = [None] * len(wanted)
        with_vector: dict[int, int] = {}  # position to internal id
        for position, internal in enumerate(known):
            if internal is None:
                continue
            row = int(table.rows([internal])[0])
            if inside is None or inside[row]:
                stored = table.document(row)
                found[position] = replace(stored, metadata=copy_plain(stored.metadata))
                if table.has_vector[row] and not table.embedded[row]:
                    with_vector[position] = internal
        if state.dense is not None and with_vector:
            vectors = state.dense.get(list(with_vector.values()))
            for position, vector in zip(with_vector, vectors, strict=True):
                document = found[position]
                if document is not None:
                    found[position] = replace(document, vector=vector)
        return found

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, or how many match a filter; O(1), or a pass over the filter's columns.

        Parameters: where : filter, see sightline.filters; None counts all
        Returns:    int
        Raises:     InvalidInputError if the filter is malformed or its kinds clash with what a field holds
        """
        condition = None if where is None else parse_filter(where)
        self._check_open()
        table = self._state.table
        return len(table) if condition is None else int(np.count_nonzero(condition.mask(table.columns, table.live)))

    def ids(self, where: Mapping[str, Any] | None = None) -> list[str]:
        """Return the ids of all documents, or of those that match a filter, in the order of writing.

        With ``get``, this reads an index without a search. O(N), and a pass over the filter's columns.

        Parameters: where : filter, see sightline.filters; None means all
        Returns:    list of str
        Raises:     InvalidInputError if the filter is malformed or its kinds clash with what a field holds
        """
        condition = None if where is None else parse_filter(where)
        self._check_open()
        table = self._state.table
        selected = table.select(condition)
        rows = range(len(table.row_ids)) if selected is None else np.flatnonzero(selected).tolist()
        return [table.document(row).id for row in rows]

    @overload
    def search(
        self,
        query: str | None,
        k: int = ...,
        *,
        mode: Mode | None = ...,
        vector: Any = ...,
        where: Mapping[str, Any] | None = ...,
        fusion: Convex | RRF | None = ...,
        rerank: Reranker | None = ...,
        rerank_depth: int = ...,
        diversity: float | None = ...,
        group_by: str | None = ...,
        per_group: int = ...,
        explain: bool = ...,
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[str] | tuple[str, ...],
        k: int = ...,
        *,
        mode: Mode | None = ...,
        vector: Any = ...,
        where: Mapping[str, Any] | None = ...,
        fusion: Convex | RRF | None = ...,
        rerank: Reranker | None = ...,
        rerank_depth: int = ...,
        diversity: float | None = ...,
        group_by: str | None = ...,
        per_group: int = ...,
        explain: bool = ...,
    ) -> list[list[Hit]]: ...

    def search(
        self,
        query: str | list[str] | tuple[str, ...] | None,
        k: int = 10,
        *,
        mode: Mode | None = None,
        vector: Any = None,
        where: Mapping[str, Any] | None = None,
        fusion: Convex | RRF | None = None,
        rerank: Reranker | None = None,
        rerank_depth: int = 50,
        diversity: float | None = None,
        group_by: str | None = None,
        per_group: int = 1,
        explain: bool = False,
    ) -> list[Hit] | list[list[Hit]]:
        """Return the best k documents of a query, or a list of such lists for a list of queries.

        Ties are in the order of writing. In hybrid mode every document that has a vector or a query term takes part.

        Parameters: query : str or list of str; None with ``vector`` in dense mode; mode : "hybrid", "dense" or
                    "lexical", default hybrid, and lexical for an index without embedder and vectors; vector : (dim,),
                    or (q, dim) for a list, default the embedder's; where : filter, see sightline.filters; fusion :
                    Convex() by default, or RRF(); rerank : ``(query, texts) -> scores``, reorders the best
                    ``rerank_depth``; diversity : 0 to 1, trades relevance for hits that differ from those above them
                    (maximal marginal relevance over the best 50 or 4 k); group_by : metadata field, at most
                    ``per_group`` hits of each of its values; explain : fill ``Hit.explanation``
        Returns:    at most k hits, fewer if fewer documents take part
        Raises:     InvalidInputError on any argument that does not fit, such as a dense query without an embedder
        """
        self._check_open()
        state = self._state
        request = parse_request(
            query,
            mode=mode,
            vector=vector,
            where=where,
            fusion=fusion,
            explain=explain,
            selection=parse_selection(
                k=k,
                rerank=rerank,
                rerank_depth=rerank_depth,
                diversity=diversity,
                group_by=group_by,
                per_group=per_group,
            ),
            embedder=self._embedder,
            dim=state.dim,
            vector_count=state.vector_count,
            empty=not len(state.table),
        )
        if not request.texts:
            return []
        hits = finish(request, retrieve(state, request))
        return hits[0] if request.single else hits

    async def asearch(self, query: Any, k: int = 10, **options: Any) -> Any:
        """Search in a worker thread, so that the event loop goes on.

        Parameters: as for ``search``
        Returns:    as ``search``
        Raises:     as ``search``
        Notes:      cancelling the task does not stop the thread, whose result is then dropped
        """
        return await asyncio.to_thread(functools.partial(self.search, query, k, **options))

    def scoped(self, where: Mapping[str, Any]) -> ScopedIndex:
        """Return a view confined to a filter, such as one tenant's documents, which no call on it can leave.

        Holds no data: every call on it evaluates the filter on the index as it then is.

        Parameters: where : filter, see sightline.filters; copied
        Returns:    ScopedIndex
        Raises:     InvalidInputError if the filter is malformed
        """
        self._check_open()
        return ScopedIndex(self, where)

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes: ``documents``, ``with_vector``, ``with_text``, ``dim`` and ``bytes`` by engine."""
        self._check_open()
        state = self._state
        return {
            "documents": len(state.table),
            "with_vector": state.vector_count,
            "with_text": len(state.lexical),
            "dim": state.dim,
            "bytes": {
                "dense": {} if state.dense is None else state.dense.memory(),
                "lexical": state.lexical.memory(),
            },
        }

    def __repr__(self) -> str:
        state = self._state
        if self._closed:
            return "HybridIndex, closed"
        return f"HybridIndex(dim={state.dim}) with {len(state.table)} documents"

    # Life cycle

    def close(self) -> None:
        """Free the index; every later call but ``close`` is an error."""
        from sightline.bm25_index import BM25Index

        with self._writing, self._publishing:
            self._closed = True
            self._id_of = {}
            self._state = State(Table(), None, BM25Index(self._state.lexical.analyzer), self._state.tf_limit)

    def __enter__(self) -> HybridIndex:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SightlineError("this HybridIndex is closed")


def _ids(ids: object) -> list[str]:
    if isinstance(ids, str):
        ids = [ids]
    if not isinstance(ids, Iterable):
        raise InvalidInputError(f"ids: expected a str or an iterable of str, got {type(ids).__name__}")
    return [document_id(name, f"ids[{i}]") for i, name in enumerate(ids)]


def _tf_limit(variant: str, k1: float, delta: float) -> float:
    """Return what the term-frequency factor of a BM25 variant approaches for a word that fills a document."""
    limits = {"atire": k1 + 1.0, "bm25l": k1 + 1.0, "bm25+": k1 + 1.0 + delta}
    return limits.get(variant, 1.0)
