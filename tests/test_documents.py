"""What may go into an index, and which message answers what may not."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.documents import Document, Hit, _parse, parsed_documents, read_documents
from sightline.errors import InvalidInputError


def read(documents, batch_size=2):
    return [document for batch in read_documents(documents, batch_size) for document in batch]


def test_three_kinds_of_documents_in_batches():
    batches = list(read_documents(iter([Document("a", "x"), {"id": "b", "text": "y", "title": "t"}, "z"]), 2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert batches[0] == [Document("a", "x"), Document("b", "y", title="t")]
    assert batches[1][0].text == "z"


def test_generated_ids_are_distinct():
    ids = {document.id for document in read(["same"] * 50 + [{"text": "same"}] * 50)}
    assert len(ids) == 100
    assert all(len(name) == 32 for name in ids)


def test_documents_and_hits_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Document("a", "x").text = "y"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Hit("a", "x", None, {}, 1.0, 1).score = 2.0  # type: ignore[misc]


def test_metadata_becomes_plain_json_of_its_own():
    tags = ["a", ("b", np.int64(3))]
    metadata = {
        "date": datetime.date(2024, 5, 1),
        "time": datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.timezone.utc),
        "numpy": np.float32(0.5),
        "flag": np.bool_(True),
        "stamp": np.datetime64("2024-05-01T00:00:00.000000001"),
        "tags": tags,
        "nested": {"x": None},
    }
    (document,) = read([{"id": "a", "text": "", "metadata": metadata}])
    assert document.metadata == {
        "date": "2024-05-01",
        "time": "2024-05-01T12:00:00+00:00",
        "numpy": 0.5,
        "flag": True,
        "stamp": "2024-05-01T00:00:00",
        "tags": ["a", ["b", 3]],
        "nested": {"x": None},
    }
    assert type(document.metadata["flag"]) is bool
    tags.append("c")
    assert len(document.metadata["tags"]) == 2


def test_vectors_are_copied_to_float32():
    vector = np.array([1.0, 2.0], dtype=np.float32)
    (document,) = read([Document("a", "", vector=vector)])
    vector[0] = 9
    assert document.vector.dtype == np.float32
    assert document.vector.tolist() == [1.0, 2.0]


def _cycle():
    metadata: dict = {}
    metadata["self"] = metadata
    return metadata


def _list_cycle():
    inner: list = []
    inner.append(inner)
    return {"x": inner}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("text", "documents: expected an iterable .* got one str; wrap"),
        (Document("a", "x"), "got one Document"),
        ({"id": "a", "text": "x"}, "got one dict"),
        (5, "got one int"),
        (["a", 5], r"documents\[1\]: expected a Document, dict or str, got int"),
        ([{"text": "x", "txt": 1}], r"documents\[0\]: unknown key 'txt'"),
        ([{"id": "a"}], r"documents\[0\]: needs a text or a vector"),
        ([Document(5, "x")], r"documents\[0\]: id: expected a str, got int 5; convert"),
        ([Document(None, "x")], "id: expected a str"),
        ([Document("", "x")], "non-empty"),
        ([Document("a", None)], r"documents\[0\] \(id 'a'\): text: expected a str, got NoneType"),
        ([Document("a", b"x")], "text: expected a str, got bytes"),
        ([Document("a", "x", title=3)], "title: expected a str or None"),
        ([Document("a", "x\ud800")], "lone surrogate at character 1"),
        ([Document("a", "x", title="\ud800")], "lone surrogate"),
        ([Document("\ud800", "x")], "lone surrogate"),
        (["\ud800"], "lone surrogate"),
        ([Document("a", "x", ["m"])], "metadata: expected a dict, got list"),
        ([Document("a", "x", {1: 2})], "keys must be non-empty str, got 1"),
        ([Document("a", "x", {"": 2})], "keys must be non-empty str"),
        ([Document("a", "x", {"$a": 2})], "begins with '\\$'"),
        ([Document("a", "x", {"k": "\ud800"})], r"metadata\['k'\]: holds a lone surrogate"),
        ([Document("a", "x", {"k": {1, 2}})], r"metadata\['k'\]: expected a str.* got set"),
        ([Document("a", "x", {"k": [object()]})], r"metadata\['k'\]\[0\]: expected"),
        ([Document("a", "x", {"k": float("nan")})], "not a JSON number"),
        ([Document("a", "x", {"k": 2**64 + 1})], "integers beyond"),
        ([Document("a", "x", {"k": np.timedelta64(5, "ns")})], r"metadata\['k'\]: is a duration"),
        ([Document("a", "x", {"k": [np.timedelta64(5, "s")]})], r"metadata\['k'\]\[0\]: is a duration"),
        ([Document("a", "x", {"k": datetime.timedelta(1)})], r"metadata\['k'\]: expected"),
        ([Document("a", "x", {"k": np.datetime64("20000-01-01")})], "outside the years 1 to 9999"),
        ([Document("a", "x", _cycle())], "nested deeper"),
        ([Document("a", "x", _list_cycle())], "nested deeper"),
        ([Document("a", "x", vector="abc")], r"\(id 'a'\): vector: expected 1-D numbers"),
        ([Document("a", "x", vector=["1", "2"])], r"\(id 'a'\): vector: expected 1-D numbers, got list of dtype <U1"),
        ([Document("a", "x", vector=np.array(["1", "2"]))], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=np.array([b"1"]))], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[True, False])], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[1 + 0j])], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[None])], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[10**400])], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[[1.0], [1.0, 2.0]])], "vector: expected 1-D numbers"),
        ([Document("a", "x", vector=[[1.0]])], r"expected shape \(dim,\), got \(1, 1\)"),
        ([Document("a", "x", vector=[])], r"expected shape \(dim,\)"),
        ([Document("a", "x", vector=[1.0, float("nan")])], "NaN or infinity"),
        ([Document("a", "x", vector=[1e300])], "NaN or infinity"),
        ([Document("a", "x", vector=[0.0, 0.0])], "all zeros"),
        ([Document("a", "x", vector=[1e-300, 0.0])], "all zeros"),
    ],
)
def test_bad_documents(documents, message):
    with pytest.raises(InvalidInputError, match=message):
        read(documents)


# What the native core reads, or leaves to Python: both must say the same.


class _Dict(dict):
    pass


class _Str(str):
    pass


_TEXT = st.sampled_from(["", "a", "é", "日本", "\U0001f600", "\x00", "\ud800", _Str("s"), np.str_("n"), b"x", None, 5])
_VECTOR = st.sampled_from(
    [
        None,
        np.ones(3, dtype=np.float32),
        np.arange(37, dtype=np.float32),
        np.ones(6, dtype=np.float32)[::2],
        np.ones(3, dtype=">f4"),
        np.ones(3),
        np.ones((1, 3), dtype=np.float32),
        np.zeros(3, dtype=np.float32),
        np.empty(0, dtype=np.float32),
        np.array([1, np.nan, 1], dtype=np.float32),
        np.array([1e30, 1, 1], dtype=np.float32),  # whose square overflows
        np.array([1e-30, 0, 0], dtype=np.float32),  # whose square vanishes
        np.array([np.inf, 1, 1], dtype=np.float32),
        np.ma.masked_array(np.ones(3, dtype=np.float32)),
        np.frombuffer(b"\0" + np.ones(3, dtype="<f4").tobytes(), dtype="<f4", offset=1),  # not aligned
        [1, 2.5, 3],
        "abc",
        3.0,
    ]
)
_METADATA = st.sampled_from(
    [None, {}, {"k": 1}, {"k": [1, "x"]}, {"k": {"deep": 1}}, {"$k": 1}, {"k": np.int64(3)}, {1: 2}, _Dict(k=1), ["m"]]
)
_FIELDS = {"id": _TEXT, "text": _TEXT, "metadata": _METADATA, "vector": _VECTOR, "title": _TEXT}
_ITEM = (
    st.builds(Document, **_FIELDS)
    | st.fixed_dictionaries({}, optional=_FIELDS)
    | st.fixed_dictionaries({}, optional=_FIELDS).map(_Dict)
    | st.fixed_dictionaries({"id": _TEXT, "text": _TEXT}, optional={"other": _TEXT})
    | _TEXT
)


def _read_one(item: object) -> tuple[object, ...]:
    """What Python alone makes of an item, comparable."""
    try:
        document, vector = _parse(item, 0)
    except InvalidInputError as error:
        return ("error", str(error))
    return (*_shown(document), None if vector is None else vector.tolist())


def _shown(document: Document) -> tuple[object, ...]:
    # repr tells 1 from True and "s" from np.str_("s"). An id that nobody gave is 32 random characters.
    name = "given" if len(document.id) == 32 else repr(document.id)
    return name, repr(document.text), repr(document.metadata), repr(document.title)


@settings(max_examples=400, deadline=None)
@given(st.lists(_ITEM, max_size=5), st.integers(1, 6))
def test_documents_are_read_as_python_reads_them(items: list[object], batch_size: int) -> None:
    expected = [_read_one(item) for item in items]
    wrong = next((i for i, each in enumerate(expected) if each[0] == "error"), None)
    found = []
    with contextlib.ExitStack() as stack:
        if wrong is not None:
            message = expected[wrong][1].replace("documents[0]", f"documents[{wrong}]")  # type: ignore[attr-defined]
            stack.enter_context(pytest.raises(InvalidInputError, match=f"^{re.escape(message)}$"))
            expected = expected[: wrong - wrong % batch_size]
        for documents, vectors, matrix in parsed_documents(iter(items), batch_size):
            given_vectors = [vector for vector in vectors if vector is not None]
            if matrix is not None:
                assert matrix.dtype == np.float32
                assert matrix.tolist() == [vector.tolist() for vector in given_vectors]
            else:
                assert len({len(vector) for vector in given_vectors}) != 1
            found += [
                (*_shown(document), None if vector is None else vector.tolist())
                for document, vector in zip(documents, vectors, strict=True)
            ]
            assert all(document.vector is None for document in documents)
    assert found == expected


def test_a_stream_may_reuse_its_memory():
    def stream():
        vector, metadata, item = np.ones(3, dtype=np.float32), {"n": 0, "tags": []}, {}
        for number in range(5):
            vector[:] = number + 1
            metadata["n"] = number
            metadata["tags"].append(number)
            item.update(id=str(number), text=f"text {number}", vector=vector, metadata=metadata)
            yield item

    found = read(stream(), 3)
    assert [document.text for document in found] == [f"text {number}" for number in range(5)]
    assert [document.metadata["n"] for document in found] == list(range(5))
    assert [len(document.metadata["tags"]) for document in found] == [1, 2, 3, 4, 5]
    assert [document.vector.tolist() for document in found] == [[number + 1.0] * 3 for number in range(5)]


@pytest.mark.parametrize("hint", [0, 1, 3, 10**6])
def test_a_stream_may_be_wrong_about_its_length(hint):
    class Stream:
        def __init__(self):
            self.left = [Document(str(i), "x", vector=np.full(2, i + 1, dtype=np.float32)) for i in range(5)]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

        def __length_hint__(self):
            return hint

    assert [document.vector.tolist() for document in read(Stream(), 4)] == [[i + 1.0] * 2 for i in range(5)]


@pytest.mark.parametrize("length", [-1, 2**80, NotImplementedError("no length")])
def test_a_length_that_is_of_no_use_is_no_error(length):
    class Stream:
        def __init__(self):
            self.left = iter([Document("a", "x", vector=np.ones(2, dtype=np.float32))])

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.left)

        def __length_hint__(self):
            if isinstance(length, Exception):
                raise length
            return length

    assert [document.id for document in read(Stream(), 4)] == ["a"]


@pytest.mark.parametrize("batch_size", [10**30, 10**9, 1500])
def test_a_batch_may_be_larger_than_the_stream(batch_size):
    stream = (Document(str(i), "x", vector=np.full(3, i + 1, dtype=np.float32)) for i in range(1100))
    ((documents, vectors, matrix),) = parsed_documents(stream, batch_size)
    assert len(documents) == 1100
    assert [vector.tolist() for vector in vectors] == [[i + 1.0] * 3 for i in range(1100)]
    assert matrix is None


def test_what_a_stream_raises_comes_through():
    def stream():
        yield Document("a", "x")
        raise KeyError("of the stream")

    with pytest.raises(KeyError, match="of the stream"):
        read(stream())
