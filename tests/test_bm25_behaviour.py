"""What users see of BM25Index: results, edges, storage settings."""

from __future__ import annotations

import numpy as np
import pytest

import sightline as sl


def test_quick_start():
    index = sl.BM25Index()
    assert index.add(["the cat sat on the mat", "dogs chase cats", "birds sing"]).tolist() == [0, 1, 2]
    scores, ids = index.search("cat", k=5)
    assert scores.shape == ids.shape == (5,)
    assert ids.tolist() == [0, 1, -1, -1, -1] or ids.tolist() == [1, 0, -1, -1, -1]
    assert (scores[2:] == -np.inf).all()
    scores, ids = index.search(["cat", "singing bird"], k=1)
    assert scores.shape == (2, 1)
    assert ids[1, 0] == 2
    assert len(index) == 3
    assert index.search(("bird", "dog"), k=1)[1].tolist() == [[2], [1]]


def test_empty_index_and_empty_texts():
    index = sl.BM25Index()
    _, ids = index.search("anything", k=2)
    assert ids.tolist() == [-1, -1]
    assert index.ids.tolist() == []
    assert set(index.memory().values()) == {0}
    index.add(["", "the and of", "...!?", "\U0001f600 \u2764\ufe0f", "word"])
    assert len(index) == 5
    assert index.search("word", k=3)[1].tolist() == [4, -1, -1]
    for query in ("", "the", "\U0001f600", "unknown"):
        assert index.search(query, k=2)[1].tolist() == [-1, -1]
    assert index.score("word", [0, 4]).tolist()[0] == 0
    assert index.explain("", 0).terms == ()


def test_a_term_in_every_document_may_be_worth_nothing_but_is_found():
    index = sl.BM25Index(None, variant="atire")
    index.add([["a"], ["a", "b"]])
    scores, ids = index.search([["a"]], k=3)
    assert ids.tolist() == [[0, 1, -1]]
    assert scores[0].tolist() == [0, 0, -np.inf]


def test_chinese_japanese_korean_and_thai_are_found():
    index = sl.BM25Index()
    index.add(["東京都に住んでいます", "北京大学在哪里", "한국어로 된 문서입니다", "สวัสดีชาวโลก", "plain words"])
    for query, expected in [("東京", 0), ("大学", 1), ("한국어", 2), ("ชาวโลก", 3), ("word", 4)]:
        assert index.search(query, k=1)[1].tolist() == [expected]


def test_very_long_words_and_documents():
    index = sl.BM25Index("default")
    long_word = "x" * 1_000_000
    index.add([long_word, "y " * 100_000, "z"])
    assert index.search(long_word, k=1)[1].tolist() == [0]
    assert index.explain("y", 1).terms[0].tf == 100_000
    assert index.explain("y", 1).length == 100_000


def test_repeated_query_words_count():
    index = sl.BM25Index()
    index.add(["apple", "banana", "cherry"])
    once, twice = index.score("apple", [0]), index.score("apple apple", [0])
    assert twice[0] == pytest.approx(2 * once[0])
    assert index.explain("apple apple", 0).terms[0].query_count == 2


def test_more_distinct_lengths_than_two_byte_codes():
    index = sl.BM25Index(None)
    documents = [["a"] * (1 + i % 400) + ["b"] * (1 + i // 400) for i in range(90_000)]
    index.add(documents[:45_000])
    index.add(documents[45_000:])
    assert index._core.segment_count() == 2
    scores, ids = index.search([["a"], ["b"]], k=5)
    direct = index.score(["b"], np.arange(90_000))
    order = np.lexsort((np.arange(90_000), -direct))[:5]
    np.testing.assert_array_equal(ids[1], order)
    np.testing.assert_array_equal(scores[1], direct[order])


def test_returned_ids_are_a_copy():
    index = sl.BM25Index()
    mine = np.array([4, 2])
    returned = index.add(["a", "b"], ids=mine)
    returned[0] = 99
    assert mine.tolist() == [4, 2]
    assert index.ids.tolist() == [2, 4]


def test_callable_tokenizers_and_subclasses_work():
    index = sl.BM25Index(str.split)
    index.add(["Exact Case", "exact case"])
    assert index.search("Exact", k=2)[1].tolist() == [0, -1]
    assert index.score("Case", [0]) > 0
    assert index.explain("Case", 0).terms[0].df == 1

    class Shouting(sl.Analyzer):
        def __call__(self, text):
            return [term.upper() for term in super().__call__(text)]

    index = sl.BM25Index(Shouting())
    index.add(["running dogs"])
    assert [term.term for term in index.explain("dog", 0).terms] == ["DOG"]


def test_generators_are_consumed():
    index = sl.BM25Index()
    index.add(f"document number {i}" for i in range(10))
    assert len(index) == 10


def test_repr_and_properties():
    index = sl.BM25Index(variant="bm25+", k1=0.9, b=0.4, delta=1)
    assert (index.k1, index.b, index.delta, index.variant) == (0.9, 0.4, 1.0, "bm25+")
    assert "bm25+" in repr(index)
    assert index.analyzer == sl.Analyzer("english")
