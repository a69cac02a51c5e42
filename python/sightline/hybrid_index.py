"""HybridIndex: documents in, hits out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from operator import is_
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from sightline.async_calls import AsyncCalls
from sightline.documents import Document, Hit, document_id
from sightline.errors import (
    InvalidInputError,
    SightlineError,
    checked_integer,
)
from sightline.fields import Field
from sightline.filters import Filter, parse_filter
from sightline.fusion import Fusion
from sightline.ingest import Progress
from sightline.opening import checked_adapter, checked_embedder, checked_settings, open_keeper
from sightline.query import Query
from sightline.reading import copies, found_documents, on_newest
from sightline.request import Mode, SearchOptions, parse_request, parse_selection
from sightline.rerank import OnError, Reranker
from sightline.result_cache import CachedQueries, ResultCache, key_of
from sightline.retrieval import State, finish, list_candidates, plain_hits, retrieve, usual_hits
from sightline.scoped import ScopedIndex
from sightline.store import Durability
from sightline.store_format import RowGoneError
from sightline.tuning import Tuning, parse_judgements, tune_alpha
from sightline.writing import Write

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from sightline.adapter import LowRankAdapter
    from sightline.analyzer import Analyzer
    from sightline.bm25_index import Variant

__all__ = ["HybridIndex"]

_Result = TypeVar("_Result")

# The defaults of HybridIndex.search but for ``vector``, compared by identity, since 0 == False.
_USUAL = (None, None, None, None, 50, None, "raise", None, None, None, 1, None, None, 0, False)


class HybridIndex(AsyncCalls):
    """Index documents for search by meaning, by words, and by both fused exactly.

    In memory, or in a directory, where a write that returned survives the end of the process and, by default, a loss of
    power. One writer has a directory at a time, in this process or another; any number of readers may search it
    meanwhile and see a write at their next search. Safe to use from several threads: a write makes a new state of
    documents and engines beside the current one (they share what did not change) and publishes it at its end, so
    searches never wait for it and see all of a write or nothing of it. Writes wait for each other, after checking and
    embedding. A child that forks from a process with an index on disk becomes a reader of it. With asyncio ``asearch``,
    ``aadd`` and so on leave the event loop free.

    A document without a vector, where there is an embedder, is embedded as ``title + " " + text``, unless that is
    blank; what was embedded before is not embedded again. Without embedder and vectors the index is lexical only.

    Of an index on disk the vectors, texts and metadata stay there until a search needs them; ids, word statistics and
    codes of the vectors (1 byte a dimension) are in memory, and each metadata field from the first filter on it on.

    Parameters: path : directory, made if missing, or None for an index in memory; embedder : ``(list of str) -> array
                (n, dim)``, to which queries may go another way, see sightline.embed; if it has a ``name``, the index
                keeps it; dim : of the vectors, default that of the first; analyzer : Analyzer or the language of one,
                default "english"; k1, b, delta, variant : of BM25, see BM25Index, default 1.2, 0.75, 0.5, "lucene".
                fields : {"title": 2.0, "text": 1.0}, say, for BM25F over title and text with these weights, default
                None, which counts both as one text; positions : whether phrases of ``sl.parse_query`` can be searched,
                which takes 1 to 4 bytes a word. Left out, they are those that an existing index was made with.
                adapter : see ``set_adapter``; cache : so many searches, and vectors of queries, are kept in memory and
                answered without work until the next commit, by this process or another; 0 keeps none. A search is the
                same if its arguments are equal, of callables such as a reranker the very same object, which must then
                say the same. batch_size : documents checked and
                embedded at a time; durability : "full" has a write on the disk before it returns; "os" leaves that to
                the operating system, so that a loss of power may take the last writes, but never half of one
    Raises:     InvalidInputError if an argument has the wrong type or range; IndexLockedError naming the process that
                has the directory open for writing; IncompatibleIndexError if it was made with another analyzer, dim,
                embedder or parameter; CorruptIndexError, StorageError
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        embedder: Callable[[list[str]], Any] | None = None,
        *,
        dim: int | None = None,
        analyzer: Analyzer | str | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
        variant: Variant | None = None,
        fields: Mapping[str, float | Field] | Iterable[str] | None = None,
        positions: bool | None = None,
        adapter: LowRankAdapter | None = None,
        cache: int = 0,
        batch_size: int = 256,
        durability: Durability = "full",
    ) -> None:
        self._prepare(embedder, batch_size, cache)
        given = checked_settings(
            embedder,
            analyzer=analyzer,
            variant=variant,
            k1=k1,
            b=b,
            delta=delta,
            fields=fields,
            positions=positions,
        )
        checked_adapter(adapter)
        self._keeper = open_keeper(path, given, create=True, dim=dim, read_only=False, durability=durability)
        if adapter is not None:
            try:
                self.set_adapter(adapter)
            except BaseException:
                self.close()
                raise

    def _prepare(self, embedder: Callable[[list[str]], Any] | None, batch_size: int, cache: int) -> None:
        """Set all that does not depend on what the index holds."""
        self._embedder = checked_embedder(embedder)
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        size = checked_integer("cache", cache, 0)
        self._cache = ResultCache(size) if size else None
        self._cached_queries = CachedQueries(embedder, size) if size and embedder is not None else None
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        embedder: Callable[[list[str]], Any] | None = None,
        *,
        read_only: bool = False,
        cache: int = 0,
        batch_size: int = 256,
        durability: Durability = "full",
    ) -> HybridIndex:
        """Open an index that must exist.

        Reads the segment files once to verify their checksums, and replays what is not sealed yet.

        Parameters: path : directory; read_only : see what the writer commits, at the next search, without being one;
                    the others as for HybridIndex
        Returns:    HybridIndex
        Raises:     StorageError if there is no index; the others as for HybridIndex
        """
        if not isinstance(read_only, bool):
            raise InvalidInputError(f"read_only: expected True or False, got {read_only!r}")
        if path is None:
            raise InvalidInputError("path: expected the directory of an index, got None")
        index = cls.__new__(cls)
        index._prepare(embedder, batch_size, cache)
        given = checked_settings(embedder)
        index._keeper = open_keeper(path, given, create=False, dim=None, read_only=read_only, durability=durability)
        return index

    # Writing

    def add(
        self, documents: Iterable[Document | Mapping[str, Any] | str], *, progress: bool | Progress = False
    ) -> list[str]:
        """Add documents, all or none.

        The iterable is consumed as a stream, without a lock, so that others may write meanwhile; nothing is visible
        before its end, and an error anywhere, in the stream itself, a document or the embedder, leaves the index as it
        was. On disk a stream of any length takes bounded memory besides its ids: what is beyond 256 MB waits in unnamed
        files in the folder of the index, which needs the space once more until the call ends.

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
        self._check_open()
        keeper = self._keeper
        with keeper.exclusive():
            self._check_open()
            table = keeper.current().table
            if wanted is None:
                rows = table.rows(table.live_ids())
            else:
                rows = table.rows(list(keeper.rows_of(list(dict.fromkeys(wanted))).values()))
            if condition is not None:
                rows = rows[condition.mask(table.columns, table.live)[rows]]
            if len(rows):
                keeper.replace(rows, None)
            return len(rows)

    def _write(self, documents: object, progress: bool | Progress, *, replace: bool, scope: Filter | None) -> list[str]:
        self._check_open()
        write = Write(self._embedder, self._batch_size, replace, scope, self._check_open)
        return write.run(self._keeper, documents, progress)

    # Reading

    def __len__(self) -> int:
        self._check_open()
        return len(self._keeper.current().table)

    def __contains__(self, id: object) -> bool:
        self._check_open()
        if not isinstance(id, str):
            return False
        return id in self._keeper.lookup([id])[1]

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
        return self._on_newest(lambda _: found_documents(self._keeper, wanted, scope), self._keeper.current())

    def _on_newest(self, read: Callable[[State], _Result], state: State) -> _Result:
        return on_newest(self._keeper, read, state, self)

    def documents(self, where: Mapping[str, Any] | None = None, *, embedded: bool = False) -> Iterator[Document]:
        """Yield the documents, or those that a filter matches, in the order of writing.

        They are those of the state at the first step; one that is removed from an index on disk meanwhile may be left
        out. In bounded memory.

        Parameters: where : filter, see sightline.filters; embedded : with the vectors that the embedder made, too
        Returns:    iterator of Document, copies, with ``vector`` where the caller gave it
        Raises:     InvalidInputError if the filter is malformed or its kinds clash with what a field holds
        """
        condition = None if where is None else parse_filter(where)
        self._check_open()
        state, mask = self._on_newest(lambda state: (state, state.table.select(condition)), self._keeper.current())
        rows = np.arange(len(state.table.row_ids)) if mask is None else np.flatnonzero(mask)
        for row in rows:
            self._check_open()
            with suppress(RowGoneError):
                yield copies(state, np.array([row]), embedded=embedded)[0]

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, or how many match a filter; O(1), or a pass over the filter's columns.

        Parameters: where : filter, see sightline.filters; None counts all
        Returns:    int
        Raises:     InvalidInputError if the filter is malformed or its kinds clash with what a field holds
        """
        condition = None if where is None else parse_filter(where)
        self._check_open()
        state = self._keeper.current()
        if condition is None:
            return len(state.table)
        return self._on_newest(lambda state: state.table.count(condition), state)

    def ids(self, where: Mapping[str, Any] | None = None) -> list[str]:
        """Return the ids of all documents, or of those that match a filter, in the order of writing.

        With ``get``, this reads an index without a search. O(N), and a pass over the filter's columns.

        Parameters: where : filter, see sightline.filters; None means all
        Returns:    list of str
        Raises:     InvalidInputError if the filter is malformed or its kinds clash with what a field holds
        """
        condition = None if where is None else parse_filter(where)
        self._check_open()

        def read(state: State) -> list[str]:
            table = state.table
            selected = table.select(condition)
            return table.names(np.arange(len(table.row_ids)) if selected is None else np.flatnonzero(selected))

        return self._on_newest(read, self._keeper.current())

    @overload
    def search(self, query: str | Query | None, k: int = ..., **options: Unpack[SearchOptions]) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[str | Query] | list[str] | tuple[str | Query, ...],
        k: int = ...,
        **options: Unpack[SearchOptions],
    ) -> list[list[Hit]]: ...

    def search(
        self,
        query: str | Query | list[str | Query] | list[str] | tuple[str | Query, ...] | None,
        k: int = 10,
        *,
        mode: Mode | None = None,
        vector: Any = None,
        where: Mapping[str, Any] | None = None,
        fusion: Fusion | None = None,
        rerank: Reranker | None = None,
        rerank_depth: int = 50,
        rerank_budget: float | None = None,
        on_rerank_error: OnError = "raise",
        diversity: float | None = None,
        near_duplicates: float | None = None,
        group_by: str | None = None,
        per_group: int = 1,
        latest_by: str | None = None,
        min_score: float | None = None,
        offset: int = 0,
        explain: bool = False,
    ) -> list[Hit] | list[list[Hit]]:
        """Return the best k documents of a query, or a list of such lists for a list of queries.

        Ties are in the order of writing. In hybrid mode every document that has a vector or a query term takes part.

        The clauses of a parsed query (``sl.parse_query``) confine the result in every mode; its other words rank. A str
        is never parsed.

        Parameters: query : str, ``sl.Query`` or a list of them; None with ``vector`` in dense mode; mode : "hybrid",
                    "dense" or "lexical", default hybrid, and lexical for an index without embedder and vectors; vector
                    : (dim,), or (q, dim) for a list, default the embedder's; where : filter, see sightline.filters;
                    fusion : Convex() by default, RRF(), DBSF(), or a callable (dense, lexical) -> scores over the
                    documents that either engine lists among its best 100; rerank : ``(query, texts) -> scores``,
                    reorders the best ``rerank_depth``; rerank_budget : seconds, for all queries, after which the order
                    of retrieval is kept; on_rerank_error : "raise", or "keep" that order (``Hit.degraded`` then says
                    why); diversity : 0 to 1, trades relevance for hits that differ from those above them (maximal
                    marginal relevance over the best 50 or 4 k); near_duplicates : cosine from which a hit that
                    resembles one above it is dropped, as is one of the same text; group_by : metadata field, at most
                    ``per_group`` hits of each of its values; latest_by : metadata field: of the best 50 or 4 k that
                    share ``group_by``, those with its greatest value stay, not the most relevant; min_score : the least
                    ``Hit.score``; offset : hits to skip, for the next page; explain : fill ``Hit.explanation``
        Returns:    at most k hits, fewer if fewer documents take part
        Raises:     InvalidInputError on any argument that does not fit, such as a dense query without an embedder
        """
        self._check_open()
        state = self._keeper.current()
        options: tuple[Any, ...] = (
            vector,
            mode,
            where,
            fusion,
            rerank,
            rerank_depth,
            rerank_budget,
            on_rerank_error,
            diversity,
        )
        options += (near_duplicates, group_by, per_group, latest_by, min_score, offset, explain)
        if self._cache is None and type(query) is str and all(map(is_, options[1:], _USUAL)):
            with suppress(RowGoneError):
                if (usual := usual_hits(state, query, vector, k)) is not None:
                    return usual
        key = None if self._cache is None else key_of((query, k, options))
        if self._cache is not None and key is not None and (kept := self._cache.get(state.token, key)) is not None:
            return kept[0] if isinstance(query, (str, Query)) or query is None else kept
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
                offset=offset,
                rerank_depth=rerank_depth,
                rerank_budget=rerank_budget,
                on_rerank_error=on_rerank_error,
                diversity=diversity,
                near_duplicates=near_duplicates,
                group_by=group_by,
                per_group=per_group,
                latest_by=latest_by,
                min_score=min_score,
            ),
            embedder=self._cached_queries or self._embedder,
            adapter=state.adapter,
            dim=state.dim,
            vector_count=state.vector_count,
            empty=not len(state.table),
        )
        if not request.texts:
            return []
        if request.is_plain:
            state, hits = self._on_newest(lambda state: (state, plain_hits(state, request)), state)
        else:
            state, found = self._on_newest(lambda state: (state, retrieve(state, request)), state)
            hits = finish(request, found)
        if self._cache is not None and key is not None:
            self._cache.put(state.token, key, hits)
        return hits[0] if request.single else hits

    def tune(
        self,
        queries: Mapping[str, str],
        qrels: Mapping[str, Mapping[str, float]],
        *,
        k: int = 10,
        vectors: Any = None,
        where: Mapping[str, Any] | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> Tuning:
        """Find the weight ``alpha`` of ``Convex`` that suits these documents, and how sure that is.

        Weighs the documents that either engine lists among its best 20 k (at least 200) with each alpha of 0, 0.05 ...
        1, and cross-validates by nDCG. Changes nothing: give the result's ``fusion`` to ``search``. A search a query.

        Parameters: queries : {query id: text}; qrels : {query id: {document id: grade >= 0}}; k : of nDCG@k; vectors :
                    {query id: (dim,)}, default the embedder's; where : filter of all searches; folds : int >= 2; seed :
                    of folds and resampling
        Returns:    Tuning
        Raises:     InvalidInputError if anything is malformed, fewer than two queries have a relevant document, or the
                    index has no vectors
        """
        self._check_open()
        judged = parse_judgements(queries, qrels)
        depth = max(200, 20 * checked_integer("k", k, 1))
        checked_integer("folds", folds, 2)
        checked_integer("seed", seed, 0)
        given = None
        if vectors is not None:
            if not isinstance(vectors, Mapping):
                raise InvalidInputError(f"vectors: expected a dict by query id, got {type(vectors).__name__}")
            missing = [name for name in judged.names if name not in vectors]
            if missing:
                raise InvalidInputError(f"vectors: query {missing[0]!r} has none")
            given = [vectors[name] for name in judged.names]
        state = self._keeper.current()
        request = parse_request(
            judged.texts,
            mode="hybrid",
            vector=given,
            where=where,
            fusion=None,
            explain=False,
            selection=parse_selection(k=k),
            embedder=self._cached_queries or self._embedder,
            adapter=state.adapter,
            dim=state.dim,
            vector_count=state.vector_count,
            empty=not len(state.table),
        )
        state, listed = self._on_newest(lambda state: (state, list_candidates(state, request, depth)), state)
        names = [list(grades) for grades in judged.grades]
        rows = [self._keeper.lookup(found)[1] for found in names]
        candidates = []
        for (ids, dense, lexical), grades, row_of in zip(listed, judged.grades, rows, strict=True):
            grade_of = {row_of[name]: grade for name, grade in grades.items() if name in row_of}
            gains = np.array([grade_of.get(row, 0.0) for row in ids.tolist()])
            candidates.append((dense, lexical, gains))
        return tune_alpha(candidates, judged.grades, state.lexical_scale, k, folds, seed)

    @property
    def adapter(self) -> LowRankAdapter | None:
        """What turns query vectors, None if nothing does."""
        self._check_open()
        return self._keeper.current().adapter

    def set_adapter(self, adapter: LowRankAdapter | None) -> None:
        """Turn the vectors of all queries from now on, those that are given as ``vector`` too; None ends that.

        Documents stay as they are. On disk it is kept with the index, and readers use it from their next search on.

        Parameters: adapter : of ``LowRankAdapter.fit``, say, with queries as the embedder makes them
        Raises:     InvalidInputError if it is anything else or has another dimension than the index; StorageError
        """
        checked_adapter(adapter)
        self._check_open()
        keeper = self._keeper
        with keeper.exclusive():
            self._check_open()
            dim = keeper.current().dim
            if adapter is not None and dim not in (None, adapter.dim):
                raise InvalidInputError(f"adapter: expected {dim} dimensions as in the index, got {adapter.dim}")
            keeper.set_adapter(adapter)

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
        """Return counts and sizes: ``documents``, ``with_vector``, ``with_text``, ``dim``, ``bytes`` by engine.

        Also ``path``, and of an index on disk ``segments``, ``unsealed`` and ``tombstones`` (rows), ``disk_bytes``,
        ``read_only``, ``settings``, and ``maintenance_error``: why the background's last sealing or merging failed.
        """
        self._check_open()
        state = self._keeper.current()
        return {
            "documents": len(state.table),
            "with_vector": state.vector_count,
            "with_text": len(state.lexical),
            "dim": state.dim,
            "bytes": {
                "dense": {} if state.dense is None else state.dense.memory(),
                "lexical": state.lexical.memory(),
            },
            **self._keeper.stats(),
        }

    def __repr__(self) -> str:
        if self._closed:
            return "HybridIndex, closed"
        state = self._keeper.newest()
        return f"HybridIndex(dim={state.dim}) with {len(state.table)} documents"

    # Life cycle

    def flush(self) -> None:
        """Seal what is not in segment files, and have every acknowledged write on the disk, also under durability="os".

        Not needed for durability="full"; nothing to do in memory. O(unsealed rows).

        Raises:     StorageError; nothing that was acknowledged is lost
        """
        self._check_open()
        self._keeper.flush()

    def compact(self) -> None:
        """Merge all segments into one, forget removed documents, and give their space back.

        Happens by itself in the background as far as searches profit from it and it fits into 2 GB of memory. Searches
        go on meanwhile. O(bytes), and needs as much free space and memory as the index takes.

        Raises:     StorageError; the index is then as it was
        """
        self._check_open()
        self._keeper.compact()

    def verify(self) -> dict[str, Any]:
        """Check every checksum and every document's hash, and that database, dense and lexical rows are the same.

        Also runs SQLite's integrity check. Reads everything once; an index in memory has nothing to check.

        Returns:    counts of what was checked: ``documents``, ``vectors``, ``texts`` and, on disk, ``segments``
        Raises:     CorruptIndexError naming the first thing that is wrong; StorageError
        """
        self._check_open()
        return self._keeper.verify()

    def close(self) -> None:
        """Free the index, and its directory for other writers; every later call but ``close`` is an error."""
        self._closed = True
        self._keeper.close()

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
