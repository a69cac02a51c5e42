"""HybridIndex under threads: searches beside writes see whole states only."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sightline import Document, HybridIndex
from sightline.locks import ReadWriteLock


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


def test_a_writer_is_not_starved_and_readers_overlap():
    lock = ReadWriteLock()
    together = threading.Barrier(2)
    order = []

    def read():
        with lock.shared():
            together.wait(timeout=10)  # passes only if both readers are inside

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(read), pool.submit(read)]:
            future.result(timeout=20)
        inside, leave = threading.Event(), threading.Event()

        def hold():
            with lock.shared():
                inside.set()
                leave.wait(10)

        def write():
            with lock.exclusive():
                order.append("writer")

        holder = pool.submit(hold)
        inside.wait(10)
        writer = pool.submit(write)
        while not lock._waiting_writers:
            time.sleep(0.001)

        def late():
            with lock.shared():
                order.append("reader")

        reader = pool.submit(late)
        time.sleep(0.02)
        leave.set()
        for future in (holder, writer, reader):
            future.result(timeout=20)
    assert order == ["writer", "reader"]


def test_the_lock_survives_exceptions():
    lock = ReadWriteLock()
    for enter in (lock.shared, lock.exclusive):
        with pytest.raises(KeyError), enter():
            raise KeyError
    with lock.exclusive():
        pass
