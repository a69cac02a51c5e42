"""HybridIndex(cache=n): the hits of before, until a commit by whomever."""

from __future__ import annotations

import dataclasses
import datetime
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
import sightline.hybrid_index
from sightline import Document, HybridIndex
from sightline.result_cache import key_of

DOCUMENTS = [
    Document(f"d{i}", f"apple number{i}", {"n": i, "tags": ["a"], "deep": {"x": 1}}, title="river") for i in range(20)
]


class Embedder:
    """Notes the queries it was asked for."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    def __call__(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, float(len(text))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return [1.0, float(len(text))]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests that were worked on."""
    found: list[Any] = []

    def noting(work: Any) -> Any:
        return lambda state, request: found.append(request) or work(state, request)

    for name in ("retrieve", "plain_hits"):
        monkeypatch.setattr(sightline.hybrid_index, name, noting(getattr(sightline.hybrid_index, name)))
    return found


@pytest.mark.parametrize("durable", [False, True])
def test_a_repeated_search_does_no_work_until_a_commit(tmp_path: Path, searches: list[Any], durable: bool) -> None:
    embedder = Embedder()
    with HybridIndex(tmp_path / "kb" if durable else None, embedder, cache=10) as index:
        index.add(DOCUMENTS)
        first = index.search("apple", 5, explain=True)
        for _ in range(3):
            assert index.search("apple", 5, explain=True) == first
        assert len(searches) == 1
        assert embedder.queries == ["apple"]
        index.upsert([Document("d0", "apple apple apple")])
        second = index.search("apple", 5, explain=True)
        assert second != first
        assert "d0" in {hit.id for hit in second}
        assert len(searches) == 2
        assert embedder.queries == ["apple"]  # whose vector does not depend on the documents
        index.delete(["d0"])
        assert "d0" not in {hit.id for hit in index.search("apple", 20)}
        index.compact()
        assert index.search("apple", 5, explain=True) == index.search("apple", 5, explain=True)


def _outcome(index: HybridIndex, query: Any, options: dict[str, Any]) -> Any:
    try:
        return index.search(query, **options)
    except sl.InvalidInputError as error:
        return str(error)


def test_a_cache_changes_no_answer() -> None:
    plain, cached = HybridIndex(embedder=Embedder()), HybridIndex(embedder=Embedder(), cache=3)
    for index in (plain, cached):
        index.add(DOCUMENTS)
    calls: list[dict[str, Any]] = [
        {},
        {"k": 3},
        {"where": {"n": 1}},
        {"where": {"n": True}},
        {"where": {"n": 1.0}},
        {"where": {"n": {"$in": [1, 2]}}},
        {"where": {"n": {"$in": [1, 3]}}},
        {"vector": [1.0, 3.0]},
        {"vector": np.array([1.0, 3.0])},
        {"vector": np.array([3.0, 1.0])},
        {"fusion": sl.Convex(alpha=0.2)},
        {"fusion": sl.RRF()},
        {"offset": 2},
        {"mode": "lexical"},
        {"min_score": 0.5},
        {"group_by": "n"},
        {"diversity": 0.5},
    ]
    for _ in range(2):
        for call in [*calls, *reversed(calls)]:
            for query in ("apple", ["apple", "number3"], [], sl.parse_query("apple -number3")):
                if isinstance(query, list) and "vector" in call:
                    continue
                assert _outcome(plain, query, call) == _outcome(cached, query, call), (query, call)


def test_hits_are_nobody_elses() -> None:
    index = HybridIndex(cache=4)
    index.add(DOCUMENTS)
    first = index.search("apple", 2, explain=True)
    expected = [dataclasses.asdict(hit) for hit in first]
    first[0].metadata["n"] = "changed"
    first[0].metadata["deep"]["x"] = "changed"
    first[0].explanation["lexical"]["terms"].clear()  # type: ignore[index]
    second = index.search("apple", 2, explain=True)
    assert [dataclasses.asdict(hit) for hit in second] == expected
    second[1].metadata["tags"].append("changed")
    assert [dataclasses.asdict(hit) for hit in index.search("apple", 2, explain=True)] == expected


def test_the_cache_is_bounded_and_drops_what_was_not_used(searches: list[Any]) -> None:
    embedder = Embedder()
    index = HybridIndex(embedder=embedder, cache=3)
    index.add(DOCUMENTS)
    for number in (1, 2, 3, 1, 4):
        index.search(f"number{number}")
    assert len(searches) == 4
    for number in (1, 3, 4):
        index.search(f"number{number}")
    assert len(searches) == 4
    index.search("number2")
    assert len(searches) == 5
    assert len(set(embedder.queries)) == 4
    assert len(index._cache._found._values) == 3  # type: ignore[union-attr]


def test_rerankers_by_identity_and_degraded_hits_not_at_all() -> None:
    index = HybridIndex(cache=4)
    index.add(DOCUMENTS)
    calls: list[str] = []

    def make(sign: int, fails: bool) -> Any:
        def rerank(query: str, texts: list[str]) -> list[float]:
            calls.append(query)
            if fails:
                raise OSError("no model")
            return [float(sign * len(text)) for text in texts]

        return rerank

    up, down, broken = make(1, False), make(-1, False), make(1, True)
    first, second = (index.search("apple", 20, rerank=rerank) for rerank in (up, down))
    assert [hit.id for hit in first] != [hit.id for hit in second]
    assert index.search("apple", 20, rerank=up) == first
    assert index.search("apple", 20, rerank=down) == second
    assert len(calls) == 2
    for _ in range(2):
        assert index.search("apple", 3, rerank=broken, on_rerank_error="keep")[0].degraded
    assert len(calls) == 4


def test_keys() -> None:
    moment = datetime.datetime(2026, 1, 1)
    different: list[Any] = [
        1,
        True,
        1.0,
        "1",
        None,
        [1],
        (1,),
        {"a": 1},
        {"a": True},
        {"a": [1]},
        {"a": {"b": 1}},
        np.array([1]),
        np.array([1.0]),
        np.array([[1.0]]),
        np.float32(1),
        moment,
        moment.date(),
        sl.Convex(alpha=0.5),
        sl.Convex(alpha=0.25),
        sl.parse_query("a b"),
        sl.parse_query("a -b"),
        len,
        print,
    ]
    keys = [key_of(value) for value in different]
    assert len(set(keys)) == len(different)
    assert keys == [key_of(value) for value in different]
    assert key_of(sl.parse_query("a b")) == key_of(sl.parse_query("a b"))

    class Changing:
        """An array-like whose content may change in place."""

    for unknown in (Changing(), [Changing()], {"a": iter([1])}, np.array([Changing()])):
        assert key_of(unknown) is None


def test_scopes_share_a_cache_and_no_hits(searches: list[Any]) -> None:
    index = HybridIndex(cache=10)
    index.add(DOCUMENTS)
    even, odd = (index.scoped({"n": {"$in": [n for n in range(20) if n % 2 == rest]}}) for rest in (0, 1))
    for _ in range(2):
        for scope, rest in ((even, 0), (odd, 1)):
            assert {hit.metadata["n"] % 2 for hit in scope.search("apple", 20)} == {rest}
            assert [hit.metadata["n"] for hit in scope.search("apple", where={"n": {"$lt": 2}})] == [rest]
    assert len(searches) == 4


@pytest.mark.parametrize("size", [-1, 1.5, True, "many"])
def test_bad_sizes(size: Any) -> None:
    with pytest.raises(sl.InvalidInputError, match="cache"):
        HybridIndex(cache=size)


def test_an_error_is_not_kept() -> None:
    index = HybridIndex(cache=4)
    for _ in range(2):
        with pytest.raises(sl.InvalidInputError):
            index.search("apple", k=0)
    index.add(DOCUMENTS)
    index.close()
    with pytest.raises(sl.SightlineError, match="closed"):
        index.search("apple")


def _write(folder: str, steps: int) -> None:
    with HybridIndex.open(folder, durability="os") as index:
        for step in range(1, steps + 1):
            index.upsert([Document("counter", "apple", {"step": step})])


def _seen(hits: list[sl.Hit]) -> int:
    return int(hits[0].metadata["step"])


def test_readers_never_go_back_behind_a_commit(tmp_path: Path) -> None:
    """Threads with one cached index, while another process writes: each sees steps ascend, and at last the newest."""
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add([Document("counter", "apple", {"step": 0})])
    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    writer = context.Process(target=_write, args=(str(folder), 150))
    failures: list[Any] = []
    with HybridIndex.open(folder, read_only=True, cache=8) as reader:

        def read() -> None:
            last = 0
            while not done.is_set():
                step = _seen(reader.search("apple"))
                if step < last:
                    failures.append((last, step))
                last = step

        done = threading.Event()
        writer.start()
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        writer.join()
        done.set()
        for thread in threads:
            thread.join()
        assert writer.exitcode == 0
        assert not failures
        assert _seen(reader.search("apple")) == 150


def test_threads_that_write_and_search_see_their_own_writes() -> None:
    index = HybridIndex(cache=50)
    index.add([Document(f"t{i}", "apple", {"step": 0}) for i in range(4)])
    failures: list[Any] = []

    def work(number: int) -> None:
        for step in range(1, 80):
            index.upsert([Document(f"t{number}", "apple", {"step": step})])
            (hit,) = (hit for hit in index.search("apple", 10) if hit.id == f"t{number}")
            if hit.metadata["step"] != step:
                failures.append((number, step, hit.metadata))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_does_not_wait_for_locks_of_its_parent() -> None:
    """A thread of the parent holds both locks at the fork; in the child nobody would ever release them."""
    index = HybridIndex(embedder=lambda texts: [[1.0, float(len(text))] for text in texts], cache=8)
    index.add([{"id": "a", "text": "apple"}])
    expected = index.search("apple")
    cache, queries = index._cache, index._cached_queries
    assert cache is not None
    assert queries is not None
    with cache._lock, queries._lock:
        child = os.fork()
        if child == 0:
            found = index.search("apple")
            os._exit(0 if found == expected == index.search("apple") else 1)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended[0] == child
    assert os.waitstatus_to_exitcode(ended[1]) == 0
