"""Writes of many documents: streamed in bounded memory, and all or none whatever happens on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sightline.durable
from sightline import Document, HybridIndex, InvalidInputError, StorageError

TESTS = Path(__file__).resolve().parent


def _documents(count: int, version: int = 1) -> Iterator[Document]:
    for i in range(count):
        metadata = {"version": version, "n": i, "title": None, "nested": {"ü": ['"', "\n"]}}
        vector = None if i % 7 == 3 else [1.0, float(i), float(version)]
        text = "" if i % 5 == 4 else f"version{version} ü \0 \n number{i}"
        yield Document(f"d{i}", text, metadata, vector, None if i % 2 else "title")


@pytest.fixture
def spooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spool from the first few documents on, into groups of few."""
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 10)
    monkeypatch.setattr(sightline.durable, "_SPOOL_BYTES", 100)
    monkeypatch.setattr(sightline.durable, "_GROUP_ROWS", 25)


def _content(index: HybridIndex) -> list[tuple[Any, ...]]:
    found = []
    for d in index.documents(embedded=True):
        found.append((d.id, d.text, d.title, d.metadata, None if d.vector is None else d.vector.tolist()))
    return found


@pytest.mark.usefixtures("spooling")
@pytest.mark.parametrize("columns", [False, True])
def test_a_spooled_write_is_what_small_ones_make(tmp_path: Path, columns: bool) -> None:
    with HybridIndex(tmp_path / "a", batch_size=8) as bulk, HybridIndex(batch_size=3) as small:
        for index in (bulk, small):
            index.add(_documents(30))
            if columns:
                assert index.count({"n": {"$lt": 5}}) == 5
        assert bulk.upsert(_documents(200, 2)) == small.upsert(_documents(200, 2))
        assert bulk.stats()["unsealed"] == 0
        assert _content(bulk) == _content(small)
        for where in (None, {"n": {"$gte": 150}}, {"version": 1}):
            assert bulk.count(where) == small.count(where)
            found, expected = (
                index.search("version2 number7", 50, vector=[1.0, 7.0, 2.0], where=where) for index in (bulk, small)
            )
            assert found == expected
        assert bulk.verify()["documents"] == 200
        bulk.compact()
        assert _content(bulk) == _content(small)
    with HybridIndex.open(tmp_path / "a", read_only=True) as index:
        assert len(index) == 200


@pytest.mark.usefixtures("spooling")
@pytest.mark.parametrize("position", [0, 9, 10, 11, 60, 99])
def test_a_bad_document_in_the_middle_leaves_the_last_commit(tmp_path: Path, position: int) -> None:
    def stream() -> Iterator[Document]:
        for i, document in enumerate(_documents(100, 2)):
            yield Document("bad", "x", vector=[1.0]) if i == position else document

    with HybridIndex(tmp_path / "kb", dim=3, batch_size=4) as index:
        index.add(_documents(30))
        before, files = _content(index), sorted((tmp_path / "kb" / "segments").iterdir())
        with pytest.raises(InvalidInputError, match=rf"documents\[{position}\] \(id 'bad'\).*3 dimensions"):
            index.upsert(stream())
        assert _content(index) == before
        assert sorted((tmp_path / "kb" / "segments").iterdir()) == files
        index.upsert(_documents(100, 2))
        assert index.count({"version": 2}) == 100


@pytest.mark.usefixtures("spooling")
def test_an_error_in_the_second_segment_leaves_the_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = sightline.durable.write_segment
    calls = 0

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StorageError("no space")
        return written(*arguments)

    with HybridIndex(tmp_path / "kb", batch_size=8) as index:
        index.add(_documents(30))
        before, files = _content(index), sorted((tmp_path / "kb" / "segments").iterdir())
        monkeypatch.setattr(sightline.durable, "write_segment", failing)
        calls = 0
        with pytest.raises(StorageError, match="no space"):
            index.upsert(_documents(100, 2))
        assert calls == 3
        assert _content(index) == before
        assert sorted((tmp_path / "kb" / "segments").iterdir()) == files
        assert index.upsert(_documents(100, 2))
        assert index.verify()["documents"] == 100


@pytest.mark.usefixtures("spooling")
def test_others_write_and_read_while_a_stream_goes_on(tmp_path: Path) -> None:
    with HybridIndex(tmp_path / "kb", batch_size=4) as index:

        def stream() -> Iterator[Document]:
            for i, document in enumerate(_documents(100)):
                if i == 50:
                    index.add([Document("inside", "written by the stream itself", vector=[1.0, 0.0, 0.0])])
                    thread = threading.Thread(target=index.add, args=([Document("beside", "by another thread")],))
                    thread.start()
                    thread.join(30)
                    assert not thread.is_alive()
                    assert len(index) == 2  # and nothing of the stream
                    assert [hit.id for hit in index.search("itself", mode="lexical")] == ["inside"]
                yield document

        index.add(stream())
        assert len(index) == 102
        assert index.ids()[:2] == ["inside", "beside"]
        assert index.verify()["documents"] == 102


@pytest.mark.usefixtures("spooling")
def test_an_embedder_is_asked_once_a_text_and_its_vectors_are_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def embedder(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, float(len(text))] for text in texts]

    documents = [Document(f"d{i}", f"text {i}") for i in range(60)]
    with HybridIndex(tmp_path / "kb", embedder, batch_size=8) as index:
        index.add(documents)
        assert len(asked) == 60
        index.upsert([*documents[:59], Document("d59", "changed")])
        assert asked[60:] == ["changed"]
        index.delete([f"d{i}" for i in range(30)])
        index.add(documents[:30])
        assert len(asked) == 61


def _grown(path: str, count: int) -> dict[str, int]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
    command = [sys.executable, str(TESTS / "stream_memory.py"), path, str(count)]
    found: dict[str, int] = json.loads(subprocess.check_output(command, env=environment, text=True))
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="needs getrusage")
@pytest.mark.parametrize("durable", [False, True])
def test_peak_memory_of_a_stream_is_that_of_the_index(tmp_path: Path, durable: bool) -> None:
    few, many = (_grown(str(tmp_path / f"kb{n}") if durable else "-", n) for n in (50_000, 200_000))
    more = many["grown"] - few["grown"]
    ids = 150_000 * 200  # a str, in the list that is returned and in the set of those that were seen
    if durable:
        # Documents take 500 bytes each here: holding them would add 75 MB.
        assert more <= (many["held"] - few["held"]) + ids, (few, many)
    else:
        documents = 150_000 * 1200  # Document, text, metadata, and the table's columns
        assert more <= 2 * (many["held"] - few["held"]) + ids + documents, (few, many)
