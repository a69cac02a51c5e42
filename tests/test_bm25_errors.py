"""Bad input raises the right error, says what to do, and leaves the index as it was."""

from __future__ import annotations

import numpy as np
import pytest

import sightline as sl

TEXTS = ["the cat sat", "a dog ran", "cats and dogs"]


@pytest.fixture
def index():
    index = sl.BM25Index()
    index.add(TEXTS, ids=[1, 5, 9])
    return index


def state(index):
    scores, ids = index.search(["cat", "dog sat"], k=5)
    return scores.tobytes(), ids.tobytes(), index.ids.tobytes(), len(index), index.memory()


BAD_ADDS = [
    ("bare str", lambda i: i.add("text"), sl.InvalidInputError, "texts: expected an iterable"),
    ("bytes", lambda i: i.add(b"text"), sl.InvalidInputError, "texts: expected an iterable"),
    ("None", lambda i: i.add(None), sl.InvalidInputError, "texts: expected an iterable"),
    ("mapping", lambda i: i.add({7: "text"}), sl.InvalidInputError, r"texts: expected .* got dict; give its values"),
    ("upsert mapping", lambda i: i.upsert({"x": "text"}, ids=[5]), sl.InvalidInputError, "texts: expected"),
    ("query mapping", lambda i: i.search({"cat": 1}), sl.InvalidInputError, "queries: expected .* got dict"),
    ("number in the middle", lambda i: i.add(["x", 7, "y"]), sl.InvalidInputError, "position 1, got int"),
    (
        "None in the middle",
        lambda i: i.add(["x", "y", None]),
        sl.InvalidInputError,
        "position 2, got NoneType",
    ),
    ("bytes in the middle", lambda i: i.add(["x", b"y"]), sl.InvalidInputError, "position 1, got bytes"),
    ("mixed", lambda i: i.add(["x", ["y"]]), sl.InvalidInputError, "separate calls"),
    ("mixed tokens", lambda i: i.add([["x"], "y"]), sl.InvalidInputError, "separate calls"),
    (
        "token not str",
        lambda i: i.add([["x"], ["y", 3]]),
        sl.InvalidInputError,
        "token 1 of the item at position 1, got int",
    ),
    (
        "too few ids",
        lambda i: i.add(["x", "y"], ids=[3]),
        sl.InvalidInputError,
        "ids: expected one id for each of 2",
    ),
    (
        "negative id",
        lambda i: i.add(["x", "y"], ids=[3, -1]),
        sl.InvalidInputError,
        "ids: expected integers >= 0, got -1",
    ),
    ("float ids", lambda i: i.add(["x"], ids=[1.5]), sl.InvalidInputError, "ids: expected"),
    ("bool ids", lambda i: i.add(["x"], ids=[True]), sl.InvalidInputError, "ids: expected"),
    ("str ids", lambda i: i.add(["x"], ids=["3"]), sl.InvalidInputError, "ids: expected"),
    ("2-D ids", lambda i: i.add(["x"], ids=[[3]]), sl.InvalidInputError, "ids: expected"),
    ("huge ids", lambda i: i.add(["x"], ids=[2**63]), sl.InvalidInputError, "ids: expected"),
    (
        "greatest integer as id",
        lambda i: i.add(["x"], ids=[2**63 - 1]),
        sl.InvalidInputError,
        "9223372036854775807 is too large",
    ),
    ("id twice", lambda i: i.add(["x", "y"], ids=[3, 3]), sl.DuplicateIdError, "3 occurs twice"),
    (
        "id present",
        lambda i: i.add(["x", "y"], ids=[3, 5]),
        sl.DuplicateIdError,
        "5 is already in the index.*upsert",
    ),
    ("upsert id twice", lambda i: i.upsert(["x", "y"], ids=[5, 5]), sl.DuplicateIdError, "5 occurs twice"),
    ("upsert negative", lambda i: i.upsert(["x"], ids=[-2]), sl.InvalidInputError, ">= 0"),
    ("upsert bad text", lambda i: i.upsert(["x", 1], ids=[5, 6]), sl.InvalidInputError, "position 1"),
    ("remove str", lambda i: i.remove("1"), sl.InvalidInputError, "ids: expected"),
    ("remove float", lambda i: i.remove([1.0]), sl.InvalidInputError, "ids: expected"),
    ("k zero", lambda i: i.search("cat", k=0), sl.InvalidInputError, "k: expected an integer >= 1"),
    ("k negative", lambda i: i.search("cat", k=-3), sl.InvalidInputError, "k: expected"),
    ("k bool", lambda i: i.search("cat", k=True), sl.InvalidInputError, "k: expected"),
    ("k float", lambda i: i.search("cat", k=2.0), sl.InvalidInputError, "k: expected"),
    ("query number", lambda i: i.search(3), sl.InvalidInputError, "queries: expected"),
    ("query bytes", lambda i: i.search(b"cat"), sl.InvalidInputError, "queries: expected"),
    (
        "query in list",
        lambda i: i.search(["cat", 3]),
        sl.InvalidInputError,
        "queries: .* position 1, got int",
    ),
    (
        "mask too short",
        lambda i: i.search("cat", mask=[True]),
        sl.InvalidInputError,
        "mask: expected one entry for each of the 3",
    ),
    (
        "mask too long",
        lambda i: i.search("cat", mask=np.ones(4, bool)),
        sl.InvalidInputError,
        "mask: expected one entry",
    ),
    ("mask float", lambda i: i.search("cat", mask=[0.5, 1.0, 0.0]), sl.InvalidInputError, "mask: expected"),
    ("mask str", lambda i: i.search("cat", mask="cat"), sl.InvalidInputError, "mask: expected"),
    (
        "mask 3-D",
        lambda i: i.search("cat", mask=np.ones((1, 1, 3), bool)),
        sl.InvalidInputError,
        "mask: expected",
    ),
    (
        "masks for other queries",
        lambda i: i.search(["a", "b", "c"], mask=np.ones((2, 3), bool)),
        sl.InvalidInputError,
        "mask: expected",
    ),
    ("variant", lambda i: i.search("cat", variant="bm26"), sl.InvalidInputError, "variant: expected one of"),
    ("k1", lambda i: i.search("cat", k1=-1), sl.InvalidInputError, "k1: expected a number"),
    ("k1 NaN", lambda i: i.search("cat", k1=float("nan")), sl.InvalidInputError, "k1: expected a number"),
    ("b", lambda i: i.search("cat", b=1.1), sl.InvalidInputError, "b: expected a number from 0 to 1"),
    ("delta", lambda i: i.search("cat", delta="x"), sl.InvalidInputError, "delta: expected a number"),
    ("score unknown", lambda i: i.score("cat", [1, 2]), sl.NotFoundError, "2 is not in the index"),
    ("score query", lambda i: i.score(3, [1]), sl.InvalidInputError, "query: expected"),
    ("explain unknown", lambda i: i.explain("cat", 4), sl.NotFoundError, "4 is not in the index"),
    ("explain id", lambda i: i.explain("cat", "1"), sl.InvalidInputError, "id: expected an integer"),
    ("explain id bool", lambda i: i.explain("cat", True), sl.InvalidInputError, "id: expected an integer"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD_ADDS])
def test_bad_calls_explain_and_change_nothing(index, call, error, message):
    before = state(index)
    with pytest.raises(error, match=message):
        call(index)
    assert state(index) == before
    assert index.add(["one more"]).tolist() == [10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k1": -0.1}, "k1: expected"),
        ({"k1": True}, "k1: expected"),
        ({"b": 2}, "b: expected"),
        ({"delta": float("inf")}, "delta: expected"),
        ({"variant": "okapi"}, "variant: expected"),
        ({"variant": None}, "variant: expected"),
        ({"analyzer": 3}, "analyzer: expected"),
        ({"analyzer": "english"}, "analyzer: expected"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(sl.InvalidInputError, match=message):
        sl.BM25Index(**arguments)


def test_an_index_without_analyzer_takes_only_tokens():
    index = sl.BM25Index(None)
    with pytest.raises(sl.InvalidInputError, match="lists of tokens"):
        index.add(["text"])
    with pytest.raises(sl.InvalidInputError, match="no analyzer"):
        index.search("text")
    assert len(index) == 0
    index.add([["text"], ("text", "two")])
    assert index.search([["text"]], k=2)[1].tolist() == [[0, 1]]


def test_errors_of_a_python_tokenizer_arrive_and_change_nothing(index):
    def fragile(text):
        if "boom" in text:
            raise RuntimeError("tokenizer failed")
        return text.split()

    custom = sl.BM25Index(fragile)
    custom.add(["a b", "b c"])
    with pytest.raises(RuntimeError, match="tokenizer failed"):
        custom.add(["d", "boom"])
    assert len(custom) == 2
    assert custom.search("c")[1][0] == 1
    with pytest.raises(sl.InvalidInputError, match="return a list of str, got str"):
        sl.BM25Index(lambda text: text).add(["a"])
    with pytest.raises(sl.InvalidInputError, match="return a list of str, got dict"):
        sl.BM25Index(lambda text: dict.fromkeys(text.split(), 1)).add(["a"])
    with pytest.raises(sl.InvalidInputError, match="token 0 of the item at position 0, got int"):
        sl.BM25Index(lambda text: [1]).add(["a"])


def test_errors_of_a_python_stemmer_arrive_and_change_nothing():
    def fragile(word):
        if word == "boom":
            raise RuntimeError("stemmer failed")
        return word[:3]

    index = sl.BM25Index(sl.Analyzer(None, stemmer=fragile))
    index.add(["abcdef", "xyz"])
    with pytest.raises(RuntimeError, match="stemmer failed"):
        index.add(["fine words", "boom"])
    with pytest.raises(RuntimeError, match="stemmer failed"):
        index.search("boom")
    assert len(index) == 2
    assert index.search("abcxxx")[1][0] == 0
    with pytest.raises(sl.InvalidInputError, match="stemmer: expected str for each word, got int"):
        sl.Analyzer(None, stemmer=lambda word: 3)("word")


def test_nothing_to_do_is_no_error(index):
    before = state(index)
    assert index.add([]).tolist() == []
    assert index.add([], ids=[]).dtype == np.int64
    assert index.upsert([], []).tolist() == []
    assert index.remove([]) == 0
    assert index.remove([77, 77]) == 0
    scores, ids = index.search([], k=3)
    assert scores.shape == ids.shape == (0, 3)
    assert index.score("cat", []).shape == (0,)
    assert state(index) == before
