"""Files to an index and back: what is read, and that another run touches what changed and nothing else."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline import Document, HybridIndex, InvalidInputError, ReadOptions, StorageError, cli, sync_files
from sightline.readers import chunk_format, find_files, read_files

GUIDE = "---\ntitle: The guide\n---\n# Start\n\nInstall the package.\n\n## Next\n\nThen run it. And wait.\n"


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    """Three texts and two records, and what must not be read."""
    root = tmp_path / "docs"
    (root / "deep" / "er").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "guide.md").write_text(GUIDE)
    (root / "plain.txt").write_text("Plain words about boats.")
    (root / "deep" / "er" / "other.text").write_text("Deep words about trains.")
    (root / "rows.jsonl").write_text(
        lines({"id": 1, "text": "a cat", "year": 2020}, {"id": "b", "text": "a dog", "title": "Dogs", "source": "me"})
    )
    (root / ".git" / "no.txt").write_text("hidden")
    (root / ".hidden.md").write_text("hidden")
    (root / "picture.png").write_bytes(b"\x89PNG")
    return root


def known(index):
    """What the index holds, by document."""
    return {document.id: (document.text, document.title, dict(document.metadata)) for document in index.documents()}


def fresh(folder, **options):
    index = HybridIndex()
    sync_files(index, folder, **options)
    return known(index)


def test_what_is_read(folder):
    documents = {document.id.removeprefix(f"{folder}/"): document for document in read_files(folder)}
    assert list(documents) == ["deep/er/other.text", "guide.md", "plain.txt", "rows.jsonl#1", "rows.jsonl#b"]
    assert documents["guide.md"].title == "The guide"
    assert documents["guide.md"].text == GUIDE
    assert [chunk_format(document) for document in documents.values()] == ["text", "markdown", "text", "text", "text"]
    assert documents["rows.jsonl#b"] == Document(
        f"{folder}/rows.jsonl#b",
        "a dog",
        {"path": f"{folder}/rows.jsonl", "format": "jsonl", "record": "b", "title": "Dogs", "source_": "me"},
        None,
        "Dogs",
    )
    relative = {document.id: document for document in read_files(folder, base=folder.parent)}
    assert relative["docs/plain.txt"].metadata == {"path": "docs/plain.txt", "format": "text", "title": "plain"}


def test_which_files_there_are(folder):
    def names(*paths, **options):
        return [file.name for file in find_files(paths or [folder], base=folder, **options)]

    assert names(include=["*.md", "deep/*"]) == ["deep/er/other.text", "guide.md"]
    assert names(exclude=["deep/*", "*.jsonl"]) == ["guide.md", "plain.txt"]
    assert names(folder / "plain.txt", folder, str(folder / "guide.md")) == names()
    assert names(include=["*.png"], format="text") == ["picture.png"]
    with HybridIndex(folder / "kb") as index:
        sync_files(index, folder)
        assert names() == ["deep/er/other.text", "guide.md", "plain.txt", "rows.jsonl"]  # nothing of the index itself
    os.symlink(folder, folder / "deep" / "loop")
    assert len(names()) == 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: find_files(f / "gone"), StorageError, "gone' does not exist"),
        (lambda f: find_files(f / "picture.png"), InvalidInputError, r"picture\.png': its format is unknown; name one"),
        (lambda f: find_files([]), InvalidInputError, "expected files or folders, got none"),
        (lambda f: find_files([5]), InvalidInputError, "expected files or folders, got 5"),
        (lambda f: find_files(f, format="doc"), InvalidInputError, "format: expected one of text, code"),
        (lambda f: find_files(f, include="*.md"), InvalidInputError, "include: expected a list"),
        (lambda f: find_files(f, base=f / "deep"), InvalidInputError, "is not below"),
        (lambda f: sync_files(HybridIndex(), f, overlap=256), InvalidInputError, "overlap: expected"),
        (lambda f: sync_files(HybridIndex(), f, options=ReadOptions("utf-99")), InvalidInputError, "utf-99"),
    ],
)
def test_bad_calls(folder, call, error, message):
    with pytest.raises(error, match=message):
        call(folder)


def test_a_second_run_does_only_what_changed(folder):
    index = HybridIndex()
    index.add([Document("mine", "not from a file", {"path": str(folder / "plain.txt")})])
    first = sync_files(index, folder, max_tokens=8, overlap=2)
    assert [name.removeprefix(f"{folder}/") for name in first.added] == [
        "deep/er/other.text", "guide.md", "plain.txt", "rows.jsonl#1", "rows.jsonl#b",
    ]  # fmt: skip
    assert (first.updated, first.removed, first.unchanged, first.chunks_written) == ([], [], 0, len(index) - 1)
    before = known(index)

    again = sync_files(index, folder, max_tokens=8, overlap=2)
    assert (again.added, again.updated, again.removed, again.chunks_written, again.chunks_removed) == ([], [], [], 0, 0)
    assert again.unchanged == 5
    assert known(index) == before

    (folder / "guide.md").write_text("# Start\n\nShort now.\n")
    (folder / "plain.txt").unlink()
    (folder / "rows.jsonl").write_text(
        lines({"id": "new", "text": "a bird"}, {"id": 1, "text": "a cat", "year": 2020}, {"id": "b", "text": "a wolf"})
    )
    (folder / "fresh.txt").write_text("Fresh.")
    (folder / "blank.txt").write_text(" \n")
    report = sync_files(index, folder, max_tokens=8, overlap=2)
    short = {
        name: [each.removeprefix(f"{folder}/") for each in getattr(report, name)]
        for name in ("added", "updated", "removed", "without_text")
    }
    assert short == {
        "added": ["fresh.txt", "rows.jsonl#new"],
        "updated": ["guide.md", "rows.jsonl#b"],
        "removed": ["plain.txt"],
        "without_text": ["blank.txt"],
    }
    assert report.unchanged == 2
    assert "mine" in index
    expected = fresh(folder, max_tokens=8, overlap=2)
    assert {name: value for name, value in known(index).items() if name != "mine"} == expected
    assert report.to_dict()["chunks_written"] == report.chunks_written == 4


def test_other_options_are_a_change(folder):
    index = HybridIndex()
    sync_files(index, folder)
    assert len(sync_files(index, folder, max_tokens=5, overlap=0).updated) == 5
    assert known(index) == fresh(folder, max_tokens=5, overlap=0)
    options = ReadOptions(metadata_fields=("year",))
    assert len(sync_files(index, folder, max_tokens=5, overlap=0, options=options).updated) == 5
    assert "source_" not in index.get(f"{folder}/rows.jsonl#b#0")[0].metadata


def test_only_what_lies_in_the_paths_is_removed(folder):
    index = HybridIndex()
    sync_files(index, folder)
    (folder / "plain.txt").unlink()
    (folder / "deep" / "er" / "other.text").unlink()
    report = sync_files(index, folder / "deep")
    assert report.removed == [f"{folder}/deep/er/other.text"]
    # Excluded is not vanished; a folder that is gone has all of its files removed.
    assert sync_files(index, folder, exclude=["*.md"]).removed == [f"{folder}/plain.txt"]
    for path in (folder / "deep" / "er", folder / "deep"):
        path.rmdir()
    with pytest.raises(StorageError, match="does not exist"):
        sync_files(index, folder / "deep")  # nothing of it is known
    assert len(index) == 5  # chunks of guide.md and rows.jsonl
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    assert sorted(sync_files(index, folder).removed) == [f"{folder}/guide.md", f"{folder}/rows.jsonl#1",
                                                         f"{folder}/rows.jsonl#b"]  # fmt: skip
    assert len(index) == 0


def test_a_bad_file_is_named_and_nothing_is_written(folder):
    index = HybridIndex()
    sync_files(index, folder)
    before = known(index)
    (folder / "guide.md").write_text("# Changed\n\nThis.\n")
    (folder / "plain.txt").write_bytes(b"caf\xe9")
    rows = (folder / "rows.jsonl").read_text()
    (folder / "rows.jsonl").write_text(lines({"id": 1, "text": "changed"}) + "{broken\n")
    with pytest.raises(InvalidInputError, match=r"plain\.txt' is not text in utf-8 at byte 3; name its encoding"):
        sync_files(index, folder)
    assert known(index) == before
    report = sync_files(index, folder, skip_errors=True)
    assert report.updated == [f"{folder}/guide.md"]
    assert report.removed == []
    assert [Path(name).name for name in report.failed] == ["plain.txt", "rows.jsonl"]
    assert "line 2: is not JSON" in report.failed[f"{folder}/rows.jsonl"]
    assert index.get(f"{folder}/rows.jsonl#1#0")[0].text == "a cat"  # what a file said before stays
    (folder / "rows.jsonl").write_text(rows)
    assert sync_files(index, folder, options=ReadOptions("latin-1")).failed == {}
    assert index.get(f"{folder}/plain.txt#0")[0].text == "caf\xe9"


def test_nothing_is_embedded_twice(folder, tmp_path):
    calls = []

    def embed(texts):
        calls.extend(texts)
        return [[1.0, float(len(text))] for text in texts]

    with HybridIndex(tmp_path / "kb", embed) as index:
        sync_files(index, folder, max_tokens=8, overlap=0)
        count = len(calls)
        assert count == len(index)
        (folder / "guide.md").write_text(GUIDE + "\nOne sentence more, it says.\n")
        assert sync_files(index, folder, max_tokens=8, overlap=0).updated == [f"{folder}/guide.md"]
        assert calls[count:] == ["The guide > Start > Next One sentence more, it says."]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    root = tmp_path / "many"
    root.mkdir()
    for number in range(600):
        (root / f"{number:03}.txt").write_text(f"text {number}")
    left = [300]

    def embed(texts):
        left[0] -= len(texts)
        if left[0] < 0:
            raise KeyboardInterrupt
        return [[1.0, 2.0]] * len(texts)

    with HybridIndex(tmp_path / "kb", embed) as index:
        with pytest.raises(KeyboardInterrupt):
            sync_files(index, root)
        assert len(index) == 256
        left[0] = 1000
        steps = []
        report = sync_files(index, root, progress=lambda *step: steps.append(step))
        assert (report.unchanged, len(report.added)) == (256, 344)
        assert steps[0] == ("read", 0, 600)
        assert ("index", 256, 344) in steps
        assert steps[-1] == ("index", 344, 344)


FILES = st.dictionaries(
    st.sampled_from(["a.txt", "b.md", "sub/c.txt", "d.jsonl"]),
    st.lists(st.sampled_from(["# One\n", "Word. ", "Other words here. ", "\n\n", "## Two\n"]), max_size=8).map("".join),
)


@given(before=FILES, after=FILES, limits=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_after_any_change_the_index_is_that_of_a_fresh_run(tmp_path_factory, before, after, limits):
    root = tmp_path_factory.mktemp("files")
    (root / "sub").mkdir()
    index = HybridIndex()
    for files, limit in zip((before, after), limits, strict=True):
        for name in ("a.txt", "b.md", "sub/c.txt", "d.jsonl"):
            path = root / name
            path.unlink(missing_ok=True)
            if name in files and name.endswith("jsonl"):
                path.write_text(lines(*({"text": piece} for piece in files[name].split(". "))))
            elif name in files:
                path.write_text(files[name])
        report = sync_files(index, root, max_tokens=limit, overlap=0)
        assert known(index) == fresh(root, max_tokens=limit, overlap=0)
    assert sync_files(index, root, max_tokens=limits[1], overlap=0).chunks_written == 0
    assert len(report.added) + len(report.updated) + report.unchanged == len({
        (document.metadata["path"], document.metadata.get("record")) for document in index.documents()
    })  # fmt: skip


def read(path, text, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_files(path, base=path.parent, options=ReadOptions(**options)))


def test_json_lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    twins = lines({"text": "same"}, {"text": "same"}, {"text": "other", "none": None})
    first, second, third = (document.id for document in read(path, twins))
    assert second == f"{first}-2"
    assert read(path, lines({"text": "new"}) + twins)[1].id == first  # known by what it holds, not by its line
    assert third.startswith("rows.jsonl#")
    (row,) = read(path, lines({"q": "why?", "a": "because", "n": 1, "m": 2}), text_fields=("q", "a"),
                  id_field="n", metadata_fields=("m",))  # fmt: skip
    assert (row.text, row.metadata["record"], row.metadata["m"]) == ("why?\n\nbecause", "1", 2)
    (row,) = read(path, lines({"_id": "x", "text": "t", "metadata": {"year": 2020, "text": "inner"}}))
    assert (row.text, row.metadata["year"]) == ("t", 2020)
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(twins.encode()))
    assert [row.text for row in read_files(tmp_path / "z.jsonl.gz")] == ["same", "same", "other"]
    for text, message in [
        ("{", "line 1: is not JSON"),
        ("\n[1]\n", "line 2: expected an object, got list"),
        (b'{"text": "\xff"}', "is not text in utf-8-sig"),
        (lines({"body": "x"}), r"line 1: has no field 'text'; its fields are 'body': name those"),
        (lines({"text": 5}), "line 1: 'text': expected text, got int"),
        (lines({"text": "x", "id": 1.5}), r"line 1: 'id': expected an id, a string or an integer, got 1\.5"),
        (lines({"text": "x", "id": "1"}, {"text": "y", "id": 1}), "line 2: 'id': '1' occurs twice in this file"),
        (lines({"text": "x", "title": [1]}), "line 1: 'title': expected a title, got list"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            read(path, text)
    path.write_text(lines({"text": "x", "bad": {"$key": 1}}))
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl.*keys? .*'\$'"):
        sync_files(HybridIndex(), path)


def test_csv(tmp_path):
    text = 'id,text,year,price,code,mixed\n1,"a, ""quoted""\nline",2020,1.5,007,1\n2,b,,2,12,x\n\n'
    first, second = read(tmp_path / "rows.csv", text)
    common = {"path": "rows.csv", "format": "csv"}
    assert first.text == 'a, "quoted"\nline'
    assert first.metadata == common | {"record": "1", "year": 2020, "price": 1.5, "code": "007", "mixed": "1"}
    assert second.metadata == common | {"record": "2", "price": 2.0, "code": "12", "mixed": "x"}
    assert isinstance(first.metadata["year"], int)
    for name, separator in (("x.csv", ";"), ("x.csv", "|"), ("x.tsv", "\t"), ("x.csv", "\t")):
        (row,) = read(tmp_path / name, f'"text"{separator}n\nwords, more{separator}3\n')
        assert (row.text, row.metadata["n"]) == ("words, more", 3)
    assert read(tmp_path / "l.csv", "text\ncaf\xe9\n".encode("latin-1"), encoding="latin-1")[0].text == "caf\xe9"
    assert read(tmp_path / "b.csv", "\ufefftext\nx\n")[0].text == "x"
    assert read(tmp_path / "card.csv", "text,n\nx,4111111111111111222\n")[0].metadata["n"] == "4111111111111111222"
    for text, message in [
        ("text,text\nx,y\n", r"rows\.csv: expected a header of different names"),
        ("text,\nx,y\n", "expected a header of different names"),
        ("text,n\nx\n", "line 2: expected 2 cells as in the header, got 1"),
        ('text\n"x', "cannot be read as CSV"),
        (b"text\n\xff\n", "is not text in utf-8-sig"),
        ("body\nx\n", "has no field 'text'; its fields are 'body'"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            read(tmp_path / "rows.csv", text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_texts_with_a_mark_need_no_encoding(tmp_path, encoding):
    assert read(tmp_path / "x.txt", "caf\xe9 日本".encode(encoding))[0].text == "caf\xe9 日本"


def test_files_below_another_base_stay(tmp_path: Path) -> None:
    index = HybridIndex()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(f"the {name} text")
        report = sync_files(index, tmp_path / name, base=tmp_path / name)
        assert (report.added, report.removed) == ([f"{name}.txt"], [])
    assert len(index) == 2
    (tmp_path / "one" / "one.txt").unlink()
    assert sync_files(index, tmp_path / "two", base=tmp_path / "two").removed == []
    assert sync_files(index, tmp_path / "one", base=tmp_path / "one").removed == ["one.txt"]


def test_files_of_one_name_below_two_bases_are_not_confused(tmp_path: Path) -> None:
    index = HybridIndex()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.txt").write_text(f"the {name} text")
    (tmp_path / "one" / "gone.txt").write_text("soon gone")
    sync_files(index, tmp_path / "one", base=tmp_path / "one")
    with pytest.raises(InvalidInputError, match=r"the index has 'same\.txt' of another base; give bases"):
        sync_files(index, tmp_path / "two", base=tmp_path / "two")
    assert index.get("same.txt#0")[0].text == "the one text"
    # The folder as a whole is elsewhere now, without one of its files.
    (tmp_path / "one" / "gone.txt").unlink()
    (tmp_path / "one").rename(tmp_path / "three")
    report = sync_files(index, tmp_path / "three", base=tmp_path / "three", moved=True)
    assert (report.updated, report.removed) == (["same.txt"], ["gone.txt"])
    assert sync_files(index, tmp_path / "three", base=tmp_path / "three").unchanged == 1
    assert cli.main(["index", str(tmp_path / "three"), "--into", str(tmp_path / "kb"), "--moved", "--json"]) == 0


def test_an_empty_base_is_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.txt").write_text("still here")
    index = HybridIndex()
    sync_files(index, ".", base="")
    assert sync_files(index, ".", base="", exclude=["*.txt"]).removed == []
    assert len(index) == 1


def test_documents_with_the_same_names_in_their_metadata_stay(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    index = HybridIndex()
    for number, content_hash in enumerate(("x", ["x"])):
        path = (tmp_path / "gone.md").as_posix()
        index.add([Document(str(number), "mine", {"path": path, "content_hash": content_hash})])
    assert sync_files(index, tmp_path).removed == []
    assert index.count() == 3


def test_what_the_index_would_refuse_is_found_before_anything_is_written(tmp_path: Path) -> None:
    good = [{"id": number, "text": f"text {number}"} for number in range(600)]  # more than one commit
    (tmp_path / "a.jsonl").write_text(lines(*good))
    (tmp_path / "b.jsonl").write_text(lines({"id": "bad", "text": "x", "a.b": 1, "a": {"b": 2}}))
    index = HybridIndex()
    with pytest.raises(InvalidInputError, match=r"b\.jsonl': metadata: the path 'a\.b' occurs twice"):
        sync_files(index, tmp_path)
    assert len(index) == 0
    report = sync_files(index, tmp_path, skip_errors=True)
    assert (len(report.added), list(report.failed), len(index)) == (600, [str(tmp_path / "b.jsonl")], 600)


def test_no_file_takes_the_place_of_another_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    index = HybridIndex()
    index.add([Document("a.txt#0", "mine")])
    with pytest.raises(InvalidInputError, match=r"has a document 'a\.txt#0' that came from no file"):
        sync_files(index, tmp_path, base=tmp_path)
    assert index.get("a.txt#0")[0].text == "mine"
    (tmp_path / "rows.jsonl").write_text(lines({"id": "x.txt", "text": "a record"}))
    (tmp_path / "rows.jsonl#x.txt").write_text("a file of that name")
    with pytest.raises(InvalidInputError, match=r"two sources give the id 'rows\.jsonl#x\.txt#0'"):
        sync_files(HybridIndex(), tmp_path, base=tmp_path)


def test_cells_may_be_long(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    cell = "word " * 100_000
    (row,) = read(tmp_path / "rows.csv", f'id,text\n1,"{cell}"\n')
    assert row.text == cell
    assert csv.field_size_limit() == limit
    (tmp_path / "rows.csv").write_text('id,text\n1,"not closed\n')
    with pytest.raises(InvalidInputError, match="cannot be read as CSV"):
        list(read_files(tmp_path / "rows.csv"))
    assert csv.field_size_limit() == limit
