"""An index on disk where mapped files cannot be removed, as on Windows: they go later, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline.durable
import sightline.maintenance
from sightline import Document, HybridIndex

MAPS = Path("/proc/self/maps")

if not MAPS.exists():
    pytest.skip("there is no list of what is mapped", allow_module_level=True)


class Removals:
    """What ``Path.unlink`` did."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.refuses_all = False


@pytest.fixture
def removals(monkeypatch: pytest.MonkeyPatch) -> Removals:
    """Let the removal of files that this process has mapped fail, and sealing and merging happen soon."""
    found = Removals()
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.exists() and (found.refuses_all or f" {path}\n" in MAPS.read_text(encoding="utf-8")):
            found.refused.add(path.name)
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 16)
    monkeypatch.setattr(sightline.durable.DurableKeeper, "background", False)
    return found


def _documents(first: int, count: int) -> list[Document]:
    rng = np.random.default_rng(first)
    return [
        Document(f"d{number}", f"word{number % 7} text number {number}", {"n": number}, rng.standard_normal(8).tolist())
        for number in range(first, first + count)
    ]


def _files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "segments").iterdir()}


def _named(index: HybridIndex) -> set[str]:
    keeper: Any = index._keeper
    with keeper._store.reading() as reader:
        return {path.name for path in sightline.segments.segment_files(keeper._folder, reader.segments())}


def _found(index: HybridIndex) -> list[tuple[str, float]]:
    query = np.ones(8, dtype=np.float32)
    return [(hit.id, hit.score) for hit in index.search("word3 text", vector=query, k=200, where={"n": {"$gte": 0}})]


def _filled(folder: Path) -> HybridIndex:
    index = HybridIndex(folder, dim=8)
    for first in (0, 20, 40):
        index.add(_documents(first, 20))
        index.flush()
    return index


def test_merging_leaves_no_file_that_nobody_reads(tmp_path: Path, removals: Removals) -> None:
    with _filled(tmp_path / "kb") as index:
        before = _found(index)
        index.compact()
        assert _found(index) == before
        index.add(_documents(60, 1))
        assert _files(tmp_path / "kb") == _named(index)
    assert len(before) == 60


def test_files_go_once_their_last_reader_has(tmp_path: Path, removals: Removals) -> None:
    with _filled(tmp_path / "kb") as index:
        reader = HybridIndex.open(tmp_path / "kb", read_only=True)
        before = _found(reader)
        old = _files(tmp_path / "kb")
        index.compact()
        assert removals.refused == old  # the reader has not looked yet, so it has all of them mapped
        index.add(_documents(60, 5))
        assert old <= _files(tmp_path / "kb")
        assert index.stats()["segments"] == 1
        reader.close()
        index.delete(["d60"])
        assert _files(tmp_path / "kb") == _named(index)
        assert len(_found(index)) == 64
    assert len(before) == 60


def test_what_is_mapped_when_the_writer_closes_is_swept_by_a_later_one(tmp_path: Path, removals: Removals) -> None:
    index = _filled(tmp_path / "kb")
    expected = _found(index)
    with HybridIndex.open(tmp_path / "kb", read_only=True) as reader:
        assert _found(reader) == expected
        old = _files(tmp_path / "kb")
        index.compact()
        index.close()
        assert old < _files(tmp_path / "kb")
        with HybridIndex(tmp_path / "kb") as again:  # beside the reader, which keeps them
            assert _found(again) == expected
            assert old < _files(tmp_path / "kb")
        assert _found(reader) == expected
    with HybridIndex(tmp_path / "kb") as last:
        assert _files(tmp_path / "kb") == _named(last)
        assert _found(last) == expected
        assert last.verify()["documents"] == 60


def test_a_name_that_waits_for_its_removal_is_not_used_again(tmp_path: Path, removals: Removals) -> None:
    folder = tmp_path / "kb"
    with _filled(folder) as index:
        following = max(int(name.partition(".")[0]) for name in _named(index)) + 1
    left = [folder / "segments" / f"{following + more}.dense" for more in (0, 3)]
    for path in left:  # as a write that failed leaves them
        path.write_bytes(b"left over")
    removals.refuses_all = True
    with HybridIndex(folder) as index:
        assert {path.name for path in left} <= removals.refused
        index.add(_documents(60, 20))
        index.flush()
        removals.refuses_all = False
        index.add(_documents(80, 1))
        assert not any(path.exists() for path in left)
        assert _files(folder) == _named(index)
    with HybridIndex(folder) as index:
        assert index.verify()["documents"] == 81
