"""Answers: the prompt, citations and what they point to, and a local server that speaks the chat protocol."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sightline import (
    Answerer,
    Document,
    HybridIndex,
    InvalidInputError,
    ModelError,
    OpenAIChat,
    SightlineError,
    answer,
    chunk_documents,
)
from sightline.answering import NOTHING_FOUND

GUIDE = "Passwords are reset under Settings. They must have twelve characters.\n\nInvoices are sent monthly."
DOCUMENTS = [
    *chunk_documents([Document("guide", GUIDE, title="Guide")], max_tokens=12),
    Document("limit-1", "The upload limit is 10 MB.", {"topic": "limit", "date": "2023-01-01"}),
    Document("limit-2", "The upload limit is 50 MB.", {"topic": "limit", "date": "2025-06-01"}),
]


@pytest.fixture
def index():
    index = HybridIndex()
    index.add(DOCUMENTS)
    return index


def test_citations_resolve_to_documents_and_spans(index):
    seen = []

    def model(messages):
        seen.append(messages)
        return "Under Settings [1]. Twelve characters [1; 9]. Never mind [12]."

    found = answer(index, "How are passwords reset?", model, k=2)
    source = found.sources[0]
    assert (source.document, GUIDE[source.start : source.end]) == ("guide", source.text)
    assert "Settings" in source.text
    assert [(c.number, c.source) for c in found.citations] == [(1, source), (1, source), (9, None), (12, None)]
    assert [c.number for c in found.unresolved] == [9, 12]
    assert found.cited == [source]
    assert all(found.text[c.start] == "[" and found.text[c.end - 1] == "]" for c in found.citations)
    system, user = seen[0]
    assert (system["role"], user["role"]) == ("system", "user")
    assert "say that they do not" in system["content"]
    assert user["content"].startswith("Sources:\n\n[1] Guide\nPasswords are reset")
    assert user["content"].endswith("Question: How are passwords reset?")


def test_a_document_that_is_no_chunk_is_its_own_source(index):
    found = answer(index, "upload limit", lambda messages: "50 MB [1]", k=1)
    source = found.cited[0]
    assert (source.document, source.start, source.end) == (source.id, 0, len(source.text))


def test_the_newest_version_comes_first(index):
    answerer = Answerer(index, str, version_of="topic", newest_by="date", k=5)
    sources = answerer.sources("upload limit 10 MB passwords")
    assert [s.id for s in sources if s.id.startswith("limit")] == ["limit-2", "limit-1"]
    places = [s.id.startswith("limit") for s in Answerer(index, str, k=5).sources("upload limit 10 MB passwords")]
    assert [s.id.startswith("limit") for s in sources] == places  # versions trade places only among themselves
    prompt = answerer.messages("q", sources)[1]["content"]
    assert prompt.index("(version: 2025-06-01)") < prompt.index("(version: 2023-01-01)")
    index.upsert([Document("limit-2", "The upload limit is 50 MB.", {"topic": "limit", "date": 5})])
    with pytest.raises(InvalidInputError, match="newest_by: 'date' holds numbers and strings"):
        answerer.sources("upload limit")


def test_the_budget_holds_for_all_sources_together(index):
    def tokens(sources):
        return sum(len(f"{s.title or ''} {s.text}".split()) for s in sources)

    for budget in (6, 8, 14, 100):
        answerer = Answerer(index, str, max_source_tokens=budget, tokenizer=lambda text: len(text.split()))
        sources = answerer.sources("upload limit passwords invoices")
        assert 0 < tokens(sources) <= budget
        assert [s.number for s in sources] == list(range(1, len(sources) + 1))
    with pytest.raises(InvalidInputError, match="none of 4 hits fits into 1"):
        Answerer(index, str, max_source_tokens=1).sources("upload limit passwords invoices")


def test_without_sources_the_model_is_not_called(index):
    def model(messages):
        raise AssertionError("called")

    found = answer(index, "zebra", model)
    assert (found.text, found.sources, found.citations) == (NOTHING_FOUND, (), ())


def test_streaming_and_async(index):
    pieces = ["Under ", "Settings [", "1", "]."]
    answerer = Answerer(index, lambda messages: iter(pieces))
    stream = answerer.stream("passwords")
    received = []
    for piece in stream:
        received.append(piece)
        if len(received) < len(pieces):
            with pytest.raises(SightlineError, match="not complete"):
                _ = stream.answer
    assert received == pieces
    assert [c.number for c in stream.answer.citations] == [1]
    assert answerer.ask("passwords") == stream.answer

    async def read():
        streamed = answerer.stream("passwords")
        assert [piece async for piece in streamed] == pieces
        assert streamed.answer == stream.answer
        assert await answerer.aask("passwords") == stream.answer

    asyncio.run(read())


PIECES = ["Under ", "Settings [", "1", "]."]


async def whole(messages):
    await asyncio.sleep(0)
    return "".join(PIECES)


async def pieces(messages):
    for piece in PIECES:
        await asyncio.sleep(0)
        yield piece


class Callable:
    async def __call__(self, messages):
        return await whole(messages)


def awaited(messages):
    return whole(messages)  # not known to be asynchronous until it is called


@pytest.mark.parametrize(
    "model", [whole, pieces, Callable(), awaited, lambda messages: iter(PIECES), lambda m: "".join(PIECES)]
)
def test_models_of_every_kind(index, model):
    expected = answer(index, "passwords", lambda messages: "".join(PIECES))

    async def read():
        assert await Answerer(index, model).aask("passwords") == expected
        stream = await Answerer(index, model).astream("passwords")
        assert stream.sources == expected.sources
        assert "".join([piece async for piece in stream]) == expected.text
        assert stream.answer == expected
        assert (await Answerer(index, model).aask("zebra")).text == NOTHING_FOUND

    asyncio.run(read())


@pytest.mark.parametrize(
    ("model", "message"), [(whole, "is asynchronous; use aask"), (awaited, "returned an awaitable")]
)
def test_an_asynchronous_model_is_not_called_from_synchronous_code(index, model, message):
    with pytest.raises(InvalidInputError, match=message):
        Answerer(index, model).ask("passwords")


def test_the_event_loop_goes_on_meanwhile(index):
    """LangChain issue 30704: methods that are async by name and block."""
    release = threading.Event()

    def model(messages):
        assert release.wait(20)  # set below, by the loop that this must not block
        yield "Under Settings "
        assert release.wait(20)
        yield "[1]."

    class SlowIndex:
        def search(self, *arguments, **options):
            assert release.wait(20)
            return index.search(*arguments, **options)

        asearch = None

    async def read():
        task = asyncio.create_task(Answerer(SlowIndex(), model).aask("passwords"))
        await asyncio.sleep(0.05)
        assert not task.done()
        release.set()
        assert (await task).text == "Under Settings [1]."

    asyncio.run(read())


def test_a_stream_that_is_given_up_ends_the_connection(index):
    closed = []

    def model(messages):
        try:
            yield from PIECES
        finally:
            closed.append(True)

    with Answerer(index, model).stream("passwords") as stream:
        assert next(iter(stream)) == PIECES[0]
        assert not closed
    assert closed == [True]
    with pytest.raises(SightlineError, match="not complete"):
        _ = stream.answer


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a [1] b [2][3]", [1, 2, 3]),
        ("[1, 3; 2]", [1, 3, 2]),
        ("[1-3] [2\u20133, 5]", [1, 2, 3, 2, 3, 5]),
        ("[Source 2] [sources 1, 4] [^3] \u30101\u3011", [2, 1, 4, 3, 1]),
        ("[3-1] [1-1999]", [3, 1, 1, 1999]),
        ("[one] (1) [1a] x[i] [] [1 2]", []),
    ],
)
def test_how_models_write_citations(index, text, numbers):
    found = answer(index, "passwords limit", lambda messages: text, k=2)
    assert [c.number for c in found.citations] == numbers
    assert [c.number for c in found.unresolved] == [n for n in numbers if n > 2]
    assert all(text[c.start] in "[\u3010" and text[c.end - 1] in "]\u3011" for c in found.citations)


def test_options_of_a_question_replace_those_of_the_class(index):
    answerer = Answerer(index, str, where={"topic": "limit"}, k=1)
    assert [s.id for s in answerer.sources("limit", k=5)] == [s.id for s in answerer.sources("limit", k=2)]
    assert answerer.sources("limit", where={"date": "2023-01-01"})[0].id == "limit-1"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: Answerer(i, "gpt"), "model: expected a callable"),
        (lambda i: Answerer(i, str, version_of="topic"), "version_of and newest_by: give both"),
        (lambda i: Answerer(i, str, k=0), "k: expected an integer >= 1"),
        (lambda i: Answerer(i, str, max_source_tokens=0), "max_source_tokens: expected an integer >= 1"),
        (lambda i: answer(i, "passwords", lambda messages: 5), "model: expected a str or an iterator of str, got int"),
        (lambda i: answer(i, "passwords", lambda messages: [5]), "model: expected pieces of text, got int"),
        (lambda i: Answerer(i, str).messages(" ", []), "question: expected a non-blank str"),
        (lambda i: OpenAIChat("localhost", "m"), "base_url: expected an http or https address"),
        (lambda i: OpenAIChat("file:///x", "m"), "base_url: expected an http or https address"),
        (lambda i: OpenAIChat("http://localhost", ""), "model: expected a name"),
        (lambda i: OpenAIChat("http://localhost", "m", timeout=0), "timeout: expected seconds above 0"),
    ],
)
def test_bad_calls(index, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(index)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers.get("Authorization"), body))
        status, text = self.server.reply(body)
        self.send_response(status)
        self.end_headers()
        for part in [text] if isinstance(text, str) else text:
            self.wfile.write(part.encode())
            self.wfile.flush()

    def log_message(self, *arguments):
        pass


def events(*pieces, end="data: [DONE]\n\n"):
    rows = [{"choices": [{"delta": {"role": "assistant"}}]}]
    rows += [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    rows += [{"choices": [], "usage": {"total_tokens": 5}}]
    return ": a comment\n\n" + "".join(f"data: {json.dumps(row)}\n\n" for row in rows) + end


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}/v1/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_that_streams_and_one_that_does_not(server, index):
    def reply(body):
        if body["stream"]:
            return 200, events("Under ", "Settings ", "[1].")
        return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": "Under Settings [1]."}}]})

    server.reply = reply
    for stream in (True, False):
        model = OpenAIChat(server.url, "tiny", api_key="secret", stream=stream, temperature=0)
        found = answer(index, "passwords", model)
        assert found.text == "Under Settings [1]."
        assert found.cited[0].document == "guide"
        path, authorization, body = server.requests[-1]
        assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
        assert (body["model"], body["temperature"], body["stream"]) == ("tiny", 0, stream)
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert "secret" not in repr(model)
    answerer = Answerer(index, OpenAIChat(server.url, "tiny"))
    assert list(answerer.stream("passwords")) == ["Under ", "Settings ", "[1]."]

    async def read():
        streamed = await answerer.astream("passwords")
        assert [piece async for piece in streamed] == ["Under ", "Settings ", "[1]."]
        assert streamed.answer == await answerer.aask("passwords")

    asyncio.run(read())


def test_pieces_come_as_the_endpoint_sends_them(server, index):
    """The first piece is there while the endpoint still holds back the rest, in both kinds of code."""
    first, rest = events("Under ", end=""), events("[1].").split("\n\n", 2)[2]
    gate = threading.Event()

    def held_back():
        yield first
        assert gate.wait(20)
        yield rest

    server.reply = lambda body: (200, held_back())
    answerer = Answerer(index, OpenAIChat(server.url, "tiny"))
    stream = iter(answerer.stream("passwords"))
    assert next(stream) == "Under "
    gate.set()
    assert list(stream) == ["[1]."]
    gate.clear()

    async def read():
        streamed = await answerer.astream("passwords")
        received = []
        async for piece in streamed:
            received.append(piece)
            gate.set()
        assert received == ["Under ", "[1]."]

    asyncio.run(read())


@pytest.mark.parametrize(
    ("stream", "status", "text", "message"),
    [
        (False, 401, '{"error": "no key"}', 'refused with status 401: {"error": "no key"}'),
        (False, 200, "<html>", "not JSON: '<html>'"),
        (False, 200, '{"choices": []}', r"has no choices\[0\].message"),
        (False, 200, '{"choices": [{"message": {"content": null}}]}', "has no text"),
        (False, 200, '{"error": {"message": "overloaded"}}', "reported an error"),
        (True, 500, "down", "refused with status 500: down"),
        (True, 200, events("Under ", end=""), "broke off before its end"),
        (True, 200, 'data: {"error": "overloaded"}\n\n', "reported an error: overloaded"),
        (True, 200, "data: {\n\n", "not JSON"),
    ],
)
def test_what_an_endpoint_does_wrong(server, index, stream, status, text, message):
    server.reply = lambda body: (status, text)
    with pytest.raises(ModelError, match=message) as caught:
        answer(index, "passwords", OpenAIChat(server.url, "tiny", api_key="secret", stream=stream))
    assert "secret" not in str(caught.value)


def test_an_endpoint_that_is_not_there(index):
    with pytest.raises(ModelError, match="cannot be reached"):
        answer(index, "passwords", OpenAIChat("http://127.0.0.1:1/v1", "tiny", timeout=5))
