"""An error after COMMIT, or in it: the index follows the database, and no file that it names is removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sightline.durable
from sightline import Document, HybridIndex, StorageError
from sightline.durable import DurableKeeper

NAMES = [f"d{i}" for i in range(60)]


def _documents(names: list[str], version: int) -> list[Document]:
    return [Document(name, f"version{version}", {"version": version}, [1.0, float(version)]) for name in names]


STEPS: dict[str, tuple[Callable[[Any], object], dict[str, int]]] = {
    "upsert": (lambda index: index.upsert(_documents(NAMES[:3], 2)), dict.fromkeys(NAMES[:3], 2)),
    "bulk": (lambda index: index.upsert(_documents(NAMES[5:25], 3)), dict.fromkeys(NAMES[5:25], 3)),
    "seal": (lambda index: index._keeper._seal(), {}),
    "compact": (lambda index: index.compact(), {}),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of two segments, tombstones and an unsealed row."""
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 10)
    monkeypatch.setattr(DurableKeeper, "background", False)
    with HybridIndex(tmp_path / "kb") as index:
        index.add(_documents(NAMES[:20], 1))
        index.add(_documents(NAMES[20:40], 1))
        index.delete(["d39"])
        index.add(_documents(["d50"], 1))
    return tmp_path / "kb"


EXPECTED = dict.fromkeys([*NAMES[:39], "d50"], 1)


def _check(index: HybridIndex, expected: dict[str, int]) -> None:
    found = {document.id: document.metadata["version"] for document in index.documents()}
    assert found == expected
    for version in (1, 2, 3, 9):
        hits = {hit.id for hit in index.search(f"version{version}", 100, mode="lexical")}
        assert hits == {name for name, wanted in expected.items() if wanted == version}
    assert index.verify()["documents"] == len(expected)


def _go_on(index: HybridIndex, folder: Path, expected: dict[str, int]) -> None:
    _check(index, expected)
    index.upsert(_documents(NAMES[30:45], 9))
    index.upsert(_documents(["d1"], 9))
    expected = expected | dict.fromkeys([*NAMES[30:45], "d1"], 9)
    _check(index, expected)
    index.flush()
    index.close()
    with HybridIndex.open(folder) as index:
        _check(index, expected)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("where", ["commit", "publish"])
def test_an_interrupt_after_the_commit(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str) -> None:
    step, change = STEPS[name]
    with HybridIndex.open(folder) as index:
        keeper: Any = index._keeper
        if name != "seal":
            keeper._seal()
        with monkeypatch.context() as patch:
            if where == "commit":
                transaction = keeper._store.transaction

                @contextmanager
                def interrupted(**options: Any) -> Iterator[sqlite3.Connection]:
                    with transaction(**options) as connection:
                        patch.undo()
                        yield connection
                    raise KeyboardInterrupt

                patch.setattr(keeper._store, "transaction", interrupted)
            else:  # the head is that of the commit, the state is not
                kept = keeper._state

                def half(self: Any, *arguments: Any) -> None:
                    patch.undo()
                    before(self, *arguments)
                    keeper._state = kept
                    raise KeyboardInterrupt

                before = DurableKeeper._publish
                patch.setattr(DurableKeeper, "_publish", half)
            with pytest.raises(KeyboardInterrupt):
                step(index)
        _go_on(index, folder, EXPECTED | change)


class _FailingCommit:
    """A connection whose COMMIT reports an error, as one does whose frames are in the log but not known to be."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, *values)


@pytest.mark.parametrize("name", ["bulk", "seal", "compact"])
def test_files_of_a_failed_commit_stay_until_the_next_open(folder: Path, name: str) -> None:
    step, _ = STEPS[name]
    with HybridIndex.open(folder) as index:
        keeper: Any = index._keeper
        if name != "seal":
            keeper._seal()
        segments = folder / "segments"
        before = {path.name for path in segments.iterdir()}
        writer = keeper._store._writer
        keeper._store._writer = _FailingCommit(writer)
        with pytest.raises(StorageError, match="disk I/O error"):
            step(index)
        keeper._store._writer = writer
        left = {path.name for path in segments.iterdir()} - before
        assert len(left) == 4  # the log may yet bring the commit back, which names them
        contents = {path: (segments / path).read_bytes() for path in left}
        _check(index, EXPECTED)
        index.upsert(_documents(NAMES[30:45], 9))
        assert {path: (segments / path).read_bytes() for path in left} == contents
        index.close()
        with HybridIndex.open(folder) as index:
            _check(index, EXPECTED | dict.fromkeys(NAMES[30:45], 9))
        assert not left & {path.name for path in segments.iterdir()}
