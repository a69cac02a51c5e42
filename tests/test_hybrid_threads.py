"""HybridIndex under threads: searches beside writes see whole states only."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sightline import BM25Index, Document, HybridIndex


def test_searches_beside_writes_see_whole_states():
    """Every write keeps: one version in the whole index, twenty documents, text and metadata of the same version."""
    index = HybridIndex(dim=4)

    def documents(version):
        rng = np.random.default_rng(version)
        return [
            Document(f"d{i}", f"common version{version} word{i}", {"version": version}, vector=rng.normal(size=4))
            for i in range(20)
        ]

    index.add(documents(0))
    stop = threading.Event()

    def write():
        for version in range(1, 60):
            index.upsert(documents(version))
            if version % 10 == 0:
                index.delete([f"d{i}" for i in range(20)])
                index.add(documents(version))
        stop.set()

    def read(seed):
        rng = np.random.default_rng(seed)
        searches = 0
        while not stop.is_set():
            mode = ("hybrid", "dense", "lexical")[searches % 3]
            hits = index.search(
                "common", 50, mode=mode, vector=None if mode == "lexical" else rng.normal(size=4), explain=True
            )
            versions = {hit.metadata["version"] for hit in hits}
            assert len(versions) <= 1
            assert len(hits) in (0, 20)
            assert all(f"version{version}" in hit.text for hit in hits for version in versions)
            searches += 1
        return searches

    with ThreadPoolExecutor(4) as pool:
        writer = pool.submit(write)
        readers = [pool.submit(read, seed) for seed in range(3)]
        writer.result(timeout=120)
        assert all(reader.result(timeout=120) > 0 for reader in readers)


def test_adding_threads_lose_nothing():
    index = HybridIndex()

    def add(thread):
        for i in range(30):
            index.add([Document(f"{thread}-{i}", f"text {thread} {i}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(index) == 120
    assert len(index.search("text", 200)) == 120


def test_only_one_of_two_equal_adds_wins():
    index = HybridIndex()
    barrier = threading.Barrier(4)

    def add(_):
        barrier.wait()
        try:
            index.add([Document("same", "text")])
        except ValueError:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(4))) == 1


def test_user_code_may_use_the_index():
    """Streams, embedders, rerankers and progress functions run outside the lock."""
    index = HybridIndex(embedder=lambda texts: [[len(index), 1.0] for _ in texts])
    index.add(["one"])

    def stream():
        yield "two"
        index.add(["three"])
        yield "four"

    index.add(stream(), progress=lambda *report: index.search("one"))
    assert len(index) == 4
    hits = index.search("one", rerank=lambda query, texts: [len(index.search("two")) for _ in texts])
    assert len(hits) == 4


def test_searches_do_not_wait_for_a_write(monkeypatch):
    index = HybridIndex(dim=2)
    index.add([Document("one", "text", vector=[1, 0])])
    inside, leave = threading.Event(), threading.Event()
    add = BM25Index.add

    def slow_add(self, texts, ids=None):
        added = add(self, texts, ids)
        inside.set()
        assert leave.wait(30)
        return added

    monkeypatch.setattr(BM25Index, "add", slow_add)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            index.upsert, [Document("one", "new", vector=[0, 1]), Document("two", "text", vector=[1, 1])]
        )
        assert inside.wait(30)
        for mode in ("hybrid", "dense", "lexical"):
            hits = index.search("text", mode=mode, vector=None if mode == "lexical" else [1, 0])
            assert [(hit.id, hit.text) for hit in hits] == [("one", "text")]
        assert (len(index), index.count(), index.get("two"), index.get("one")[0].text) == (1, 1, [None], "text")
        leave.set()
        writing.result(timeout=30)
    assert sorted(hit.id for hit in index.search("text new", vector=[1, 0])) == ["one", "two"]


def test_a_search_keeps_its_state_to_the_end():
    """Everything disappears while the embedder of a query runs; the answer is that of the state at the start."""
    index = HybridIndex(embedder=lambda texts: [[1.0, len(text)] for text in texts])
    index.add([Document(f"d{i}", f"text {i}") for i in range(5)])
    index._embedder = lambda texts: index.delete(where={}) and [[1.0, 1.0]]
    assert len(index.search("text", 5)) == 5
    assert len(index) == 0
