"""Threads that search while others write: each result belongs to one state of the index, and states only advance."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import sightline as sl
from vector_data import METRICS, gaussian


@pytest.fixture(autouse=True)
def restore_threads() -> Iterator[None]:
    before = sl.get_num_threads()
    yield
    sl.set_num_threads(before)


def run_threads(*bodies: Callable[[], None], timeout: float = 60) -> None:
    """Run all bodies at once. Fails with the first error of any of them, or if one does not end."""
    errors: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    stuck = [thread.name for thread in threads if thread.is_alive()]
    if errors:
        raise errors[0]
    assert not stuck, f"did not end: {stuck}"


# --- searches while another thread writes ---------------------------------------------------------------------------

STEPS = 60
BATCH = 300
LARGEST = 8 * BATCH


class Window:
    """An index of rows (id, version): a window of ids that moves on, all rewritten now and then under a new version.

    After each call of the writer the index is in one of ``states``: (version, first id, end of ids). So a result that
    shows two versions, a gap, or part of a batch belongs to no state.
    """

    def __init__(self) -> None:
        self.index = sl.VectorIndex(2, "ip")
        self.states: dict[tuple[int, int, int], int] = {}
        self.done = False
        self.looks: list[int] = []  # how many searches each reader has made
        self.version, self.first, self.end = 1, 0, 0
        # What each call leads to is known before it is made, so that a reader can never see a state too early.
        for _ in self.life(lambda call: None):
            self.states[(self.version, self.first, self.end)] = len(self.states)
        self.version, self.first, self.end = 1, 0, 0

    def life(self, perform: Callable[[Callable[[], object]], None]) -> Iterator[None]:
        index = self.index
        for step in range(STEPS):
            fresh = np.arange(self.end, self.end + BATCH)
            self.end += BATCH
            perform(lambda fresh=fresh: index.add(self.rows(fresh), fresh))
            yield
            if self.end - self.first >= LARGEST:
                gone = np.arange(self.first, self.first + 2 * BATCH)
                self.first += 2 * BATCH
                perform(lambda gone=gone: index.remove(gone))
                yield
            if step % 3 == 2:
                self.version += 1
                everything = np.arange(self.first, self.end)
                perform(lambda ids=everything: index.upsert(self.rows(ids), ids))
                yield
            if step % 10 == 5:
                perform(index.compact)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        return np.stack([ids, np.full(len(ids), self.version)], axis=1).astype(np.float32)

    def write(self) -> None:
        """Make all calls; after every third one wait until each reader has looked once more."""
        try:
            for step, _ in enumerate(self.life(lambda call: call())):
                if step % 3 == 0:
                    before = self.looks.copy()
                    while not self.done and any(now <= old for now, old in zip(self.looks, before, strict=True)):
                        time.sleep(0.0001)
        finally:
            self.done = True

    def read(self, look: Callable[[], tuple[int, int, int] | None]) -> Callable[[], None]:
        number = len(self.looks)
        self.looks.append(0)

        def body() -> None:
            latest, seen = -1, set()
            try:
                while not self.done:
                    state = look()
                    self.looks[number] += 1
                    if state is None:  # still empty
                        continue
                    assert state in self.states, state
                    assert self.states[state] >= latest, "went back in time"
                    latest = self.states[state]
                    seen.add(state)
            finally:
                self.done = True
            assert len(seen) >= STEPS // 3

        return body

    def all_rows_by_version(self) -> tuple[int, int, int] | None:
        scores, ids = self.index.search([0, 1], LARGEST + BATCH)
        ids, scores = ids[ids >= 0], scores[ids >= 0]
        if len(ids) == 0:
            return None
        assert (np.diff(ids) == 1).all(), "all scores are equal, so ids ascend without a gap"
        assert len(set(scores.tolist())) == 1, "two versions in one result"
        return int(scores[0]), int(ids[0]), int(ids[-1]) + 1

    def all_rows_in_a_batch_of_queries(self) -> tuple[int, int, int] | None:
        scores, ids = self.index.search([[1, 0], [0, 1], [-1, 0], [0, -1], [1e-3, 1]], LARGEST + BATCH)
        counts = (ids >= 0).sum(axis=1)
        assert len(set(counts.tolist())) == 1, "queries of one batch saw different states"
        if counts[0] == 0:
            return None
        live = ids[1][: counts[0]]
        assert ids[0][: counts[0]].tolist() == live[::-1].tolist()
        assert ids[2][: counts[0]].tolist() == live.tolist()
        assert (scores[0][: counts[0]] == ids[0][: counts[0]]).all()
        return int(scores[1, 0]), int(live[0]), int(live[-1]) + 1

    def all_rows_by_range(self) -> tuple[int, int, int] | None:
        scores, ids = self.index.range_search([0, 1], 0.5)
        if len(ids) == 0:
            return None
        assert len(set(scores.tolist())) == 1
        assert (np.diff(ids) == 1).all()
        return int(scores[0]), int(ids[0]), int(ids[-1]) + 1


def test_every_search_sees_one_state() -> None:
    window = Window()
    run_threads(
        window.write,
        window.read(window.all_rows_by_version),
        window.read(window.all_rows_in_a_batch_of_queries),
        window.read(window.all_rows_by_range),
    )
    final = (window.version, window.first, window.end)
    assert window.all_rows_by_version() == window.all_rows_in_a_batch_of_queries() == final
    assert window.states[final] == len(window.states) - 1
    assert len(window.states) > STEPS


def test_a_file_saved_meanwhile_holds_one_state(tmp_path: Path) -> None:
    window = Window()
    loaded = Window()

    def save_and_load() -> tuple[int, int, int] | None:
        window.index.save(tmp_path / "index")
        loaded.index = sl.VectorIndex.load(tmp_path / "index")
        return loaded.all_rows_by_version()

    run_threads(window.write, window.read(save_and_load), window.read(window.all_rows_by_version))
    assert save_and_load() == (window.version, window.first, window.end)


def test_ids_masks_and_vectors_of_one_thread_hold_while_another_adds() -> None:
    """A bool mask may find another number of rows than it was made for, and says so; a list of ids always works."""
    index = sl.VectorIndex(3, "l2")
    rows = gaussian(np.random.default_rng(0), 6000, 3)
    index.add(rows[:1000])
    done = threading.Event()
    looks = [0, 0]

    def write() -> None:
        try:
            for start in range(1000, 6000, 250):
                before = looks.copy()
                index.add(rows[start : start + 250])
                while not done.is_set() and (looks[0] == before[0] or looks[1] == before[1]):
                    time.sleep(0.0001)
        finally:
            done.set()

    def read(reader: int) -> None:
        outcomes = set()
        try:
            while not done.is_set():
                outcomes.add(look())
                looks[reader] += 1
        finally:
            done.set()
        assert "fits" in outcomes

    def look() -> str:
        assert index.search(rows[8], 1, np.arange(20))[1].tolist() == [8]
        assert index.get([0, 999]).tobytes() == rows[[0, 999]].tobytes()
        assert index.score(rows[5], [5]).tolist() == [0]
        mask = np.ones(len(index), bool)
        try:
            _, ids = index.search(rows[7], 2, mask)
        except sl.InvalidInputError as error:
            assert "one entry for each" in str(error)  # noqa: PT017
            return "does not fit"
        assert ids[0] == 7
        return "fits"

    run_threads(write, lambda: read(0), lambda: read(1))
    assert len(index) == 6000
    assert index.get(np.arange(6000)).tobytes() == rows.tobytes()


def test_many_writers_get_ids_of_their_own() -> None:
    index = sl.VectorIndex(2, "ip")
    given: list[dict[int, float]] = [{} for _ in range(6)]

    def write(writer: int) -> None:
        for step in range(40):
            values = np.arange(3) + 1000 * writer + 3 * step
            ids = index.add(np.stack([values, values], axis=1))
            given[writer].update(zip(ids.tolist(), values.tolist(), strict=True))
            if step % 5 == 4:
                index.remove([min(given[writer])])
                del given[writer][min(given[writer])]

    run_threads(*(lambda writer=writer: write(writer) for writer in range(6)))
    expected = {key: value for part in given for key, value in part.items()}
    assert len(expected) == 6 * (120 - 8)
    assert index.ids.tolist() == sorted(expected)
    assert index.get(index.ids)[:, 0].tolist() == [expected[key] for key in sorted(expected)]


# --- threads of the pool --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_results_hold_while_the_number_of_threads_changes(metric: str) -> None:
    rng = np.random.default_rng(1)
    index = sl.VectorIndex(16, metric)
    index.add(gaussian(rng, 8000, 16))
    queries = gaussian(rng, 30, 16)
    expected = index.search(queries, 10)
    done = threading.Event()

    def search() -> None:
        for turn in range(60):
            scores, ids = index.search(queries, 10)
            assert scores.tobytes() == expected[0].tobytes()
            assert ids.tobytes() == expected[1].tobytes()
            assert index.search(queries[turn % 30], 10)[1].tobytes() == ids[turn % 30].tobytes()

    def change() -> None:
        for turn in range(10_000):
            sl.set_num_threads(1 + turn % 5)
            if done.is_set():
                return
            time.sleep(0.0005)

    def searchers() -> None:
        try:
            run_threads(*[search] * 6)
        finally:
            done.set()

    run_threads(searchers, change, timeout=90)


def test_other_threads_run_during_a_search() -> None:
    """Equal rows leave nothing to prune, so this takes a while; holding the GIL would leave no time for ticks."""
    index = sl.VectorIndex(64)
    index.add(np.ones((20_000, 64)))
    queries = np.ones((300, 64), np.float32)
    took: list[float] = []

    def search() -> None:
        start = time.monotonic()
        index.search(queries, 10)
        took.append(time.monotonic() - start)

    thread = threading.Thread(target=search)
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.002)
        ticks += 1
    thread.join()
    assert took[0] > 0.05, "too short to tell; give it more queries"
    assert ticks >= 5


REAP = """
import os, sys, time

def reap(child, deadline):
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, 9)
            sys.exit("a child hangs")
        time.sleep(0.005)
    assert status == 0, status
"""

FORK = """
import os, sys, threading, time
import numpy as np
import sightline as sl

sl.set_num_threads(4)
rng = np.random.default_rng(0)
rows = rng.standard_normal((20_000, 16)).astype(np.float32)
index = sl.VectorIndex(16)
index.add(rows)
expected = index.search(rows[:50], 5)[1]

def check():
    assert (index.search(rows[:50], 5)[1] == expected).all()
    assert (index.search(rows[3], 5)[1] == expected[3]).all()

def in_child():
    check()
    index.add(rows)
    index.remove(np.arange(20_000, 40_000))
    index.compact()
    check()
    sl.set_num_threads(2)
    check()

children = []
for _ in range(4):
    check()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            in_child()
            status = 0
        finally:
            os._exit(status)
    children.append(child)
    check()
deadline = time.monotonic() + 60
for child in children:
    reap(child, deadline)
check()
print("fine")
"""


def test_fork_while_the_pool_is_live() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REAP + FORK], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "fine\n", done.stderr


FORK_WHILE_SEARCHING = """
import os, sys, threading, time
import numpy as np
import sightline as sl

rng = np.random.default_rng(0)
rows = rng.standard_normal((300_000, 64)).astype(np.float32)  # large enough for searches to be combined
index = sl.VectorIndex(64)
index.add(rows)
expected = index.search(rows[:8], 3)[1]
stop = threading.Event()

def search(i):
    while not stop.is_set():
        assert (index.search(rows[i], 3)[1] == expected[i]).all()

threads = [threading.Thread(target=search, args=(i,), daemon=True) for i in range(8)]
for thread in threads:
    thread.start()
for _ in range(10):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for i in range(3):
                assert (index.search(rows[i], 3)[1] == expected[i]).all()
            status = 0
        finally:
            os._exit(status)
    reap(child, time.monotonic() + 30)
stop.set()
for thread in threads:
    thread.join(30)
print("fine")
"""


def test_fork_while_threads_share_a_pass() -> None:
    command = [sys.executable, "-W", "ignore", "-c", REAP + FORK_WHILE_SEARCHING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.stdout == "fine\n", done.stderr


def test_queries_that_share_a_pass_share_no_errors() -> None:
    rows = gaussian(np.random.default_rng(3), 300_000, 64)
    index = sl.VectorIndex(64)
    index.add(rows)
    expected = index.search(rows[:6], 4)
    bad = np.full(64, np.nan, dtype=np.float32)
    refused = []

    def good_searches(i: int) -> Callable[[], None]:
        def body() -> None:
            for _ in range(10):
                scores, ids = index.search(rows[i], 4)
                np.testing.assert_array_equal(scores, expected[0][i])
                np.testing.assert_array_equal(ids, expected[1][i])

        return body

    def bad_searches() -> None:
        for _ in range(10):
            with pytest.raises(sl.InvalidInputError, match="finite"):
                index.search(bad, 4)
            refused.append(True)

    run_threads(bad_searches, *(good_searches(i) for i in range(6)))
    assert len(refused) == 10
