"""Where the pieces of a splitter stand: by splitters of a few lines that know it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline import Document, InvalidInputError, chunk_documents
from sightline.splitters import splitter_spans


class Piece:
    """What chonkie returns."""

    def __init__(self, text, start_index, end_index):
        self.text, self.start_index, self.end_index = text, start_index, end_index


def spans_of(text, size, step):
    """Windows of words: step below size overlaps, above it leaves words out."""
    words, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        words.append((position, position + len(word)))
        position += len(word)
    return [(words[i][0], words[min(i + size, len(words)) - 1][1]) for i in range(0, len(words), step)]


TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "aa", "\u65e5", " ", "\n"]), max_size=30).map(" ".join)


@given(text=TEXTS, size=st.integers(1, 4), step=st.integers(1, 4))
def test_every_piece_gets_a_span_with_its_text(text, size, step):
    """Also where all words look alike: each span has its piece's text, and they ascend as the pieces do."""
    true = spans_of(text, size, step)
    found = splitter_spans(lambda whole: [whole[start:end] for start, end in true], text)
    assert [text[start:end] for start, end in found] == [text[start:end] for start, end in true]
    assert all(before[0] < after[0] for before, after in pairwise(found))
    if step == size:  # nothing overlaps and nothing is left out: there is one way to place them
        assert found == true
    stated = [Piece(text[start:end], start, end) for start, end in true]
    assert splitter_spans(lambda whole: stated, text) == true


@given(words=st.lists(st.integers(0, 10**6).map(str), min_size=1, max_size=20, unique=True), step=st.integers(1, 3))
def test_where_words_differ_spans_are_the_true_ones(words, step):
    text = "  ".join(f"<{word}>" for word in words)
    true = spans_of(text, 3, step)
    kept = [span for i, span in enumerate(true) if i == 0 or span[1] > true[i - 1][1]]
    assert splitter_spans(lambda whole: [whole[start:end] for start, end in kept], text) == kept


def test_stated_places_are_checked():
    text = "one two  three "
    wrong = [Piece("one", 1, 4), Piece("two  ", 4, 9), Piece(" \n", 7, 9), Piece("three", 9, 14)]
    assert splitter_spans(lambda whole: wrong, text) == [(0, 3), (4, 7), (9, 14)]
    right = [Piece("one ", 0, 4), Piece("two  three ", 4, 15)]
    assert splitter_spans(lambda whole: right, text) == [(0, 3), (4, 14)]  # without white space at the ends


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (lambda text: ["One"], "piece 0 of function is not in the text at its place.*'One'"),
        (lambda text: ["two", "one"], "piece 0 of function is not in the text at its place"),
        (lambda text: ["one", "one"], "is not in the text at its place"),
        (lambda text: "one", "expected it to return a list of pieces, got str"),
        (lambda text: None, "expected it to return a list of pieces, got NoneType"),
        (lambda text: [5], "expected pieces of text, got int"),
        ("words", "expected an object with split_text or chunk, or a callable, got 'words'"),
        (Piece, "give an instance, not its class"),
    ],
)
def test_what_cannot_be_placed_is_refused(splitter, message):
    with pytest.raises(InvalidInputError, match=message):
        splitter_spans(splitter, "one two")


MARKDOWN = "# Guide\n\nFirst words.\n\n## Setup\n\nRun it. Then wait.\n"


def test_documents_of_a_splitter_carry_headings_and_spans():
    source = Document("guide", MARKDOWN, {"year": 2024}, title="The guide")
    found = list(chunk_documents([source], splitter=lambda text: text.split("\n\n"), format="markdown"))
    assert [(document.text, document.title) for document in found] == [
        ("# Guide", "The guide > Guide"),
        ("First words.", "The guide > Guide"),
        ("## Setup", "The guide > Guide > Setup"),
        ("Run it. Then wait.", "The guide > Guide > Setup"),
    ]
    for number, document in enumerate(found):
        place = document.metadata
        assert MARKDOWN[place["start"] : place["end"]] == document.text
        assert (document.id, place["source"], place["chunk"]) == (f"guide#{number}", "guide", number)
    code = "class A:\n    def f(self):\n        return 1\n"
    (_, _, last) = chunk_documents([code], splitter=str.splitlines, format="code")
    assert last.title == "class A: > def f(self):"
    (plain,) = chunk_documents([Document("x", MARKDOWN, title="T")], splitter=lambda text: [text])
    assert plain.title == "T"
    assert list(chunk_documents([" "], splitter=lambda text: [text], format="markdown")) == []
    for options in ({"overlap": 5}, {"tokenizer": len}):
        with pytest.raises(InvalidInputError, match="splitter: has its own budget and overlap"):
            list(chunk_documents([source], splitter=str.split, **options))
    with pytest.raises(InvalidInputError, match="format: expected 'text'"):
        list(chunk_documents([source], splitter=str.split, format="html"))


def test_a_heading_that_repeats_the_title_is_left_out():
    (first, second) = chunk_documents([Document("x", MARKDOWN, title="Guide")], format=lambda document: "markdown")
    assert (first.title, second.title) == ("Guide", "Guide > Setup")


def test_a_piece_may_repeat_all_of_the_one_before_it():
    text = "# Head\n\nword word"
    assert splitter_spans(lambda whole: ["# Head", "# Head\n\nword word"], text) == [(0, 6), (0, 17)]
    assert splitter_spans(lambda whole: ["a", "a b", "b c"], "a b c") == [(0, 1), (0, 3), (2, 5)]
    # Where there is room for both they stand apart, and what is the same piece twice is not there twice.
    assert splitter_spans(lambda whole: ["a", "a b"], "a a b") == [(0, 1), (2, 5)]
    with pytest.raises(InvalidInputError, match="is not in the text at its place"):
        splitter_spans(lambda whole: ["a b", "a b"], "a b")
