"""OpenAIEmbedder against a server in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline.openai_embed
from embedding_server import Server, serving, vector_of
from sightline import Document, HybridIndex, IncompatibleIndexError, InvalidInputError, ModelError, OpenAIEmbedder


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightline.openai_embed, "_FIRST_PAUSE", 0.01)


def test_batches_prefixes_and_the_key(server: Server) -> None:
    embedder = OpenAIEmbedder(
        server.url + "/",
        "tiny",
        api_key="secret",
        dimensions=3,
        batch_size=2,
        query_prefix="q: ",
        document_prefix="d: ",
    )
    vectors = embedder(["a", "bb", "ccc"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [vector_of("d: a"), vector_of("d: bb"), vector_of("d: ccc")]
    assert embedder.embed_queries(["x"]).tolist() == [vector_of("q: x")]
    assert [request[2]["input"] for request in server.requests] == [["d: a", "d: bb"], ["d: ccc"], ["q: x"]]
    for path, headers, body in server.requests:
        assert path == "/v1/embeddings"
        assert headers["Authorization"] == "Bearer secret"
        assert (body["model"], body["dimensions"], body["encoding_format"]) == ("tiny", 3, "float")
    assert len(server.connections) == 2  # one a call
    assert "secret" not in repr(embedder)
    assert embedder([]).shape == (0, 0)


def test_what_may_be_better_in_a_moment_is_tried_again(server: Server) -> None:
    server.script = [(503, {}), (429, {"Retry-After": "0.01"}), (500, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})]
    assert OpenAIEmbedder(server.url, "tiny", retries=3)(["a"]).tolist() == [vector_of("a")]
    assert len(server.requests) == 4
    server.script = [(503, {})] * 3
    with pytest.raises(ModelError, match=r"answered 503 .*: not now \(after 3 attempts\)"):
        OpenAIEmbedder(server.url, "tiny", retries=2)(["a"])


def test_a_refusal_is_not_tried_again(server: Server) -> None:
    server.script = [(401, {})]
    with pytest.raises(ModelError, match="answered 401 Unauthorized: not now") as caught:
        OpenAIEmbedder(server.url, "tiny", api_key="secret")(["a"])
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_timeout_and_a_closed_port(server: Server) -> None:
    server.script = [lambda: time.sleep(0.5)] * 2
    embedder = OpenAIEmbedder(server.url, "tiny", timeout=0.1, retries=1)
    with pytest.raises(ModelError, match=r"cannot be reached: timed out \(after 2 attempts\)"):
        embedder(["a"])
    assert embedder(["a"]).tolist() == [vector_of("a")]  # on a new connection
    with pytest.raises(ModelError, match="cannot be reached"):
        OpenAIEmbedder("http://127.0.0.1:9", "tiny", retries=0)(["a"])


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"[]",
        b'{"data": []}',
        b'{"data": [{"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": ["x"]}]}',
        b'{"data": [{"index": 0, "embedding": 5}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]}',
    ],
)
def test_other_answers_are_errors(server: Server, answer: bytes) -> None:
    server.script = [answer]
    with pytest.raises(ModelError, match="expected 1 embeddings, got something else"):
        OpenAIEmbedder(server.url, "tiny")(["a"])


def test_vectors_of_several_dimensions_are_an_error(server: Server) -> None:
    server.script = [b'{"data": [{"index": 0, "embedding": [1, 2]}]}']
    with pytest.raises(ModelError, match=r"answered vectors of \[2, 3\] dimensions"):
        OpenAIEmbedder(server.url, "tiny", batch_size=1)(["a", "b"])


def test_an_index_keeps_the_model_and_asks_once_a_text(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with HybridIndex(folder, OpenAIEmbedder(server.url, "tiny")) as index:
        index.add([Document("a", "banana"), Document("b", "cherry")])
        assert index.search("banana", 1, mode="dense")[0].id == "a"
        index.upsert([Document("a", "banana", {"seen": True})])
        server.script = [(400, {})]
        with pytest.raises(ModelError):
            index.add([Document("c", "new")])
        assert len(index) == 2
    assert [request[2]["input"] for request in server.requests] == [["banana", "cherry"], ["banana"], ["new"]]
    with pytest.raises(IncompatibleIndexError, match="embedder: the index was made with 'tiny'"):
        HybridIndex(folder, OpenAIEmbedder(server.url, "large"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": "http://host:port/"}, "base_url"),
        ({"base_url": 5}, "base_url"),
        ({"model": ""}, "model"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"batch_size": 0}, "batch_size"),
        ({"dimensions": 0}, "dimensions"),
        ({"query_prefix": None}, "query_prefix"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"base_url": "http://localhost:8000/v1", "model": "tiny"} | arguments
    with pytest.raises(InvalidInputError, match=message):
        OpenAIEmbedder(options.pop("base_url"), options.pop("model"), **options)
