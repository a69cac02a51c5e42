"""Splitters of other packages: every chunk is a span of its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optional import require

require("test-integrations", "langchain_text_splitters", "chonkie", "llama_index.core")

import chonkie
from langchain_text_splitters import (
    CharacterTextSplitter,
    MarkdownHeaderTextSplitter,
    MarkdownTextSplitter,
    PythonCodeTextSplitter,
    RecursiveCharacterTextSplitter,
)

from sightline import Document, InvalidInputError, chunk_documents

TEXTS = st.lists(
    st.sampled_from(["word ", "word word. ", "Other! ", "a", "\n\n", "\n", "  ", "# Head\n", "def f():\n    pass\n",
                     "\u65e5\u672c\u8a9e\u3002", "\U0001f642 ", "Same sentence here. "]),
    max_size=25,
).map("".join)  # fmt: skip

LANGCHAIN = {
    "recursive": RecursiveCharacterTextSplitter(chunk_size=30, chunk_overlap=0),
    "overlapping": RecursiveCharacterTextSplitter(chunk_size=30, chunk_overlap=12),
    "kept": RecursiveCharacterTextSplitter(chunk_size=20, chunk_overlap=5, strip_whitespace=False),
    "paragraphs": CharacterTextSplitter(separator="\n\n", chunk_size=40, chunk_overlap=10),
    "markdown": MarkdownTextSplitter(chunk_size=30, chunk_overlap=0),
    "python": PythonCodeTextSplitter(chunk_size=30, chunk_overlap=5),
}
CHONKIE = {
    "tokens": chonkie.TokenChunker(tokenizer="character", chunk_size=20, chunk_overlap=5),
    "sentences": chonkie.SentenceChunker(tokenizer="character", chunk_size=30, chunk_overlap=10,
                                         min_characters_per_sentence=2),
    "recursive": chonkie.RecursiveChunker(tokenizer="character", chunk_size=25, min_characters_per_chunk=3),
}  # fmt: skip


def check(text, splitter):
    covered = [character.isspace() for character in text]
    chunks = list(chunk_documents([Document("x", text)], splitter=splitter))
    for chunk in chunks:
        start, end = chunk.metadata["start"], chunk.metadata["end"]
        assert text[start:end] == chunk.text == chunk.text.strip() != ""
        covered[start:end] = [True] * (end - start)
    starts = [chunk.metadata["start"] for chunk in chunks]
    assert starts == sorted(starts)
    # These splitters leave no words out, so none may be lost, unless the places of pieces are a guess: repeated text.
    if all(text.find(chunk.text, text.find(chunk.text) + 1) < 0 for chunk in chunks):
        assert all(covered)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LANGCHAIN)
@given(text=TEXTS)
def test_langchain(name, text):
    if any(piece not in text for piece in LANGCHAIN[name].split_text(text)):
        # One separator where there were two in a row: such a piece has no span, and is refused rather than misplaced.
        with pytest.raises(InvalidInputError, match="is not in the text at its place"):
            list(chunk_documents([text], splitter=LANGCHAIN[name]))
        return
    check(text, LANGCHAIN[name])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHONKIE)
@given(text=TEXTS)
def test_chonkie(name, text):
    check(text, CHONKIE[name])


@pytest.mark.filterwarnings("ignore")
@given(text=TEXTS)
def test_llama_index(text):
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(
        chunk_size=12, chunk_overlap=3, tokenizer=str.split, chunking_tokenizer_fn=lambda t: [t]
    )
    check(text, splitter)


def test_a_splitter_that_changes_the_text_is_refused():
    splitter = MarkdownHeaderTextSplitter([("#", "h1")])
    with pytest.raises(InvalidInputError, match="MarkdownHeaderTextSplitter is not in the text at its place"):
        list(chunk_documents(["# Title\n\nSome  words\n\nand more\n"], splitter=splitter))
