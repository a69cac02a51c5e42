"""Phrases, required and excluded words: parsing, and search against a model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl

C = sl.Clause


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("  plain words ", [C("plain"), C("words")]),
        (
            '"exact phrase" +must -not word',
            [C("exact phrase", True), C("must", False, True), C("not", False, False, True), C("word")],
        ),
        ('+"a b" -"c d"', [C("a b", True, True), C("c d", True, False, True)]),
        ("e-mail C++ a+b --flag", [C("e-mail"), C("C++"), C("a+b"), C("-flag", excluded=True)]),
        ("+ - +", [C("+"), C("-"), C("+")]),
        ('"" " "', []),
        ('5"disk', [C('5"disk')]),
        ('"one""two"', [C("one", True), C("two", True)]),
        ('"-not +a sign"', [C("-not +a sign", True)]),
        ("\u3000東京 -京都", [C("東京"), C("京都", excluded=True)]),
    ],
)
def test_parsing(text, clauses):
    assert sl.parse_query(text) == sl.Query(tuple(clauses))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sl.parse_query(3), "text: expected str, got int"),
        (lambda: sl.parse_query('a "b c'), "quotation mark at position 2 of .* has no second one"),
        (lambda: sl.parse_query('-"'), "quotation mark at position 1"),
        (lambda: sl.Query([C("a")]), "clauses: expected a tuple of Clause"),
        (lambda: sl.Query(("a",)), "clauses: expected a tuple of Clause"),
        (lambda: C(3), "text: expected str"),
        (lambda: C("a", phrase=1), "phrase: expected True or False"),
        (lambda: C("a", required=True, excluded=True), "required: expected False"),
    ],
)
def test_bad_queries(call, message):
    with pytest.raises(sl.InvalidInputError, match=message):
        call()


def test_the_text_of_a_query_is_what_is_not_excluded():
    assert sl.parse_query('"exact phrase" +must -not word').text == "exact phrase must word"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab+-" \u3000') | st.characters(), max_size=20))
def test_any_text_is_parsed_or_refused_and_no_word_is_lost(text):
    try:
        query = sl.parse_query(text)
    except sl.InvalidInputError:
        assert '"' in text
        return
    letters = [c for c in text if c.isalnum()]
    assert [c for clause in query.clauses for c in clause.text if c.isalnum()] == letters


def contains(tokens, phrase):
    return any(tokens[i : i + len(phrase)] == phrase for i in range(len(tokens) - len(phrase) + 1))


WORDS = st.sampled_from("abcd")
TEXTS = st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=25)
CLAUSES = st.lists(
    st.builds(
        lambda words, phrase, sign: C(" ".join(words), phrase, sign == 1, sign == 2),
        st.lists(st.sampled_from("abcde"), min_size=1, max_size=3),
        st.booleans(),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=4,
)


def model_match(fields, clauses):
    """Whether a document, a list of token lists, meets the clauses."""
    for clause in clauses:
        words = clause.text.split()
        met = (
            any(contains(tokens, words) for tokens in fields)
            if clause.phrase
            else all(any(word in tokens for tokens in fields) for word in words)
        )
        if (clause.phrase or clause.required or clause.excluded) and met == clause.excluded:
            return False
    return True


@settings(max_examples=200, deadline=None)
@given(TEXTS, CLAUSES, st.booleans(), st.data())
def test_search_agrees_with_the_model(texts, clauses, with_fields, data):
    names = ["one", "two"] if with_fields else None
    index = sl.BM25Index(sl.Analyzer(None), fields=names, positions=True)
    documents = {}

    def store(key, tokens):
        cut = data.draw(st.integers(0, len(tokens))) if with_fields else len(tokens)
        documents[key] = [tokens[:cut], tokens[cut:]]
        one, two = " ".join(tokens[:cut]), " ".join(tokens[cut:])
        index.upsert([{"one": one, "two": two} if with_fields else one], [key])

    for key, tokens in enumerate(texts):
        store(key, tokens)
    for key in data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=3)):
        store(key, data.draw(st.lists(WORDS, max_size=6)))
    for key in data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=3)):
        index.remove([key])
        documents.pop(key, None)
    if data.draw(st.booleans()):
        with tempfile.TemporaryDirectory() as folder:
            index.save(Path(folder) / "index")
            index = sl.BM25Index.load(Path(folder) / "index", mmap=data.draw(st.booleans()))
    query = sl.Query(tuple(clauses))
    ranked = [word for clause in clauses if not clause.excluded for word in clause.text.split()]
    matching = {key for key, fields in documents.items() if model_match(fields, clauses)}
    wanted = {key for key in matching if any(word in tokens for word in ranked for tokens in documents[key])}
    scores, found = index.search(query, k=30)
    assert set(found[found >= 0].tolist()) == wanted
    assert index.matching(query).tolist() == sorted(matching)
    plain = " ".join(ranked)
    keys = sorted(documents)
    if keys:
        unrestricted = dict(zip(keys, index.score(plain, keys).tolist(), strict=True))
        assert index.score(query, keys).tolist() == [unrestricted[key] if key in matching else 0.0 for key in keys]
        for score, key in zip(scores, found.tolist(), strict=True):
            assert key < 0 or score == unrestricted[key]
        for key in keys:
            parts = index.explain(query, key)
            total = 0.0
            for term in parts.terms:
                total += term.contribution
            assert np.float32(total) == parts.score == (unrestricted[key] if key in matching else 0.0)
    mask = data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    masked = index.search([query, plain], k=30, mask=np.array(mask, dtype=np.int64))[1]
    assert set(masked[0][masked[0] >= 0].tolist()) == wanted & set(mask)


def test_plain_strings_are_never_parsed():
    index = sl.BM25Index(positions=True)
    index.add(["red apple", "green apple"])
    assert sorted(index.search('"red apple" -green', k=2)[1].tolist()) == [0, 1]
    assert index.search(sl.parse_query('"red apple" -green'), k=2)[1].tolist() == [0, -1]
    assert index.search(sl.parse_query("apple -green"), k=2)[1].tolist() == [0, -1]
    assert index.search(sl.parse_query("-green"), k=2)[1].tolist() == [-1, -1]
    assert index.search([sl.parse_query("apple -green"), "green"], k=2)[1].tolist() == [[0, -1], [1, -1]]


def test_a_phrase_needs_positions_and_words_do_not():
    index = sl.BM25Index()
    index.add(["red apple", "green apple"])
    with pytest.raises(sl.InvalidInputError, match=r"phrase 'red apple' needs the order .*positions=True"):
        index.search(sl.parse_query('"red apple"'))
    assert index.search(sl.parse_query('"red" +apple'), k=2)[1].tolist() == [0, -1]
    assert index.search(sl.parse_query("+the apple"), k=2)[1].tolist() == [0, 1]  # a stop word demands nothing
    with pytest.raises(sl.InvalidInputError, match="positions: expected True or False"):
        sl.BM25Index(positions=1)
    with pytest.raises(sl.InvalidInputError, match="the index has no analyzer"):
        sl.BM25Index(None).search(sl.parse_query("a"))
    with pytest.raises(sl.InvalidInputError, match="query: expected a Query"):
        index.matching("red")


def test_phrases_after_stemming_and_without_spaces():
    index = sl.BM25Index(positions=True)
    index.add(["The running of the bulls", "bulls running", "東京都の人口", "京都と東京"])
    assert index.search(sl.parse_query('"run of the bull"'), k=4)[1].tolist() == [0, -1, -1, -1]
    assert index.search(sl.parse_query('"東京都"'), k=4)[1].tolist() == [2, -1, -1, -1]
    assert index.search(sl.parse_query("+京 -人"), k=4)[1].tolist() == [3, -1, -1, -1]


def test_more_terms_than_one_or_two_bytes_number():
    for count in (200, 300, 70_000):
        words = [f"w{i}" for i in range(count)]
        index = sl.BM25Index(sl.Analyzer(None), positions=True)
        index.add([" ".join(words), " ".join(reversed(words))])
        for first, second in ((0, 1), (count - 2, count - 1), (count // 2, count // 2 + 1)):
            assert index.search(sl.parse_query(f'"w{first} w{second}"'), k=2)[1].tolist() == [0, -1]
            assert index.search(sl.parse_query(f'"w{second} w{first}"'), k=2)[1].tolist() == [1, -1]
