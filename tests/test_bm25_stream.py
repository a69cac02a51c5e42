"""Streams of documents: read once, in bounded memory, all or nothing, and never holding the GIL for long."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest

import sightline as sl
from sightline import _core
from sightline.bm25_index import _DOCUMENTS_PER_CALL


class Text(str):
    """A str that can be watched."""

    __slots__ = ("__weakref__",)


def same_answers(left, right, queries):
    assert left.ids.tolist() == right.ids.tolist()
    for mine, theirs in zip(left.search(queries, k=20), right.search(queries, k=20), strict=True):
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("tokens", [False, True])
def test_a_stream_gives_the_index_of_a_list(tokens):
    random = np.random.default_rng(5)
    words = [f"w{i}" for i in range(50)]
    count = 3 * _DOCUMENTS_PER_CALL + 7
    texts = [" ".join(random.choice(words, size=4)) for _ in range(count)]
    items = [text.split() for text in texts] if tokens else texts
    ids = random.permutation(10 * count)[:count]
    from_list, from_stream = sl.BM25Index(sl.Analyzer(None)), sl.BM25Index(sl.Analyzer(None))
    from_list.add(items, ids)
    assert from_stream.add(iter(items), ids).tolist() == ids.tolist()
    same_answers(from_list, from_stream, ["w1 w2", "w3"])
    assert from_stream.add(iter(items[:3])).tolist() == [int(ids.max()) + i for i in (1, 2, 3)]


def test_a_stream_longer_than_a_batch_with_ids_in_any_order():
    texts = [f"mark{i} " + "some filler words " * 30_000 for i in range(40)]  # 21 MB; a batch has 16
    ids = np.random.default_rng(1).permutation(40)
    index = sl.BM25Index()
    index.add((text for text in texts), ids)
    assert len(index) == 40
    _, found = index.search([f"mark{i}" for i in range(40)], k=1)
    assert found[:, 0].tolist() == ids.tolist()


def test_memory_does_not_grow_with_the_stream():
    alive: weakref.WeakSet[Text] = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for i in range(20 * _DOCUMENTS_PER_CALL):
            text = Text(f"text {i}")
            alive.add(text)
            most = max(most, len(alive))
            yield text

    index = sl.BM25Index()
    index.add(stream())
    assert len(index) == 20 * _DOCUMENTS_PER_CALL
    assert most <= 2 * _DOCUMENTS_PER_CALL + 2


def test_an_error_anywhere_in_a_stream_changes_nothing():
    index = sl.BM25Index()
    index.add(["one text"])

    def broken():
        yield from ["fine"] * 5000
        raise RuntimeError("the source broke")

    def wrong():
        yield from ["fine"] * 5000
        yield 3

    with pytest.raises(RuntimeError, match="the source broke"):
        index.add(broken())
    with pytest.raises(sl.InvalidInputError, match="position 5000, got int"):
        index.add(wrong())
    for ids in (range(10, 14), range(10, 16)):
        with pytest.raises(sl.InvalidInputError, match="ids: expected one id for each"):
            index.add((text for text in ["a", "b", "c", "d", "e"]), list(ids))
    with pytest.raises(sl.DuplicateIdError):
        index.add(iter(["a", "b"]), [7, 0])
    assert len(index) == 1
    assert index.add(["next"]).tolist() == [1]


def progress_during(call):
    """Return how far another Python thread came while ``call`` ran."""
    steps = 0
    stop = threading.Event()
    running = threading.Event()

    def count():
        nonlocal steps
        while not stop.is_set():
            steps += 1
            running.set()

    thread = threading.Thread(target=count)
    thread.start()
    try:
        running.wait()
        before = steps
        call()
        return steps - before
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", ["accents", "tokens"])
def test_other_threads_run_while_documents_are_converted(kind):
    """Before, one native call converted a whole list with the GIL held."""
    texts = {
        "accents": ["drôles de mots accentués " * 20_000] * 100,
        "tokens": [[f"word{i}é" for i in range(20_000)]] * 50,
    }[kind]
    stream = _core.DocumentStream(sl.Analyzer(None)._core, ["texts"], None, False)
    assert progress_during(lambda: stream.append([texts])) > 100


def test_other_threads_run_while_new_words_are_stemmed():
    calls = []

    def resolve(words):
        calls.append(len(words))
        return words

    analyzer = _core.Analyzer(resolve, False, False)
    words = [f"word{i}" for i in range(10_000)]
    assert analyzer.token_lists([" ".join(words)], False) == [words]
    assert sum(calls) == 10_000
    assert max(calls) <= 4096
