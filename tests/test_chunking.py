"""Chunking: exact spans, both limits in tokens, structure; all of it also as properties over random texts."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline import Document, HybridIndex, InvalidInputError, chunk, chunk_documents
from sightline.chunking import count_tokens
from sightline.sentences import sentence_spans

PIECES = st.sampled_from(
    [
        *("Dr. Smith paid 3.5 dollars. ", "He left! ", "“Why?” she asked. ", "word ", "averyveryverylongword"),
        *("\n\n", "\n", " ", "\r\n", "\u2028", "\t", "é", "🙂", "日本語の文です。次の文！", "。"),
        *("# Title\n", "## Part\n", "### Deep\n", "Under\n=====\n", "- item one\n", "1. first\n", "---\n"),
        *("```py\ncode = 1\n\nmore()\n```\n", "```\n", "| a | b |\n|---|---|\n| 1 | 2 |\n"),
        *("def f():\n    return 1\n", "class A:\n    x = 1\n\n"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=80))


def characters(text):
    return len(text)


def thirds(text):
    """A counter that is not additive and counts white space, as byte-pair tokenizers do."""
    return (len(text.encode()) + 2) // 3


@given(
    text=TEXTS,
    limit=st.integers(1, 40),
    share=st.sampled_from([0, 0.2, 0.5, 0.9]),
    tokenizer=st.sampled_from([None, characters, thirds]),
    format=st.sampled_from(["text", "markdown", "code"]),
)
def test_spans_limits_and_cover(text, limit, share, tokenizer, format):
    overlap = min(int(limit * share), limit - 1)
    chunks = chunk(text, max_tokens=limit, overlap=overlap, tokenizer=tokenizer, format=format)
    check_chunks(text, chunks, tokenizer or count_tokens, limit, overlap)


def check_chunks(text, chunks, count, limit, overlap):
    """Exact spans, both limits in tokens, every word in some chunk."""
    covered = [False] * len(text)
    for found in chunks:
        assert text[found.start : found.end] == found.text == found.text.strip() != ""
        assert found.tokens == count(found.text)
        assert found.tokens <= limit or len(found.text) == 1
        covered[found.start : found.end] = [True] * (found.end - found.start)
    assert all(done or character.isspace() for done, character in zip(covered, text, strict=True))
    for before, after in pairwise(chunks):
        assert before.start < after.start
        assert before.end < after.end
        if after.start < before.end:
            assert count(text[after.start : before.end]) <= overlap
    if not overlap:
        assert all(before.end <= after.start for before, after in pairwise(chunks))


@given(
    text=TEXTS, limit=st.integers(1, 30), format=st.sampled_from(["text", "markdown", "code"]), size=st.integers(1, 9)
)
def test_sentences_of_another_package(text, limit, format, size):
    """Found by anything that keeps the text, they are where chunks end; here after every so many characters."""

    def cut(part):
        assert part.strip()
        return [part[at : at + size] for at in range(0, len(part), size)]

    chunks = chunk(text, max_tokens=limit, overlap=limit // 3, format=format, sentences=cut)
    check_chunks(text, chunks, count_tokens, limit, limit // 3)


def test_sentences_of_another_package_are_not_cut():
    assert texts("a b c d e f", max_tokens=4, sentences=lambda part: ["a b c ", "d e f"]) == ["a b c", "d e f"]
    documents = chunk_documents(["a b c d e f"], max_tokens=4, sentences=lambda part: ["a b c ", "d e f"])
    assert [document.text for document in documents] == ["a b c", "d e f"]
    with pytest.raises(InvalidInputError, match="is not in the text at its place"):
        chunk("a b c", sentences=lambda part: [part.upper()])
    with pytest.raises(InvalidInputError, match="splitter: has its own budget"):
        list(chunk_documents(["x"], sentences=str.split, splitter=str.split))


@given(text=TEXTS, parts=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_sentences_cover_what_they_are_asked_for(text, parts):
    start = min(parts[0], len(text))
    end = max(start, len(text) - parts[1])
    spans = sentence_spans(text, start, end)
    assert "".join(text[a:b] for a, b in spans) == text[start:end]
    assert all(a < b for a, b in spans)


@pytest.mark.parametrize(
    "sentences",
    [
        ["One. ", "Two! ", "Three? ", "Four"],
        ["Dr. Smith met Mr. Jones. ", "They left."],
        ["It costs 3.50 euros, e.g. in Paris. ", "Not 4.0."],
        ["See Fig. 3 and Sec. 4.2 for details. ", "Then go on."],
        ["J. R. R. Tolkien wrote it. ", "I did not."],
        ["It was I. ", "Then he came."],
        ["He said no. ", "The sun set at p. 5 of No. 7."],
        ["“Why?” she asked. ", "“Because.” ", "He left."],
        ["He said (quietly.) ", "Then he left."],
        ["It ended in 2024. ", "The next began."],
        ["It runs at 9 a.m. on Mondays ... or later. ", "Good."],
        ["Wait… what? ", "Yes!"],
        ["Really?! ", "Yes."],
        ["A heading without a stop\n\n", "A paragraph. ", "With two."],
        ["1. First item\n2. Second item\n\n", "After."],
        ["日本語の文です。", "「はい。」", "次の文！", "終わり"],
        ["他来了。", "她走了？", "好"],
        ["यह एक वाक्य है। ", "यह दूसरा है।"],
        ["Visit example.com or v2.0.1 today. ", "Done."],
        ["Das ist z.B. gut. ", "Prof. Dr. Meier kam bzw. ging."],
        # Most of what follows is from the rules that pysbd calls golden.
        ["I live in the U.S. ", "How about you?"],
        ["I work for the U.S. Government in Virginia. ", "I have lived in the U.S. for 20 years."],
        ["At 5 a.m. Mr. Smith went to the bank. ", "He left at 6 p.m. ", "The store was shut."],
        ["Pitt, Briggs & Co. at noon. ", "Let's ask Jane and co. ", "They should know."],
        ["Apple Inc. and Pfizer Inc. grew. ", "So did Merck & Co. in 2020."],
        ["See Smith et al. (2019) for details. ", "Fig. 3 in Ng et al. ", "This is it."],
        ["St. Michael's Church is on 5th st. near Mt. Fuji. ", "He lives on Main St. ", "She does not."],
        ["That is JFK Jr.'s book. ", "Ph.D. students may apply."],
        ["We make a good team, you and I. ", "Did you see Albert I. Jones?"],
        ["He teaches (he worked for 5 years as an engineer.) at the University."],
        ['She turned to him, "This is great." she said. ', '"Yes." ', "He left."],
        ['"Bohr [...] used the analogy" (Smith 55). ', "Good."],
        ["Is this true? ", "(Yes.)"],
        ["Her email is Jane.Doe@example.com. ", "The site is https://www.example.50.com/new-site/a.html. ", "See it."],
        ["1.) The first item 2.) The second item"],
        ["You can find it at N°. 1026.253.553. ", "That is where it is."],
        ["I was ... well, what I mean . . . see, I . . . I did not. ", "So."],
        ["The words were left off . . . . ", "Next sentence."],
        ["Hello?! ", "Is that you?"],
        ["It was -3.5 °C. ", "Snow fell. ", "iPhones froze, v2.1 of them. ", "v3 did not."],
        ["Ja, am 3. Oktober kam er. ", "Im 19. Jahrhundert auch. ", "Das war Nr. 5."],
        ["彼は「行く。」と言った。", "「はい。」", "彼女は去った。"],
    ],
)
def test_sentence_ends(sentences):
    text = "".join(sentences)
    assert [text[a:b] for a, b in sentence_spans(text)] == sentences


def texts(*arguments, **options):
    return [found.text for found in chunk(*arguments, **options)]


def test_chunks_end_between_sentences():
    text = "One two three. Four five. Six seven eight nine. Ten."
    assert texts(text, max_tokens=7) == ["One two three. Four five.", "Six seven eight nine. Ten."]
    assert texts(text, max_tokens=100) == [text]
    assert texts("", max_tokens=5) == texts(" \n\t", max_tokens=5) == []


def test_the_overlap_is_counted_in_tokens():
    text = "One two three. Four five. Six seven. Eight nine ten."
    # Whole sentences of the chunk before, as many as 6 tokens hold: two of three tokens each.
    assert texts(text, max_tokens=10, overlap=6) == [
        "One two three. Four five. Six seven.",
        "Four five. Six seven. Eight nine ten.",
    ]
    assert texts(text, max_tokens=10, overlap=5)[1] == "Six seven. Eight nine ten."
    # The last sentence alone is longer than the overlap: whole words of it.
    assert texts(text, max_tokens=10, overlap=2)[1] == "seven. Eight nine ten."
    # The overlap gives way where the next sentence needs the room.
    text = "Aa b c dd. Ee f g h i j."
    assert texts(text, max_tokens=9, overlap=4) == ["Aa b c dd.", "dd. Ee f g h i j."]
    assert texts(text, max_tokens=8, overlap=4) == ["Aa b c dd.", "Ee f g h i j."]


def test_what_does_not_fit_is_cut_between_words_then_characters():
    assert texts("one two three four five", max_tokens=2) == ["one two", "three four", "five"]
    assert texts("abcdefgh ij", max_tokens=3, tokenizer=len) == ["abc", "def", "gh", "ij"]
    assert texts("日本語の文です", max_tokens=3) == ["日本語", "の文で", "す"]


MARKDOWN = """Preamble here.

# Guide
## Setup
Install it. Run it.

```console
# not a heading
pip install it
```

Usage
-----
Call `run()`.

### Options

| name | use |
|------|-----|
| a    | b   |

# Notes #
- item
---
End.
"""


def test_markdown_sections_carry_their_headings():
    found = [(c.headings, c.text.split("\n")[0]) for c in chunk(MARKDOWN, max_tokens=100, format="markdown")]
    assert found == [
        ((), "Preamble here."),
        (("Guide", "Setup"), "# Guide"),
        (("Guide", "Usage"), "Usage"),
        (("Guide", "Usage", "Options"), "### Options"),
        (("Notes",), "# Notes #"),
    ]
    small = chunk(MARKDOWN, max_tokens=14, format="markdown")
    code = next(c for c in small if "pip" in c.text)
    assert code.text.startswith("```console")  # a block that fits is not cut
    assert code.text.endswith("```")
    front = "---\ntitle: x\n---\n\n# One\ntext"
    assert [c.headings for c in chunk(front, format="markdown")] == [(), ("One",)]


CODE = '''import os


class Reader:
    """Reads."""

    def open(self, path):
        first = 1
        second = 2
        return first + second

    def close(self):
        pass


def main():
    Reader().open("x")
'''


def test_code_is_cut_at_its_top_level_and_carries_what_encloses_it():
    found = chunk(CODE, max_tokens=45, format="code")
    assert [c.text.split("\n")[0] for c in found] == ["import os", "def main():"]
    small = chunk(CODE, max_tokens=20, format="code")
    assert [(c.headings, c.text.split("\n")[0]) for c in small] == [
        ((), "import os"),
        (("class Reader:",), "def open(self, path):"),
        (("class Reader:",), "def close(self):"),
        ((), "def main():"),
    ]
    inner = next(c for c in chunk(CODE, max_tokens=8, format="code") if c.text.startswith("first"))
    assert inner.headings == ("class Reader:", "def open(self, path):")


@pytest.mark.parametrize("run", [".", "。", " ", "\n", "\n ", "a.", "#", "# ", "-", "|", "`", "(", "日", "x"])
@pytest.mark.parametrize("format", ["text", "markdown", "code"])
def test_long_runs_of_one_character_take_linear_time(run, format):
    text = run * 20_000 + "x"
    chunks = chunk(text, max_tokens=5_000, format=format)  # quadratic work would take minutes
    assert sum(len(c.text.split()) for c in chunks) >= 1
    assert chunks[-1].end == len(text)


@pytest.mark.parametrize(
    ("line", "title"),
    [("# A #", "A"), ("# A#", "A#"), ("## A ## B ###  ", "A ## B"), ("#", ""), ("# ##", ""), ("  ### C\t#", "C")],
)
def test_headings_of_markdown(line, title):
    assert chunk(f"{line}\ntext", format="markdown")[0].headings == (title,)


def test_tokenizers_of_every_kind():
    class Encoder:
        def encode(self, text):
            return text.split()

    class Encoding:
        def __init__(self, count):
            self.ids = [0] * count

        def __len__(self):
            return len(self.ids)

    class FastTokenizer:
        def encode(self, text):
            return Encoding(len(text.split()))

    expected = ["one two", "three"]
    for tokenizer in (Encoder(), FastTokenizer(), lambda text: len(text.split())):
        assert texts("one two three", max_tokens=2, tokenizer=tokenizer) == expected


def test_documents_of_chunks_point_into_their_source():
    source = Document("guide", MARKDOWN, {"year": 2024}, title="The guide")
    documents = list(chunk_documents([source, "A text."], max_tokens=20, format="markdown"))
    index = HybridIndex()
    index.add(documents)
    hit = index.search("pip install", 1)[0]
    assert hit.metadata["source"] == "guide"
    assert hit.metadata["year"] == 2024
    assert MARKDOWN[hit.metadata["start"] : hit.metadata["end"]] == hit.text
    assert hit.title == "The guide > Guide > Setup"
    assert hit.id == f"guide#{hit.metadata['chunk']}"
    assert documents[-1].title is None
    assert re.fullmatch(r"[0-9a-f]{32}#0", documents[-1].id)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chunk(b"x"), "text: expected a str, got bytes"),
        (lambda: chunk("x", max_tokens=0), "max_tokens: expected an integer >= 1"),
        (lambda: chunk("x", max_tokens=5, overlap=5), "overlap: expected an integer from 0 to 4"),
        (lambda: chunk("x", format="html"), "format: expected 'text', 'markdown' or 'code'"),
        (lambda: chunk("x", tokenizer="gpt"), "tokenizer: expected a callable"),
        (lambda: chunk("x", tokenizer=lambda text: 1.5), "tokenizer: expected a number of tokens, got 1.5"),
        (lambda: list(chunk_documents([Document("a", "x", vector=[1.0])])), "has a vector"),
        (lambda: list(chunk_documents([Document("a", "x", {"start": 1})])), "its metadata has 'start'"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
