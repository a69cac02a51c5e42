"""What may go into an index, and which message answers what may not."""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
import pytest

from sightline.documents import Document, Hit, read_documents
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
