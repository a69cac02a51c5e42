"""Context precision and recall: the definitions by hand, the bit-parallel distance against the textbook's table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline import (
    InvalidInputError,
    context_precision,
    context_recall,
    text_context_precision,
    text_context_recall,
)
from sightline.context_metrics import text_similarity


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@given(a=st.text("abcü", max_size=90), b=st.text("abcü", max_size=90))
def test_similarity_is_the_levenshtein_distance_over_the_longer_length(a, b):
    expected = 1.0 if not a and not b else 1 - levenshtein(a, b) / max(len(a), len(b))
    assert text_similarity(a, b) == pytest.approx(expected, abs=1e-12)


def test_by_ids():
    assert context_precision(["a", "b", "c", "d"], ["a", "c", "x"]) == 0.5
    assert context_precision(["a", "a", "b"], ["a"]) == 0.5  # sets, so a repeated id counts once
    assert context_precision([], ["a"]) == 0.0
    assert context_precision(["a"], []) == 0.0
    assert context_recall(["a", "b", "c", "d"], ["a", "c", "x"]) == pytest.approx(2 / 3)
    assert context_recall([], ["a"]) == 0.0


def test_by_text():
    reference = ["the cat sat on the mat", "dogs bark"]
    retrieved = ["entirely different words", "the cat sat on a mat", "dogs barked"]
    # Relevant at ranks 2 and 3: (1/2 + 2/3) / 2.
    assert text_context_precision(retrieved, reference) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert text_context_recall(retrieved, reference) == 1.0
    assert text_context_recall(retrieved, reference, threshold=0.95) == 0.0
    assert text_context_precision(retrieved, reference, threshold=0.95) == 0.0
    assert text_context_precision(retrieved[::-1], reference) == 1.0

    def same_first_word(a, b):
        return float(a.split()[0] == b.split()[0])

    assert text_context_recall(["dogs run"], reference, similarity=same_first_word) == 0.5
    assert text_context_precision(["x", "dogs run"], reference, similarity=same_first_word) == 0.5


@pytest.mark.parametrize("metric", [context_precision, context_recall, text_context_precision, text_context_recall])
def test_bad_input(metric):
    with pytest.raises(InvalidInputError, match="retrieved: expected a list of str, got one str"):
        metric("a", ["a"])
    with pytest.raises(InvalidInputError, match=r"reference\[1\]: expected a str, got int"):
        metric(["a"], ["a", 5])


@pytest.mark.parametrize("metric", [context_recall, text_context_recall])
def test_there_is_nothing_to_recall(metric):
    with pytest.raises(InvalidInputError, match="reference: expected at least one"):
        metric(["a"], [])
