"""Chunks under tokenizers of other packages, made here: both limits hold, and sentences of other packages are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optional import require

require("test-integrations", "tokenizers", "tiktoken", "pysbd")

import pysbd
import tiktoken
import tokenizers

from sightline import chunk
from sightline.chunking import count_tokens
from test_chunking import TEXTS, check_chunks

_TRAINED_ON = ["Dr. Smith paid 3.5 dollars. He left! Why? she asked. word def return class Title Part item first"] * 3


def _byte_pairs():
    """A byte-level BPE as GPT-2's: merges across what looks like a border, tokens that are parts of a character."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(_TRAINED_ON, trainer)
    return made


def _word_pieces():
    """A WordPiece as BERT's, which adds two tokens to every text."""
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    made.train_from_iterator(_TRAINED_ON, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, made.token_to_id(name)) for name in special[1:]]
    )
    return made


def _tiktoken():
    ranks = {bytes([value]): value for value in range(256)}
    for merged in ("th", "he", "in", "er", "wo", "wor", "word", " word", "def", "\n\n", "e. ", "s."):
        ranks[merged.encode()] = len(ranks)
    return tiktoken.Encoding("tiny", pat_str=r"\s?\w+|\s+|[^\w\s]+", mergeable_ranks=ranks, special_tokens={})


TOKENIZERS = {"byte pairs": _byte_pairs(), "word pieces": _word_pieces(), "tiktoken": _tiktoken()}


@pytest.mark.parametrize("name", TOKENIZERS)
@given(
    text=TEXTS,
    limit=st.integers(6, 40),
    share=st.sampled_from([0, 0.2, 0.5, 0.9]),
    format=st.sampled_from(["text", "markdown", "code"]),
)
def test_both_limits_hold(name, text, limit, share, format):
    tokenizer = TOKENIZERS[name]
    overlap = int(limit * share)
    chunks = chunk(text, max_tokens=limit, overlap=overlap, tokenizer=tokenizer, format=format)
    check_chunks(text, chunks, lambda part: len(tokenizer.encode(part)), limit, overlap)


@given(text=TEXTS, limit=st.integers(3, 30))
def test_sentences_of_pysbd(text, limit):
    segmenter = pysbd.Segmenter(language="en", clean=False)
    try:
        segmenter.segment(text)
    except Exception:  # of its own, such as on some brackets
        return
    chunks = chunk(text, max_tokens=limit, sentences=segmenter.segment)
    check_chunks(text, chunks, count_tokens, limit, 0)


def test_where_pysbd_ends_sentences():
    text = "He works at Yahoo! as an engineer. It was at 5 p.m. Then he left."
    segmenter = pysbd.Segmenter(language="en", clean=False)
    assert [found.text for found in chunk(text, max_tokens=10, sentences=segmenter.segment)] == [
        "He works at Yahoo! as an engineer.",
        "It was at 5 p.m.",
        "Then he left.",
    ]
