"""Rows and queries that are hard on a coarse bound, each made from a seed.

``make(name, metric, n, dim, seed)`` returns float32 rows and queries, fit for the metric: no zero vector under cosine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Rng = np.random.Generator
METRICS = ("cosine", "ip", "l2")


def gaussian(rng: Rng, n: int, dim: int) -> Matrix:
    return rng.standard_normal((n, dim)).astype(np.float32)


def duplicates(rng: Rng, n: int, dim: int) -> Matrix:
    distinct = gaussian(rng, max(1, n // 5), dim)
    return distinct[rng.integers(0, len(distinct), n)]


def all_equal(rng: Rng, n: int, dim: int) -> Matrix:
    return np.repeat(gaussian(rng, 1, dim), n, axis=0)


def mixed_norms(rng: Rng, n: int, dim: int) -> Matrix:
    """Norms from the denormals to the end of float32, in one index."""
    rows = gaussian(rng, n, dim).astype(np.float64) * 10.0 ** rng.uniform(-45, 38, (n, 1))
    return np.clip(rows, -3e38, 3e38).astype(np.float32)


def huge(rng: Rng, n: int, dim: int) -> Matrix:
    return np.clip(rng.standard_normal((n, dim)) * 1e38, -3.4e38, 3.4e38).astype(np.float32)


def denormal(rng: Rng, n: int, dim: int) -> Matrix:
    return (rng.integers(-40, 41, (n, dim)) * 1.4e-45).astype(np.float32)


def some_zero(rng: Rng, n: int, dim: int) -> Matrix:
    rows = gaussian(rng, n, dim)
    rows[rng.random(n) < 0.5] = 0
    return rows


def one_hot(rng: Rng, n: int, dim: int) -> Matrix:
    rows = np.zeros((n, dim), np.float32)
    rows[np.arange(n), rng.integers(0, dim, n)] = rng.choice([-1.0, 1.0, 2.0], n)
    return rows


def one_heavy_dimension(rng: Rng, n: int, dim: int) -> Matrix:
    """One dimension takes the whole scale of the codes; the ranking lies in the others."""
    rows = gaussian(rng, n, dim)
    rows[:, dim // 2] = 1000
    return rows


def negative_zeros(rng: Rng, n: int, dim: int) -> Matrix:
    rows = rng.integers(-1, 2, (n, dim)).astype(np.float32)
    rows[rows == 0] = rng.choice(np.array([0.0, -0.0], np.float32), int((rows == 0).sum()))
    return rows


def ulps_apart(rng: Rng, n: int, dim: int) -> Matrix:
    """Copies of one row whose values differ by a few steps of float32."""
    base = gaussian(rng, 1, dim)
    steps = rng.integers(-3, 4, (n, dim))
    return (np.repeat(base, n, axis=0).view(np.int32) + steps.astype(np.int32)).view(np.float32)


def far_away(rng: Rng, n: int, dim: int) -> Matrix:
    """A small cloud far from the origin."""
    return gaussian(rng, n, dim) * np.float32(1e-2) + np.float32(3e4)


def small_integers(rng: Rng, n: int, dim: int) -> Matrix:
    """Scores are integers, so nearly every place of a ranking is a tie."""
    return rng.integers(-2, 3, (n, dim)).astype(np.float32)


def tight(rng: Rng, n: int, dim: int) -> Matrix:
    """Rows whose rounding error, in codes of 8 bits and of 4, is parallel to ``tight_query``: the bound is an equality.

    Values stand at the edge of a code: its low nibble is 15 and a half where the query is positive, 0 less a half where
    it is negative. Half of the rows have the error turned round, so that their bound is as far too high as it can be.
    Moving values between dimensions of equal sign changes the codes and keeps the score, so groups of rows tie.
    """
    signs = tight_query(dim)[0]
    toward = np.where(rng.random((n, 1)) < 0.5, 1.0, -1.0)
    nibbles = rng.integers(-3, 3, (max(1, n // 8), dim))[rng.integers(0, max(1, n // 8), n)]
    edge = np.where(signs * toward > 0, 15.49, -0.49)
    codes = 16.0 * nibbles + edge
    positive = np.flatnonzero(signs > 0)
    for row in codes:
        row[positive] = row[rng.permutation(positive)]
    codes[:, 0] = 127  # fixes the scale
    return (codes / 127).astype(np.float32)


def tight_query(dim: int) -> Matrix:
    signs = np.where(np.arange(dim) % 3 == 0, -1.0, 1.0).astype(np.float32)
    if dim > 1:
        signs[0] = 0
    return signs[np.newaxis]


RECIPES: dict[str, Callable[[Rng, int, int], Matrix]] = {
    recipe.__name__: recipe
    for recipe in (
        gaussian, duplicates, all_equal, mixed_norms, huge, denormal, some_zero, one_hot, one_heavy_dimension,
        negative_zeros, ulps_apart, far_away, small_integers, tight,
    )
}  # fmt: skip


def without_zero_vectors(rows: Matrix) -> Matrix:
    rows[~rows.any(axis=1), 0] = 1
    return rows


def make(name: str, metric: str, n: int, dim: int, seed: int) -> tuple[Matrix, Matrix]:
    """Return (n, dim) rows and a dozen queries: equal to rows, opposite, like them, tiny, huge, on an axis, zero."""
    rng = np.random.default_rng(seed)
    rows = RECIPES[name](rng, n, dim)
    own = rows[rng.integers(0, n, 3)] if n else gaussian(rng, 3, dim)
    axis = np.zeros((1, dim), np.float32)
    axis[0, dim // 2] = -1
    normal = gaussian(rng, 2, dim)
    queries = np.concatenate(
        [
            *(own, -own[:1], RECIPES[name](rng, 2, dim), normal, axis, tight_query(dim)),
            *(normal[:1] * np.float32(1e-40), normal[:1] * np.float32(3e37), np.zeros((1, dim), np.float32)),
        ]
    )
    if metric == "cosine":
        rows, queries = without_zero_vectors(rows), without_zero_vectors(queries)
    return rows, queries
