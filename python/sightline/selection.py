"""Which of the retrieved documents become hits: grouping and diversity.

Both take candidates in the order of relevance, so they come after reranking.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_count", "limit_groups", "mmr", "value_at"]


def value_at(metadata: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None if there is none; keys that themselves have dots count too."""
    if metadata.get(path) is not None:
        return metadata[path]
    for key, value in metadata.items():
        if isinstance(value, dict) and path.startswith(key + "."):
            found = value_at(value, path[len(key) + 1 :])
            if found is not None:
                return found
    return None


def limit_groups(metadatas: Sequence[Mapping[str, Any]], path: str, per_group: int) -> list[int]:
    """Return the positions of the first ``per_group`` documents of every value at ``path``.

    Values group if they are equal as JSON. A document without a value is a group of its own.
    """
    seen: Counter[str] = Counter()
    kept = []
    for position, metadata in enumerate(metadatas):
        value = value_at(metadata, path)
        if value is not None:
            key = json.dumps(value, sort_keys=True)
            seen[key] += 1
            if seen[key] > per_group:
                continue
        kept.append(position)
    return kept


def group_count(metadatas: Sequence[Mapping[str, Any]], path: str, per_group: int) -> int:
    """Return how many documents ``limit_groups`` would keep, in whatever order they come."""
    return len(limit_groups(metadatas, path, per_group))


def mmr(
    relevance: NDArray[np.float64], vectors: Sequence[NDArray[np.float32] | None], diversity: float, k: int
) -> list[int]:
    """Pick k positions by maximal marginal relevance, the best first.

    Each pick maximises (1 - diversity) * relevance - diversity * (greatest cosine to a pick before). Relevance is
    brought to [0, 1] over the candidates, since its scale depends on the mode; a document without a vector resembles
    none. O(n * k * dim).

    Source:     J. Carbonell, J. Goldstein, The use of MMR, diversity-based reranking, 1998
    """
    count = len(relevance)
    if not count:
        return []
    spread = relevance.max() - relevance.min()
    scaled = (relevance - relevance.min()) / spread if spread > 0 else np.ones(count)
    dim = next((len(vector) for vector in vectors if vector is not None), 1)
    unit = np.zeros((count, dim))
    for position, vector in enumerate(vectors):
        if vector is not None:
            exact = vector.astype(np.float64)
            unit[position] = exact / np.linalg.norm(exact)
    nearest = np.zeros(count)
    picked: list[int] = []
    open_positions = np.ones(count, dtype=np.bool_)
    while len(picked) < min(k, count):
        gain = np.where(open_positions, (1.0 - diversity) * scaled - diversity * nearest, -np.inf)
        best = int(np.argmax(gain))  # the first of equals, so ties keep the order of relevance
        similarity = unit @ unit[best]
        nearest = similarity if not picked else np.maximum(nearest, similarity)
        picked.append(best)
        open_positions[best] = False
    return picked
