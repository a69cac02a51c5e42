"""Context precision and recall, as the evaluation of RAG pipelines defines them, without a language model.

By ids they are shares of sets. By text, passages count as the same if they are similar enough; precision then weighs
ranks, as a passage near the top is read first.

Source:     S. Es et al., RAGAS: automated evaluation of retrieval augmented generation, 2024; the definitions are those
            of its id-based metrics and of NonLLMContextPrecisionWithReference and NonLLMContextRecall
            G. Myers, A fast bit-vector algorithm for approximate string matching, 1999; H. Hyyro's form of it, 2003
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sightline.errors import InvalidInputError

__all__ = [
    "context_precision",
    "context_recall",
    "text_context_precision",
    "text_context_recall",
    "text_similarity",
]


def context_precision(retrieved: Iterable[str], reference: Iterable[str]) -> float:
    """Return the share of the retrieved ids that the reference holds; 0 if nothing was retrieved.

    Parameters: retrieved : ids, repeated ones count once; reference : the relevant ids
    Raises:     InvalidInputError if either holds anything but str, or is one str
    """
    found, wanted = _strings("retrieved", retrieved), set(_strings("reference", reference))
    return sum(name in wanted for name in set(found)) / len(set(found)) if found else 0.0


def context_recall(retrieved: Iterable[str], reference: Iterable[str]) -> float:
    """Return the share of the reference's ids that were retrieved.

    Parameters: retrieved : ids; reference : the relevant ids, at least one
    Raises:     InvalidInputError if the reference is empty: there is nothing to recall; or as ``context_precision``
    """
    found, wanted = set(_strings("retrieved", retrieved)), set(_strings("reference", reference))
    if not wanted:
        raise InvalidInputError("reference: expected at least one id, got none")
    return sum(name in found for name in wanted) / len(wanted)


def text_context_precision(
    retrieved: Iterable[str],
    reference: Iterable[str],
    *,
    threshold: float = 0.5,
    similarity: Callable[[str, str], float] | None = None,
) -> float:
    """Return the mean precision at the ranks of the relevant passages, 0 if none is relevant.

    A retrieved passage is relevant if it is at least ``threshold`` similar to any passage of the reference.

    O(retrieved * reference) comparisons of two texts.

    Parameters: retrieved : texts, best first; reference : the relevant texts; threshold : similarity from which two
                texts count as the same; similarity : of two texts, 0 to 1, default 1 minus the Levenshtein distance
                over the longer length
    Returns:    float, 0 to 1
    Raises:     InvalidInputError if either list holds anything but str, or is one str
    """
    compare = similarity or text_similarity
    wanted = _strings("reference", reference)
    relevant = 0
    total = 0.0
    for rank, text in enumerate(_strings("retrieved", retrieved), start=1):
        if any(compare(text, other) >= threshold for other in wanted):
            relevant += 1
            total += relevant / rank
    return total / relevant if relevant else 0.0


def text_context_recall(
    retrieved: Iterable[str],
    reference: Iterable[str],
    *,
    threshold: float = 0.5,
    similarity: Callable[[str, str], float] | None = None,
) -> float:
    """Return the share of the reference's passages to which some retrieved passage is at least ``threshold`` similar.

    Parameters: as for ``text_context_precision``
    Raises:     InvalidInputError if the reference is empty
    """
    compare = similarity or text_similarity
    found, wanted = _strings("retrieved", retrieved), _strings("reference", reference)
    if not wanted:
        raise InvalidInputError("reference: expected at least one text, got none")
    return sum(any(compare(text, other) >= threshold for text in found) for other in wanted) / len(wanted)


def text_similarity(a: str, b: str) -> float:
    """Return 1 minus the Levenshtein distance over the longer length; 1 for two empty texts.

    O(len(a) * len(b) / w) in words of w bits, bit-parallel: about a millisecond for two texts of 1,500 characters.
    """
    if not a or not b:
        return 1.0 if a == b else 0.0
    return 1.0 - _distance(a, b) / max(len(a), len(b))


def _distance(pattern: str, text: str) -> int:
    """Hyyro's form of Myers' algorithm: the vertical differences of a column of the matrix as two bit vectors."""
    masks: dict[str, int] = {}
    for position, character in enumerate(pattern):
        masks[character] = masks.get(character, 0) | (1 << position)
    last = 1 << (len(pattern) - 1)
    every = (1 << len(pattern)) - 1
    increases, decreases, distance = every, 0, len(pattern)
    for character in text:
        matches = masks.get(character, 0)
        diagonal = ((((matches & increases) + increases) ^ increases) | matches | decreases) & every
        right_up = (decreases | ~(diagonal | increases)) & every
        right_down = increases & diagonal
        if right_up & last:
            distance += 1
        elif right_down & last:
            distance -= 1
        right_up = ((right_up << 1) | 1) & every
        right_down = (right_down << 1) & every
        increases = (right_down | ~(diagonal | right_up)) & every
        decreases = right_up & diagonal
    return distance


def _strings(name: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise InvalidInputError(f"{name}: expected a list of str, got one str")
    found = list(values)
    for position, value in enumerate(found):
        if not isinstance(value, str):
            raise InvalidInputError(f"{name}[{position}]: expected a str, got {type(value).__name__}")
    return found
