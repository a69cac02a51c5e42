"""Every bad input is refused by an error that names the argument, and leaves the index as it was."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sightline as sl
from vector_data import METRICS, gaussian

DIM = 4
GOOD = gaussian(np.random.default_rng(0), 20, DIM)
ONE = [1.0, 2.0, 3.0, 4.0]
NAN = float("nan")
INF = float("inf")


@pytest.fixture(params=METRICS)
def index(request: pytest.FixtureRequest) -> Iterator[sl.VectorIndex]:
    """An index with gaps in its ids and a tombstone, checked to be unchanged when the test ends."""
    index = sl.VectorIndex(DIM, request.param)
    index.add(GOOD, np.arange(20) * 3)
    index.remove([3, 30])

    def state() -> tuple[bytes, ...]:
        scores, ids = index.search(GOOD, 25)
        return (index.ids.tobytes(), index.get(index.ids).tobytes(), scores.tobytes(), ids.tobytes())

    before = state()
    yield index
    assert state() == before
    assert index.add([ONE]).tolist() == [58]  # no id was used up


def refuse(call: Callable[[], Any], *words: str, kind: type[sl.SightlineError] = sl.InvalidInputError) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"


def test_classes_are_also_the_built_in_kind() -> None:
    kinds = {
        sl.InvalidInputError: ValueError,
        sl.DuplicateIdError: ValueError,
        sl.NotFoundError: KeyError,
        sl.StorageError: OSError,
        sl.MissingExtraError: ImportError,
        sl.CorruptIndexError: sl.SightlineError,
        sl.IncompatibleIndexError: sl.SightlineError,
        sl.IndexLockedError: sl.SightlineError,
    }
    for kind, built_in in kinds.items():
        assert issubclass(kind, built_in)
        assert issubclass(kind, sl.SightlineError)


# --- vectors and queries --------------------------------------------------------------------------------------------

SHAPE_WORDS = ("(n, 4) or (4,)",)
NOT_MATRICES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "too long": ([1, 2, 3, 4, 5], (*SHAPE_WORDS, "(5,)", "fixed when it is created")),
    "too short": (np.ones((2, 3), np.float32), (*SHAPE_WORDS, "(2, 3)")),
    "no columns": ([[]], (*SHAPE_WORDS, "(1, 0)")),
    "no rows, wrong columns": (np.zeros((0, 5), np.float32), (*SHAPE_WORDS, "(0, 5)")),
    "3-D": (np.ones((2, 2, 4)), (*SHAPE_WORDS, "(2, 2, 4)")),
    "3-D float32": (np.ones((1, 1, 4), np.float32), (*SHAPE_WORDS, "(1, 1, 4)")),
    "number": (1.0, SHAPE_WORDS),
    "str": ("abcd", (*SHAPE_WORDS, "'abcd'")),
    "bytes": (b"abcd", SHAPE_WORDS),
    "strings": (["a", "b", "c", "d"], SHAPE_WORDS),
    "ragged": ([[1, 2, 3, 4], [1, 2]], SHAPE_WORDS),
    "None": (None, (*SHAPE_WORDS, "None")),
    "list of None": ([None] * 4, SHAPE_WORDS),
    "objects": (np.array(ONE, object), (*SHAPE_WORDS, "object")),
    "complex": (np.ones(4, complex), (*SHAPE_WORDS, "complex")),
    "bools": (np.ones(4, bool), (*SHAPE_WORDS, "bool")),
    "dates": (np.zeros(4, "datetime64[s]"), (*SHAPE_WORDS, "datetime")),
    "structured": (np.zeros(4, "f4,f4"), SHAPE_WORDS),
    "past int64": ([2**70] * 4, SHAPE_WORDS),
    "dict": ({1: 2}, SHAPE_WORDS),
    "generator": ((x for x in ONE), SHAPE_WORDS),
}
NOT_FINITE: dict[str, Any] = {
    "NaN": [1, 2, NAN, 4],
    "NaN float32": np.array([1, 2, 3, NAN], np.float32),
    "inf": np.array([INF, 2, 3, 4], np.float32),
    "-inf": [1, 2, -INF, 4],
    "inf float16": np.array([INF, 2, 3, 4], np.float16),
    "past float32": [1, 2, 1e39, 4],
    "only NaN": [NAN] * 4,
    "inf and -inf": [INF, -INF, 0, 0],
}

MATRIX_CALLS: dict[str, tuple[str, Callable[[sl.VectorIndex, Any], Any]]] = {
    "add": ("vectors", lambda index, value: index.add(value)),
    "add with ids": ("vectors", lambda index, value: index.add(value, [100])),
    "upsert": ("vectors", lambda index, value: index.upsert(value, [0])),
    "search": ("queries", lambda index, value: index.search(value, 3)),
    "range_search": ("query", lambda index, value: index.range_search(value, 0.0)),
    "score": ("query", lambda index, value: index.score(value, [0])),
}


@pytest.mark.parametrize("call", sorted(MATRIX_CALLS))
@pytest.mark.parametrize("case", sorted(NOT_MATRICES))
def test_not_a_matrix_of_numbers(index: sl.VectorIndex, case: str, call: str) -> None:
    value, words = NOT_MATRICES[case]
    argument, method = MATRIX_CALLS[call]
    refuse(lambda: method(index, value), f"{argument}: expected", *words)


@pytest.mark.parametrize("call", sorted(MATRIX_CALLS))
@pytest.mark.parametrize("case", sorted(NOT_FINITE))
def test_not_finite(index: sl.VectorIndex, case: str, call: str) -> None:
    argument, method = MATRIX_CALLS[call]
    refuse(
        lambda: method(index, NOT_FINITE[case]), f"{argument}: ", "expected finite float32 values, got NaN or infinity"
    )


@pytest.mark.parametrize("row", [0, 1, 63, 64, 4999])
def test_one_bad_row_of_many_is_named(index: sl.VectorIndex, row: int) -> None:
    rows = gaussian(np.random.default_rng(1), 5000, DIM)
    rows[row, 2] = np.nan
    refuse(lambda: index.add(rows), f"vectors: row {row}: ", "NaN", "remove or replace")
    refuse(lambda: index.upsert(rows, np.arange(5000)[::-1]), f"vectors: row {row}: ", "NaN")
    refuse(lambda: index.search(rows, 3), f"queries: row {row}: ", "NaN")


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zero_vectors(index: sl.VectorIndex, zero: float) -> None:
    rows = np.ones((70, DIM))
    rows[66] = zero
    if index.metric == "cosine":
        refuse(lambda: index.add(rows), "vectors: row 66: ", "zero vector", "cosine", 'metric="ip"')
        refuse(lambda: index.upsert(rows, np.arange(70)), "vectors: row 66: ", "zero vector")
        refuse(lambda: index.search(rows, 3), "queries: row 66: ", "zero vector", "cosine")
        refuse(lambda: index.score(rows[66], [0]), "query: ", "zero vector")
        refuse(lambda: index.range_search(rows[66], 0), "query: ", "zero vector")
    else:
        assert np.isfinite(index.search(rows[66], 3)[0]).all()
        assert len(index.score(rows[66], [0, 6])) == 2


def test_several_vectors_where_one_is_expected(index: sl.VectorIndex) -> None:
    refuse(lambda: index.range_search(GOOD[:2], 0), "query: expected one vector, got 2", "once for each")
    refuse(lambda: index.score(GOOD[:2], [0]), "query: expected one vector, got 2")
    refuse(lambda: index.score([], [0]), "query: expected one vector, got 0")


# --- ids ------------------------------------------------------------------------------------------------------------

NOT_IDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "floats": ([1.0, 2.0], ("integers",)),
    "bools": ([True, False], ("integers",)),
    "one bool": (True, ("integers",)),
    "numpy bool": (np.True_, ("integers",)),
    "strings": (["a", "b"], ("integers",)),
    "None": ([None, 1], ("integers",)),
    "2-D": ([[100], [101]], ("one-dimensional",)),
    "ragged": ([[100], [101, 102]], ("integers",)),
    "past int64": ([100, 2**63], ("integers",)),
    "uint64": (np.array([100, 2**63], np.uint64), ("below 2**63",)),
    "past uint64": ([100, 2**64], ("integers",)),
    "set": ({100, 101}, ("integers",)),
}
ID_CALLS: dict[str, Callable[[sl.VectorIndex, Any], Any]] = {
    "add": lambda index, ids: index.add(GOOD[:2], ids),
    "upsert": lambda index, ids: index.upsert(GOOD[:2], ids),
    "remove": lambda index, ids: index.remove(ids),
    "get": lambda index, ids: index.get(ids),
    "score": lambda index, ids: index.score(ONE, ids),
}


@pytest.mark.parametrize("call", sorted(ID_CALLS))
@pytest.mark.parametrize("case", sorted(NOT_IDS))
def test_not_ids(index: sl.VectorIndex, case: str, call: str) -> None:
    value, words = NOT_IDS[case]
    refuse(lambda: ID_CALLS[call](index, value), "ids: expected", *words)


@pytest.mark.parametrize("call", ["add", "upsert"])
def test_ids_that_do_not_fit(index: sl.VectorIndex, call: str) -> None:
    def put(ids: Any) -> Callable[[], Any]:
        return lambda: ID_CALLS[call](index, ids)

    refuse(put([100]), "ids: expected one for each of the 2 vectors, got 1")
    refuse(put(100), "ids: expected one for each of the 2 vectors, got 1")
    refuse(put([]), "ids: expected one for each of the 2 vectors, got 0")
    refuse(put([100, 101, 102]), "ids: expected one for each of the 2 vectors, got 3")
    refuse(put([100, -1]), "ids: expected integers from 0 on, got -1")
    refuse(put([-(2**63), 5]), "ids: ", str(-(2**63)))
    refuse(put([100, 2**63 - 1]), "ids: ", "too large")
    refuse(put([100, 100]), "ids: 100 occurs more than once in this call", kind=sl.DuplicateIdError)
    refuse(put([6, 6]), "ids: 6 occurs more than once in this call", kind=sl.DuplicateIdError)
    if call == "upsert":
        refuse(put(None), "ids: expected")


def test_ids_that_are_present(index: sl.VectorIndex) -> None:
    for ids in ([6, 100], [100, 57], [0, 3]):
        refuse(lambda ids=ids: index.add(GOOD[:2], ids), "is already in the index", "upsert", kind=sl.DuplicateIdError)


def test_ids_that_are_not_there(index: sl.VectorIndex) -> None:
    for missing in (3, 30, 1, 58, -1, 2**63 - 1):
        refuse(lambda i=missing: index.get([0, i]), f"ids: {missing} is not in the index", kind=sl.NotFoundError)
        refuse(lambda i=missing: index.score(ONE, [i]), f"ids: {missing} is not in the index", kind=sl.NotFoundError)


def test_no_ids_left() -> None:
    index = sl.VectorIndex(1, "ip")
    index.add([1.0], [2**63 - 2])
    for count in (1, 2, 3):
        refuse(lambda count=count: index.add(np.ones((count, 1))), "ids: ", "choose ids yourself")
    assert index.ids.tolist() == [2**63 - 2]
    assert index.add([[2.0]], [5]).tolist() == [5]
    assert index.search([1.0], 2)[1].tolist() == [5, 2**63 - 2]


# --- k, threshold, the constructor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, True, np.True_, 1.5, 1.0, np.float32(2), "a", None, [3], 2**31, 2**63, 10**30])
def test_k(index: sl.VectorIndex, k: Any) -> None:
    refuse(lambda: index.search(ONE, k), "k: expected an integer >= 1", repr(k))


@pytest.mark.parametrize("threshold", [NAN, np.float32("nan"), "a", None, True, [0.5], np.array([0.5]), 1j])
def test_threshold(index: sl.VectorIndex, threshold: Any) -> None:
    refuse(lambda: index.range_search(ONE, threshold), "threshold: expected a number")


@pytest.mark.parametrize("dim", [0, -1, 8193, 2**40, 2**70, True, 2.0, "3", None])
def test_dim(dim: Any) -> None:
    refuse(lambda: sl.VectorIndex(dim), "dim: expected an integer from 1 to 8192", repr(dim))


@pytest.mark.parametrize("metric", ["COSINE", "", "dot", None, 1, ["ip"]])
def test_metric(metric: Any) -> None:
    refuse(lambda: sl.VectorIndex(3, metric), "metric: expected one of 'cosine', 'ip', 'l2'", repr(metric))


# --- what looks odd and is right ------------------------------------------------------------------------------------

WIDE = np.zeros((20, 9), np.float32)
WIDE[:, :4] = GOOD
READ_ONLY = GOOD.copy()
READ_ONLY.flags.writeable = False
UNALIGNED = np.frombuffer(b"\0" + GOOD.tobytes(), np.uint8)[1:].view(np.float32).reshape(20, 4)


class Named(np.ndarray):
    """A subclass of array, as libraries make them."""


SAME: dict[str, Any] = {
    "read-only": READ_ONLY,
    "columns of a wider array": WIDE[:, :4],
    "every other row": np.repeat(GOOD, 2, axis=0)[::2],
    "backwards": GOOD[::-1].copy()[::-1],
    "column-major": np.asfortranarray(GOOD),
    "float64": GOOD.astype(np.float64),
    "longdouble": GOOD.astype(np.longdouble),
    "big-endian float32": GOOD.astype(">f4"),
    "big-endian float64": GOOD.astype(">f8"),
    "lists": GOOD.tolist(),
    "tuples": tuple(map(tuple, GOOD.tolist())),
    "list of arrays": list(GOOD),
    "memoryview": memoryview(GOOD),
    "list of array.array": [array.array("f", row) for row in GOOD.tolist()],
    "subclass": GOOD.view(Named),
    "matrix": GOOD.view(np.matrix),
    "unaligned": UNALIGNED,
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("case", sorted(SAME))
def test_any_array_of_numbers_will_do(index: sl.VectorIndex, case: str) -> None:
    expected = index.search(GOOD, 5)
    scores, ids = index.search(SAME[case], 5)
    assert scores.tobytes() == expected[0].tobytes()
    assert ids.tobytes() == expected[1].tobytes()
    other = sl.VectorIndex(DIM, index.metric)
    other.add(SAME[case])
    assert other.get(np.arange(20)).tobytes() == GOOD.tobytes()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", ">i4", "f2", ">f2"])
def test_small_numbers_of_any_type(dtype: str) -> None:
    index = sl.VectorIndex(DIM, "ip")
    index.add(np.arange(8).reshape(2, 4).astype(dtype))
    assert index.get([0, 1]).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    "ids", [range(7, 9), (7, 8), np.array([7, 8], ">i4"), np.array([7, 8], np.uint64), np.array([7, 0, 8])[::2]]
)
def test_any_integers_are_ids(ids: Any) -> None:
    index = sl.VectorIndex(DIM)
    assert index.add(GOOD[:2], ids).tolist() == [7, 8]
    assert index.get(ids).tobytes() == GOOD[:2].tobytes()
    assert index.remove(ids) == 2
