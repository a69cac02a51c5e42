"""HybridIndex.set_adapter: query vectors are turned, documents are not, and it is kept with the index."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
from sightline import Document, HybridIndex, LowRankAdapter
from sightline.adapter import AdapterReport

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(30, 6)).astype(np.float32)
ADAPTER = LowRankAdapter(
    RANDOM.normal(size=(2, 6)), RANDOM.normal(size=(6, 2)), AdapterReport(0.1, 0.2, 5, None, 0.4, 0, 20, 3)
)
QUERY = RANDOM.normal(size=6).astype(np.float32)


def _documents() -> list[Document]:
    return [Document(f"d{i}", f"text {i}", vector=vector) for i, vector in enumerate(VECTORS)]


def _dense(index: HybridIndex, query: Any = QUERY) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in index.search(None, 30, mode="dense", vector=query)]


@pytest.mark.parametrize("durable", [False, True])
def test_query_vectors_are_turned_and_documents_are_not(tmp_path: Path, durable: bool) -> None:
    with HybridIndex(tmp_path / "kb" if durable else None, lambda texts: [QUERY] * len(texts), cache=4) as index:
        index.add(_documents())
        plain, turned = _dense(index), _dense(index, ADAPTER(QUERY))
        assert plain != turned
        assert index.adapter is None
        index.set_adapter(ADAPTER)
        assert index.adapter is ADAPTER
        assert _dense(index) == turned
        assert [(hit.id, hit.score) for hit in index.search("any", 30, mode="dense")] == turned
        both = index.search(["any", "other"], 30, mode="dense")
        assert [[(hit.id, hit.score) for hit in hits] for hits in both] == [turned, turned]
        stored = index.get(["d3"])[0]
        assert stored is not None
        assert np.array_equal(stored.vector, VECTORS[3])
        index.upsert([Document("d3", "changed", vector=VECTORS[3])])  # other writes leave it
        index.delete(["d4"])
        index.compact()
        assert _dense(index) == [pair for pair in turned if pair[0] != "d4"]
        index.set_adapter(None)
        assert index.adapter is None
        assert _dense(index) == [pair for pair in plain if pair[0] != "d4"]


def test_it_is_kept_and_readers_see_it(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder, dim=6, adapter=ADAPTER) as index:
        index.add(_documents())
        turned = _dense(index)
        with HybridIndex.open(folder, read_only=True) as reader:
            assert _dense(reader) == turned
            index.set_adapter(None)
            assert reader.adapter is None
            plain = _dense(reader)
            assert plain == _dense(index) != turned
            index.set_adapter(ADAPTER)
            index.flush()
            assert _dense(reader) == turned
            with pytest.raises(sl.StorageError, match="read_only"):
                reader.set_adapter(None)
    for read_only in (False, True):
        with HybridIndex.open(folder, read_only=read_only) as index:
            assert index.adapter is not None
            assert np.array_equal(index.adapter.a, ADAPTER.a)
            assert np.array_equal(index.adapter.b, ADAPTER.b)
            assert index.adapter.report == ADAPTER.report
            assert _dense(index) == turned
            assert index.verify()["documents"] == 30
    with HybridIndex(folder) as index:  # left out, it stays
        assert _dense(index) == turned


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    for path in (None, tmp_path / "kb"):
        with HybridIndex(path, dim=6) as index:
            index.add(_documents())
            index.set_adapter(ADAPTER)
            before = _dense(index)
            other = LowRankAdapter(np.ones((1, 5)), np.ones((5, 1)))
            with pytest.raises(sl.InvalidInputError, match="adapter: expected 6 dimensions as in the index, got 5"):
                index.set_adapter(other)
            with pytest.raises(sl.InvalidInputError, match="adapter: expected a LowRankAdapter or None, got str"):
                index.set_adapter("x")  # type: ignore[arg-type]
            assert _dense(index) == before
            nothing = LowRankAdapter(np.eye(6)[:1], -np.eye(6)[:, :1])
            index.set_adapter(nothing)  # turns the first axis into zeros
            with pytest.raises(sl.InvalidInputError, match="adapter: turns the vector of a query into zeros"):
                _dense(index, [1.0, 0, 0, 0, 0, 0])
    with pytest.raises(sl.InvalidInputError, match="adapter"):
        HybridIndex(adapter=len)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE settings SET value = replace(value, 'a', 'b') WHERE key = 'adapter'",
        "UPDATE settings SET value = 'x' WHERE key = 'adapter_hash'",
        "DELETE FROM settings WHERE key = 'adapter'",
    ],
)
def test_a_damaged_adapter_is_found(tmp_path: Path, statement: str) -> None:
    with HybridIndex(tmp_path / "kb", dim=6, adapter=ADAPTER):
        pass
    connection = sqlite3.connect(tmp_path / "kb" / "sightline.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(sl.CorruptIndexError, match="adapter cannot be read"):
        HybridIndex.open(tmp_path / "kb")


def test_a_failed_commit_leaves_the_adapter_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HybridIndex(tmp_path / "kb", dim=6, adapter=ADAPTER) as index:
        index.add(_documents())
        turned = _dense(index)
        with monkeypatch.context() as patch:
            patch.setattr(index._keeper._store, "advance", lambda *_: 1 / 0)  # type: ignore[attr-defined]
            with pytest.raises(ZeroDivisionError):
                index.set_adapter(None)
        assert index.adapter is not None
        assert _dense(index) == turned
