"""HybridIndex: documents in, hits out."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from sightline.documents import Document, Hit, copy_plain, document_id
from sightline.errors import DuplicateIdError, InvalidInputError, SightlineError
from sightline.filters import Filter, parse_filter
from sightline.fusion import RRF, Convex
from sightline.ingest import Prepared, Progress, check_scope, prepare, show_progress
from sightline.locks import ReadWriteLock
from sightline.request import Mode, parse_request, parse_selection, positive
from sightline.rerank import Reranker
from sightline.retrieval import View, finish, retrieve
from sightline.table import Table

if TYPE_CHECKING:
    from sightline.analyzer import Analyzer
    from sightline.bm25_index import BM25Index, Variant
    from sightline.scoped import ScopedIndex
    from sightline.vector_index import VectorIndex

__all__ = ["HybridIndex"]

# See Convex.lexical_scale: so many words that occur in a single document weigh as much as cosine 1. Chosen on four
# judged collections, where every value from 3 to 6 stays within 0.003 of the best mean nDCG@10.
_SCALE_WORDS = 5.0


class HybridIndex:
    """Index documents for search by meaning, by words, and by both fused exactly.

    In memory. Safe to use from several threads: searches run together; a write prepares (checks, embeds) beside them
    and then holds them up only while both engines take the new rows. A search sees all of a write or nothing of it.

    A document without a vector, where there is an embedder, is embedded as ``title + " " + text``, unless that is
    blank. Without embedder and vectors the index is lexical only.

    Parameters: path : must be None, on-disk indexes come with a later version; embedder : ``(list of str) -> array
                (n, dim)``, see sightline.embed; dim : of the vectors, default that of the first; analyzer : Analyzer or
                the language of one; k1, b, delta, variant : of BM25, see BM25Index; batch_size : documents checked and
                embedded at a time
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
        if isinstance(analyzer, str):
            analyzer = Analyzer(analyzer)
        if not isinstance(analyzer, Analyzer):
            raise InvalidInputError(
                f"analyzer: expected an Analyzer or the name of a language, got {type(analyzer).__name__}"
            )
        self._embedder = embedder
        self._batch_size = positive("batch_size", batch_size)
        self._lexical: BM25Index = BM25Index(analyzer, k1=k1, b=b, delta=delta, variant=variant)
        self._tf_limit = _tf_limit(variant, k1, delta)
        self._dense: VectorIndex | None = None if dim is None else VectorIndex(dim, metric="cosine")
        self._dim = dim
        self._table = Table()
        self._lock = ReadWriteLock()
        self._closed = False

    # Writing

    def add(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add documents, all or none.

        The iterable is consumed as a stream; nothing is visible before its end, and an error anywhere, in the stream
        itself, a document or the embedder, leaves the index as it was.

        Parameters: documents : Document, dict of the same keys, or str (which gets a random UUID as its id);
                    progress : True shows a bar (extra ``cli``); or a callable (stage, done, total or None)
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
        with self._lock.exclusive():
            self._check_open()
            table = self._table
            mask = None if condition is None else condition.mask(table.columns, table.live)
            if wanted is not None:
                rows = [row for name in dict.fromkeys(wanted) if (row := table.row_of.get(name)) is not None]
                if mask is not None:
                    rows = [row for row in rows if mask[row]]
            else:
                rows = np.flatnonzero(mask).tolist() if mask is not None else []
            self._remove_from_engines(rows)
            table.remove(rows)
            return len(rows)

    def _write(self, documents: object, progress: bool | Progress, *, replace: bool, scope: Filter | None) -> list[str]:
        self._check_open()
        with show_progress(progress) as report:
            known = None if replace else self._table.row_of
            prepared = prepare(documents, self._embedder, self._dim, self._batch_size, known, report)
            if not prepared.documents:
                return []
            if scope is not None:
                check_scope(prepared.documents, scope)
            count = len(prepared.documents)
            report("index", 0, count)  # outside the lock: a caller's function may itself search
            with self._lock.exclusive():
                self._check_open()
                self._commit(prepared, replace, scope)
            report("index", count, count)
        return [document.id for document in prepared.documents]

    def _commit(self, prepared: Prepared, replace: bool, scope: Filter | None) -> None:
        """Take prepared documents into both engines and the table; undo what was done if any of them fails."""
        table = self._table
        replaced = [row for document in prepared.documents if (row := table.row_of.get(document.id)) is not None]
        if replaced and not replace:  # added by another thread since the stream was checked
            document = table.documents[replaced[0]]
            name = "" if document is None else document.id
            raise DuplicateIdError(f"documents: id {name!r} is already in the index; use upsert to replace it")
        if replaced and scope is not None:
            inside = scope.mask(table.columns, table.live)
            outside = [row for row in replaced if not inside[row]]
            if outside:
                document = table.documents[outside[0]]
                name = "" if document is None else document.id
                raise DuplicateIdError(f"documents: id {name!r} is taken by a document outside the scope")
        dense = self._dense
        if prepared.vectors is not None:
            dim = prepared.vectors.shape[1]
            if self._dim is not None and dim != self._dim:
                raise InvalidInputError(f"documents: vectors have {dim} dimensions, the index has {self._dim}")
            if dense is None:
                from sightline.vector_index import VectorIndex

                dense = VectorIndex(dim, metric="cosine")
        count = len(prepared.documents)
        ids = np.arange(table.next_id, table.next_id + count, dtype=np.int64)
        dense_ids, lexical_ids = ids[prepared.has_vector], ids[prepared.has_text]
        try:
            if dense is not None and prepared.vectors is not None:
                dense.add(prepared.vectors, dense_ids)
            if len(lexical_ids):
                self._lexical.add(prepared.texts, lexical_ids)
        except BaseException:  # also KeyboardInterrupt: half a write must not stay
            if dense is not None:
                dense.remove(dense_ids)
            self._lexical.remove(lexical_ids)
            raise
        if dense is not None:
            self._dense, self._dim = dense, dense.dim
        self._remove_from_engines(replaced)
        table.append(prepared.documents, ids, prepared.has_vector, prepared.has_text)

    def _remove_from_engines(self, rows: Sequence[int]) -> None:
        ids = self._table.row_ids[list(rows)]
        if self._dense is not None:
            self._dense.remove(ids)
        self._lexical.remove(ids)

    # Reading

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, id: object) -> bool:
        return id in self._table.row_of

    def get(self, ids: str | Iterable[str]) -> list[Document | None]:
        """Return documents by id, aligned with ``ids``, None where unknown; ``vector`` is the stored one or None."""
        return self._get(ids, None)

    def _get(self, ids: object, scope: Filter | None) -> list[Document | None]:
        wanted = _ids(ids)
        with self._lock.shared():
            self._check_open()
            table = self._table
            rows = [table.row_of.get(name) for name in wanted]
            if scope is not None:
                inside = scope.mask(table.columns, table.live)
                rows = [row if row is not None and inside[row] else None for row in rows]
            vectors: dict[int, NDArray[np.float32]] = {}
            with_vector = sorted({row for row in rows if row is not None and table.has_vector[row]})
            if self._dense is not None and with_vector:
                stored = self._dense.get(table.row_ids[with_vector])
                vectors = dict(zip(with_vector, stored, strict=True))
            found: list[Document | None] = []
            for row in rows:
                document = None if row is None else table.documents[row]
                if document is not None and row is not None:
                    document = Document(
                        document.id,
                        document.text,
                        copy_plain(document.metadata),
                        vectors.get(row),
                        document.title,
                    )
                found.append(document)
            return found

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, or how many match a filter."""
        condition = None if where is None else parse_filter(where)
        with self._lock.shared():
            self._check_open()
            if condition is None:
                return len(self._table)
            return int(np.count_nonzero(condition.mask(self._table.columns, self._table.live)))

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
            dim=self._dim,
            empty=not len(self._table),
        )
        if not request.texts:
            return []
        with self._lock.shared():
            self._check_open()
            found = retrieve(self._view(), request)
        hits = finish(request, found)
        return hits[0] if request.single else hits

    async def asearch(self, query: Any, k: int = 10, **options: Any) -> Any:
        """Search in a worker thread, so that the event loop goes on; arguments and result as for ``search``."""
        return await asyncio.to_thread(functools.partial(self.search, query, k, **options))

    def _view(self) -> View:
        return View(
            self._table,
            self._dense,
            self._lexical,
            _SCALE_WORDS * self._tf_limit * math.log1p(max(len(self._lexical), 1)),
        )

    def scoped(self, where: Mapping[str, Any]) -> ScopedIndex:
        """Return a view confined to a filter, such as one tenant's documents, which no call on it can leave.

        Raises:     InvalidInputError if the filter is malformed
        """
        from sightline.scoped import ScopedIndex

        return ScopedIndex(self, where)

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes: ``documents``, ``with_vector``, ``with_text``, ``dim`` and ``bytes`` by engine."""
        with self._lock.shared():
            self._check_open()
            return {
                "documents": len(self._table),
                "with_vector": 0 if self._dense is None else len(self._dense),
                "with_text": len(self._lexical),
                "dim": self._dim,
                "bytes": {
                    "dense": {} if self._dense is None else self._dense.memory(),
                    "lexical": self._lexical.memory(),
                },
            }

    def __repr__(self) -> str:
        return f"HybridIndex(dim={self._dim}) with {len(self)} documents"

    # Life cycle

    def close(self) -> None:
        """Free the index; every later call but ``close`` is an error."""
        with self._lock.exclusive():
            self._closed = True
            self._table = Table()
            self._dense = None
            self._lexical.remove(self._lexical.ids)

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
