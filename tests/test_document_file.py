"""The documents of segments in files of their own: what hits show, whichever of file and database it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline.document_file
import sightline.maintenance
import sightline.pending
from crash_writer import document
from older_index import make_older
from sightline import CorruptIndexError, DuplicateIdError, Hit, HybridIndex, InvalidInputError, StorageError
from sightline.document_file import DocumentFile, DocumentFiles, Piece, pieces_of, write_documents
from sightline.documents import Document
from sightline.store import Store
from sightline.store_format import Entries, Record, entries_of

QUERY = np.linspace(-1, 1, 8, dtype=np.float32)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_METADATA = st.dictionaries(_TEXT.filter(bool), st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | _TEXT)
_DOCUMENT = st.tuples(_TEXT, _TEXT, st.none() | _TEXT, _METADATA, st.integers(0, 7), st.integers(1, 3))


@settings(max_examples=50, deadline=None)
@given(st.lists(_DOCUMENT, max_size=8))
def test_files_give_what_was_written_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, str, str | None, dict[str, Any], int, int]]
) -> None:
    path = tmp_path_factory.mktemp("files") / "1.documents"
    documents = [Document(name, text, metadata, None, title) for name, text, title, metadata, _, _ in given]
    flags = [flag for *_, flag, _ in given]
    rows = np.cumsum([gap for *_, gap in given], dtype=np.int64)
    write_documents(path, [(rows, entries_of(documents, flags))])
    file = DocumentFile(bytes(path))
    assert file.ids.tolist() == rows.tolist()
    assert [each[0] for each in file.documents(0, 100)] == flags
    asked = [*reversed(rows.tolist()), 999]
    found, missing = DocumentFiles([file]).contents(asked, json.loads)
    assert missing == 1
    expected = [(each.id, each.text, each.title, each.metadata) for each in reversed(documents)]
    assert repr(found) == repr([*expected, None])  # 1 == 1.0 == True


def test_pieces_come_from_files_where_these_have_the_rows(tmp_path: Path) -> None:
    documents = [Document(f"d{row}", f"text {row}", {"n": row}) for row in range(100)]

    def entries(rows: Any) -> Any:
        return entries_of([documents[row] for row in rows], [3] * len(rows))

    files = []
    for number, held in enumerate((np.arange(10, 30), np.arange(40, 80, 2))):
        path = tmp_path / f"{number}.documents"
        write_documents(path, [(held.astype(np.int64), entries(held.tolist()))])
        files.append(DocumentFile(bytes(path)))
    asked = []

    def records(rows: Any) -> list[Record]:
        asked.extend(rows)
        return [Record(row, documents[row], 3) for row in rows]

    rows = np.arange(5, 95, 5, dtype=np.int64)
    write_documents(tmp_path / "all", pieces_of(rows, files, records))
    made = DocumentFile(bytes(tmp_path / "all"))
    assert made.ids.tolist() == rows.tolist()
    assert [text for *_, text in made.documents(0, 1000)] == [f"text {row}" for row in rows.tolist()]
    assert [name for _, name, *_ in made.documents(3, 2)] == ["d20", "d25"]
    assert asked == [5, 30, 35, 45, 55, 65, 75, 80, 85, 90]
    write_documents(tmp_path / "none", pieces_of(rows[:0], files, records))
    assert not len(DocumentFile(bytes(tmp_path / "none")).ids)


def _shown(hits: list[Hit]) -> list[tuple[Any, ...]]:
    return [(hit.id, hit.text, hit.title, hit.metadata) for hit in hits]


def _search(index: HybridIndex) -> list[tuple[Any, ...]]:
    usual = _shown(index.search("apple river", 50, vector=QUERY))
    assert _shown(index.search("apple river", 50, vector=QUERY, where={"version": {"$gte": 1}}, explain=True)) == usual
    return usual


def test_hits_are_the_same_from_file_and_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    contents = Store.contents

    def watched(self: Store, rows: Any) -> Any:
        asked.extend(rows)
        return contents(self, rows)

    monkeypatch.setattr(Store, "contents", watched)
    memory = HybridIndex(dim=8)
    with HybridIndex(tmp_path / "kb", dim=8) as index:

        def upsert(first: int, last: int, version: int) -> None:
            for each in (memory, index):
                each.upsert(document(f"d{i}", version) for i in range(first, last))

        upsert(0, 30, 1)
        assert _search(index) == _search(memory)
        assert asked  # which no file has yet
        index.flush()
        asked.clear()
        assert _search(index) == _search(memory)
        assert not asked
        upsert(20, 40, 2)  # some in the file, some not
        assert _search(index) == _search(memory)
        assert set(asked) == set(range(30, 50))
        index.flush()
        for each in (memory, index):
            each.delete(["d3", "d35"])
        index.compact()
        asked.clear()
        assert _search(index) == _search(memory)
        assert not asked
        index.verify()
        assert len(list((tmp_path / "kb" / "segments").glob("*.documents"))) == 1


@pytest.mark.parametrize("version", [2, 3])
def test_an_older_index_is_read_as_it_is_and_gets_files(tmp_path: Path, version: int) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(f"d{i}", 1) for i in range(30))
        index.flush()
        index.upsert(document(f"d{i}", 2) for i in range(25, 40))
        expected = _search(index)
    make_older(folder, version)
    reader = HybridIndex.open(folder, read_only=True)
    assert _search(reader) == expected
    with HybridIndex.open(folder) as index:
        assert _search(index) == expected
        index.flush()  # what is new has files, what was there does not
        assert len(list((folder / "segments").glob("*.documents"))) == 1
        assert _search(index) == expected
        assert _search(reader) == expected
        index.verify()
        index.compact()
        assert len(list((folder / "segments").glob("*.documents"))) == 1
        assert _search(index) == expected
        assert _search(reader) == expected
        index.verify()
    reader.close()


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a closed index of 30 documents in one segment, and its file of documents."""
    folder = tmp_path / "kb"
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(f"d{i}", 1) for i in range(30))
        index.flush()
        index.verify()
    (path,) = (folder / "segments").glob("*.documents")
    return folder, path


def test_verify_compares_files_and_database(sealed: tuple[Path, Path]) -> None:
    folder, path = sealed
    file = DocumentFile(bytes(path))
    written = file.documents(0, 100)
    flags, name, metadata, title, text = written[17]
    for wrong in ((flags ^ 1, name, metadata, title, text), (flags, name, metadata, title, text + " ")):
        columns = [list(column) for column in zip(*written[:17], wrong, *written[18:], strict=True)]
        write_documents(path, [(file.ids, Entries(columns[1], columns[0], *columns[2:]))])
        with pytest.raises(CorruptIndexError, match="another document of row 17"), HybridIndex.open(folder) as index:
            index.verify()


def test_a_damaged_document_is_said_to_be_one_by_whoever_reads_it(sealed: tuple[Path, Path]) -> None:
    folder, path = sealed
    raw = path.read_bytes()
    at = raw.index(b"d7")
    path.write_bytes(raw[:at] + b"D" + raw[at + 1 :])
    with HybridIndex.open(folder) as index:  # which does not read the texts
        with pytest.raises(CorruptIndexError, match=r"documents' is damaged: the document of row 7"):
            index.search("apple river", 30, vector=QUERY)
        with pytest.raises(CorruptIndexError, match="checksum"):
            index.verify()
        index.flush()
        index.upsert([document("d1", 2)])
        with pytest.raises(CorruptIndexError, match="row 7"):
            index.compact()  # rather than making a good checksum of it
    path.write_bytes(raw)
    with HybridIndex.open(folder) as index:
        index.compact()
        index.verify()


@pytest.mark.parametrize("old", [False, True])
def test_many_documents_are_sealed_and_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """More than are taken from the database at a time."""
    monkeypatch.setattr(sightline.document_file, "_AT_ONCE", 7)
    folder = tmp_path / "kb"
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(f"d{i}", 1) for i in range(100))
        index.flush()
    if old:
        make_older(folder, 3)
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(f"d{i}", 2) for i in range(90, 150))
        index.flush()
        assert index.stats()["segments"] == 2
        index.verify()
        index.compact()
        assert index.stats()["segments"] == 1
        index.verify()
        (path,) = (folder / "segments").glob("*.documents")
        assert len(DocumentFile(bytes(path)).ids) == 150


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Also while somebody keeps the error, as the index does with that of its background work."""
    documents = [Document(f"d{row}", "text") for row in range(4)]

    def pieces() -> Iterator[Piece]:
        yield np.arange(3, dtype=np.int64), entries_of(documents[:3], [3] * 3)
        assert len(list(tmp_path.iterdir())) == 1
        raise StorageError("of the source")

    with pytest.raises(StorageError, match="of the source") as kept:
        write_documents(tmp_path / "1.documents", pieces())
    assert kept.value.__traceback__ is not None
    assert not list(tmp_path.iterdir())
    rows = np.array([5, 5, 6, 7], dtype=np.int64)
    with pytest.raises(InvalidInputError, match="expected ascending ones") as again:
        write_documents(tmp_path / "1.documents", [(rows, entries_of(documents, [3] * 4))])
    assert again.value.__traceback__ is not None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs to see what is mapped")
def test_files_of_a_segment_without_live_rows_are_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    discard = sightline.maintenance.MaintainedKeeper._discard

    def watched(self: Any, segments: Any = ()) -> None:
        if segments:
            held.append(".documents" in Path("/proc/self/maps").read_text())
        discard(self, segments)

    monkeypatch.setattr(sightline.maintenance.MaintainedKeeper, "_discard", watched)
    monkeypatch.setattr(sightline.maintenance.MaintainedKeeper, "background", False)
    with HybridIndex(tmp_path / "kb", dim=8) as index:
        index.upsert(document(f"d{i}", 1) for i in range(10))
        index.flush()
        assert ".documents" in Path("/proc/self/maps").read_text()
        index.delete([f"d{i}" for i in range(10)])
        index.compact()
        assert held == [False]
        assert not list((tmp_path / "kb" / "segments").iterdir())


def test_an_index_that_lost_all_documents_takes_them_again(tmp_path: Path) -> None:
    names = [f"d{i}" for i in range(20)]
    with HybridIndex(tmp_path / "kb", dim=8) as index:
        reader = HybridIndex.open(tmp_path / "kb", read_only=True)
        for version in (1, 2, 3):
            index.add(document(name, version) for name in names)
            with pytest.raises(DuplicateIdError, match="d19"):
                index.add([document("d19", version)])
            index.upsert([document("d3", 9)])
            assert reader.get(["d3"])[0].metadata["version"] == 9  # type: ignore[union-attr]
            if version == 2:
                index.flush()
            assert index.delete(names) == 20
            assert reader.get(["d3"]) == index.get(["d3"]) == [None]
        index.verify()
        reader.close()


def test_a_search_that_was_overtaken_by_merging_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of an older state may be in no file and in no database any more: then the newer state is searched."""
    folder = tmp_path / "kb"
    with HybridIndex(folder, dim=8) as index:
        index.upsert(document(f"d{i}", 1) for i in range(30))
        index.flush()
        contents = type(index._keeper._records).contents
        overtaken = []

        def late(self: Any, rows: Any) -> Any:
            if not overtaken:
                overtaken.append(rows)
                index.upsert(document(f"d{i}", 2) for i in range(30))
                index.compact()
            return contents(self, rows)

        monkeypatch.setattr(type(index._keeper._records), "contents", late)
        hits = index.search("apple river", 30, vector=QUERY)
        assert overtaken
        assert {hit.metadata["version"] for hit in hits} == {2}


def test_what_was_written_last_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    contents = Store.contents
    monkeypatch.setattr(Store, "contents", lambda self, rows: asked.extend(rows) or contents(self, rows))
    with HybridIndex(tmp_path / "kb", dim=8) as index:
        for i in range(100):
            index.upsert([_apple(f"d{i % 40}", i)])
            (hit,) = index.search("apple river", 1, where={"version": i}, vector=QUERY)
            assert (hit.id, hit.metadata) == (f"d{i % 40}", {"version": i})
            hit.metadata["version"] = -1  # its own
        assert not asked
        assert {hit.metadata["version"] for hit in index.search("apple river", 40, vector=QUERY)} == set(range(60, 100))
        assert not asked
        index.upsert(_apple(f"e{i}", 1) for i in range(sightline.pending._FEW + 1))
        index.upsert([_apple("long", 1, "apple " * sightline.pending._FEW_CHARACTERS)])
        assert len(index.search("apple river", 100, vector=QUERY)) == 40 + sightline.pending._FEW + 2
        assert len(asked) == sightline.pending._FEW + 2


def test_rows_of_a_failed_commit_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HybridIndex(tmp_path / "kb", dim=8) as index:
        index.upsert([_apple("d0", 1)])
        monkeypatch.setattr(Store, "advance", _fail)
        with pytest.raises(StorageError, match="no space"):
            index.upsert([_apple("d1", 2)])
        monkeypatch.undo()
        # Under the same row, and too long to be remembered, so that it would not hide the other.
        index.upsert([_apple("d2", 3, "apple " * sightline.pending._FEW_CHARACTERS)])
        assert {(hit.id, hit.metadata["version"]) for hit in index.search("apple river", 9, vector=QUERY)} == {
            ("d0", 1),
            ("d2", 3),
        }


def _apple(name: str, version: int, text: str = "apple") -> Document:
    return Document(name, text, {"version": version}, QUERY)


def _fail(*_: Any) -> None:
    raise StorageError("no space")
