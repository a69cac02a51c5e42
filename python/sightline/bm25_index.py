"""Ranked full-text search by BM25."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline import _core
from sightline._arrays import FloatArray, IdArray, check_k, id_array, masks, path_bytes
from sightline.analyzer import CANNOT_BE_SAVED, Analyzer
from sightline.errors import CorruptIndexError, IncompatibleIndexError, InvalidInputError

__all__ = ["BM25Explanation", "BM25Index", "TermExplanation"]

Variant = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]
Tokenizer = Callable[[str], Sequence[str]]
_VARIANTS = ("lucene", "robertson", "atire", "bm25l", "bm25+")  # in the order of lexical::Variant
_MAX_PARAMETER = 1e6


class TermExplanation(NamedTuple):
    """What one query term adds to a score."""

    term: str
    query_count: int  # how often it occurs in the query
    tf: int  # how often it occurs in the document
    df: int  # how many documents have it
    idf: float
    contribution: float  # query_count * idf * (the variant's function of tf, length and average_length)


@dataclass(frozen=True)
class BM25Explanation:
    """Where a score comes from.

    ``score`` is the sum of the contributions, added in order and rounded once to float32. ("bm25l" and "bm25+"
    add what every document gets first, so there the order differs, and with it at most the 16th digit.)
    """

    score: float
    length: int  # tokens in the document
    average_length: float
    document_count: int
    terms: tuple[TermExplanation, ...]  # every distinct query term, in query order


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
    its own length for each distinct word of the collection. The texts are not kept.

    Parameters: analyzer : an Analyzer (default: English), a callable from text to list of terms, or None if
                all documents and queries will be lists of terms;
                k1 : >= 0, saturation of the term frequency; b : 0 to 1, normalisation by length;
                delta : >= 0, "bm25l" and "bm25+" only;
                variant : "lucene", "robertson", "atire", "bm25l" or "bm25+", as bm25s defines them
    Raises:     InvalidInputError for any other value
    Notes:      thread-safe: searches run while another thread adds, each over the state at its start, and
                never wait. "bm25l" and "bm25+" give every document of a result, as in bm25s, the value that
                they give to a term which a document lacks; a document with no query term at all is never in a
                result and scores 0.
    Source:     Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; Lù,
                "BM25S", 2024
    """

    def __init__(
        self,
        analyzer: Analyzer | Tokenizer | Literal["default"] | None = "default",
        *,
        k1: float = 1.2,
        b: float = 0.75,
        delta: float = 0.5,
        variant: Variant = "lucene",
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
        self._core = _core.BM25Index()

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
    def ids(self) -> IdArray:
        """All ids in ascending order, int64 (n,): the order of the entries of a bool mask. A copy, O(n)."""
        return self._core.ids()

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"BM25Index({self._analyzer!r}, variant={self.variant!r}) with {len(self)} documents"

    def add(self, texts: Iterable[str] | Iterable[Sequence[str]], ids: npt.ArrayLike | None = None) -> IdArray:
        """Add documents and return their ids.

        Searchable when the call returns. O(total length), plus, amortised, O(log n) copies of a posting as
        small segments merge. Text is analyzed and indexed in threads, 64 MB at a time, with the GIL released.

        Parameters: texts : str, or lists of terms, which are taken as they are; an empty one counts as a
                    document; ids : integers >= 0 (n,), default: the next free ones, counting from one more
                    than the largest ever used
        Returns:    int64 (n,), in the order of texts
        Raises:     InvalidInputError for anything else, with its position; DuplicateIdError if an id comes
                    twice or is present. The index is then as it was.
        """
        return self._add(texts, None if ids is None else id_array(ids, "ids"), replace=False)

    def upsert(self, texts: Iterable[str] | Iterable[Sequence[str]], ids: npt.ArrayLike) -> IdArray:
        """Add documents, replacing those whose id is present, in one step.

        Costs what ``add`` does, plus one bit for each document replaced.

        Parameters: texts : as for ``add``; ids : integers >= 0 (n,)
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
        return self._core.remove(id_array(ids, "ids"))

    def fork(self) -> BM25Index:
        """Return an index of its own with the same documents, parameters and analyzer.

        They share memory, since postings never change in place; O(1).
        """
        index = type(self).__new__(type(self))
        index._analyzer = self._analyzer
        index._parameters = self._parameters
        index._core = self._core.fork()
        return index

    def search(
        self,
        queries: str | Sequence[str] | Sequence[Sequence[str]],
        k: int = 10,
        mask: Any = None,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
    ) -> tuple[FloatArray, IdArray]:
        """Return the k best documents for each query, exactly.

        O(documents that have a query term), at about 1 ns each; upper bounds decide which of them are scored
        exactly. Queries of a batch run in threads. A term that the query repeats counts as often as it occurs.

        Parameters: queries : str; or a list of str or of lists of terms, each one a query; k : int >= 1;
                    mask : None; bool (n,) or (q, n), an entry for each document in the order of ``ids``;
                    integers, the ids allowed; or a list of such integer arrays, one a query;
                    variant, k1, b, delta : for this search instead of the index's own; nothing is rebuilt
        Returns:    scores : float32 (q, k), best first; ids : int64 (q, k), ties by ascending id. Only
                    documents with a query term appear; where there are fewer than k, -inf and -1. For a
                    single str: (k,) each.
        Raises:     InvalidInputError for anything else
        """
        single = isinstance(queries, str)
        batch = self._terms([queries] if single else _as_list(queries, "queries"))
        parameters = self._override(variant, k1, b, delta)
        bits, id_lists = masks(mask, len(batch))
        rows: list[npt.NDArray[Any]] = list(id_lists or ()) if bits is None else list(bits)
        scores, ids = self._core.search(self._native, batch, check_k(k), rows, *parameters)
        return (scores[0], ids[0]) if single else (scores, ids)

    def score(
        self,
        query: str | Sequence[str],
        ids: npt.ArrayLike,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
    ) -> FloatArray:
        """Return the scores of given documents, as ``search`` would; 0 for one without any term of the query.

        O(m * terms * log n) for m ids.

        Parameters: query : str, or a list of terms; ids : integers (m,); variant, k1, b, delta : as in
                    ``search``
        Returns:    float32 (m,), in the order of ids
        Raises:     NotFoundError for an id that is not in the index; InvalidInputError as in ``search``
        """
        parameters = self._override(variant, k1, b, delta)
        return self._core.score(self._native, self._one_query(query), id_array(ids, "ids"), *parameters)

    def explain(
        self,
        query: str | Sequence[str],
        id: int,
        *,
        variant: Variant | None = None,
        k1: float | None = None,
        b: float | None = None,
        delta: float | None = None,
    ) -> BM25Explanation:
        """Return what the score of one document is made of.

        Parameters: query : str, or a list of terms; id : int; variant, k1, b, delta : as in ``search``
        Raises:     NotFoundError if the id is not in the index; InvalidInputError as in ``search``
        """
        if isinstance(id, (bool, np.bool_)) or not isinstance(id, (int, np.integer)):
            raise InvalidInputError(f"id: expected an integer, got {type(id).__name__}")
        key = int(id_array([id], "id")[0])
        parameters = self._override(variant, k1, b, delta)
        parts = self._core.explain(self._native, self._one_query(query), key, *parameters)
        terms = tuple(TermExplanation(*term) for term in parts.pop("terms"))
        return BM25Explanation(terms=terms, **parts)

    def memory(self) -> dict[str, int]:
        """Return bytes by part: ``postings``, ``terms``, ``documents``, ``tombstones``.

        Of a mapped index these are bytes of the file; the operating system decides which are resident.
        """
        return self._core.memory()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index, its parameters and its analyzer to one file.

        A temporary neighbour is written first, fsync'ed, then renamed over ``path``. An analyzer of None is
        saved too. O(bytes); writes the state at the start of the call, while other threads may add.

        Parameters: path : file, replaced if it exists
        Raises:     StorageError if the file cannot be written; ``path`` is then as it was. InvalidInputError
                    if the analyzer is a callable, a subclass of Analyzer or has a callable stemmer: code
                    cannot be saved
        """
        if self._analyzer is None:
            settings = None
        elif isinstance(self._analyzer, Analyzer):
            settings = self._analyzer.settings()
        else:
            raise InvalidInputError(
                f"analyzer: expected an Analyzer or None, got {self._analyzer!r}; {CANNOT_BE_SAVED}"
            )
        self._core.save(path_bytes(path), *self._parameters, json.dumps({"analyzer": settings}))

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> BM25Index:
        """Open a saved index. Every checksum and every invariant is verified, which reads the file once.

        Parameters: path : file; mmap : map the file (pages are shared and can be given back to the system) or
                    read it
        Raises:     StorageError, CorruptIndexError, IncompatibleIndexError
        """
        native, variant, k1, b, delta, settings = _core.BM25Index.load(path_bytes(path), bool(mmap))
        try:
            described = json.loads(settings)["analyzer"]
            analyzer = None if described is None else Analyzer.from_settings(described)
        except InvalidInputError as error:
            raise IncompatibleIndexError(
                f"'{os.fsdecode(path)}' needs an analyzer that cannot be made here ({error}); upgrade PyStemmer"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptIndexError(
                f"'{os.fsdecode(path)}' is damaged: its analyzer settings cannot be read ({error}); "
                "restore it from a backup or build it again"
            ) from None
        index = cls.__new__(cls)
        index._analyzer = analyzer
        index._parameters = _Parameters(variant, k1, b, delta)
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

    def _one_query(self, query: str | Sequence[str]) -> list[Any]:
        if not isinstance(query, (str, list, tuple)):
            raise InvalidInputError(f"query: expected str or a list of terms, got {type(query).__name__}")
        return self._terms([query])

    def _add(self, texts: Any, ids: IdArray | None, *, replace: bool) -> IdArray:
        return self._core.add(self._native, self._terms(_as_list(texts, "texts")), ids, replace)

    def _override(self, variant: Variant | None, k1: float | None, b: float | None, delta: float | None) -> _Parameters:
        if variant is None and k1 is None and b is None and delta is None:
            return self._parameters
        return _check_parameters(
            self.variant if variant is None else variant,
            self.k1 if k1 is None else k1,
            self.b if b is None else b,
            self.delta if delta is None else delta,
        )


def _as_list(items: Any, argument: str) -> list[Any]:
    if isinstance(items, list):
        return items
    if isinstance(items, (str, bytes, bytearray, Mapping)) or not isinstance(items, Iterable):
        raise InvalidInputError(
            f"{argument}: expected an iterable of str or of lists of terms, "
            f"got {type(items).__name__}; "
            + ("give its values()" if isinstance(items, Mapping) else "wrap it in a list")
        )
    return list(items)


def _tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens = tokenizer(text)
    if isinstance(tokens, (str, bytes, bytearray, Mapping)) or not isinstance(tokens, Iterable):
        raise InvalidInputError(f"analyzer: expected it to return a list of str, got {type(tokens).__name__}")
    return list(tokens)


def _check_number(value: Any, name: str, upper: float) -> float:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= upper:
        raise InvalidInputError(f"{name}: expected a number from 0 to {upper:g}, got {value!r}")
    return float(value)


def _check_parameters(variant: Any, k1: Any, b: Any, delta: Any) -> _Parameters:
    if variant not in _VARIANTS:
        raise InvalidInputError(f"variant: expected one of {', '.join(map(repr, _VARIANTS))}, got {variant!r}")
    return _Parameters(
        _VARIANTS.index(variant),
        _check_number(k1, "k1", _MAX_PARAMETER),
        _check_number(b, "b", 1.0),
        _check_number(delta, "delta", _MAX_PARAMETER),
    )
