"""Saving, loading, and files that are not what they should be."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl

TEXTS = ["the cat sat on the mat", "dogs chase cats", "birds sing in 東京", "", "naïve cafés", "cat cat dog"]
QUERIES = ["cat", "dog sing", "東京", "café", "none"]


def build(**settings):
    index = sl.BM25Index(**settings)
    index.add(TEXTS[:4], ids=[10, 3, 7, 2**40])
    for i, text in enumerate(TEXTS[4:]):
        index.add([text], ids=[20 + i])
    index.remove([3])
    return index


def build_fields():
    """Every section that an index may have."""
    index = sl.BM25Index(fields=["title", "text"], positions=True)
    index.add([{"title": text, "text": text + " and more"} for text in TEXTS[:4]], ids=[10, 3, 7, 2**40])
    index.add([{"text": text} for text in TEXTS[4:]])
    index.remove([3])
    return index


def build_packed():
    """Lists of both kinds, and a frequency beyond those that codes name."""
    index = sl.BM25Index(postings="packed")
    index.add([*TEXTS[:4], *["cat dog"] * 300, "sing " * 100], ids=[10, 3, 7, 2**40, *range(100, 401)])
    index.remove([3, *range(200, 240)])
    return index


def same_answers(a, b):
    for mine, theirs in zip(a.search(QUERIES, k=8), b.search(QUERIES, k=8), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(a.ids, b.ids)


@pytest.mark.parametrize("mmap", [True, False])
def test_everything_comes_back(tmp_path, mmap):
    index = build(analyzer=sl.Analyzer("german", stopwords=["Die", "cat"]), variant="bm25l", k1=0.8, b=0.3, delta=0.7)
    index.save(tmp_path / "index")
    assert os.listdir(tmp_path) == ["index"]
    loaded = sl.BM25Index.load(tmp_path / "index", mmap=mmap)
    same_answers(index, loaded)
    assert (loaded.k1, loaded.b, loaded.delta, loaded.variant) == (0.8, 0.3, 0.7, "bm25l")
    assert loaded.analyzer == index.analyzer
    assert loaded.analyzer("die Häuser cat") == index.analyzer("die Häuser cat")
    assert loaded.add(["new"]).tolist() == index.add(["new"]).tolist() == [2**40 + 1]
    loaded.upsert(["changed dog"], ids=[7])
    index.upsert(["changed dog"], ids=[7])
    same_answers(index, loaded)
    loaded.save(tmp_path / "index")  # over the file that is mapped
    same_answers(index, sl.BM25Index.load(str(tmp_path / "index")))
    same_answers(index, loaded)


def test_an_empty_index_and_one_without_analyzer(tmp_path):
    sl.BM25Index().save(tmp_path / "empty")
    loaded = sl.BM25Index.load(tmp_path / "empty")
    assert len(loaded) == 0
    assert loaded.add(["a word"]).tolist() == [0]
    tokens = sl.BM25Index(None)
    tokens.add([["a"], ["\ud800", "b"]])
    tokens.save(tmp_path / "tokens")
    loaded = sl.BM25Index.load(tmp_path / "tokens")
    assert loaded.analyzer is None
    assert loaded.search([["\ud800"]], k=1)[1].tolist() == [[1]]


class Subclass(sl.Analyzer):
    """Called as any other code."""


class Splitter:
    """An object that is called."""

    def __call__(self, text):
        return text.split()


def first_letters(word):
    return word[:4]


def last_letters(word):
    return word[-4:]


@pytest.mark.parametrize(
    ("analyzer", "name"),
    [
        (str.split, "str.split"),
        (Splitter(), "test_bm25_storage.Splitter"),
        (Subclass(), "test_bm25_storage.Subclass"),
        (sl.Analyzer("german", stemmer=first_letters, accents="fold"), "test_bm25_storage.first_letters"),
    ],
)
def test_of_code_only_the_name_is_saved(tmp_path, analyzer, name):
    index = sl.BM25Index(analyzer)
    index.add(["some words", "other things"])
    index.save(tmp_path / "index")
    with pytest.raises(sl.InvalidInputError, match=rf"analyzer: .* needs .*{re.escape(name)}.* analyzer=\.\.\."):
        sl.BM25Index.load(tmp_path / "index")
    others = [
        sl.Analyzer(),
        str.splitlines,
        sl.Analyzer("german", stemmer=last_letters, accents="fold"),
        sl.Analyzer("german", stemmer=first_letters),
    ]
    for other in others:
        with pytest.raises(sl.InvalidInputError, match=rf"analyzer: .* needs .*{re.escape(name)}.*, got"):
            sl.BM25Index.load(tmp_path / "index", analyzer=other)
    loaded = sl.BM25Index.load(tmp_path / "index", analyzer=analyzer)
    same_answers(index, loaded)
    assert loaded.add(["more words"]).tolist() == [2]


def test_an_analyzer_that_is_in_the_file_need_not_be_given_and_cannot_be_changed(tmp_path):
    index = sl.BM25Index(sl.Analyzer("french", accents="fold", identifiers=True))
    index.add(["des élèves de snake_case"])
    index.save(tmp_path / "index")
    assert sl.BM25Index.load(tmp_path / "index").analyzer == index.analyzer
    same = sl.Analyzer("french", accents="fold", identifiers=True)
    assert sl.BM25Index.load(tmp_path / "index", analyzer=same).analyzer == index.analyzer
    for other in (sl.Analyzer("french"), str.split):
        with pytest.raises(sl.InvalidInputError, match=r"analyzer: .* was made with"):
            sl.BM25Index.load(tmp_path / "index", analyzer=other)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(sl.StorageError, match="missing"):
        sl.BM25Index.load(tmp_path / "missing")
    with pytest.raises(sl.StorageError):
        sl.BM25Index.load(tmp_path)
    with pytest.raises(sl.StorageError):
        build().save(tmp_path / "no folder" / "index")
    (tmp_path / "text").write_text("not an index" * 100)
    with pytest.raises(sl.CorruptIndexError):
        sl.BM25Index.load(tmp_path / "text")
    vectors = sl.VectorIndex(4)
    vectors.add(np.eye(4, dtype=np.float32))
    vectors.save(tmp_path / "vectors")
    with pytest.raises(sl.IncompatibleIndexError):
        sl.BM25Index.load(tmp_path / "vectors")


@pytest.mark.parametrize("build", [build, build_fields, build_packed])
def test_every_truncation_is_noticed(tmp_path, build):
    path = tmp_path / "index"
    build().save(path)
    content = path.read_bytes()
    for size in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(sl.CorruptIndexError):
            sl.BM25Index.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(sl.CorruptIndexError):
        sl.BM25Index.load(path)


@pytest.mark.parametrize("build", [build, build_fields, build_packed])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_bytes_never_give_a_wrong_answer(tmp_path_factory, build, data):
    path = tmp_path_factory.mktemp("flip") / "index"
    index = build()
    index.save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        loaded = sl.BM25Index.load(path, mmap=data.draw(st.booleans()))
    except (sl.CorruptIndexError, sl.IncompatibleIndexError):
        return
    same_answers(index, loaded)  # only padding was hit
