"""HybridIndex in a directory: opening, settings, the lock, freshness, life cycle."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

import sightline as sl
import sightline.durable
import sightline.locking
import sightline.maintenance
from sightline import Document, HybridIndex

DOCUMENTS = [Document(f"d{i}", f"text number {i}", {"n": i}, [1.0, float(i), 0.5]) for i in range(20)]


class Counting:
    """An embedder that notes what it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [[1.0, float(len(text)), float(text.count("a"))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, float(len(text)), float(text.count("a"))]


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "kb"
    with HybridIndex(folder) as index:
        assert index.add(DOCUMENTS) == [document.id for document in DOCUMENTS]
        index.upsert([Document("d3", "changed", {"n": [1, None, {"x": "ü\0"}]}, None, "title")])
        assert index.delete(where={"n": {"$gte": 15}}) == 5
        expected = index.search("text number", 30, vector=[1.0, 2.0, 0.0], explain=True)
        documents = index.get([f"d{i}" for i in range(20)])
    for read_only in (False, True):
        with HybridIndex.open(folder, read_only=read_only) as index:
            assert index.get([f"d{i}" for i in range(20)]) == documents
            assert index.search("text number", 30, vector=[1.0, 2.0, 0.0], explain=True) == expected
            assert index.count({"n": 1}) == 2
            assert len(index) == 15
            assert "d3" in index
            assert "d15" not in index
            assert index.verify() == {"documents": 15, "vectors": 14, "texts": 15, "segments": 0}


def test_a_large_write_goes_to_segment_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 10)
    with HybridIndex(tmp_path / "kb") as index:
        index.add(DOCUMENTS[:5])
        index.add(DOCUMENTS[5:])
        assert index.stats()["unsealed"] == 0
        assert index.stats()["segments"] in (1, 2)  # merged in the background or not yet
        index.compact()
        assert index.stats()["segments"] == 1
        suffixes = {path.suffix for path in (tmp_path / "kb" / "segments").iterdir()}
        assert suffixes == {".dense", ".lexical", ".columns", ".documents"}
        assert index.verify()["segments"] == 1
        assert index.search("number", vector=[1.0, 19.0, 0.5])[0].id == "d19"


def test_many_small_writes_are_sealed_and_merged_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 8)
    with HybridIndex(tmp_path / "kb", durability="os") as index:
        for i in range(200):
            index.upsert([Document(f"d{i % 150}", f"word{i}", vector=[1.0, float(i)])])
        until = time.monotonic() + 30
        # Sealing goes before merging, which fsyncs, so the last merges may come later than the last seal.
        while (index.stats()["unsealed"] >= 8 or index.stats()["segments"] > 10) and time.monotonic() < until:
            time.sleep(0.01)
        stats = index.stats()
        assert stats["maintenance_error"] is None
        assert stats["unsealed"] < 8
        assert 1 <= stats["segments"] <= 10
        assert [hit.id for hit in index.search("word199", 1, mode="lexical")] == ["d49"]
        assert not index.search("word49", 1, mode="lexical")
        assert index.verify()["documents"] == 150


def test_a_write_as_maintenance_ends_is_seen_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 1)
    keeper = sightline.maintenance.MaintainedKeeper
    step = keeper._maintain_once
    late: list[bool] = []

    with HybridIndex(tmp_path / "kb", durability="os") as index:

        def step_then_write(self: Any) -> bool:
            worked = step(self)
            if not worked and not late:  # nothing is left to do, but the thread has not ended yet
                writer = threading.Thread(target=index.upsert, args=([Document("late", "late")],))
                writer.start()
                writer.join(30)
                late.append(writer.is_alive())
            return worked

        monkeypatch.setattr(keeper, "_maintain_once", step_then_write)
        index.upsert([Document("early", "early")])
        until = time.monotonic() + 30
        while (not late or index.stats()["unsealed"]) and time.monotonic() < until:
            time.sleep(0.01)
        assert late == [False]
        assert index.stats()["unsealed"] == 0


def test_a_failure_in_the_background_is_kept_for_stats_and_raised_by_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sl.StorageError("no space")

    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 4)
    monkeypatch.setattr(sightline.maintenance, "write_segment", fail)
    with HybridIndex(tmp_path / "kb") as index:
        index.add(DOCUMENTS)
        thread = index._keeper._maintenance  # type: ignore[attr-defined]
        thread.join(30)
        assert index.stats()["maintenance_error"] == "no space"
        with pytest.raises(sl.StorageError, match="no space"):
            index.flush()
        assert index.search("number", vector=[1.0, 19.0, 0.5])[0].id == "d19"
        monkeypatch.undo()
        index.flush()
        assert index.stats()["unsealed"] == 0


def test_settings_are_kept_and_other_ones_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder, Counting(), analyzer="german", k1=0.9, variant="bm25+", dim=3) as index:
        index.add([Document("d", "Häuser am Fluss", {}, [1, 2, 3])])
    with HybridIndex(folder, Counting()) as index:
        assert [hit.id for hit in index.search("Haus", mode="lexical")] == ["d"]
        explanation = index.search("Haus", mode="lexical", explain=True)[0].explanation
    with HybridIndex(folder, analyzer="german", k1=0.9, b=0.75, variant="bm25+", dim=3) as index:
        assert index.search("Haus", mode="lexical", explain=True)[0].explanation == explanation
    other = Counting()
    other.name = "another"
    for options, name in (
        ({"analyzer": "english"}, "analyzer"),
        ({"k1": 1.2}, "k1"),
        ({"b": 0.5}, "b"),
        ({"variant": "lucene"}, "variant"),
        ({"dim": 4}, "dim"),
        ({"embedder": other}, "embedder"),
    ):
        with pytest.raises(sl.IncompatibleIndexError, match=f"{name}: the index was made with"):
            HybridIndex(folder, **options)
    with pytest.raises(sl.IncompatibleIndexError, match="embedder"):
        HybridIndex.open(folder, other, read_only=True)
    with HybridIndex(folder) as index, pytest.raises(sl.InvalidInputError, match="3 dimensions"):
        index.add([Document("e", "x", vector=[1.0, 2.0])])


def test_dim_is_kept_from_the_first_vector_on(tmp_path: Path) -> None:
    with HybridIndex(tmp_path / "kb") as index:
        index.add([Document("d", "text", vector=[1.0, 2.0])])
        index.delete(["d"])
    with HybridIndex(tmp_path / "kb") as index:
        assert index.stats()["dim"] == 2
        with pytest.raises(sl.InvalidInputError, match="2 dimensions"):
            index.add([Document("d", "text", vector=[1.0, 2.0, 3.0])])


def test_an_analyzer_that_is_code_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(sl.InvalidInputError, match="analyzer"):
        HybridIndex(tmp_path / "kb", analyzer=sl.Analyzer("english", stemmer=lambda words: words))
    HybridIndex(tmp_path / "kb").close()


def test_bad_directories(tmp_path: Path) -> None:
    with pytest.raises(sl.StorageError, match="holds no index"):
        HybridIndex.open(tmp_path / "nothing")
    with pytest.raises(sl.StorageError, match="holds no index"):
        HybridIndex.open(tmp_path, read_only=True)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(sl.StorageError, match="cannot be made"):
        HybridIndex(tmp_path / "file")
    with pytest.raises(sl.InvalidInputError, match="holds other things"):
        HybridIndex(tmp_path)
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "sightline.db").write_bytes(b"")  # a crash before the first commit
    with pytest.raises(sl.StorageError, match="is empty"):
        HybridIndex.open(tmp_path / "kb", read_only=True)
    HybridIndex(tmp_path / "kb").close()
    HybridIndex.open(tmp_path / "kb").close()


def test_opening_removes_only_files_that_a_writer_left(tmp_path: Path) -> None:
    inside = tmp_path / "kb" / "segments"
    inside.mkdir(parents=True)
    (inside / "1.dense").write_bytes(b"somebody's")
    with pytest.raises(sl.InvalidInputError, match=r"holds other things \('segments'\) and no sightline\.db"):
        HybridIndex(tmp_path / "kb")
    assert [path.name for path in inside.iterdir()] == ["1.dense"]
    (inside / "1.dense").unlink()
    HybridIndex(tmp_path / "kb").close()
    for name in ("7.dense", "7.lexical", "7.dense.tmp-12-34", "notes.txt", "7.dense.bak", "x7.dense"):
        (inside / name).write_bytes(b"x")
    HybridIndex(tmp_path / "kb").close()
    assert {path.name for path in inside.iterdir()} == {"notes.txt", "7.dense.bak", "x7.dense"}


def test_another_program_s_database_and_later_versions_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    HybridIndex(folder).close()
    connection = sqlite3.connect(folder / "sightline.db")
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(sl.IncompatibleIndexError, match="schema version 99"):
        HybridIndex.open(folder)
    connection.execute("PRAGMA application_id = 1")
    with pytest.raises(sl.IncompatibleIndexError, match="another program"):
        HybridIndex.open(folder)
    connection.close()


def test_the_second_writer_is_told_who_is_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add(DOCUMENTS)
        with pytest.raises(sl.IndexLockedError, match=rf"open for writing by process {os.getpid()} "):
            HybridIndex(folder)
        code = f"import sightline as sl; sl.HybridIndex({str(folder)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"IndexLockedError: '{folder}' is open for writing by process {os.getpid()} " in done.stderr
        with HybridIndex.open(folder, read_only=True) as reader:
            assert len(reader) == 20
    HybridIndex(folder).close()


def test_a_reader_refuses_to_write_and_sees_commits(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index, HybridIndex.open(folder, read_only=True) as reader:
        assert reader.search("number", mode="lexical") == []
        for call in (
            lambda: reader.add(DOCUMENTS),
            lambda: reader.upsert(DOCUMENTS),
            lambda: reader.delete(where={}),
            reader.flush,
            reader.compact,
        ):
            with pytest.raises(sl.StorageError, match="read_only=True"):
                call()
        index.add(DOCUMENTS)
        assert len(reader.search("number", 30, mode="lexical")) == 20
        assert reader.count({"n": {"$lt": 5}}) == 5
        index.delete(["d0"])
        assert reader.get("d0") == [None]
        assert reader.count({"n": {"$lt": 5}}) == 4
        index.compact()
        assert reader.count({"n": {"$lt": 5}}) == 4
        assert len(reader.search("number", 30, vector=[1, 2, 3])) == 19
        assert reader.verify()["documents"] == 19


def test_a_segment_number_is_never_used_for_two_contents(tmp_path: Path) -> None:
    """Else a reader that has the old one open would take it for the new one."""
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index, HybridIndex.open(folder, read_only=True) as reader:
        used: list[int] = []
        for round_ in range(4):
            index.add(Document(f"d{i}", f"round{round_}", vector=[1.0, float(i)]) for i in range(5 + round_))
            index.flush()
            used += [int(path.stem) for path in (folder / "segments").glob("*.dense")]
            hits = reader.search(f"round{round_}", 20, mode="lexical")
            assert len(hits) == len(reader) == 5 + round_
            index.delete(where={})
            index.compact()
            assert not list((folder / "segments").iterdir())
        assert len(set(used)) == len(used) == 4


def test_compact_forgets_dead_rows_that_no_segment_holds(tmp_path: Path) -> None:
    blank = [Document(f"blank{i}", "", {"n": i}) for i in range(3)]
    with HybridIndex(tmp_path / "kb") as index:
        index.add(blank)
        index.flush()
        index.delete(["blank0"])
        index.compact()  # there is no segment at all
        assert index.stats()["tombstones"] == 0
        assert index.stats()["segments"] == 0
        index.add(DOCUMENTS)
        index.flush()
        index.delete(["blank1", "d19"])  # before the segment and in it
        index.compact()
        assert index.stats()["tombstones"] == 0
        assert index.stats()["segments"] == 1
        index.delete(where={})
        index.compact()
        assert (index.stats()["tombstones"], index.stats()["segments"]) == (0, 0)
        index.add(blank)
        assert index.verify()["documents"] == 3
    with HybridIndex.open(tmp_path / "kb") as index:
        assert index.ids() == ["blank0", "blank1", "blank2"]
        index.compact()


def test_readers_in_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add(DOCUMENTS)
        index.flush()
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder.chmod(0o555)
    try:
        with HybridIndex.open(folder, read_only=True) as reader:
            assert len(reader.search("number", 30, mode="lexical")) == 20
    finally:
        folder.chmod(0o755)


def test_a_reader_that_cannot_write_sees_a_writer_that_came_and_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add(DOCUMENTS)
    monkeypatch.setattr(os, "access", lambda *_: False)  # which also holds for root
    with HybridIndex.open(folder, read_only=True) as reader:
        store = reader._keeper._store  # type: ignore[attr-defined]
        assert len(reader) == 20
        assert not store._idle  # such connections would never see another commit
        with HybridIndex(folder) as index:
            index.delete(["d0"])
            index.compact()
        assert reader.ids() == [f"d{i}" for i in range(1, 20)]
        read = store.reading()
        read.__enter__()
        with HybridIndex(folder) as index:
            index.delete(["d1"])
            with pytest.raises(sl.StorageError, match="try again"):
                read.__exit__(None, None, None)
            assert len(reader) == 18
            index.delete(["d2"])
            assert len(reader) == 17
        assert len(reader.search("number", 30, mode="lexical")) == 17
    with HybridIndex.open(folder, read_only=True) as reader:
        (folder / "sightline.db").rename(tmp_path / "elsewhere")
        (folder / "sightline.db-wal").unlink(missing_ok=True)
        with pytest.raises(sl.StorageError, match="cannot be read: No such file"):
            reader.get("d5")


def test_only_changed_texts_are_embedded_again(tmp_path: Path) -> None:
    for path in (tmp_path / "kb", None):
        embedder = Counting()
        index = HybridIndex(path, embedder)
        index.add([Document("a", "banana"), Document("b", "cherry", title="red")])
        assert embedder.texts == ["banana", "red cherry"]
        embedder.texts.clear()
        index.upsert([Document("a", "banana", {"new": 1}), Document("b", "cherries", title="red")])
        assert embedder.texts == ["red cherries"]
        assert index.search("banana", 1, mode="dense")[0].metadata == {"new": 1}
        index.close()


@pytest.mark.parametrize("sealed", [False, True])
def test_embeddings_outlive_documents_and_sessions(tmp_path: Path, sealed: bool) -> None:
    embedder = Counting()
    with HybridIndex(tmp_path / "kb", embedder) as index:
        index.add([Document("a", "banana"), Document("b", "cherry")])
        if sealed:
            index.flush()
        index.upsert([Document("a", "apple")])
        index.delete(["b"])
        if sealed:
            index.compact()
    embedder.texts.clear()
    with HybridIndex(tmp_path / "kb", embedder) as index:
        index.add([Document("c", "banana"), Document("d", "cherry"), Document("e", "apple"), Document("f", "new")])
        assert embedder.texts == ["new"]
        hits = {hit.id: hit.dense_score for hit in index.search("banana", mode="dense", vector=[1.0, 6.0, 3.0])}
        assert hits["c"] == pytest.approx(1.0)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 10)
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add(DOCUMENTS)

        def stream() -> Any:
            yield from (Document(f"e{i}", "x", vector=[1.0, 2.0, 3.0]) for i in range(30))
            yield Document("bad", "x", vector=[1.0, float("nan"), 0.0])

        with pytest.raises(sl.InvalidInputError, match=r"documents\[30\] \(id 'bad'\)"):
            index.add(stream())
        with pytest.raises(sl.DuplicateIdError, match="'d3'"):
            index.add([*(Document(f"e{i}", "x") for i in range(30)), Document("d3", "x")])
        assert len(index) == 20
        index.flush()
        files = sorted(path.name for path in (folder / "segments").iterdir())
        monkeypatch.setattr(index._keeper._store, "advance", lambda *_: 1 / 0)  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            index.add(Document(f"e{i}", "x") for i in range(30))
        assert sorted(path.name for path in (folder / "segments").iterdir()) == files
        monkeypatch.undo()
        assert len(index) == 20
        index.add(Document(f"e{i}", "x") for i in range(30))
        assert index.verify()["documents"] == 50


def test_close_ends_everything(tmp_path: Path) -> None:
    index = HybridIndex(tmp_path / "kb")
    index.add(DOCUMENTS)
    index.close()
    index.close()
    for call in (lambda: index.search("x"), lambda: len(index), index.flush, index.verify, index.compact, index.stats):
        with pytest.raises(sl.SightlineError, match="closed"):
            call()


def test_a_forked_child_may_read_but_not_write(tmp_path: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    with HybridIndex(tmp_path / "kb") as index:
        index.add(DOCUMENTS)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            answers = [len(index.search("number", 30, mode="lexical"))]
            try:
                index.add([Document("new", "x")])
            except sl.SightlineError as error:
                answers.append(str(error))
            os.write(writing, json.dumps(answers).encode())
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        found = json.loads(os.read(reading, 10_000))
        os.close(reading)
        assert found[0] == 20
        assert "parent process" in found[1]
        index.add([Document("new", "x")])
        assert index.verify()["documents"] == 21


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("read_only", [False, True])
def test_a_forked_child_follows_its_parent(tmp_path: Path, read_only: bool) -> None:
    """Also past a merge that purges rows, and where another thread of the parent held every lock when it forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    go, gone = os.pipe(), os.pipe()
    with HybridIndex(tmp_path / "kb") as index, HybridIndex.open(tmp_path / "kb", read_only=True) as reader:
        index.add(DOCUMENTS)
        index.flush()
        used = reader if read_only else index
        keeper: Any = used._keeper
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with keeper._maintaining, keeper.writing, keeper.publishing, keeper._store._lock, keeper._store._watching:
                held.set()
                release.wait(60)

        assert len(used) == 20
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        child = os.fork()
        if child == 0:
            try:
                os.read(go[0], 1)
                seen = [len(used), len(used.search("number", 100, mode="lexical")), len(used.get(["d1", "new"]))]
                seen += [used.get(["new"])[0].metadata["n"], used.count({"n": {"$gte": 0}})]  # type: ignore[union-attr]
                os.write(gone[1], json.dumps(seen).encode())
            except BaseException:
                os.write(gone[1], traceback.format_exc().encode())
            finally:
                os._exit(0)
        release.set()
        holder.join()
        index.upsert([Document("new", "number", {"n": 5})])
        index.delete([f"d{i}" for i in range(1, 11)])
        index.compact()
        os.write(go[1], b"x")
        assert os.read(gone[0], 10_000).decode() == "[11, 11, 2, 5, 11]"
        os.waitpid(child, 0)
    for descriptor in (*go, *gone):
        os.close(descriptor)


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    index = HybridIndex(tmp_path / "kb")
    reading, writing = os.pipe()
    going_on, waiting = os.pipe()
    child = os.fork()
    if child == 0:
        kept = not index._keeper._lock._file.closed  # type: ignore[attr-defined]
        index.close()  # which must not give up the parent's lock
        os.write(writing, b"kept" if kept else b"closed")
        os.read(going_on, 1)
        os._exit(0)
    try:
        assert os.read(reading, 10) == b"closed"
        with pytest.raises(sl.IndexLockedError):
            HybridIndex(tmp_path / "kb")
        index.close()
        HybridIndex(tmp_path / "kb").close()  # while the child lives
    finally:
        os.write(waiting, b"x")
        os.waitpid(child, 0)
        for descriptor in (reading, writing, going_on, waiting):
            os.close(descriptor)


def test_a_lock_that_the_file_system_does_not_have_is_not_one_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(sightline.locking, "_lock", refuse)
    with pytest.raises(sl.StorageError, match="cannot be locked: No locks available"):
        HybridIndex(tmp_path / "kb")


def test_close_waits_for_a_reader_that_looks_for_commits(tmp_path: Path) -> None:
    HybridIndex(tmp_path / "kb").close()
    reader = HybridIndex.open(tmp_path / "kb", read_only=True)
    store = reader._keeper._store  # type: ignore[attr-defined]
    store.changed_token()
    closing = threading.Thread(target=reader.close)
    with store._watching:  # as changed_token has it while it asks
        closing.start()
        closing.join(0.2)
        assert isinstance(store._watcher.execute("PRAGMA data_version").fetchone()[0], int)
        watcher = store._watcher
    closing.join(10)
    assert not closing.is_alive()
    with pytest.raises(sl.SightlineError, match="closed"):
        store.changed_token()
    with pytest.raises(sl.SightlineError, match="closed"), store._translated():
        watcher.execute("PRAGMA data_version")


def test_an_index_that_nobody_closed_ends_its_maintenance_before_the_interpreter(tmp_path: Path) -> None:
    code = f"""
import threading, time, sightline.durable, sightline as sl
begun = threading.Event()
def step(keeper):
    begun.set()
    time.sleep(0.5)
    print("finished", flush=True)
    return True
sightline.maintenance._SEAL_ROWS = 1
sightline.durable.DurableKeeper._maintain_once = step
index = sl.HybridIndex({str(tmp_path / "kb")!r})
index.add(["text"])
begun.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "finished\n"


@pytest.mark.parametrize("call", range(1, 5))
def test_stats_while_a_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    with HybridIndex(tmp_path / "kb") as index:
        index.add(DOCUMENTS)
        index.flush()
        before, calls = Path.stat, itertools.count(1)

        def stat(path: Path, **options: Any) -> os.stat_result:
            if path.suffix == ".dense" and next(calls) >= call:
                raise FileNotFoundError(path)
            return before(path, **options)

        monkeypatch.setattr(Path, "stat", stat)
        assert index.stats()["disk_bytes"] > 0


def test_a_file_system_without_a_write_ahead_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Without(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> Any:
            return super().execute(statement.replace("journal_mode = WAL", "journal_mode = DELETE"), *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **options: connect(*a, factory=Without, **options))
    with pytest.raises(sl.StorageError, match="journal mode 'delete'"):
        HybridIndex(tmp_path / "kb")


def test_a_scope_does_not_tell_how_much_lies_outside(tmp_path: Path) -> None:
    for path in (tmp_path / "kb", None):
        with HybridIndex(path) as index:
            index.add(DOCUMENTS)
            assert "20" not in repr(index.scoped({"n": 1}))


def _search_versions(folder: str, ready: Any, stop: Any, results: Any) -> None:
    """Each commit replaces all documents by those of the next version: a search must find one version only."""
    seen, searches = set(), 0
    with HybridIndex.open(folder, read_only=True) as index:
        while not stop.is_set():
            hits = index.search("shared", 50, vector=[1.0, 1.0], mode="hybrid")
            versions = {hit.metadata["version"] for hit in hits}
            texts = {hit.text for hit in hits}
            if len(hits) != 30 or len(versions) != 1 or len(texts) != 30:
                results.put(f"{len(hits)} hits of versions {versions}")
                return
            found = index.get([f"d{i}" for i in range(30)])
            if len({document.metadata["version"] for document in found if document is not None}) != 1:
                results.put("get saw half a commit")
                return
            if index.count({"version": {"$gte": 0}}) != 30:
                results.put("count saw half a commit")
                return
            seen |= versions
            searches += 1
            if searches == 1:
                ready.release()
    results.put((len(seen), searches))


def _search_until_stopped(folder: str, ready: Any, stop: Any, results: Any) -> None:
    try:
        _search_versions(folder, ready, stop, results)
    except BaseException:
        results.put(traceback.format_exc())
        raise


def test_readers_in_other_processes_never_see_half_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 100)  # sealing, merging and purging go on all the while
    folder = tmp_path / "kb"

    def version(number: int) -> list[Document]:
        return [Document(f"d{i}", f"shared {number} {i}", {"version": number}, [1.0, i + 1.0]) for i in range(30)]

    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    ready, stop, results = context.Semaphore(0), context.Event(), context.Queue()
    with HybridIndex(folder, durability="os") as index:
        index.add(version(0))
        arguments = (str(folder), ready, stop, results)
        readers = [context.Process(target=_search_until_stopped, args=arguments) for _ in range(2)]
        for reader in readers:
            reader.start()
        for _ in readers:
            assert ready.acquire(timeout=120), results.get(timeout=1)
        until = time.monotonic() + 4
        number = 0
        while time.monotonic() < until:
            number += 1
            index.upsert(version(number))
            hits = index.search("shared", 50, vector=[1.0, 1.0])
            assert {hit.metadata["version"] for hit in hits} == {number}
            time.sleep(0.005)
        stop.set()
        for _ in readers:
            found = results.get(timeout=60)
            assert isinstance(found, tuple), found
            assert found[0] >= 5
        for reader in readers:
            reader.join()
        assert index.stats()["maintenance_error"] is None
        assert index.verify()["documents"] == 30


def test_reads_begin_again_where_a_merge_purged_what_they_were_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kb"
    queries = {f"q{i}": f"number {i}" for i in range(10, 16)}
    qrels = {f"q{i}": {f"d{i}": 1.0} for i in range(10, 16)}
    vectors = {f"q{i}": [1.0, float(i), 0.5] for i in range(10, 16)}
    with HybridIndex(folder) as index:
        index.add(DOCUMENTS)
        old = index._keeper.current()
        index.delete(["d0"])
        index.compact()
        newest = index._keeper.current

        for call in (
            lambda: [document.id for document in index.documents({"n": {"$lt": 3}})],
            lambda: index.ids({"n": {"$lt": 3}}),
        ):
            states = iter([old])
            monkeypatch.setattr(index._keeper, "current", lambda states=states: next(states, None) or newest())
            assert call() == ["d1", "d2"]
        states = iter([old])
        monkeypatch.setattr(index._keeper, "current", lambda: next(states, None) or newest())
        assert isinstance(index.tune(queries, qrels, vectors=vectors, where={"n": {"$gt": 1}}, folds=2), sl.Tuning)

        overtaken = iter(range(1000))  # each state is another one, all of them without their rows
        monkeypatch.setattr(index._keeper, "current", lambda: old if next(overtaken) % 2 else dataclasses.replace(old))
        with pytest.raises(sl.StorageError, match="try again"):
            index.ids()
        monkeypatch.setattr(index._keeper, "current", lambda: old)
        with pytest.raises(sl.CorruptIndexError, match="backup"):
            index.ids()
    with pytest.raises(sl.SightlineError, match="closed"):
        index.tune(queries, qrels, vectors=vectors)
