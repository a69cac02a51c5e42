"""Vectors to search: random ones, the stated worst case, and real ones, as they are or enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

__all__ = ["enlarge", "gaussian", "load"]


def normalise(rows: FloatArray) -> FloatArray:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def gaussian(count: int, dim: int, query_count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Unit vectors of independent Gaussian entries: no structure that a bound could use, the worst case."""
    rng = np.random.default_rng(seed)
    rows = normalise(rng.standard_normal((count, dim), dtype=np.float32))
    return rows, normalise(rng.standard_normal((query_count, dim), dtype=np.float32))


def load(folder: Path) -> tuple[FloatArray, FloatArray]:
    """docs.npy and queries.npy of a folder, float32 and of unit length."""
    docs, queries = (np.load(folder / name).astype(np.float32) for name in ("docs.npy", "queries.npy"))
    return normalise(docs), normalise(queries)


def enlarge(rows: FloatArray, count: int, seed: int, *, angle: float = 0.05, noise: float = 0.15) -> FloatArray:
    """Grow a set to ``count`` rows that keep its spectrum and clustering.

    Each further copy is turned by a small random rotation (QR of I + angle * G, G antisymmetric) and mixed with a
    little of another, centred row. That noise has the covariance of the data itself, so no direction gains or
    loses energy and neighbourhoods stay as crowded as real ones, which independent noise would thin out.
    """
    rng = np.random.default_rng(seed)
    original, dim = rows.shape
    out = np.empty((count, dim), dtype=np.float32)
    out[: min(count, original)] = rows[:count]
    mean = rows.mean(axis=0)
    for start in range(original, count, original):
        stop = min(count, start + original)
        generator = rng.standard_normal((dim, dim)) / np.sqrt(dim)
        rotation, r = np.linalg.qr(np.eye(dim) + angle * (generator - generator.T))
        rotation *= np.sign(np.diag(r))  # QR is unique up to signs; this choice is the one near the identity
        partners = rows[rng.permutation(original)[: stop - start]] - mean
        out[start:stop] = normalise(rows[: stop - start] @ rotation.astype(np.float32) + np.float32(noise) * partners)
    return out
