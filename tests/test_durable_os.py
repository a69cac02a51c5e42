"""durability="os": what is on the disk before files that it needs no more are removed, and after flush."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sightline import Document, HybridIndex
from sightline.durable import DurableKeeper

_NORMAL, _FULL = 1, 2


def _synchronous(index: HybridIndex) -> int:
    level: int = index._keeper._store.writer().execute("PRAGMA synchronous").fetchone()[0]  # type: ignore[attr-defined]
    return level


def test_a_merge_is_on_the_disk_before_the_merged_files_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DurableKeeper, "background", False)
    with HybridIndex(tmp_path / "kb", durability="os") as index:
        store = index._keeper._store  # type: ignore[attr-defined]
        levels: list[int] = []
        advance = store.advance

        def noting(connection: sqlite3.Connection, head: Any) -> None:
            levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])
            advance(connection, head)

        monkeypatch.setattr(store, "advance", noting)
        for i in range(2):
            index.add([Document(f"d{i}", "text", vector=[1.0, float(i)])])
            index._keeper._seal()  # type: ignore[attr-defined]
        assert levels == [_NORMAL] * 4  # two writes and two seals, which remove no file
        index.compact()
        assert levels[4:] == [_FULL]
        assert _synchronous(index) == _NORMAL
        assert len(list((tmp_path / "kb" / "segments").iterdir())) == 4  # of one segment

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        index.delete(["d0"])
        monkeypatch.setattr(store, "advance", fail)
        with pytest.raises(ZeroDivisionError):
            index.compact()
        assert _synchronous(index) == _NORMAL


def test_flush_fsyncs_the_log_though_a_reader_holds_it(tmp_path: Path) -> None:
    with HybridIndex(tmp_path / "kb", durability="os") as index:
        store = index._keeper._store  # type: ignore[attr-defined]
        index.add([Document("d", "text")])
        index.flush()
        with store.reading() as reader:  # so that the checkpoint, which would fsync, cannot get past this commit
            reader.head()
            index.add([Document("e", "text")])
            index._keeper._seal()  # type: ignore[attr-defined]
            levels: list[int] = []
            statements: list[str] = []
            store.writer().set_trace_callback(statements.append)
            index.flush()
            store.writer().set_trace_callback(None)
        for statement in statements:
            if statement.startswith("PRAGMA synchronous ="):
                levels.append(_FULL if statement.endswith("FULL") else _NORMAL)
            if statement.startswith("COMMIT"):
                assert levels[-1] == _FULL
        assert "COMMIT" in statements
        assert _synchronous(index) == _NORMAL
        assert store.writer().execute("PRAGMA busy_timeout").fetchone()[0] == 30_000
