"""A damaged index is reported or harmless: never a crash, never a wrong answer."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crash_writer import document
from sightline import (
    CorruptIndexError,
    HybridIndex,
    IncompatibleIndexError,
    LowRankAdapter,
    StorageError,
    parse_query,
)

FLIPS = 10_000 if os.environ.get("SIGHTLINE_LONG_TESTS") else 1000  # in each file
NAMES = [f"d{i}" for i in range(300)]
QUERY = np.linspace(-1, 1, 8, dtype=np.float32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a sealed segment, tombstones and unsealed rows, checkpointed into its database file."""
    folder = tmp_path_factory.mktemp("corruption") / "kb"
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(name, 1) for name in NAMES[:240])
        index.flush()
        index.delete(NAMES[20:30])
        index.upsert(document(name, 2) for name in NAMES[230:])
    return folder


@pytest.fixture(scope="module")
def fielded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with fields, positions and an adapter."""
    folder = tmp_path_factory.mktemp("corruption") / "fielded"
    matrix = np.eye(8, dtype=np.float32)
    adapter = LowRankAdapter(matrix[:1], matrix[:, 1:2])
    with HybridIndex(folder, dim=8, fields={"title": 2.0, "text": 1.0}, positions=True, adapter=adapter) as index:
        index.upsert(document(name, 1) for name in NAMES[:240])
        index.flush()
        index.delete(NAMES[20:30])
        index.upsert(document(name, 2) for name in NAMES[230:])
    return folder


def _answers(folder: Path) -> dict[str, Any]:
    """What a user can see of an index: hits of searches, documents, counts."""
    with HybridIndex.open(folder, read_only=True) as index:
        hits = index.search("apple river", 20, vector=QUERY, mode="hybrid")
        hits += index.search("apple river", 20, vector=QUERY, mode="hybrid", where={"part": 2})
        if index.stats()["settings"]["positions"]:
            hits += index.search(parse_query('"apple river"'), 20, vector=QUERY)
        return {
            "length": len(index),
            "hits": [(h.id, h.text, h.title, h.metadata, h.score, h.dense_score, h.lexical_score) for h in hits],
            "count": index.count({"version": 2}),
            "documents": index.get([hit.id for hit in hits]),
        }


def _check(folder: Path, expected: dict[str, Any], what: str) -> bool:
    """Return whether damage was detected; an answer that differs fails the test.

    One thing only ``verify`` must find: an id that SQLite's own index has lost, which ``get`` then does not know.
    """
    try:
        found = _answers(folder)
        if None in found["documents"]:
            pairs = zip(found["documents"], expected["documents"], strict=True)
            found["documents"] = [right if got is None else got for got, right in pairs]
            with pytest.raises(CorruptIndexError), HybridIndex.open(folder, read_only=True) as index:
                index.verify()
    except (CorruptIndexError, IncompatibleIndexError, StorageError):
        return True
    assert found == expected, what
    return False


def _file(folder: Path, kind: str) -> Path:
    if kind == "db":
        return folder / "sightline.db"
    (found,) = (folder / "segments").glob(f"*.{kind}")
    return found


def _section_ends(path: Path) -> list[int]:
    """Every offset at which a section of a file begins or ends: sections of ours, pages of SQLite."""
    raw = path.read_bytes()
    if path.suffix == ".db":
        page = struct.unpack(">H", raw[16:18])[0]
        return list(range(0, len(raw), page))
    count, table = struct.unpack_from("<QQ", raw, 24)
    ends = {0, 64, table, len(raw)}
    for entry in range(count):
        offset, size = struct.unpack_from("<QQ", raw, table + 32 * entry + 8)
        ends |= {offset, offset + size}
    return sorted(ends)


FILES = [
    ("base", "db"),
    ("base", "dense"),
    ("base", "lexical"),
    ("base", "columns"),
    ("base", "documents"),
    ("fielded", "db"),
    ("fielded", "lexical"),
]


@pytest.mark.parametrize(("which", "kind"), FILES)
def test_truncated_at_every_boundary(request: pytest.FixtureRequest, tmp_path: Path, which: str, kind: str) -> None:
    made: Path = request.getfixturevalue(which)
    expected = _answers(made)
    folder = tmp_path / "kb"
    shutil.copytree(made, folder)
    path = _file(folder, kind)
    raw = path.read_bytes()
    cuts = {cut for end in _section_ends(path) for cut in (end - 1, end, end + 1) if 0 <= cut < len(raw)}
    for cut in sorted(cuts):
        path.write_bytes(raw[:cut])
        detected = _check(folder, expected, f"{kind} cut at {cut}")
        assert detected or kind == "db", f"{kind} cut at {cut} of {len(raw)}"
    path.unlink()
    assert _check(folder, expected, f"{kind} missing")


@pytest.mark.parametrize(("which", "kind"), FILES)
def test_flipped_bytes(request: pytest.FixtureRequest, tmp_path: Path, which: str, kind: str) -> None:
    made: Path = request.getfixturevalue(which)
    expected = _answers(made)
    folder = tmp_path / "kb"
    shutil.copytree(made, folder)
    path = _file(folder, kind)
    raw = path.read_bytes()
    source = random.Random(f"{which} {kind}")
    detected = 0
    for _ in range(FLIPS):
        position, bit = source.randrange(len(raw)), 1 << source.randrange(8)
        path.write_bytes(raw[:position] + bytes([raw[position] ^ bit]) + raw[position + 1 :])
        detected += _check(folder, expected, f"{kind}: bit {bit} of byte {position} flipped")
    assert detected > FLIPS / 10


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What a writer leaves that ends without closing: commits in the log, not yet in the database file. And what a user
    sees after each of them."""
    folder = tmp_path_factory.mktemp("log") / "kb"
    states = []
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(name, 1) for name in NAMES[:100])
        index.flush()  # which empties the log
        states.append(_answers(folder))
        for version in (2, 3, 4):
            index.upsert(document(name, version) for name in NAMES[version : version + 20])
            states.append(_answers(folder))
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
    return copy, states


def test_a_damaged_log_gives_an_earlier_commit(crashed: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    """SQLite takes a log up to its first frame without a checksum that holds: later commits are lost, none is half."""
    base, states = crashed
    folder = tmp_path / "kb"
    shutil.copytree(base, folder)
    log = folder / "sightline.db-wal"
    raw = log.read_bytes()
    frame = 24 + struct.unpack(">I", raw[8:12])[0]
    damaged = [(f"cut at {cut}", raw[:cut]) for end in range(32, len(raw) + 1, frame) for cut in (end - 1, end)]
    source = random.Random("log")
    for _ in range(FLIPS // 4):
        position, bit = source.randrange(len(raw)), 1 << source.randrange(8)
        flipped = raw[:position] + bytes([raw[position] ^ bit]) + raw[position + 1 :]
        damaged.append((f"bit {bit} of byte {position} flipped", flipped))
    seen = set()
    for what, content in damaged:
        shutil.copy(base / "sightline.db", folder)  # opening may have moved the log into the database
        (folder / "sightline.db-shm").unlink(missing_ok=True)
        log.write_bytes(content)
        try:
            found = _answers(folder)
        except (CorruptIndexError, IncompatibleIndexError, StorageError):
            continue
        assert found in states, what
        seen.add(states.index(found))
    assert seen == set(range(len(states)))


def _replace_document(folder: Path) -> None:
    _sql(folder, "UPDATE contents SET text = 'forged' WHERE row = 100")


def _sql(folder: Path, statement: str) -> None:
    import sqlite3

    connection = sqlite3.connect(folder / "sightline.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_replace_document, "does not have its hash"),
        (lambda folder: _sql(folder, "DELETE FROM contents WHERE row = 100"), "disagree"),
        (lambda folder: _sql(folder, "UPDATE documents SET id = 'other' WHERE row = 100"), "disagree"),
        (lambda folder: _sql(folder, "UPDATE tombstones SET row = 100 WHERE row = 21"), "are not the"),
        (lambda folder: _sql(folder, "UPDATE vectors SET vector = zeroblob(32) WHERE row > 280"), "checksum"),
        (lambda folder: _sql(folder, "UPDATE segments SET texts = texts - 1"), "not the file that the manifest names"),
        (lambda folder: _sql(folder, "UPDATE settings SET value = '{' WHERE key = 'analyzer'"), "settings"),
        (
            lambda folder: _sql(folder, "UPDATE settings SET value = '0.5' WHERE key = 'b'"),
            "settings do not have their hash",
        ),
        (lambda folder: _sql(folder, "UPDATE head SET count = 'many'"), "counters"),
    ],
)
def test_verify_finds_what_contradicts_itself(
    base: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "kb"
    shutil.copytree(base, folder)
    damage(folder)
    with pytest.raises(CorruptIndexError, match=message), HybridIndex.open(folder) as index:
        index.verify()


def test_a_manifest_with_a_column_too_many_is_damage(tmp_path: Path) -> None:
    # One flipped bit in the text of the schema can do that.
    folder = tmp_path / "kb"
    with HybridIndex(folder) as index:
        index.add([{"id": "a", "text": "one"}])
        index.flush()
    connection = sqlite3.connect(folder / "sightline.db")
    connection.execute("ALTER TABLE segments ADD COLUMN more INTEGER NOT NULL DEFAULT 0")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptIndexError, match="manifest"):
        HybridIndex.open(folder, read_only=True)
