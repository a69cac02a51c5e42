"""Ranked full-text search by BM25."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline import _core
from sightline._arrays import FloatArray, IdArray, check_k, id_array, masks, path_bytes
from sightline.analyzer import Analyzer
from sightline.bm25_explanation import BM25Explanation, explanation_of
from sightline.errors import CorruptIndexError, InvalidInputError, SightlineError, checked_number
from sightline.fields import (
    Field,
    FieldSettings,
    columns,
    fields_from_json,
    fields_to_json,
    override_fields,
    parse_fields,
)
from sightline.query import Query
from sightline.saved_analyzer import describe_analyzer, restore_analyzer

__all__ = ["BM25Index"]

Postings = Literal["scan", "packed"]
Variant = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]
Tokenizer = Callable[[str], Sequence[str]]
Texts = Iterable[str] | Iterable[Sequence[str]] | Iterable[Mapping[str, Any]]
_VARIANTS = ("lucene", "robertson", "atire", "bm25l", "bm25+")  # in the order of lexical::Variant
_POSTINGS = ("scan", "packed")
_MAX_PARAMETER = 1e6
_DOCUMENTS_PER_CALL = 1024  # converted at once; a custom tokenizer's terms of so many documents are held


class _Parameters(NamedTuple):
    variant: int
    k1: float
    b: float
    delta: float


class BM25Index:
    """Search texts by BM25: exact, incremental, threaded.

    Scores depend only on the documents that are in the index now: whatever was added, replaced, removed and
    merged before, they equal those of an index built afresh, to the last bit. Adding n documents one by one
    costs O(n log n) in all, and each is searchable at once.

    Memory: about 3 bytes for each distinct word of each document, 12 bytes a document, and about 36 bytes and
    its own length for each distinct word of the collection. The texts are not kept. With ``postings="packed"`` gaps
    between documents and frequencies are kept in as few bits as they need: 1.6 bytes for each distinct word of each
    document of 100,000 abstracts, all included, instead of 4, for searches that take up to half as long again. Results
    are the same to the last bit.

    With ``fields`` a document is a mapping from field to text (or list of terms) and the score is BM25F: the
    frequencies of a term in the fields, each normalised by its field's length and weighted, are added before they
    saturate. Scores keep all that is said above. Every posting of the query's terms is read.

    With ``positions`` the index keeps the order of the words, for the phrases of ``parse_query``: 1 to 4 bytes a word
    and 8 a document more. Words that the analyzer drops leave no gap.

    Parameters: analyzer : an Analyzer (default: English), a callable from text to list of terms, or None if
                all documents and queries will be lists of terms;
                k1 : >= 0, saturation of the term frequency; b : 0 to 1, normalisation by length;
                delta : >= 0, "bm25l" and "bm25+" only;
                variant : "lucene", "robertson", "atire", "bm25l" or "bm25+", as bm25s defines them;
                fields : None, names, or a mapping from names to weights or ``sl.Field(weight, b)``; positions :
                whether phrases can be searched; postings : "scan", the fastest to search, or "packed", the
                smallest: the form of what this index writes from now on, kept by ``save``, ``fork`` and merges
    Raises:     InvalidInputError for any other value
    Notes:      thread-safe: searches run while another thread adds, each over the state at its start, and
                never wait. "bm25l" and "bm25+" give every document of a result, as in bm25s, the value that
                they give to a term which a document lacks; a document with no query term at all is never in a
                result and scores 0.
    Source:     Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; Lù,
                "BM25S", 2024; Robertson, Zaragoza, Taylor, "Simple BM25 extension to multiple weighted fields",
                2004
    """

    def __init__(
        self,
        analyzer: Analyzer | Tokenizer | Literal["default"] | None = "default",
        *,
        k1: float = 1.2,
        b: float = 0.75,
        delta: float = 0.5,
        variant: Variant = "lucene",
        fields: Mapping[str, float | Field] | Iterable[str] | None = None,
        positions: bool = False,
        postings: Postings = "scan",
    ) -> None:
        if isinstance(analyzer, str) and analyzer == "default":
            analyzer = Analyzer()
        if analyzer is not None and not callable(analyzer):
            raise InvalidInputError(
                f"analyzer: expected an Analyzer, a callable or None, got {type(analyzer).__name__}; "
                'for example analyzer=sl.Analyzer("german")'
            )
        self._analyzer: Analyzer | Tokenizer | None = analyzer
        self._parameters = _check_parameters(variant, k1, b, delta)
        if not isinstance(positions, bool):
            raise InvalidInputError(f"positions: expected True or False, got {positions!r}")
        self._fields: FieldSettings | None = None if fields is None else parse_fields(fields)
        self._positions = positions
        # Indexes without and with fields take the same calls but for their parameters, see _core_parameters.
        if postings not in _POSTINGS:
            raise InvalidInputError(f"postings: expected one of {', '.join(map(repr, _POSTINGS))}, got {postings!r}")
        packed = postings == "packed"
        self._core: Any = (
            _core.BM25Index(packed) if self._fields is None else _core.FieldIndex(len(self._fields), packed)
        )

    @property
    def analyzer(self) -> Analyzer | Tokenizer | None:
        """What turns texts into terms."""
        return self._analyzer

    @property
    def k1(self) -> float:
        """Saturation of the term frequency."""
        return self._parameters.k1

    @property
    def b(self) -> float:
        """Normalisation by document length."""
        return self._parameters.b

    @property
    def delta(self) -> float:
        """Lower bound of a term's worth in "bm25l" and "bm25+"."""
        return self._parameters.delta

    @property
    def variant(self) -> str:
        """The formula."""
        return _VARIANTS[self._parameters.variant]

    @property
    def fields(self) -> dict[str, Field] | None:
        """The fields and how they count, a copy; None for an index without."""
        return None if self._fields is None else dict(self._fields)

    @property
    def positions(self) -> bool:
        """Whether phrases can be searched."""
        return self._positions

    @property
    def postings(self) -> Postings:
        """The form of postings that this index writes: "scan" or "packed"."""
        return "packed" if self._core.is_packed() else "scan"

    @property
    def ids(self) -> IdArray:
        """All ids in ascending order, int64 (n,): the order of the entries of a bool mask. A copy, O(n)."""
        ids: IdArray = self._core.ids()
        return ids

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"BM25Index({self._analyzer!r}, variant={self.variant!r}) with {len(self)} documents"

    def add(self, texts: Texts, ids: npt.ArrayLike | None = None) -> IdArray:
        """Add documents and return their ids.

        Searchable when the call returns. O(total length), plus, amortised, O(log n) copies of a posting as
        small segments merge. Text is analyzed and indexed in threads, 16 MB at a time, with the GIL released. A stream
        (generator) of any length is read once, and beyond the index so much of it is in memory; nothing is visible
        before its end.

        Parameters: texts : str, or lists of terms, which are taken as they are; an empty one counts as a
                    document; of an index with fields mappings from field to one of these, where a field that is
                    missing or None is empty; ids : integers from 0 to 2**63 - 2 (n,), default: the next
                    free ones, counting from one more than the largest ever used
        Returns:    int64 (n,), in the order of texts
        Raises:     InvalidInputError for anything else, with its position; DuplicateIdError if an id comes
                    twice or is present. The index is then as it was.
        """
        return self._add(texts, None if ids is None else id_array(ids, "ids"), replace=False)

    def upsert(self, texts: Texts, ids: npt.ArrayLike) -> IdArray:
        """Add documents, replacing those whose id is present, in one step.

        Costs what ``add`` does, plus one bit for each document replaced.

        Parameters: texts : as for ``add``; ids : integers from 0 to 2**63 - 2 (n,)
        Returns:    int64 (n,), in the order of texts
        Raises:     InvalidInputError as in ``add``; DuplicateIdError if an id comes twice. The index is then
                    as it was.
        """
        return self._add(texts, id_array(ids, "ids"), replace=True)

    def remove(self, ids: npt.ArrayLike) -> int:
        """Remove documents by id.

        O(m log n) for m ids, plus a copy of one bit for each document of the segments that are touched.

        Parameters: ids : integers (m,); unknown ones are no error
        Returns:    how many documents there were
        Raises:     InvalidInputError for ids that are no integers
        """
        return int(self._core.remove(id_array(ids, "ids")))

    def fork(self) -> BM25Index:
        """Return an index of its own with the same documents, parameters and analyzer.

        They share memory, since postings never change in place; O(1).
        """
        index = type(self).__new__(type(self))
        index._analyzer = self._analyzer
        index._parameters = self._parameters
        index._fields = self._fields
        index._positions = self._positions
        index._core = self._core.fork()
        return index

    def attach(self, other: BM25Index) -> None:
        """Take over the live documents of another index, such as one of several that ``load`` mapped.

        They share memory, and the scores are those of one index of all documents. Attached documents stay where they
        are, mapped or not and in their form of postings, whatever is written later, until ``compact``. O(segments),
        plus O(log n) a document where the ids of both interleave.

        Parameters: other : BM25Index whose texts were analysed alike, which the caller answers for
        Raises:     InvalidInputError if it is anything else, if only one of both has positions, or if their fields
                    have other names or another order; DuplicateIdError if an id is in both. The index is then as it
                    was.
        """
        if not isinstance(other, BM25Index):
            raise InvalidInputError(f"other: expected a BM25Index, got {type(other).__name__}")
        mine, theirs = (None if fields is None else list(fields) for fields in (self._fields, other._fields))
        if mine != theirs:
            raise InvalidInputError(
                f"other: expected an index with fields={mine}, as this one has, got one with fields={theirs}; "
                "build both alike"
            )
        if self._positions != other._positions:
            raise InvalidInputError(
                f"other: expected an index with positions={self._positions}, as this one has, got one with "
                f"positions={other._positions}; build both alike"
            )
        self._core.attach(other._core)

    def compact(self) -> None:
        """Rewrite all documents into as few segments as possible and free the space of removed ones. O(postings).

        What was attached gets this index's form of postings.
        """
        self._core.compact()

    def search(
        self,
        queries: str | Query | Sequence[str | Query] | Sequence[Sequence[str]],
        k: int = 10,
        mask: Any = None,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
        fields: Mapping[str, float | Field] | None = None,
    ) -> tuple[FloatArray, IdArray]:
        """Return the k best documents for each query, exactly.

        O(documents that have a query term), at about 1 ns each; upper bounds decide which of them are scored
        exactly. Queries of a batch run in threads. A term that the query repeats counts as often as it occurs.

        A str is never parsed; ``parse_query`` does that, for phrases, required and excluded words.

        Parameters: queries : str or ``sl.Query``; or a list of them or of lists of terms, each one a query;
                    k : int >= 1;
                    mask : None; bool (n,) or (q, n), an entry for each document in the order of ``ids``;
                    integers, the ids allowed; or a list of such integer arrays, one a query;
                    variant, k1, b, delta : for this search instead of the index's own; nothing is rebuilt;
                    fields : names to weights or Fields, for this search, those left out as they are
        Returns:    scores : float32 (q, k), best first; ids : int64 (q, k), ties by ascending id. Only
                    documents with a query term appear; where there are fewer than k, -inf and -1. For a
                    single str or Query: (k,) each.
        Raises:     InvalidInputError for anything else
        """
        single = isinstance(queries, (str, Query))
        batch, clauses = self._queries([queries] if single else _as_list(queries, "queries"))
        parameters = self._core_parameters(variant, k1, b, delta, fields)
        bits, id_lists = masks(mask, len(batch))
        rows: list[npt.NDArray[Any]] = list(id_lists or ()) if bits is None else list(bits)
        scores, ids = self._core.search(self._native, batch, check_k(k), rows, clauses, *parameters)
        return (scores[0], ids[0]) if single else (scores, ids)

    def matching(self, query: Query) -> IdArray:
        """Return the ids of the documents that meet every required clause of a query and no excluded one.

        O(postings of the clauses' terms + documents). A query without such clauses is met by every document.

        Parameters: query : sl.Query
        Returns:    int64 (m,), ascending
        Raises:     InvalidInputError for anything else, or a phrase where the index has no positions
        """
        if not isinstance(query, Query):
            raise InvalidInputError(f"query: expected a Query, see parse_query; got {type(query).__name__}")
        found: IdArray = self._core.matching(self._parsed(query)[1])
        return found

    def score(
        self,
        query: str | Query | Sequence[str],
        ids: npt.ArrayLike,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
        fields: Mapping[str, float | Field] | None = None,
    ) -> FloatArray:
        """Return the scores of given documents, as ``search`` would; 0 for one without any term of the query.

        O(m * terms * log n) for m ids.

        Parameters: query : str, Query, or a list of terms; ids : integers (m,); variant, k1, b, delta, fields : as
                    in ``search``
        Returns:    float32 (m,), in the order of ids
        Raises:     NotFoundError for an id that is not in the index; InvalidInputError as in ``search``
        """
        parameters = self._core_parameters(variant, k1, b, delta, fields)
        batch, clauses = self._one_query(query)
        scores: FloatArray = self._core.score(self._native, batch, id_array(ids, "ids"), clauses, *parameters)
        return scores

    def explain(
        self,
        query: str | Query | Sequence[str],
        id: int,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
        fields: Mapping[str, float | Field] | None = None,
    ) -> BM25Explanation:
        """Return what the score of one document is made of. O(terms * log n).

        Parameters: query : str, Query, or a list of terms; id : int; variant, k1, b, delta, fields : as in
                    ``search``
        Raises:     NotFoundError if the id is not in the index; InvalidInputError as in ``search``
        """
        if isinstance(id, (bool, np.bool_)) or not isinstance(id, (int, np.integer)):
            raise InvalidInputError(f"id: expected an integer, got {type(id).__name__}")
        key = int(id_array([id], "id")[0])
        parameters = self._core_parameters(variant, k1, b, delta, fields)
        batch, clauses = self._one_query(query)
        parts = self._core.explain(self._native, batch, key, clauses, *parameters)
        return explanation_of(parts, None if self._fields is None else list(self._fields))

    def memory(self) -> dict[str, int]:
        """Return bytes by part: ``postings``, ``terms``, ``documents``, ``tombstones``, ``positions``.

        Of a mapped index these are bytes of the file; the operating system decides which are resident.
        """
        parts: dict[str, int] = self._core.memory()
        return parts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index, its parameters and its analyzer to one file.

        A temporary neighbour is written first, fsync'ed, then renamed over ``path``. An analyzer of None is
        saved too; of an analyzer or stemmer that is a callable only the name, see ``load``. O(bytes); writes the
        state at the start of the call, while other threads may add.

        Parameters: path : file, replaced if it exists
        Raises:     StorageError if the file cannot be written; ``path`` is then as it was
        """
        settings = {"analyzer": describe_analyzer(self._analyzer), "fields": fields_to_json(self._fields)}
        self._core.save(path_bytes(path), self._positions, *self._parameters, json.dumps(settings))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], mmap: bool = True, *, analyzer: Analyzer | Tokenizer | None = None
    ) -> BM25Index:
        """Open a saved index. Every checksum and every invariant is verified, which reads the file once.

        Parameters: path : file; mmap : map the file (pages are shared and can be given back to the system) or
                    read it; analyzer : the callable, or the Analyzer with the callable stemmer, that the index was
                    made with: code is not in the file, only its name, which must be the same
        Returns:    BM25Index
        Raises:     StorageError, CorruptIndexError, IncompatibleIndexError; InvalidInputError if an analyzer must be
                    given and is not, or is another one
        """
        native, positions, variant, k1, b, delta, settings = _core.load_lexical(path_bytes(path), bool(mmap))
        name = os.fsdecode(path)
        try:
            described = json.loads(settings)
            restored = restore_analyzer(described["analyzer"], analyzer, name)
            fields = fields_from_json(described["fields"])
            if (0 if fields is None else len(fields)) != (
                native.field_count() if isinstance(native, _core.FieldIndex) else 0
            ):
                raise ValueError("the fields are not those of the index")
        except SightlineError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptIndexError(
                f"'{name}' is damaged: its settings cannot be read ({error}); "
                "restore it from a backup or build it again"
            ) from None
        index = cls.__new__(cls)
        index._analyzer = restored
        index._parameters = _Parameters(variant, k1, b, delta)
        index._fields = fields
        index._positions = positions
        index._core = native
        return index

    @property
    def _native(self) -> _core.Analyzer | None:
        return self._analyzer._core if type(self._analyzer) is Analyzer else None

    def _terms(self, items: list[Any]) -> list[Any]:
        """Run a Python tokenizer over the texts among the items; the native analyzer runs inside the core."""
        if self._analyzer is None or self._native is not None:
            return items
        return [_tokens(self._analyzer, item) if isinstance(item, str) else item for item in items]

    def _one_query(self, query: str | Query | Sequence[str]) -> tuple[list[Any], list[Any]]:
        if not isinstance(query, (str, Query, list, tuple)):
            raise InvalidInputError(f"query: expected str, Query or a list of terms, got {type(query).__name__}")
        return self._queries([query])

    def _queries(self, items: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return what the core ranks by, and the clauses of each query, none if no query has any."""
        if not any(isinstance(item, Query) for item in items):
            return self._terms(items), []
        parsed: list[tuple[Any, list[Any]]] = []
        for item in items:
            if isinstance(item, Query):
                parsed.append(self._parsed(item))
            else:  # the core takes a batch of one kind
                parsed.append((self._query_terms(item) if isinstance(item, str) else item, []))
        return [terms for terms, _ in parsed], [clauses for _, clauses in parsed]

    def _parsed(self, query: Query) -> tuple[list[str], list[tuple[list[str], bool, bool]]]:
        """Return the terms that a query ranks by, and its clauses as (terms, phrase, excluded)."""
        ranked: list[str] = []
        clauses = []
        for clause in query.clauses:
            terms = self._query_terms(clause.text)
            if not clause.excluded:
                ranked += terms
            if clause.phrase and self._analyzer is not None:
                # As the words stand in documents, which have single characters of some scripts as well.
                terms = _tokens(self._analyzer, clause.text)
                if len(terms) > 1 and not self._positions:
                    raise InvalidInputError(
                        f"query: the phrase {clause.text!r} needs the order of the words, which this index does not "
                        "keep; make it with positions=True"
                    )
            if terms and (clause.phrase or clause.required or clause.excluded):
                clauses.append((terms, clause.phrase, clause.excluded))
        return ranked, clauses

    def _query_terms(self, text: str) -> list[str]:
        if self._analyzer is None:
            raise InvalidInputError("query: expected lists of terms, because the index has no analyzer")
        native = self._native
        return _tokens(self._analyzer, text) if native is None else native.token_lists([text], True)[0]

    def _add(self, texts: Any, ids: IdArray | None, *, replace: bool) -> IdArray:
        _check_iterable(texts, "texts", self._fields is not None)
        if ids is not None and isinstance(texts, Sized) and len(texts) != len(ids):
            raise InvalidInputError(f"ids: expected one id for each of {len(texts)} texts, got {len(ids)} ids")
        names = [] if self._fields is None else list(self._fields)
        labels = [f"texts[{name!r}]" for name in names] or ["texts"]
        stream = _core.DocumentStream(self._native, labels, ids, self._positions)
        if ids is not None and not replace:
            self._core.check_absent(ids)  # before the work; checked again when it is done
        iterator = iter(texts)
        position = 0
        while some := list(islice(iterator, _DOCUMENTS_PER_CALL)):
            split = columns(names, some, position) if names else [some]
            stream.append([self._terms(column) for column in split])
            position += len(some)
        added: IdArray = self._core.add(stream, replace)
        return added

    def _core_parameters(
        self, variant: Variant | None, k1: float | None, b: float | None, delta: float | None, fields: Any
    ) -> tuple[Any, ...]:
        """Return the parameters of a search as the core takes them."""
        parameters = self._override(variant, k1, b, delta)
        if self._fields is None:
            if fields is not None:
                raise InvalidInputError("fields: expected None, because the index has no fields")
            return parameters
        settings = self._fields if fields is None else override_fields(self._fields, fields)
        pairs = [(field.weight, parameters.b if field.b is None else field.b) for field in settings.values()]
        return parameters.variant, parameters.k1, parameters.delta, pairs

    def _override(self, variant: Variant | None, k1: float | None, b: float | None, delta: float | None) -> _Parameters:
        if variant is None and k1 is None and b is None and delta is None:
            return self._parameters
        return _check_parameters(
            self.variant if variant is None else variant,
            self.k1 if k1 is None else k1,
            self.b if b is None else b,
            self.delta if delta is None else delta,
        )


def _check_iterable(items: Any, argument: str, fields: bool = False) -> None:
    if isinstance(items, (str, bytes, bytearray, Mapping)) or not isinstance(items, Iterable):
        expected = "mappings from fields to texts" if fields else "str or of lists of terms"
        advice = "give its values()" if isinstance(items, Mapping) and not fields else "wrap it in a list"
        raise InvalidInputError(f"{argument}: expected an iterable of {expected}, got {type(items).__name__}; {advice}")


def _as_list(items: Any, argument: str) -> list[Any]:
    _check_iterable(items, argument)
    return items if isinstance(items, list) else list(items)


def _tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens = tokenizer(text)
    if isinstance(tokens, (str, bytes, bytearray, Mapping)) or not isinstance(tokens, Iterable):
        raise InvalidInputError(f"analyzer: expected it to return a list of str, got {type(tokens).__name__}")
    return list(tokens)


def _check_parameters(variant: Any, k1: Any, b: Any, delta: Any) -> _Parameters:
    if variant not in _VARIANTS:
        raise InvalidInputError(f"variant: expected one of {', '.join(map(repr, _VARIANTS))}, got {variant!r}")
    return _Parameters(
        _VARIANTS.index(variant),
        checked_number("k1", k1, 0, _MAX_PARAMETER),
        checked_number("b", b, 0, 1),
        checked_number("delta", delta, 0, _MAX_PARAMETER),
    )
