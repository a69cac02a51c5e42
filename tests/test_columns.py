"""Columns of JSON and of files against those of Python's objects, which test_filters compares with a slow model."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from older_index import make_older
from sightline import HybridIndex, _core
from sightline.column_file import ColumnFile, write_columns
from sightline.columns import Columns, Part, parsed_fields
from sightline.errors import CorruptIndexError, InvalidInputError
from sightline.filters import parse_filter
from sightline.store_reader import Reader

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
    st.sampled_from(["2024-05-01", "2024-05-01T00:00:00Z", "2023-12-31", "x"]),
)
_KEY = st.sampled_from(["a", "b", "c d", "é", "x.y", 'q"\\'])
_OBJECT = st.recursive(
    st.dictionaries(_KEY, _SCALAR, max_size=3),
    lambda inner: st.dictionaries(
        _KEY, st.one_of(_SCALAR, st.lists(st.one_of(_SCALAR, inner), max_size=3), inner), max_size=3
    ),
    max_leaves=8,
)


def _plain(columns: Columns) -> dict[str, Any]:
    """Everything that columns hold, in Python's own types."""
    found: dict[str, Any] = {}
    for path in columns.paths:
        field = columns.field(path)
        assert field is not None
        streams = {}
        for in_list, group in ((False, field.scalars), (True, field.elements)):
            for kind, stream in group.items():
                if not len(stream.rows):
                    continue
                values = stream.values()
                if kind == "string":
                    codes, strings, instants = values
                    kept: list[Any] = [(strings[code], int(instants[code])) for code in codes.tolist()]
                elif kind == "number":
                    low = np.zeros(len(values[0])) if values[1] is None else values[1]
                    kept = list(zip(values[0].tolist(), low.tolist(), strict=True))
                else:
                    kept = [value.tolist() for value in values]
                streams[in_list, kind] = (stream.rows.tolist(), kept, stream.aligned)
        found[path] = (field.present.rows.tolist(), streams)
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(_OBJECT, max_size=8), st.integers(0, 8))
def test_json_gives_the_columns_of_what_it_holds(metadatas: list[dict[str, Any]], cut: int) -> None:
    texts = _core.encode_metadata(metadatas)
    once = Columns().extended_json(texts)
    twice = Columns().extended_json(texts[:cut]).extended_json(texts[cut:])
    mixed = Columns().extended(metadatas[:cut]).extended_json(texts[cut:])
    expected = Columns().extended(metadatas)
    for columns in (once, twice, mixed):
        assert columns.row_count == len(metadatas)
        assert _plain(columns) == _plain(expected)
    ascii_only = [json.dumps(metadata, indent=1) if metadata else None for metadata in metadatas]
    assert _plain(Columns().extended_json(ascii_only)) == _plain(expected)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "{", '{"a"', '{"a":', '{"a":1', '{"a":1}x', '{"a":1,}', '{"a":01x}', '{"a":tru}', '{"a":"\\ud800"}',
     '{"a":"\\x"}', '{"a":"b}', '{"a":[1,]}', '{"a":[1 2]}', '{"a":-}', '{"a":1e}', '{"a":18446744073709551617}',
     '{"a":' * 70 + "1" + "}" * 70, '{a:1}', '{"a":1e999}', '{"a":"\\ud800\\u0041"}', '{"a":"\\u12"}'],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(text: str) -> None:
    if text == "":
        assert Columns().extended_json([text]).row_count == 1  # no metadata
        return
    with pytest.raises(InvalidInputError, match=r"metadata of row 1: .* of its JSON"):
        Columns().extended_json([None, text])


def _of_file(file: ColumnFile, row_count: int, places: Any) -> Columns:
    return Columns.of_parts(row_count, [Part(np.asarray(places, dtype=np.int32), file.paths, file.field)])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_files_give_back_what_they_were_made_of(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    metadatas = data.draw(st.lists(_OBJECT, min_size=1, max_size=10))
    folder = tmp_path_factory.mktemp("columns")
    cut = data.draw(st.integers(0, len(metadatas)))
    files = []
    for number, part in enumerate((metadatas[:cut], metadatas[cut:])):
        path = folder / f"{number}.columns"
        first = 0 if number == 0 else cut
        write_columns(path, np.arange(first, first + len(part), dtype=np.int64) * 3, Columns().extended(part))
        files.append(ColumnFile(path, mmap=bool(number)))
        assert files[-1].ids.tolist() == [3 * row for row in range(first, first + len(part))]
    whole = Columns.of_parts(
        len(metadatas),
        [Part(file.ids.astype(np.int32) // 3, file.paths, file.field) for file in files],
    )
    assert _plain(whole) == _plain(Columns().extended(metadatas))
    more = data.draw(st.lists(_OBJECT, max_size=3))
    assert _plain(whole.extended(more)) == _plain(Columns().extended([*metadatas, *more]))
    # Rows that a later state does not have.
    keep = [data.draw(st.booleans()) for _ in metadatas]
    places = np.where(keep, np.cumsum(keep) - 1, -1)
    columns = Columns.of_parts(
        sum(keep),
        [Part(places[file.ids // 3].astype(np.int32), file.paths, file.field) for file in files],
    )
    kept = [metadata for metadata, here in zip(metadatas, keep, strict=True) if here]
    for path, (present, streams) in _plain(Columns().extended(kept)).items():
        assert _plain(columns)[path] == (present, streams)


def test_versions_that_nobody_looked_at_are_made_in_order() -> None:
    """Many writes after a field came from a part, and then a look at any of the versions, in any order."""
    texts = [json.dumps({"n": row, "s": f"s{row % 3}"}) for row in range(5)]
    fields = parsed_fields(texts)
    columns = Columns.of_parts(5, [Part(np.arange(5, dtype=np.int32), fields, fields.__getitem__)])
    versions = [columns]
    for row in range(5, 3000):
        versions.append(versions[-1].extended([{"n": row, "s": f"s{row % 3}"}]))
    where = parse_filter({"s": "s1"})
    for count in (2999, 5, 100, 7, 2000):
        expected = [row for row in range(count) if row % 3 == 1]
        assert np.flatnonzero(where.mask(versions[count - 5])).tolist() == expected


_DOCUMENTS = [
    {
        "id": f"d{i}",
        "text": f"text {i}" if i % 5 else "",
        "vector": [1.0, i],
        "metadata": {"n": i, "even": i % 2 == 0, "tags": [f"t{i % 7}", "all"], "day": f"2024-01-{i % 28 + 1:02}"}
        | ({"big": 2**60 + i} if i % 3 else {})
        | ({"deep": {"name": f"x{i % 4}"}} if i % 4 else {}),
    }
    for i in range(400)
]
_FILTERS: list[dict[str, Any]] = [
    {"n": {"$gte": 390}},
    {"even": True, "tags": "t3"},
    {"day": {"$lt": "2024-01-03"}},
    {"big": 2**60 + 7},
    {"deep.name": {"$in": ["x1", "x3"]}},
    {"deep": {"$exists": False}},
    {"tags": {"$contains": "all"}, "n": {"$ne": 5}},
    {"missing": None},
]


def _counts(index: HybridIndex) -> list[list[str]]:
    return [index.ids(where) for where in _FILTERS]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, list[list[str]]]:
    """An index of several segments, of which rows were removed, and of rows in none."""
    with HybridIndex(tmp_path / "kb") as index:
        for first in range(0, 300, 100):
            index.add(_DOCUMENTS[first : first + 100])
            index.flush()
        index.delete(["d3", "d150", "d299"])
        index.upsert([_DOCUMENTS[20] | {"metadata": {"n": 395, "even": True}}])
        index.add(_DOCUMENTS[300:])
        found = _counts(index)
        plain = HybridIndex()
        plain.add(document for document in _DOCUMENTS[:300] if document["id"] not in ("d3", "d20", "d150", "d299"))
        plain.add([_DOCUMENTS[20] | {"metadata": {"n": 395, "even": True}}])
        plain.add(_DOCUMENTS[300:])
        assert found == _counts(plain)
    return tmp_path / "kb", found


def test_a_filter_reads_the_metadata_of_unsealed_rows_only(
    made: tuple[Path, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, expected = made
    ranges = []
    metadata = Reader.metadata
    monkeypatch.setattr(Reader, "metadata", lambda self, *rows: ranges.append(rows) or metadata(self, *rows))
    with HybridIndex.open(folder, read_only=True) as index:
        assert _counts(index) == expected
    assert len(ranges) == 1
    assert ranges[0][0] >= 300
    ranges.clear()
    with HybridIndex(folder) as index:
        index.flush()
        assert ranges  # sealing reads them once more
        ranges.clear()
        index.compact()
        assert index.stats()["segments"] == 1
    with HybridIndex.open(folder) as index:
        assert sorted(map(sorted, _counts(index))) == sorted(map(sorted, expected))
        assert not ranges
        index.verify()


def test_an_index_of_the_schema_before_opens_and_gets_its_columns(made: tuple[Path, list[list[str]]]) -> None:
    folder, expected = made
    make_older(folder, 2)
    with HybridIndex.open(folder, read_only=True) as index:
        assert _counts(index) == expected
        index.verify()
    with HybridIndex.open(folder) as index:  # a writer changes the schema
        assert _counts(index) == expected
        index.verify()
        assert not list((folder / "segments").glob("*.columns"))
        index.compact()
        assert _counts(index) == expected
        index.verify()
        index.compact()
    assert len(list((folder / "segments").glob("*.columns"))) == 1
    with HybridIndex.open(folder, read_only=True) as index:
        assert [sorted(ids) for ids in _counts(index)] == [sorted(ids) for ids in expected]


def test_a_reader_of_the_schema_before_follows_the_writer_that_changes_it(made: tuple[Path, list[list[str]]]) -> None:
    folder, expected = made
    make_older(folder, 2)
    with HybridIndex.open(folder, read_only=True) as reader:
        assert _counts(reader) == expected
        with HybridIndex.open(folder) as index:
            index.add([{"id": "new", "text": "new", "vector": [1.0, 2.0], "metadata": {"n": 395}}])
            assert reader.ids({"n": 395}) == index.ids({"n": 395})
            index.compact()
            assert reader.ids({"n": 395}) == index.ids({"n": 395})
            assert "new" in reader.ids({"n": 395})


def test_verify_compares_column_files_with_the_documents(made: tuple[Path, list[list[str]]]) -> None:
    folder, _ = made
    path = sorted((folder / "segments").glob("*.columns"))[0]
    file = ColumnFile(path, mmap=False)
    columns = _of_file(file, file.row_count, np.arange(file.row_count))
    other = Columns().extended({"n": row} for row in range(file.row_count))
    for wrong in (other, columns.extended([{}])):
        write_columns(path, file.ids if wrong is other else np.append(file.ids, file.ids[-1] + 1), wrong)
        with pytest.raises(CorruptIndexError, match="columns"), HybridIndex.open(folder, read_only=True) as index:
            index.verify()
    write_columns(path, file.ids, columns)
    with HybridIndex.open(folder, read_only=True) as index:
        index.verify()


def test_a_file_whose_arrays_contradict_each_other_is_refused(tmp_path: Path) -> None:
    from sightline import _core

    good = Columns().extended([{"s": "a", "n": 1}, {"s": "b"}, {"s": "a"}])
    path = tmp_path / "1.columns"
    write_columns(path, np.arange(3), good)
    file = _core.ColumnFile(str(path).encode(), False)
    directory = json.loads(file.directory())
    count = 1 + max(int(number) for number in re.findall(r"\[(\d+), \"", json.dumps(directory)))
    arrays = [np.array(file.array(number)) for number in range(count)]
    source = random.Random(4)
    for _ in range(400):
        broken = [array.copy() for array in arrays]
        told = json.loads(json.dumps(directory))
        if source.random() < 0.6:
            one = source.choice([array for array in broken if len(array)])
            one[source.randrange(len(one))] = source.randrange(256)
        else:
            number = source.randrange(len(broken))
            broken[number] = broken[number][: source.randrange(len(broken[number]) + 1)]
        if source.random() < 0.3:
            told["rows"] = source.choice([2, 4, -1, "3", None])
        _core.write_column_file(str(path).encode(), json.dumps(told).encode(), broken)
        try:
            found = ColumnFile(path)
            for name in found.paths:
                columns = _of_file(found, 3, np.arange(3)) if found.row_count == 3 else None
                if columns is not None:
                    for where in ({"s": "a"}, {"n": 1}, {"s": {"$lt": "b"}}):
                        parse_filter(where).mask(columns)
                found.field(name)
        except (CorruptIndexError, InvalidInputError):
            continue


def test_a_hundred_thousand_documents_filter_soon_after_opening(tmp_path: Path) -> None:
    """What took seconds while columns were made of JSON each time."""
    words = [f"w{i}" for i in range(50)]
    with HybridIndex(tmp_path / "kb") as index:
        index.add(
            {
                "id": str(i),
                "text": words[i % 50],
                "metadata": {"n": i, "words": [words[i % 50], words[i % 7]], "w": words[i % 9]},
            }
            for i in range(100_000)
        )
    with HybridIndex.open(tmp_path / "kb", read_only=True) as index:
        start = time.perf_counter()
        assert index.count({"n": {"$lt": 10}, "w": "w3"}) == 1
        assert time.perf_counter() - start < 0.5  # 0.01 alone


@settings(max_examples=300, deadline=None)
@given(st.lists(_OBJECT, max_size=8))
def test_metadata_is_written_as_json_dumps_would(metadatas: list[dict[str, Any]]) -> None:
    expected = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) if each else None for each in metadatas]
    assert _core.encode_metadata(metadatas) == expected


def test_metadata_escapes_integers_and_floats_are_those_of_json_dumps() -> None:
    text = "".join(map(chr, range(0x100))) + "\u2028\uffff\U0001f600"
    metadata = {text: [text, 2**64, -(2**64), 2**63, -(2**63), 1e300, 5e-324, 0.1, -0.0, 1e16, True, None, {"a": []}]}
    assert _core.encode_metadata([metadata]) == [json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))]
    for wrong in ({"a": float("nan")}, {"a": object()}, {"a": (1,)}, {1: 2}):
        with pytest.raises(InvalidInputError):
            _core.encode_metadata([wrong])
