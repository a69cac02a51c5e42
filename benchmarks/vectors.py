"""Vectors to search: generated like sentence embeddings, random ones (the stated worst case), real ones enlarged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

__all__ = ["embedding_like", "enlarge", "gaussian", "normalise"]


def normalise(rows: FloatArray) -> FloatArray:
    """Bring rows to unit length, in place; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def gaussian(count: int, dim: int, query_count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Unit vectors of independent Gaussian entries: no structure that a bound could use, the worst case."""
    rng = np.random.default_rng(seed)
    rows = normalise(rng.standard_normal((count, dim), dtype=np.float32))
    return rows, normalise(rng.standard_normal((query_count, dim), dtype=np.float32))


# What embedding_like was fitted to: 100,000 titles of papers and their all-MiniLM-L6-v2 embeddings (384-d), with 1,000
# held-out titles as queries. real -> generated, at that size: participation ratio of the covariance 93 -> 89, energy of
# the first 50 directions 0.52 -> 0.56 and of 160 0.84 -> 0.86, cosine of a query to the nearest row 0.67 -> 0.67, to
# the 10th 0.55 -> 0.55, the 100th 0.45 -> 0.44, the 1000th 0.33 -> 0.33, to the middle one 0.05 -> 0.07; intrinsic
# dimension by the nearest 100 (Levina and Bickel's estimate) 23 -> 26. Rows of 100,000 that Sightline scores exactly in
# a batch of 100 queries: 15 -> 18 each. At 20,000 rows of the same sets: nearest 0.58 -> 0.60, 100th 0.36 -> 0.37.
_MEAN = 0.26
_SPECTRUM = (0.5, 0.52)  # eigenvalue i of dim: (1 + i / 0.5) ** -0.52 * (1 - i / dim)
_LEVELS = ((128, 0.12), (2048, 0.14), (16384, 0.14), (65536, 0.20))  # nodes, share of the variance between them
_POPULARITY = 0.8  # weights of nodes and of leaves fall as rank ** -0.8
_SPREAD = 0.3  # log-normal spread of how far rows lie from their leaf
_CHUNK = 16384


def embedding_like(count: int, dim: int, query_count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Unit vectors with the spectrum and the clustering of sentence embeddings, rows and queries of one process.

    A tree of topics: each node is its parent plus a Gaussian step, each row a leaf plus a Gaussian step of its own, so
    rows have near, less near and far neighbours at every scale, and more of the near ones as their number grows. Steps
    have a decaying spectrum in random directions; a common mean is added, as encoders have one. The numbers above say
    what it was fitted to and how well it meets that.
    """
    rng = np.random.default_rng(seed)
    at = np.arange(dim)
    energy = (1 + at / _SPECTRUM[0]) ** -_SPECTRUM[1] * (1 - at / dim)
    scale = np.sqrt(energy / energy.sum() * (1 - _MEAN**2))
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    turn = (scale[:, np.newaxis] * rotation).astype(np.float32)
    mean = rng.standard_normal(dim)
    mean *= _MEAN / np.linalg.norm(mean)
    nodes = np.zeros((1, dim), dtype=np.float32)
    for size, share in _LEVELS:
        parents = rng.choice(len(nodes), size, p=_popularity(len(nodes)))
        nodes = nodes[parents] + np.float32(np.sqrt(share)) * rng.standard_normal((size, dim), dtype=np.float32)
    own = np.sqrt(1 - sum(share for _, share in _LEVELS))
    # The popular children of a node are spread over the numbers of the next level, because parents are drawn at random.
    popularity = _popularity(len(nodes))
    out = np.empty((count + query_count, dim), dtype=np.float32)
    for start in range(0, len(out), _CHUNK):
        part = out[start : start + _CHUNK]
        distance = (own * np.exp(_SPREAD * rng.standard_normal((len(part), 1)))).astype(np.float32)
        part[:] = nodes[rng.choice(len(nodes), len(part), p=popularity)]
        part += distance * rng.standard_normal(part.shape, dtype=np.float32)
        part[:] = normalise(part @ turn + mean.astype(np.float32))
    return out[:count], out[count:]


def _popularity(count: int) -> npt.NDArray[np.float64]:
    weights = np.arange(1, count + 1) ** -_POPULARITY
    normalised: npt.NDArray[np.float64] = weights / weights.sum()
    return normalised


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
