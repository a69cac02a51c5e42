"""From what users pass to the exact arrays that the native core takes.

The core checks what it is given (cpp/bindings/arrays.h); this module converts first, so that lists, float64 and float16
work, and explains what cannot be converted.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import InvalidInputError

__all__ = ["check_k", "float_matrix", "id_array", "masks", "path_bytes"]

FloatArray = npt.NDArray[np.float32]
IdArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def float_matrix(value: Any, argument: str, dim: int, *, rounded_again: bool = False) -> tuple[FloatArray, bool]:
    """Return a C-contiguous float32 (n, dim) array and whether ``value`` was a single vector.

    A float32 array of that layout is not copied; anything else is. With ``rounded_again`` the core will round the
    result to a narrower type: see ``_round_to_odd``.
    """
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        array: npt.NDArray[Any] = value
        if array.shape == (0,):
            array = array.reshape(0, dim)
    else:
        array = _array(value, argument, f"numbers of shape (n, {dim}) or ({dim},)")
        if array.size == 0 and array.ndim <= 1:
            array = np.zeros((0, dim), dtype=np.float32)
        if array.dtype.kind not in "fiu":
            raise InvalidInputError(
                f"{argument}: expected numbers of shape (n, {dim}) or ({dim},), got {_describe(value)}"
            )
        with np.errstate(over="ignore"):  # becomes infinity, which the core reports with its row
            array = _round_to_odd(array) if rounded_again else array.astype(np.float32)
    shape = array.shape
    single = array.ndim == 1
    if single:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != dim:
        raise InvalidInputError(
            f"{argument}: expected shape (n, {dim}) or ({dim},), got shape {shape}; "
            "the dimension of an index is fixed when it is created"
        )
    return np.ascontiguousarray(array), single


def id_array(value: Any, argument: str) -> IdArray:
    """Return a contiguous int64 array of ids, one-dimensional. Booleans and fractions are not ids."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)):
        value = [value]
    array = _array(value, argument, "integers")
    if array.size == 0 and array.ndim <= 1:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidInputError(f"{argument}: expected a one-dimensional array of integers, got {_describe(value)}")
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and bool((array > np.iinfo(np.int64).max).any()):
        raise InvalidInputError(f"{argument}: expected integers below 2**63, got {int(array.max())}")
    return np.ascontiguousarray(array, dtype=np.int64)


def check_k(k: Any) -> int:
    """Return k as an int, or explain."""
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or not 1 <= k <= 2**31 - 1:
        raise InvalidInputError(f"k: expected an integer >= 1 (and < 2**31), got {k!r}")
    return int(k)


def path_bytes(value: Any) -> bytes:
    """Return a path as the file system encodes it; names that are not valid Unicode survive."""
    try:
        path = os.fsencode(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"path: expected str, bytes or os.PathLike, got {_describe(value)}: {error}") from None
    if b"\0" in path:
        raise InvalidInputError(f"path: expected no null character, got {value!r}")
    return path


def masks(value: Any, query_count: int) -> tuple[BoolArray | None, list[IdArray] | None]:
    """Split a user's mask into (bool matrix, None) or (None, id lists) or (None, None).

    Accepted: None; a bool array (n,) for all queries or (queries, n); an int array of ids for all queries; a list of
    ``query_count`` int arrays, one a query. An empty list allows nothing.
    """
    if value is None:
        return None, None
    is_nested = (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(part, (list, tuple, np.ndarray)) for part in value)
    )
    if is_nested and len(value) == query_count:
        parts = [_array(part, "mask", "a bool array or an array of ids") for part in value]
        if not all(part.dtype == np.bool_ for part in parts):
            return None, [id_array(part, "mask") for part in parts]
    array = _array(value, "mask", "a bool array or an array of ids")
    if array.dtype == np.bool_:
        shape = array.shape
        if array.ndim == 1:
            array = array.reshape(1, -1)
        if array.ndim != 2 or array.shape[0] not in (1, query_count):
            raise InvalidInputError(
                f"mask: expected a bool array of shape (n,) or ({query_count}, n), got shape {shape}"
            )
        return np.ascontiguousarray(array), None
    if array.ndim == 2 and array.dtype.kind in "iu" and array.shape[0] == query_count:
        return None, [id_array(row, "mask") for row in array]
    if array.dtype.kind in "iu" or array.size == 0:
        return None, [id_array(array, "mask")]
    raise InvalidInputError(
        "mask: expected a bool array with one entry for each row (in the order of ids), an integer array of the ids "
        f"allowed, or one of them for each query; got {_describe(value)}"
    )


def _array(value: Any, argument: str, expected: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:  # ragged lists, say
        raise InvalidInputError(f"{argument}: expected {expected}, got {_describe(value)}: {error}") from None


def _round_to_odd(array: npt.NDArray[Any]) -> FloatArray:
    """Convert to float32 so that rounding that to float16 or bfloat16 gives what rounding ``array`` itself would.

    Rounding to nearest twice can go astray: what lies just beside a tie of the narrow type may first be rounded onto
    it. So of the two neighbours in float32 the one whose last bit is 1 is taken, which is never a tie and stays on its
    side.
    Source: S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
    odd", 2008: right if the type in between has two bits more.
    """
    if array.dtype.kind == "f" and array.dtype.itemsize <= 4:
        return array.astype(np.float32)  # exact
    # 64-bit integers do not fit float64; longdouble is at least as wide as both.
    exact = array if array.dtype.kind == "f" else array.astype(np.longdouble)
    near: FloatArray = exact.astype(np.float32)
    wide = near.astype(exact.dtype)
    to_other = (wide != exact) & (near.view(np.uint32) & 1 == 0) & np.isfinite(exact)
    with np.errstate(under="ignore"):
        other = np.nextafter(near, np.where(exact > wide, np.float32(np.inf), np.float32(-np.inf)))
    return np.where(to_other, other, near)


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
