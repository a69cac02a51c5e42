"""VectorIndex on disk: what is loaded is what was saved, and damage is found before it can answer."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
from reference import ReferenceIndex
from vector_data import METRICS, gaussian, make

each_metric = pytest.mark.parametrize("metric", METRICS)
mapped_or_read = pytest.mark.parametrize("mmap", [True, False])


def state(index: sl.VectorIndex) -> tuple[Any, ...]:
    queries = gaussian(np.random.default_rng(1), 5, index.dim)
    scores, ids = index.search(queries, 30)
    parts = (index.ids, index.get(index.ids), scores, ids, *index.range_search(queries[0], -1e30))
    return (index.metric, index.dim, len(index), *(part.tobytes() for part in parts))


def some_index(metric: str = "l2", n: int = 500, dim: int = 6) -> sl.VectorIndex:
    """Several segments, ids that interleave, tombstones."""
    rows, _ = make("duplicates", metric, n, dim, 3)
    index = sl.VectorIndex(dim, metric)
    for part in np.array_split(np.random.default_rng(2).permutation(2 * n)[:n], 3):
        index.add(rows[: len(part)], part)
    index.remove(index.ids[::9])
    return index


def build(kind: str, metric: str) -> sl.VectorIndex:
    if kind == "empty":
        return sl.VectorIndex(5, metric)
    index = some_index(metric)
    if kind == "compacted":
        index.compact()
    if kind == "emptied":
        index.remove(index.ids)
    if kind == "one row":
        index.remove(index.ids[1:])
    if kind == "hostile":
        index = sl.VectorIndex(9, metric)
        index.add(make("mixed_norms", metric, 700, 9, 4)[0])
    return index


# --- round trips ----------------------------------------------------------------------------------------------------


@each_metric
@mapped_or_read
@pytest.mark.parametrize("kind", ["empty", "with tombstones", "compacted", "emptied", "one row", "hostile"])
def test_round_trip(tmp_path: Path, kind: str, metric: str, mmap: bool) -> None:
    index = build(kind, metric)
    path = tmp_path / "a.dense"
    index.save(path)
    assert os.listdir(tmp_path) == ["a.dense"]
    loaded = sl.VectorIndex.load(path, mmap=mmap)
    assert state(loaded) == state(index)
    assert type(loaded) is sl.VectorIndex
    loaded.save(tmp_path / "b.dense")
    assert (tmp_path / "b.dense").read_bytes() == path.read_bytes()
    row = np.ones((1, index.dim))
    assert loaded.add(row).tolist() == index.add(row).tolist()  # ids go on where they were, also after removals


@each_metric
@mapped_or_read
def test_writing_on_top_of_a_loaded_index(tmp_path: Path, metric: str, mmap: bool) -> None:
    index = some_index(metric)
    index.save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    loaded = sl.VectorIndex.load(tmp_path / "a", mmap=mmap)
    model = ReferenceIndex(index.dim, metric)
    model.add(index.get(index.ids), index.ids.tolist())
    for step in range(12):
        fresh = gaussian(np.random.default_rng(step), 40, index.dim)
        ids = np.arange(step * 35, step * 35 + 40)
        loaded.upsert(fresh, ids)
        model.add(fresh, ids.tolist())
        gone = loaded.ids[step::8]
        assert loaded.remove(gone) == model.remove(gone.tolist())
        if step == 8:
            loaded.compact()
        assert loaded.ids.tolist() == model.ids
        for query in fresh[:3]:
            model.check_search(query, 9, *loaded.search(query, 9))
    assert (tmp_path / "a").read_bytes() == before


def test_saving_over_the_file_that_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a"
    index = some_index()
    index.save(path)
    mapped = sl.VectorIndex.load(path)
    expected = state(mapped)
    for _ in range(3):
        sl.VectorIndex(2).save(path)
        assert state(mapped) == expected
        mapped.save(path)
        assert state(mapped) == state(sl.VectorIndex.load(path)) == expected
    path.unlink()
    assert state(mapped) == expected


def test_paths_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    index = some_index()
    for path in ("plain", Path("path"), b"bytes", "näme 𝛼", b"not utf-8 \xff", os.fsdecode(b"surrogate \xfe")):
        index.save(path)
        assert state(sl.VectorIndex.load(path)) == state(index)
        assert os.path.exists(path)
    assert len(os.listdir(tmp_path)) == 6


# --- refusals -------------------------------------------------------------------------------------------------------


def refuse(call: Callable[[], Any], kind: type[Exception], *words: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, str(caught.value)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refuse(lambda: sl.VectorIndex.load(tmp_path / "none"), sl.StorageError, str(tmp_path / "none"), "No such file")
    refuse(lambda: sl.VectorIndex.load(os.fsencode(tmp_path) + b"/\xff"), sl.StorageError, "\\xff", "No such file")
    refuse(lambda: sl.VectorIndex.load(tmp_path), sl.StorageError, str(tmp_path), "not a regular file")
    refuse(lambda: sl.VectorIndex.load(tmp_path / "pipe"), sl.StorageError, "not a regular file")
    for path in (None, 3, 1.5, ["a"], "a\0b"):
        refuse(lambda path=path: sl.VectorIndex.load(path), sl.InvalidInputError, "path: expected")
        refuse(lambda path=path: sl.VectorIndex(1).save(path), sl.InvalidInputError, "path: expected")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    index = some_index()
    expected = state(index)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_bytes(b"x")
    refuse(lambda: index.save(tmp_path / "none" / "a"), sl.StorageError, "none", "No such file")
    refuse(lambda: index.save(tmp_path / "file" / "a"), sl.StorageError, "Not a directory")
    refuse(lambda: index.save(tmp_path / "folder"), sl.StorageError, "folder")
    refuse(lambda: index.save(tmp_path / ("x" * 300)), sl.StorageError, "too long")
    refuse(lambda: index.save("/proc/sightline-test"), sl.StorageError, "/proc")
    assert state(index) == expected
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == ["inside"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_link_to_a_full_device_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    index = some_index()
    index.save(tmp_path / "link")
    assert state(sl.VectorIndex.load(tmp_path / "link")) == state(index)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o500)
    refuse(lambda: some_index().save(tmp_path / "a" / "b"), sl.StorageError, "Permission denied")


# --- damage ---------------------------------------------------------------------------------------------------------


@mapped_or_read
def test_garbage(tmp_path: Path, mmap: bool) -> None:
    good = tmp_path / "good"
    some_index().save(good)
    size = good.stat().st_size
    rng = np.random.default_rng(0)
    for name, content in {
        "empty": b"",
        "a word": b"SIGHTLIN",
        "text": b"hello " * 100,
        "zeros": bytes(size),
        "noise": rng.bytes(size),
        "magic and noise": b"SIGHTLIN" + struct.pack("<II", 1, 1) + rng.bytes(size),
        "twice": good.read_bytes() * 2,
        "longer": good.read_bytes() + b"\0",
    }.items():
        (tmp_path / name).write_bytes(content)
        refuse(
            lambda name=name: sl.VectorIndex.load(tmp_path / name, mmap=mmap),
            sl.CorruptIndexError,
            str(tmp_path / name),
            "damaged",
            "restore it from a backup or build it again",
        )


def sections(content: bytes) -> list[tuple[int, int]]:
    """Offset and size of each section, from the layout in cpp/storage/section_file.h."""
    count, table = struct.unpack_from("<QQ", content, 24)
    return [struct.unpack_from("<QQ", content, table + 32 * i + 8) for i in range(count)]


@mapped_or_read
@each_metric
def test_every_truncation_is_found(tmp_path: Path, metric: str, mmap: bool) -> None:
    path = tmp_path / "a"
    some_index(metric, 200).save(path)
    content = path.read_bytes()
    ends = {0, 1, 8, 63, 64, 65, len(content) - 1, len(content) - 32}
    for offset, size in sections(content):
        ends |= {offset - 1, offset, offset + 1, offset + size - 1, offset + size}
    for end in sorted(ends):
        path.write_bytes(content[:end])
        refuse(lambda: sl.VectorIndex.load(path, mmap=mmap), sl.CorruptIndexError, "damaged", str(path))
        path.write_bytes(content[:end] + bytes(len(content) - end))  # the size is right, the end was never written
        if content[end:].strip(b"\0"):
            kind = sl.IncompatibleIndexError if end == 8 else sl.CorruptIndexError  # format version 0
            refuse(lambda kind=kind: sl.VectorIndex.load(path, mmap=mmap), kind, str(path))


@mapped_or_read
@each_metric
def test_every_flipped_byte_is_found_or_harmless(tmp_path: Path, metric: str, mmap: bool) -> None:
    """Padding between sections means nothing; every other byte is under a checksum or has a meaning of its own."""
    path = tmp_path / "a"
    index = some_index(metric, 150, 3)
    index.save(path)
    expected = state(index)
    content = path.read_bytes()
    covered = np.zeros(len(content), bool)
    covered[:64] = True
    for offset, size in sections(content):
        covered[offset : offset + size] = True
    covered[struct.unpack_from("<Q", content, 32)[0] :] = True
    positions = {*range(64), *range(64, len(content), 37), *np.flatnonzero(~covered).tolist()[::5]}
    for offset, size in sections(content):
        positions |= {offset, offset + size - 1}
    harmless = 0
    for position in sorted(positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        if not covered[position]:
            assert state(sl.VectorIndex.load(path, mmap=mmap)) == expected
            harmless += 1
        elif 8 <= position < 12:
            refuse(lambda: sl.VectorIndex.load(path, mmap=mmap), sl.IncompatibleIndexError, "format version", str(path))
        else:
            refuse(lambda: sl.VectorIndex.load(path, mmap=mmap), sl.CorruptIndexError, "damaged", str(path))
    assert harmless > 0


def test_another_kind_of_index(tmp_path: Path) -> None:
    lexical, dense = tmp_path / "lexical", tmp_path / "dense"
    bm25 = sl.BM25Index()
    bm25.add(["one two", "three"])
    bm25.save(lexical)
    some_index().save(dense)
    refuse(
        lambda: sl.VectorIndex.load(lexical),
        sl.IncompatibleIndexError,
        "another kind of index",
        "the class that saved it",
    )
    refuse(lambda: sl.BM25Index.load(dense), sl.IncompatibleIndexError, "another kind of index")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_that_are_copied_from_a_large_mapped_file_are_those_that_are_read(tmp_path: Path, dtype: Any) -> None:
    # Vectors of more than 32 MB are not kept mapped, so that single queries copy the rows they score.
    dim = 512 if dtype == "float32" else 1024
    rng = np.random.default_rng(5)
    index = sl.VectorIndex(dim, dtype=dtype)
    index.add(rng.standard_normal((18_000, dim), dtype=np.float32))  # one segment
    index.save(tmp_path / "index")
    mapped, read = (sl.VectorIndex.load(tmp_path / "index", mmap=mmap) for mmap in (True, False))
    assert mapped.memory()["vectors"] > 33 * 2**20
    queries = rng.standard_normal((5, dim), dtype=np.float32)
    few = np.sort(rng.choice(18_000, 50, replace=False))
    for count in (1, 4, 5):
        for mask in (None, few):
            left, right = (each.search(queries[:count], 10, mask=mask) for each in (mapped, read))
            assert all(a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True))
    assert mapped.score(queries[0], few).tobytes() == read.score(queries[0], few).tobytes()
