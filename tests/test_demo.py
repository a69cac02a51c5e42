"""The demo: real documents, answers in three modes, output that fits the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sightline import demo, demo_corpus


@pytest.fixture(scope="module")
def corpus():
    return demo_corpus.collect()


def test_corpus_is_large_distinct_and_sourced(corpus):
    assert len(corpus) > 8000
    assert len({document.id for document in corpus}) == len(corpus)
    assert len({document.text for document in corpus}) == len(corpus)
    by_id = {document.id: document for document in corpus}
    dumps = by_id["json.dumps"]
    assert dumps.title == "json.dumps"
    assert dumps.text.startswith("def dumps(obj, *, skipkeys=False")
    assert dumps.metadata["source"] == os.path.join("json", "__init__.py")
    assert dumps.metadata["kind"] == "function"
    assert dumps.metadata["line"] > 0
    assert {"builtins.str.split", "tempfile.TemporaryDirectory", "topic:with"} <= by_id.keys()
    assert {document.metadata["kind"] for document in corpus} == {"module", "class", "function", "method", "topic"}
    assert max(len(document.text) for document in corpus) < 50_000


def test_collecting_runs_no_library_code():
    code = (
        "import sys; from sightline.demo_corpus import collect; collect(); "
        "loaded = {'antigravity', 'this', 'turtle', 'tkinter', 'idlelib'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.fixture
def small(corpus, monkeypatch):
    """A demo over a thirtieth of the documents."""
    monkeypatch.setattr(demo_corpus, "collect", lambda report: corpus[::30])


@pytest.mark.parametrize("columns", [50, 80, 140])
def test_tables_fit_the_terminal(small, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    demo.run("how do I [parse] a date?")
    out = capsys.readouterr().out
    assert all(len(line) <= columns for line in out.splitlines())
    for part in ("how do I [parse] a date?", "lexical", "dense", "hybrid", "cosine", "BM25", "ms", "documents"):
        assert part in out


def test_json_is_all_that_is_printed(small, capsys):
    demo.run("zzzz", as_json=True)
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert captured.err == ""
    assert data["answers"][0]["question"] == "zzzz"
    assert data["answers"][0]["modes"]["lexical"]["hits"] == []
    assert data["documents"] > 200


@pytest.mark.slow
def test_the_whole_demo():
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "demo", "--json"], capture_output=True, text=True, timeout=180, check=True
    )
    data = json.loads(done.stdout)
    assert data["documents"] > 8000
    assert set(data["seconds"]) == {"read documentation", "fit embedding", "embed", "index dense, lexical"}
    assert len(data["answers"]) == len(demo.QUESTIONS)
    for answer in data["answers"]:
        for mode in ("lexical", "dense", "hybrid"):
            hits = answer["modes"][mode]["hits"]
            assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
            assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    keyword = next(answer for answer in data["answers"] if answer["question"].startswith("asyncio.gather"))
    assert keyword["modes"]["lexical"]["hits"][0]["id"].startswith("asyncio.tasks.gather")
