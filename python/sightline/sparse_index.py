"""Ranked search over documents whose terms have given weights, as learned sparse encoders make them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy.typing as npt

from sightline import _core
from sightline._arrays import FloatArray, IdArray, check_k, id_array, masks, path_bytes
from sightline.errors import InvalidInputError

__all__ = ["SparseIndex"]

Vector = Mapping[str, float]


class SparseIndex:
    """Search ``{term: weight}`` vectors by inner product: exact, incremental, threaded.

    A document scores the sum, over the terms it shares with the query, of the two weights' product. For SPLADE and
    other learned sparse encoders; their token numbers become terms as ``str(number)``.

    Weights are float32, above 0 and at most 1e15. Products and sums are float64, in the order of the query's terms,
    rounded once, so that scores do not depend on the history of the index.

    Memory: 7 bytes for each term of each document, 12 bytes a document, and about 36 bytes and its own length for
    each distinct term.

    Notes:      thread-safe: searches run while another thread adds, each over the state at its start, and never
                wait; a document without any term of the query is never in a result and scores 0
    Source:     Formal et al., "SPLADE v2", 2021, for the vectors; the search is that of ``BM25Index``
    """

    def __init__(self) -> None:
        self._core = _core.SparseIndex()

    @property
    def ids(self) -> IdArray:
        """All ids in ascending order, int64 (n,): the order of the entries of a bool mask. A copy, O(n)."""
        return self._core.ids()

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"SparseIndex() with {len(self)} documents"

    def add(self, vectors: Iterable[Vector], ids: npt.ArrayLike | None = None) -> IdArray:
        """Add documents and return their ids.

        Searchable when the call returns. O(terms * log terms), plus, amortised, O(log n) copies of a posting as
        small segments merge.

        Parameters: vectors : dicts of str to weight; an empty one counts as a document; ids : integers >= 0 (n,),
                    default: the next free ones, counting from one more than the largest ever used
        Returns:    int64 (n,), in the order of vectors
        Raises:     InvalidInputError for anything else, with its position; DuplicateIdError if an id comes twice or
                    is present. The index is then as it was.
        """
        return self._core.add(_vectors(vectors, "vectors"), None if ids is None else id_array(ids, "ids"), False)

    def upsert(self, vectors: Iterable[Vector], ids: npt.ArrayLike) -> IdArray:
        """Add documents, replacing those whose id is present, in one step.

        Parameters: vectors : as for ``add``; ids : integers >= 0 (n,)
        Returns:    int64 (n,), in the order of vectors
        Raises:     InvalidInputError as in ``add``; DuplicateIdError if an id comes twice. The index is then as it
                    was.
        """
        return self._core.add(_vectors(vectors, "vectors"), id_array(ids, "ids"), True)

    def remove(self, ids: npt.ArrayLike) -> int:
        """Remove documents by id.

        O(m log n) for m ids, plus a copy of one bit for each document of the segments that are touched.

        Parameters: ids : integers (m,); unknown ones are no error
        Returns:    how many documents there were
        Raises:     InvalidInputError for ids that are no integers
        """
        return self._core.remove(id_array(ids, "ids"))

    def fork(self) -> SparseIndex:
        """Return an index of its own with the same documents; they share memory. O(1)."""
        return self._wrap(self._core.fork())

    def search(self, queries: Vector | Iterable[Vector], k: int = 10, mask: Any = None) -> tuple[FloatArray, IdArray]:
        """Return the k best documents for each query, exactly.

        O(documents that have a query term), at about 1 ns each; upper bounds decide which of them are scored
        exactly. Queries of a batch run in threads.

        Parameters: queries : a dict of str to weight, or a list of them; k : int >= 1; mask : as in
                    ``BM25Index.search``
        Returns:    scores : float32 (q, k), best first; ids : int64 (q, k), ties by ascending id; where there are
                    fewer than k, -inf and -1. For a single dict: (k,) each.
        Raises:     InvalidInputError for anything else
        """
        single = isinstance(queries, Mapping)
        batch = _vectors([queries] if isinstance(queries, Mapping) else queries, "queries")
        bits, id_lists = masks(mask, len(batch))
        rows: list[npt.NDArray[Any]] = list(id_lists or ()) if bits is None else list(bits)
        scores, ids = self._core.search(batch, check_k(k), rows)
        return (scores[0], ids[0]) if single else (scores, ids)

    def score(self, query: Vector, ids: npt.ArrayLike) -> FloatArray:
        """Return the scores of given documents, as ``search`` would; 0 for one without any term of the query.

        O(m * terms * log n) for m ids.

        Parameters: query : a dict of str to weight; ids : integers (m,)
        Returns:    float32 (m,), in the order of ids
        Raises:     NotFoundError for an id that is not in the index; InvalidInputError as in ``search``
        """
        if not isinstance(query, Mapping):
            raise InvalidInputError(f"query: expected a dict of str to weight, got {type(query).__name__}")
        return self._core.score(_vectors([query], "query"), id_array(ids, "ids"))

    def memory(self) -> dict[str, int]:
        """Return bytes by part: ``postings``, ``terms``, ``documents``, ``tombstones``.

        Of a mapped index these are bytes of the file; the operating system decides which are resident.
        """
        return self._core.memory()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file: a temporary neighbour first, fsync'ed, then renamed over ``path``.

        Parameters: path : file, replaced if it exists
        Raises:     StorageError if the file cannot be written; ``path`` is then as it was
        """
        self._core.save(path_bytes(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> SparseIndex:
        """Open a saved index. Every checksum and every invariant is verified, which reads the file once.

        Parameters: path : file; mmap : map the file (pages are shared and can be given back to the system) or read it
        Returns:    SparseIndex
        Raises:     StorageError, CorruptIndexError, IncompatibleIndexError
        """
        return cls._wrap(_core.SparseIndex.load(path_bytes(path), bool(mmap)))

    @classmethod
    def _wrap(cls, native: _core.SparseIndex) -> SparseIndex:
        index = cls.__new__(cls)
        index._core = native
        return index


def _vectors(vectors: Any, argument: str) -> list[dict[str, float]]:
    """The vectors as dicts, which the core checks entry by entry."""
    if isinstance(vectors, (str, bytes, Mapping)) or not isinstance(vectors, Iterable):
        raise InvalidInputError(
            f"{argument}: expected a list of dicts of str to weight, got {type(vectors).__name__}; "
            "for a single one pass [vector]"
        )
    return [dict(vector) if isinstance(vector, Mapping) else vector for vector in vectors]
