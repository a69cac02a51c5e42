"""What bounds a call, and whom a bad part of it concerns: memory, rows of batches, adapters, children."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
from sightline import HybridIndex
from sightline.convex_search import search_convex
from sightline.errors import InvalidInputError
from sightline.fork_locks import renew_in_children
from sightline.pending import SpooledPending
from sightline.result_cache import CachedQueries, ResultCache


def _documents(count: int, dim: int = 4) -> list[dict[str, Any]]:
    random = np.random.default_rng(1)
    return [
        {"id": f"d{i}", "text": f"word{i % 7} text", "vector": random.standard_normal(dim), "metadata": {"n": i % 100}}
        for i in range(count)
    ]


@pytest.mark.parametrize("bad", [float("nan"), 0.0])
def test_a_bad_vector_of_a_batch_is_named(bad: float) -> None:
    index = HybridIndex()
    index.add(_documents(20))
    vectors = np.ones((4, 4), dtype=np.float32)
    vectors[2] = bad
    for where in (None, {"n": 3}):
        with pytest.raises(InvalidInputError, match=r"^vector\[2\]: "):
            index.search(["a", "b", "c", "d"], vector=vectors, where=where)
    state = index._keeper.current()
    assert state.dense is not None
    for among in (None, np.arange(3)):
        with pytest.raises(InvalidInputError, match="row 2"):
            search_convex(sl.Convex(), 5.0, state.dense, state.lexical, list("abcd"), vectors, 3, among=among)
    with pytest.raises(InvalidInputError, match=r"^vector: "):
        index.search("a", vector=vectors[2])


def test_batches_of_long_lists_are_those_of_lone_queries() -> None:
    """So long that not all queries of the batch fit into its memory at once."""
    index = HybridIndex()
    index.add(_documents(4000))
    queries = [f"word{i % 7}" for i in range(40)]
    vectors = np.random.default_rng(2).standard_normal((40, 4)).astype(np.float32)
    together = index.search(queries, 4000, vector=vectors)
    for number in (0, 17, 39):
        lone = index.search(queries[number], 4000, vector=vectors[number])
        assert [(hit.id, hit.score) for hit in together[number]] == [(hit.id, hit.score) for hit in lone]
    few = index.search(queries, 5, vector=vectors, where={"n": 3})
    for number in (0, 17, 39):
        lone = index.search(queries[number], 5, vector=vectors[number], where={"n": 3})
        assert [(hit.id, hit.score) for hit in few[number]] == [(hit.id, hit.score) for hit in lone]


def test_metadata_and_titles_count_towards_what_waits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled = []
    write = SpooledPending._write
    monkeypatch.setattr(SpooledPending, "_write", lambda self, *piece: spooled.append(1) or write(self, *piece))
    monkeypatch.setattr("sightline.durable._DIRECT_BYTES", 1 << 20)
    monkeypatch.setattr("sightline.durable._SPOOL_BYTES", 4 << 20)
    with HybridIndex(tmp_path / "kb") as index:
        index.add({"id": f"d{i}", "text": "t", "metadata": {"long": f"{i} " + "x" * 100_000}} for i in range(60))
        assert spooled
        spooled.clear()
        index.add({"id": f"e{i}", "text": "t", "title": f"{i} " + "x" * 100_000} for i in range(60))
        assert spooled
        assert index.count({"long": {"$contains": "59 x"}}) == 1


@pytest.mark.parametrize("durable", [False, True])
def test_an_adapter_set_before_the_first_vector_says_its_dimension(tmp_path: Path, durable: bool) -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((20, 6)).astype(np.float32)
    adapter = sl.LowRankAdapter(np.zeros((1, 6)), np.zeros((6, 1)))
    with HybridIndex(tmp_path / "kb" if durable else None) as index:
        index.set_adapter(adapter)
        index.add(["text alone"])
        with pytest.raises(
            InvalidInputError, match=r"documents\[1\].*expected 6 dimensions as in the adapter .* got 4"
        ):
            index.add(["another", {"text": "x", "vector": [1.0, 2, 3, 4]}])
        assert len(index) == 1
        index.add([{"id": "six", "text": "x", "vector": queries[0]}])
        assert index.search("x", vector=queries[0])[0].id == "six"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_locks_of_its_own() -> None:
    class Owner:
        def __init__(self) -> None:
            self.lock, self.again = threading.Lock(), threading.RLock()

    owner, cache = Owner(), ResultCache(3)
    queries = CachedQueries(lambda texts: np.ones((len(texts), 2)), 3)
    index = HybridIndex(cache=4)
    index.add(["a text"])
    renew_in_children(owner, "lock", "again")
    held = threading.Barrier(2)

    def hold() -> None:
        with owner.lock, owner.again, cache._lock, queries._lock, index._keeper.writing, index._keeper.publishing:
            held.wait()
            held.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        done = os._exit
        try:
            free = owner.lock.acquire(timeout=5) and owner.again.acquire(timeout=5)
            free = free and cache.get(None, 1) is None and queries.embed_queries(["x"]).shape == (1, 2)
            index.add(["another text"])
            done(0 if free and len(index.search("text")) == 2 else 1)
        except BaseException:
            done(2)
    _, status = os.waitpid(child, 0)
    held.wait()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
