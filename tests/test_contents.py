"""Documents between database and hits (cpp/bindings/contents.cpp), against what Python makes of the same values."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline import Document, Hit, HybridIndex, _core
from sightline.documents import joined_text
from sightline.errors import InvalidInputError
from sightline.store_format import EMBEDDED, Entries, content_hash, content_rows, metadata_check, text_hash

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_OPTIONAL = st.none() | _TEXT
_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
    | st.sampled_from(
        ["", 'with "quotes"', "back\\slash", "tab\t", "\u2028", "é", "日本", "\U0001f600", "\x00", "\x7f"]
    )
)
_VALUE = st.recursive(
    _SCALAR, lambda each: st.lists(each, max_size=3) | st.dictionaries(_TEXT, each, max_size=3), max_leaves=8
)
_OBJECT = st.dictionaries(_TEXT, _VALUE, max_size=6)
_ROW = st.integers(0, 2**62)


def model_hash(row: int, flags: int, name: str, metadata: str | None, title: str | None, text: str) -> bytes:
    sizes = [len(name), -1 if metadata is None else len(metadata), -1 if title is None else len(title), len(text)]
    whole = f"{row} {flags} {sizes} {name}{metadata or ''}{title or ''}{text}"
    return hashlib.blake2b(whole.encode(), digest_size=16).digest()


def fetched(row: int, name: str, metadata: str | None, title: str | None, text: str) -> tuple[Any, ...]:
    return row, name, 2, model_hash(row, 2, name, metadata, title, text), metadata, title, text


@settings(max_examples=200, deadline=None)
@given(_ROW, st.integers(0, 7), _TEXT, _OPTIONAL, _OPTIONAL, _TEXT)
def test_a_content_hash_is_that_of_its_definition(
    row: int, flags: int, name: str, metadata: str | None, title: str | None, text: str
) -> None:
    assert content_hash(row, flags, name, metadata, title, text) == model_hash(row, flags, name, metadata, title, text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_ROW, st.integers(0, 7), _TEXT, _OPTIONAL, _OPTIONAL, _TEXT), max_size=5))
def test_rows_of_the_table_hold_all_hashes(contents: list[tuple[int, int, str, str | None, str | None, str]]) -> None:
    columns = zip(*contents, strict=True) if contents else [()] * 6
    rows, flags, names, metadata, titles, texts = ([*each] for each in columns)
    made = list(content_rows(rows, Entries(names, flags, metadata, titles, texts)))
    expected = []
    for row, flag, name, json_text, title, text in contents:
        key = text_hash(joined_text(title, text)) if flag & EMBEDDED else None
        check = metadata_check(row, json_text)
        whole = model_hash(row, flag, name, json_text, title, text)
        expected.append((row, name, flag, whole, key, json_text, check, title, text))
    assert made == expected


def test_a_large_write_is_made_in_parts() -> None:
    count = 1234
    entries = Entries([str(i) for i in range(count)], [2] * count, [None] * count, [None] * count, ["text"] * count)
    made = list(content_rows(range(7, 7 + count), entries))
    assert [(row, name) for row, name, *_ in made] == [(7 + i, str(i)) for i in range(count)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_TEXT, st.none() | _OBJECT, _OPTIONAL, _TEXT), max_size=6), st.booleans(), st.randoms())
def test_checked_contents_are_those_of_json_loads(
    documents: list[tuple[str, dict[str, Any] | None, str | None, str]], compact: bool, random: Any
) -> None:
    written = [
        None if each is None else json.dumps(each, ensure_ascii=not compact, separators=(",", ":") if compact else None)
        for _, each, _, _ in documents
    ]
    entries = [
        fetched(row, name, metadata, title, text)
        for row, (metadata, (name, _, title, text)) in enumerate(zip(written, documents, strict=True))
    ]
    random.shuffle(entries)
    order = list(range(len(documents)))
    random.shuffle(order)
    found = _core.checked_contents(entries, order, json.loads)
    assert isinstance(found, list)
    expected = [(documents[i][0], documents[i][3], documents[i][2], documents[i][1] or {}) for i in order]
    assert found == expected
    # 1 == 1.0 == True, which must not be taken for each other; keys must keep their order.
    assert repr(found) == repr(expected)


_UNUSUAL = [
    '{"a":1e999}',
    '{"a":-0}',
    '{"a":-0.0}',
    '{"a":1E+2}',
    '{"a":0.1e-7}',
    '{"a":NaN}',
    '{"a":123456789012345678901}',
    '{"a":9999999999999999999}',
    '{"a":-9999999999999999999}',
    '{"a":999999999999999999,"b":-999999999999999999}',
    '{"a":1,"a":2}',
    '{"a" : 1}',
    "[1]",
    '"x"',
    "3",
    "{}",
    '{"":[{},[]]}',
    '{"a":true,"b":false,"c":null}',
    " {} ",
    '{"a":' + "[" * 30 + "]" * 30 + "}",
]
_WRONG = [
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{"a":01}',
    '{"a":.5}',
    '{"a":5.}',
    '{"a":1e}',
    '{"a":-}',
    '{"a":+1}',
    '{"a":tru}',
    '{"a":1}x',
    '{"a":[1,]}',
    '{"a":"b}',
    "{a:1}",
    '{"a":1_0}',
    '{"a":0x1}',
    '{"a":inf}',
    '{"a":"\n"}',
    "",
]


@pytest.mark.parametrize("text", _UNUSUAL)
def test_unusual_json_is_read_as_by_python(text: str) -> None:
    found = _core.checked_contents([fetched(1, "n", text, None, "t")], [1], json.loads)
    assert repr(found) == repr([("n", "t", None, json.loads(text))])


@pytest.mark.parametrize("text", _WRONG)
def test_what_is_no_json_names_its_row(text: str) -> None:
    assert _core.checked_contents([fetched(5, "n", text, None, "t")], [5], json.loads) == 5


def test_damage_and_absence_are_told_apart() -> None:
    whole = fetched(3, "n", '{"a":1}', "title", "text")
    assert _core.checked_contents([whole], [3, 4], json.loads) is None
    for column, value in enumerate((4, "m", 3, b"0" * 16, '{"a":2}', None, "texT")):
        damaged = (*whole[:column], value, *whole[column + 1 :])
        assert _core.checked_contents([damaged], [3], json.loads) == damaged[0]
    for column, value in enumerate(("3", b"n", "2", "hash", 7, 8.0, None)):  # columns of SQLite hold values of any type
        damaged = (*whole[:column], value, *whole[column + 1 :])
        assert _core.checked_contents([damaged], [3], json.loads) == (3 if column else -1)
        if column != 3:
            row, name, flags, _, metadata, title, text = damaged
            with pytest.raises(TypeError):
                content_hash(row, flags, name, metadata, title, text)


def test_metadata_of_two_documents_shares_nothing() -> None:
    entries = [fetched(row, str(row), '{"a":[1],"b":{"c":2}}', None, "") for row in range(3)]
    found = _core.checked_contents(entries, [0, 1, 2], json.loads)
    assert isinstance(found, list)
    found[0][3]["a"].append(2)
    found[0][3]["b"]["c"] = 3
    assert [each[3] for each in found[1:]] == [{"a": [1], "b": {"c": 2}}] * 2


def test_plain_hits_are_what_the_class_makes_of_the_same_values() -> None:
    contents: list[tuple[str, str, str | None, dict[str, Any]]] = [("a", "A", None, {"x": 1}), ("b", "B", "title", {})]
    scores, dense, lexical = np.array([0.75, 0.5]), np.array([0.1, np.nan]), np.array([np.nan, 2.0])
    hits = _core.plain_hits(Hit, contents, scores, dense, lexical, 11)
    expected = [Hit("a", "A", None, {"x": 1}, 0.75, 11, 0.1, None), Hit("b", "B", "title", {}, 0.5, 12, None, 2.0)]
    assert hits == expected
    assert [repr(hit) for hit in hits] == [repr(hit) for hit in expected]
    assert type(hits[0].rank) is int
    assert type(hits[0].score) is float
    assert hits[0].metadata is contents[0][3]
    with pytest.raises(AttributeError):
        hits[0].score = 1.0  # type: ignore[misc]


def test_plain_hits_takes_single_precision_and_strides() -> None:
    contents: list[tuple[str, str, str | None, dict[str, Any]]] = [("a", "", None, {}), ("b", "", None, {})]
    scores = np.array([0.1, 7, 0.2], dtype=np.float32)[::2]
    hits = _core.plain_hits(Hit, contents, scores, scores, scores, 1)  # type: ignore[arg-type]
    assert [hit.score for hit in hits] == scores.tolist()


def test_plain_hits_refuses_what_does_not_fit() -> None:
    nothing = np.empty(0)
    with pytest.raises(InvalidInputError):
        _core.plain_hits(Hit, [("a", "", None, {})], nothing, nothing, nothing, 1)

    class Derived(dict[str, int]):
        __slots__ = Hit.__slots__

    class Lacking:
        __slots__ = ("id", "text")

    for wrong, error in ((Derived, TypeError), (Lacking, AttributeError), (dict, TypeError)):
        with pytest.raises(error):
            _core.plain_hits(wrong, [], nothing, nothing, nothing, 1)
    with pytest.raises(TypeError):
        _core.plain_hits(Hit, ["abcd"], np.ones(1), np.ones(1), np.array([math.nan]), 1)  # type: ignore[list-item]


def test_text_of_derived_classes_is_kept_as_str(tmp_path: Path) -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    documents = [
        {"id": np.str_("a"), "text": np.str_("hello"), "title": np.str_("first")},
        Document(Text("b"), Text("hello"), {Text("key"): Text("value")}, title=Text("second")),
        Text("hello alone"),
    ]
    with HybridIndex(tmp_path / "kb") as index, HybridIndex() as memory:
        for each in (index, memory):
            each.add(documents)
            hits = each.search("hello", mode="lexical")
            assert {(hit.text, hit.title) for hit in hits} == {
                ("hello", "first"),
                ("hello", "second"),
                ("hello alone", None),
            }
            assert {type(text) for hit in hits for text in (hit.id, hit.text)} == {str}
            assert each.delete(["a", "b"]) == 2
