"""The commands index and search, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedding_server import serving
from sightline import HybridIndex, IncompatibleIndexError, InvalidInputError, LatentSemanticEmbedder, cli, load_embedder
from sightline.embed import SentenceTransformersEmbedder

TEXTS = {
    "cats.md": "# Cats\n\nA cat is a small animal that hunts mice.\n\n## Food\n\nCats eat meat and fish.\n",
    "dogs.txt": "A dog follows people and guards houses.",
    "boats.txt": "Boats cross oceans and rivers.",
}


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_index_and_search(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    report = as_json(capsys, "index", docs, "--into", kb)
    assert sorted(Path(name).name for name in report["added"]) == sorted(TEXTS)
    assert (report["chunks_written"], report["documents"], report["unchanged"]) == (4, 4, 0)
    found = as_json(capsys, "search", kb, "what do cats eat?", "--k", "2")
    assert found["query"] == "what do cats eat?"
    best = found["hits"][0]
    assert (best["title"], best["text"]) == ("Cats > Food", "## Food\n\nCats eat meat and fish.")
    assert (best["metadata"]["path"], best["rank"], best["explanation"]) == (f"{docs}/cats.md", 1, None)
    assert TEXTS["cats.md"][best["metadata"]["start"] : best["metadata"]["end"]] == best["text"]

    where = json.dumps({"format": "text"})
    hits = as_json(capsys, "search", kb, "animal people houses", "--where", where, "--explain", "--mode", "lexical")[
        "hits"
    ]
    assert [Path(hit["metadata"]["path"]).name for hit in hits] == ["dogs.txt"]
    assert {term["term"] for term in hits[0]["explanation"]["lexical"]["terms"]} >= {"hous", "peopl"}

    (docs / "dogs.txt").write_text("A dog barks.")
    (docs / "boats.txt").unlink()
    code, out, err = run(capsys, "index", docs, "--into", kb)
    assert (code, err) == (0, "")
    rows = dict(line.rsplit(maxsplit=1) for line in out.splitlines())
    assert {name.strip(): int(count) for name, count in rows.items()} == {
        "added": 0, "updated": 1, "unchanged": 1, "removed": 1, "without text": 0, "failed": 0,
        "chunks written": 1, "chunks removed": 1, "chunks in the index": 3,
    }  # fmt: skip
    assert as_json(capsys, "search", kb, "oceans")["hits"] == []
    assert as_json(capsys, "verify", kb)["intact"] is True


def test_search_for_people(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    assert run(capsys, "index", docs, "--into", kb, "--base", docs, "--progress")[0] == 0
    code, out, _ = run(capsys, "search", kb, "who eats fish", "--explain")
    assert code == 0
    assert "1  Cats > Food" in out
    assert "cats.md, characters 50 to 82" in out
    assert "terms: eat" in out
    assert "BM25" in out
    assert run(capsys, "search", kb, "zebra")[1] == "nothing found\n"


def test_an_embedder_fitted_on_the_documents_is_kept_and_used_again(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    assert as_json(capsys, "index", docs, "--into", kb, "--embedder", "lsa")["documents"] == 4
    hits = as_json(capsys, "search", kb, "guards", "--mode", "dense")["hits"]
    assert Path(hits[0]["metadata"]["path"]).name == "dogs.txt"
    assert hits[0]["dense_score"] > 0.5
    (docs / "more.txt").write_text("Fish in rivers.")
    for options in ((), ("--embedder", "lsa")):
        report = as_json(capsys, "index", docs, "--into", kb, *options)
        assert report["unchanged"] >= 3
    assert as_json(capsys, "search", kb, "rivers")["hits"][0]["dense_score"] is not None
    with HybridIndex.open(kb, read_only=True) as index:
        stats = index.stats()
        name = stats["settings"]["embedder"]
        assert stats["with_vector"] == stats["documents"] == 5
    with HybridIndex.open(kb, load_embedder(name, folder=kb)) as index:
        assert index.search("rivers", mode="hybrid", k=1)[0].dense_score is not None
    (kb / "latent-semantic.npz").unlink()
    code, _, err = run(capsys, "search", kb, "rivers")
    assert code == 1
    assert "latent-semantic.npz' cannot be read" in err
    LatentSemanticEmbedder().fit(["other words"]).save(kb / "latent-semantic.npz")
    assert "holds 'latent semantic, fit" in run(capsys, "search", kb, "rivers")[2]
    assert run(capsys, "search", kb, "rivers", "--mode", "lexical")[0] == 0


class FakeTransformer:
    def __init__(self, model):
        self.model = model

    def encode(self, texts, **options):
        return [[1.0 + text.count("a"), 1.0 + text.count("o"), float(len(self.model))] for text in texts]


@pytest.fixture
def local_models(monkeypatch):
    """Models by name without the package, which takes long to load."""

    def make(self, model, **options):
        self.name, self._model, self._batch_size = model, FakeTransformer(model), 64
        self._query_prefix = self._document_prefix = ""

    monkeypatch.setattr(SentenceTransformersEmbedder, "__init__", make)


@pytest.fixture
def embedding_url():
    with serving() as server:
        yield server.url


@pytest.mark.usefixtures("local_models")
def test_a_local_model_is_found_again(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    as_json(capsys, "index", docs, "--into", kb, "--embedder", "sentence-transformers:some/model")
    hits = as_json(capsys, "search", kb, "oceans")["hits"]
    assert len(hits) == 4
    assert all(hit["dense_score"] is not None for hit in hits)
    (docs / "new.txt").write_text("new")
    assert as_json(capsys, "index", docs, "--into", kb)["documents"] == 5
    for spec in ("sentence-transformers:other", "none", "lsa"):
        code, _, err = run(capsys, "index", docs, "--into", kb, "--embedder", spec)
        assert code == 1
        assert f"was made with sentence-transformers:some/model, got {spec}" in err


def test_an_endpoint_may_move(docs, tmp_path, capsys, embedding_url):
    kb = tmp_path / "kb"
    spec = f"openai:{embedding_url}#letters"
    as_json(capsys, "index", docs, "--into", kb, "--embedder", spec)
    best = as_json(capsys, "search", kb, "oceans")["hits"][0]
    assert best["dense_score"] is not None
    moved = spec.replace("127.0.0.1", "localhost")
    assert as_json(capsys, "search", kb, "oceans", "--embedder", moved)["hits"][0] == best
    code, _, err = run(capsys, "search", kb, "oceans", "--embedder", spec + "-new")
    assert code == 1
    assert "embedder: the index was made with" in err
    (docs / "new.txt").write_text("new")
    assert as_json(capsys, "index", docs, "--into", kb, "--embedder", moved)["documents"] == 5
    with HybridIndex.open(kb, read_only=True) as index:
        assert index.stats()["settings"]["embedder"] == spec


def test_errors_leave_nothing_behind(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    (docs / "bad.txt").write_bytes(b"\xff\xfe\x00")
    code, out, err = run(capsys, "index", docs, "--into", kb)
    assert (code, out) == (1, "")
    assert "bad.txt' is not text in utf-16" in err
    assert not kb.exists()
    code, out, err = run(capsys, "index", docs, "--into", kb, "--skip-errors")
    assert code == 0
    assert "failed: '" in err
    assert "bad.txt" in err
    report = as_json(capsys, "index", docs, "--into", kb, "--skip-errors")
    assert list(report["failed"]) == [f"{docs}/bad.txt"]
    for arguments, message in [
        (("index", docs / "no.txt", "--into", kb), "no.txt' does not exist"),
        (("index", docs, "--into", kb, "--embedder", "gpt"), "was made with none, got gpt"),
        (("index", docs, "--into", tmp_path / "new", "--embedder", "gpt"), "expected sentence-transformers:MODEL"),
        (("index", docs, "--into", kb, "--language", "german"), "analyzer: the index was made with"),
        (("index", docs, "--into", kb, "--max-tokens", "0"), "max_tokens: expected an integer >= 1"),
        (("search", tmp_path / "none", "x"), "holds no index"),
        (("search", kb, "x", "--where", "{"), "where: is not JSON"),
        (("search", kb, "x", "--where", "[]"), "where: expected an object"),
        (("search", kb, "x", "--mode", "exact"), "mode"),
        (("search", kb, "x", "--k", "0"), "k: expected an integer >= 1"),
    ]:
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, ""), arguments
        assert message in err
    assert not (tmp_path / "new").exists()


def test_vectors_that_only_a_program_can_make(docs, tmp_path, capsys):
    kb = tmp_path / "kb"
    with HybridIndex(kb, lambda texts: [[1.0, 2.0]] * len(texts)) as index:
        index.add(["from a program"])
    code, _, err = run(capsys, "search", kb, "program")
    assert code == 1
    assert "say --mode lexical" in err
    assert len(as_json(capsys, "search", kb, "program", "--mode", "lexical")["hits"]) == 1
    assert "write to it from its program" in run(capsys, "index", docs, "--into", kb)[2]


def test_names_of_embedders():
    for name in ("", "none", "sentence-transformers:", "openai:#m", "openai:http://x", "mine"):
        with pytest.raises(
            InvalidInputError, match=r"expected sentence-transformers:MODEL, fastembed:MODEL, .* or openai"
        ):
            load_embedder(name)
    with pytest.raises(InvalidInputError, match="expected a name, got NoneType"):
        load_embedder(None)
    with pytest.raises(InvalidInputError, match="give it as folder"):
        load_embedder("latent semantic, fit 0")
    embedder = load_embedder("openai:http://localhost:1/v1#a#b", api_key="k")
    assert (embedder.name, repr(embedder)) == (
        "openai:http://localhost:1/v1#a#b",
        "OpenAIEmbedder('http://localhost:1/v1/embeddings', 'openai:http://localhost:1/v1#a#b')",
    )


def test_an_index_refuses_the_embedder_of_another_fit(tmp_path):
    one = LatentSemanticEmbedder(dim=4).fit(["a cat sat", "a dog ran"])
    one.save(tmp_path / "one.npz")
    again = LatentSemanticEmbedder.load(tmp_path / "one.npz")
    with HybridIndex(tmp_path / "kb", one) as index:
        index.add(["a cat ran"])
    with HybridIndex(tmp_path / "kb", again) as index:
        assert index.search("cat", mode="dense")[0].dense_score == pytest.approx(
            one(["cat"])[0] @ one(["a cat ran"])[0]
        )
    with pytest.raises(IncompatibleIndexError):
        HybridIndex(tmp_path / "kb", LatentSemanticEmbedder(dim=4).fit(["a cat sat", "a bird ran"]))
