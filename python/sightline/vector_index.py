"""Exact nearest neighbours by cosine, inner product or distance."""

from __future__ import annotations

import math
import os
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from sightline import _core
from sightline._arrays import FloatArray, IdArray, check_k, float_matrix, id_array, masks, path_bytes
from sightline.errors import InvalidInputError

__all__ = ["VectorIndex"]

Metric = Literal["cosine", "ip", "l2"]
_METRICS = ("cosine", "ip", "l2")
Dtype = Literal["float32", "float16", "bfloat16"]
_DTYPES = ("float32", "float16", "bfloat16")


class VectorIndex:
    """Search vectors exactly, at the speed of an approximate index.

    Every search bounds the score of every row by a coarse image of the data (one byte a dimension) and scores exactly,
    in float64, the few rows whose bound reaches the k-th best. The answer is that of brute force, ties broken by
    ascending id, and it is the same to the last bit on every machine, for every batch size and number of threads.

    Memory: about 5 bytes a dimension a row (4 of them the stored float32 vector) and 24 to 32 bytes a row; about 3
    bytes a dimension a row as float16 or bfloat16. Of a file that ``load`` maps, the vectors stay on disk: about 1 byte
    a dimension a row is resident.

    Parameters: dim : int, 1 to 8192; metric : "cosine", "ip" (inner product) or "l2" (score: minus the squared
                distance, so that greater is always better);
                dtype : what the vectors are stored as, "float32", "float16" (11 significant bits, up to 65504) or
                "bfloat16" (8 bits, the range of float32). What is added is rounded to it once, to nearest even; from
                then on results are exact with respect to the stored vectors, which are those that ``get`` returns
    Raises:     InvalidInputError for any other value
    Notes:      thread-safe: searches run while another thread adds, each over the state at its start, and never wait
    """

    def __init__(self, dim: int, metric: Metric = "cosine", dtype: Dtype = "float32") -> None:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not 1 <= dim <= 8192:
            raise InvalidInputError(f"dim: expected an integer from 1 to 8192, got {dim!r}")
        if metric not in _METRICS:
            raise InvalidInputError(f"metric: expected one of {', '.join(map(repr, _METRICS))}, got {metric!r}")
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise InvalidInputError(f"dtype: expected one of {', '.join(map(repr, _DTYPES))}, got {dtype!r}")
        self._core = _core.VectorIndex(int(dim), metric, dtype)

    @property
    def dim(self) -> int:
        """The number of dimensions of every vector."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """How scores are computed: "cosine", "ip" or "l2"."""
        return self._core.metric

    @property
    def dtype(self) -> str:
        """What the vectors are stored as: "float32", "float16" or "bfloat16"."""
        return self._core.dtype

    @property
    def ids(self) -> IdArray:
        """All ids in ascending order, int64 (n,): the order of the entries of a bool mask. A copy, O(n)."""
        return self._core.ids()

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        dtype = "" if self.dtype == "float32" else f", dtype={self.dtype!r}"
        return f"VectorIndex(dim={self.dim}, metric={self.metric!r}{dtype}) with {len(self)} rows"

    def add(self, vectors: npt.ArrayLike, ids: npt.ArrayLike | None = None) -> IdArray:
        """Add rows and return their ids.

        Searchable when the call returns. O(n * dim), plus, amortised, O(log n) copies of a row as small segments merge.

        Parameters: vectors : float32 (n, dim) or (dim,); float64, float16, integers and lists are converted, a copy;
                    ids : integers >= 0 (n,), default: the next free ones
        Returns:    int64 (n,)
        Raises:     InvalidInputError for a wrong shape, NaN, infinity, values past the range of the index's dtype,
                    negative ids or, under cosine, a vector that is zero once it is rounded to the dtype;
                    DuplicateIdError if an id comes twice or is present. The index is then as it was.
        """
        matrix = self._rows(vectors)
        return self._core.add(matrix, None if ids is None else id_array(ids, "ids"))

    def upsert(self, vectors: npt.ArrayLike, ids: npt.ArrayLike) -> IdArray:
        """Add rows, replacing those whose id is present, in one step.

        Costs what ``add`` does, plus a tombstone for each row replaced.

        Parameters: vectors : as for ``add``; ids : integers >= 0 (n,)
        Returns:    int64 (n,)
        Raises:     InvalidInputError as in ``add``; DuplicateIdError if an id comes twice. The index is then as it was.
        """
        matrix = self._rows(vectors)
        return self._core.upsert(matrix, id_array(ids, "ids"))

    def _rows(self, vectors: npt.ArrayLike) -> FloatArray:
        return float_matrix(vectors, "vectors", self.dim, rounded_again=self.dtype != "float32")[0]

    def remove(self, ids: npt.ArrayLike) -> int:
        """Remove rows by id.

        O(m log n) for m ids, plus a copy of the tombstone bits of the segments that are touched.

        Parameters: ids : integers (m,); unknown ones are no error
        Returns:    how many rows there were
        Raises:     InvalidInputError for ids that are no integers
        """
        return self._core.remove(id_array(ids, "ids"))

    def fork(self) -> VectorIndex:
        """Return an index of its own with the same rows. They share memory, since rows never change in place; O(1)."""
        index = type(self).__new__(type(self))
        index._core = self._core.fork()
        return index

    def attach(self, other: VectorIndex) -> None:
        """Take over the live rows of another index, such as one of several that ``load`` mapped.

        They share memory. Attached rows stay where they are, mapped or not, whatever is written later, until
        ``compact``. O(segments), plus O(log n) a row where the ids of both interleave.

        Parameters: other : VectorIndex of the same dim, metric and dtype
        Raises:     InvalidInputError if it is anything else; DuplicateIdError if an id is in both. The index is then as
                    it was.
        """
        if not isinstance(other, VectorIndex):
            raise InvalidInputError(f"other: expected a VectorIndex, got {type(other).__name__}")
        self._core.attach(other._core)

    def compact(self) -> None:
        """Rewrite all rows into as few segments as possible and free the space of removed ones. O(n * dim)."""
        self._core.compact()

    @overload
    def search(
        self, queries: npt.ArrayLike, k: int = 10, mask: Any = None, *, stats: Literal[False] = False
    ) -> tuple[FloatArray, IdArray]: ...

    @overload
    def search(
        self, queries: npt.ArrayLike, k: int = 10, mask: Any = None, *, stats: Literal[True]
    ) -> tuple[FloatArray, IdArray, dict[str, int]]: ...

    def search(
        self, queries: npt.ArrayLike, k: int = 10, mask: Any = None, *, stats: bool = False
    ) -> tuple[FloatArray, IdArray] | tuple[FloatArray, IdArray, dict[str, int]]:
        """Return the k best rows for each query, exactly.

        One pass over the codes of all rows for up to 1024 queries; a mask that allows few rows makes it faster.

        Parameters: queries : float32 (q, dim), or (dim,) for one; need not be normalised; k : int >= 1;
                    mask : None; bool (n,) or (q, n), an entry for each row in the order of ``ids``; integers, the ids
                    allowed; or a list of such integer arrays, one a query;
                    stats : also return what the search did
        Returns:    scores : float32 (q, k), best first; ids : int64 (q, k), ties by ascending id; where there are fewer
                    than k rows, -inf and -1. For a single query: (k,) each.
                    With stats, a dict: ``rows`` (alive), ``rows_high`` and ``rows_full`` (bounded by 4 and by 8 bits a
                    dimension), ``rows_exact`` (scored exactly), ``bytes`` (read)
        Raises:     InvalidInputError for a wrong dimension, NaN, infinity, k < 1, a mask that does not fit or, under
                    cosine, a zero query
        Notes:      scores are float64 results rounded once; scores outside float32's range are clamped to its ends
        """
        matrix, single = float_matrix(queries, "queries", self.dim)
        bits, id_lists = masks(mask, len(matrix))
        scores, ids, counters = self._core.search(matrix, check_k(k), bits, id_lists, stats)
        if single:
            scores, ids = scores[0], ids[0]
        return (scores, ids, counters) if stats else (scores, ids)

    def range_search(self, query: npt.ArrayLike, threshold: float, mask: Any = None) -> tuple[FloatArray, IdArray]:
        """Return every row whose score is at least the threshold, best first.

        One pass over the codes of all rows; the rows of the result, and those that bounds do not exclude, cost O(dim).

        Parameters: query : float32 (dim,); threshold : float, taken as float32; mask : as in ``search``
        Returns:    scores : float32 (m,); ids : int64 (m,), ties by ascending id
        Raises:     InvalidInputError as in ``search``, and for a threshold that is not a number
        """
        matrix, _ = float_matrix(query, "query", self.dim)
        if len(matrix) != 1:
            raise InvalidInputError(f"query: expected one vector, got {len(matrix)}; call range_search once for each")
        if isinstance(threshold, (bool, np.bool_)) or not isinstance(threshold, (int, float, np.integer, np.floating)):
            raise InvalidInputError(f"threshold: expected a number, got {threshold!r}")
        try:
            least = float(threshold)
        except OverflowError:  # an integer past float64
            least = math.inf if threshold > 0 else -math.inf
        if math.isnan(least):
            raise InvalidInputError("threshold: expected a number, got NaN")
        bits, id_lists = masks(mask, 1)
        return self._core.range_search(matrix, least, bits, id_lists)

    def score(self, query: npt.ArrayLike, ids: npt.ArrayLike) -> FloatArray:
        """Return the exact scores of given rows, as ``search`` would. O(m * (dim + log n)).

        Parameters: query : float32 (dim,); ids : integers (m,)
        Returns:    float32 (m,), in the order of ids
        Raises:     NotFoundError for an id that is not in the index; InvalidInputError as in ``search``
        """
        matrix, _ = float_matrix(query, "query", self.dim)
        if len(matrix) != 1:
            raise InvalidInputError(f"query: expected one vector, got {len(matrix)}")
        return self._core.score(matrix, id_array(ids, "ids"))

    def get(self, ids: npt.ArrayLike) -> FloatArray:
        """Return the stored vectors: as they were added, rounded to the dtype of the index. O(m * (dim + log n)).

        Parameters: ids : integers (m,)
        Returns:    float32 (m, dim), a copy, in the order of ids
        Raises:     NotFoundError for an id that is not in the index; InvalidInputError for ids that are no integers
        """
        return self._core.get(id_array(ids, "ids"))

    def memory(self) -> dict[str, int]:
        """Return bytes by part: ``vectors``, ``codes``, ``bounds``, ``ids``, ``tombstones``; and ``mapped``.

        ``mapped`` says how much of the sum lies in a mapped file, whose ``vectors`` are on disk but for those that
        searches have touched lately: see ``load``.
        """
        return self._core.memory()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file: a temporary neighbour first, fsync'ed, then renamed over ``path``.

        O(bytes); writes the state at the start of the call, while other threads may add.

        Parameters: path : file, replaced if it exists
        Raises:     StorageError if the file cannot be written; ``path`` is then as it was. InvalidInputError if path is
                    no str, bytes or os.PathLike
        """
        self._core.save(path_bytes(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> VectorIndex:
        """Open a saved index. Every checksum is verified, which reads the file once.

        A mapped index keeps codes, bounds and ids resident, about 1 byte a dimension and 24 to 32 bytes a row, and
        gives the pages of the vectors back: after loading, and after searches once they may have brought in a quarter
        of the codes' size (or 32 MB, if that is more). Single queries copy the few rows that they score by a system
        call, which brings in no pages. Only where the data prunes so little that queries score more
        than a quarter of the rows exactly do the vectors stay, until later calls need fewer. Pages are shared between
        processes and remain in the system's file cache, so bringing them in again costs little while memory is not
        short.
        Measured: 400,000 x 384 embeddings, a file of 779 MB; of it 166 MB are resident after 100 searches, 1.08 bytes
        a dimension a row; searches take no longer than over a file that was read.

        Parameters: path : file; mmap : map the file, or read all of it into memory of this process
        Returns:    VectorIndex
        Raises:     StorageError, CorruptIndexError, IncompatibleIndexError
        """
        index = cls.__new__(cls)
        index._core = _core.VectorIndex.load(path_bytes(path), bool(mmap))
        return index
