"""Which of the retrieved documents become hits: grouping, near duplicates and diversity.

All take candidates in the order of relevance, so they come after reranking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.columns import parse_instant
from sightline.errors import InvalidInputError

__all__ = ["distinct", "limit_groups", "mmr", "value_at"]


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


def limit_groups(
    metadatas: Sequence[Mapping[str, Any]], path: str, per_group: int, latest_by: str | None = None
) -> list[int]:
    """Return the positions of the first ``per_group`` documents of every value at ``path``.

    Values group if they are equal as JSON. A document without a value is a group of its own. With ``latest_by`` it is
    not the first of a group that stay, but those with the greatest values there; equals, and a document without a value
    there after all others, in their order.

    Raises:     InvalidInputError if a group has values of several kinds at ``latest_by``
    """
    groups: dict[str, list[int]] = {}
    kept = []
    for position, metadata in enumerate(metadatas):
        value = value_at(metadata, path)
        if value is None:
            kept.append(position)
        else:
            groups.setdefault(json.dumps(value, sort_keys=True), []).append(position)
    for members in groups.values():
        if latest_by is None or len(members) <= per_group:
            kept += members[:per_group]
        else:
            ages = _comparable([value_at(metadatas[position], latest_by) for position in members], latest_by)
            newest = sorted(range(len(members)), key=ages.__getitem__, reverse=True)  # stable: equals keep their order
            kept += [members[i] for i in newest[:per_group]]
    return sorted(kept)


def _comparable(values: list[Any], path: str) -> list[tuple[int, Any]]:
    """Return keys that order values: dates as instants, other strings and numbers as such, missing ones first."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        instants = [None if value is None else parse_instant(value) for value in values]
        if all(instant is not None or value is None for instant, value in zip(instants, values, strict=True)):
            return [(0, 0) if instant is None else (1, instant) for instant in instants]
        return [(0, "") if value is None else (1, value) for value in values]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present):
        return [(0, 0) if value is None else (1, value) for value in values]
    raise InvalidInputError(
        f"latest_by: {path!r} holds values that have no common order, such as {present[0]!r} and {present[-1]!r}"
    )


def distinct(
    texts: Sequence[str], vectors: Sequence[NDArray[np.float32] | None], threshold: float, most: int
) -> list[int]:
    """Return up to ``most`` positions that resemble none before them.

    Two documents resemble each other if their texts are the same but for white space and case, or their vectors have at
    least this cosine. O(n * most * dim).
    """
    kept: list[int] = []
    seen: set[str] = set()
    unit = _unit_rows(vectors)
    for position, text in enumerate(texts):
        plain = " ".join(text.split()).casefold()
        if plain and plain in seen:
            continue
        # A document without a vector has a row of zeros, and only its text tells.
        others = [other for other in kept if vectors[other] is not None]
        if vectors[position] is not None and others and (unit[others] @ unit[position] >= threshold).any():
            continue
        seen.add(plain)
        kept.append(position)
        if len(kept) == most:
            break
    return kept


def _unit_rows(vectors: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float64]:
    """Return vectors as unit rows in float64, zeros where there is none."""
    dim = next((len(vector) for vector in vectors if vector is not None), 1)
    unit = np.zeros((len(vectors), dim))
    for position, vector in enumerate(vectors):
        if vector is not None:
            exact = vector.astype(np.float64)
            unit[position] = exact / np.linalg.norm(exact)
    return unit


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
    unit = _unit_rows(vectors)
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
