"""Searches while another thread changes the index, and many writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np

import sightline as sl


def test_every_search_sees_one_consistent_state():
    index = sl.BM25Index(None)
    index.add([["stable", "pair"]] * 50)
    stop = Event()

    def reader():
        seen = 0
        while not stop.is_set():
            scores, ids = index.search([["stable"], ["moving"]], k=3000)
            found = ids[1][ids[1] >= 0]
            # Documents with the word come and go in pairs, in one step.
            assert len(found) % 2 == 0
            assert (ids[0] >= 0).sum() == 50
            assert len(set(scores[0][:50].tolist())) == 1
            seen += 1
        return seen

    def writer():
        for step in range(150):
            ids = index.add([["moving", "x"], ["moving", str(step)]])
            if step % 3 == 0:
                assert index.remove(ids) == 2
            if step % 7 == 0:
                index.upsert([["moving"], ["moving", "y"]], ids=index.add([["z"], ["z"]]))

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(reader) for _ in range(3)]
        writing = pool.submit(writer)
        try:
            writing.result()
        finally:
            stop.set()
        assert all(future.result() > 0 for future in readers)


def test_writers_in_threads_lose_nothing():
    index = sl.BM25Index()

    def work(worker):
        ids = [int(index.add([f"worker{worker} document {i}"])[0]) for i in range(60)]
        return ids, index.remove(ids[::3])

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    every = [key for ids, _ in results for key in ids]
    assert sorted(every) == list(range(240))
    assert [removed for _, removed in results] == [20] * 4
    kept = sorted(key for ids, _ in results for i, key in enumerate(ids) if i % 3)
    np.testing.assert_array_equal(index.ids, kept)
    for worker, (ids, _) in enumerate(results):
        found = index.search(f"worker{worker}", k=100)[1]
        assert set(found[found >= 0].tolist()) == {key for i, key in enumerate(ids) if i % 3}


def test_one_analyzer_shared_by_threads():
    analyzer = sl.Analyzer()
    texts = [f"running tested words number{i % 50} naïve {i}" for i in range(400)]
    expected = [sl.Analyzer()(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(analyzer, texts)) == expected
