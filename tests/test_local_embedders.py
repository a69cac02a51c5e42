"""Adapters of fastembed and model2vec: what they pass on, what they return, and an index over each."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
from sightline.embed import embed_queries
from sightline.errors import IncompatibleIndexError, InvalidInputError, MissingExtraError

WORDS = ["[UNK]", "apple", "river", "stone", "query", "passage", ":"]


class TextEmbedding:
    """The interface of fastembed.TextEmbedding: iterables of arrays, other vectors for queries than for passages."""

    def __init__(self, model_name: str, **options: Any) -> None:
        self.model_name, self.options = model_name, options
        self.calls: list[tuple[str, list[str], int]] = []

    def passage_embed(self, texts: Iterable[str], **options: Any) -> Iterator[np.ndarray]:
        texts = list(texts)
        self.calls.append(("passages", texts, options["batch_size"]))
        for text in texts:
            yield np.array([len(text), 1.0], dtype=np.float32)

    def query_embed(self, query: str | Iterable[str], **options: Any) -> Iterator[np.ndarray]:
        texts = [query] if isinstance(query, str) else list(query)
        self.calls.append(("queries", texts, options["batch_size"]))
        for text in texts:
            yield np.array([1.0, len(text)], dtype=np.float32)


@pytest.fixture
def fastembed(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("fastembed")
    package.TextEmbedding = TextEmbedding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fastembed", package)


@pytest.mark.usefixtures("fastembed")
def test_fastembed_gets_passages_and_queries_apart() -> None:
    embedder = sl.FastEmbedEmbedder(
        "some/model", batch_size=3, query_prefix="q: ", document_prefix="d: ", threads=1, cache_dir="models"
    )
    model = embedder._model
    assert (model.model_name, model.options) == ("some/model", {"threads": 1, "cache_dir": "models"})
    assert embedder(["a", "bc"]).tolist() == [[4, 1], [5, 1]]
    assert embedder(["a"]).dtype == np.float32
    assert embed_queries(embedder, ["xyz"]).tolist() == [[1, 6]]
    assert embedder.embed_query("x").tolist() == [1, 4]
    assert embedder([]).shape == (0, 0)
    assert model.calls[0] == ("passages", ["d: a", "d: bc"], 3)
    assert model.calls[2] == ("queries", ["q: xyz"], 3)


@pytest.mark.usefixtures("fastembed")
def test_an_index_keeps_the_name_and_makes_the_embedder_again(tmp_path: Path) -> None:
    with sl.HybridIndex(tmp_path / "kb", embedder=sl.FastEmbedEmbedder("some/model")) as index:
        index.add(["one", "three"])
        name = index.stats()["settings"]["embedder"]
    assert name == "fastembed:some/model"
    again = sl.load_embedder(name)
    assert isinstance(again, sl.FastEmbedEmbedder)
    with sl.HybridIndex(tmp_path / "kb", embedder=again) as index:
        assert len(index.search("three", mode="dense")) == 2
    with pytest.raises(IncompatibleIndexError, match="embedder: the index was made with 'fastembed:some/model'"):
        sl.HybridIndex(tmp_path / "kb", embedder=sl.FastEmbedEmbedder("another/model"))


@pytest.mark.parametrize("kind", [sl.FastEmbedEmbedder, sl.Model2VecEmbedder])
def test_bad_arguments_and_a_missing_package_are_told(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    extra = "fastembed" if kind is sl.FastEmbedEmbedder else "model2vec"
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'sightline\[{extra}\]'"):
        kind("some/model")
    with pytest.raises(InvalidInputError, match="apply only to a model given by name"):
        kind(object(), cache_dir="x")
    with pytest.raises(InvalidInputError, match="query_prefix: expected a str, got int"):
        kind(object(), query_prefix=3)
    with pytest.raises(InvalidInputError, match="batch_size"):
        kind(object(), batch_size=0)


@pytest.mark.skipif(find_spec("fastembed") is None, reason="needs fastembed: pip install 'sightline[fastembed]'")
def test_the_real_fastembed_has_the_interface() -> None:
    from fastembed import TextEmbedding as Real

    for name in ("passage_embed", "query_embed"):
        assert callable(getattr(Real, name))
    embedder = sl.FastEmbedEmbedder(TextEmbedding("fake"))
    assert embedder(["a"]).shape == (1, 2)
    with pytest.raises(ValueError, match="not supported"):  # its own words: no model is at hand without a network
        sl.FastEmbedEmbedder("there/is no such model")


def tiny_model(folder: Path) -> Path:
    """A model2vec model of seven words, as its package saves one."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)
    StaticModel(vectors, tokenizer, config={"normalize": True}).save_pretrained(folder)
    return folder


@pytest.mark.skipif(find_spec("model2vec") is None, reason="needs model2vec: pip install 'sightline[model2vec]'")
def test_a_real_model2vec_model(tmp_path: Path) -> None:
    from model2vec import StaticModel

    path = tiny_model(tmp_path / "model")
    assert json.loads((path / "config.json").read_text())
    embedder = sl.Model2VecEmbedder(str(path), query_prefix="query : ", document_prefix="passage : ")
    plain = sl.Model2VecEmbedder(str(path))
    assert embedder.name == f"model2vec:{path}"
    vectors = embedder(["apple river", "stone"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 8)
    assert vectors.tolist() == plain(["passage : apple river", "passage : stone"]).tolist()
    assert embedder.embed_query("stone").tolist() == plain(["query : stone"])[0].tolist()
    model = StaticModel.from_pretrained(str(path))
    assert vectors.tolist() == model.encode(["passage : apple river", "passage : stone"]).tolist()
    with sl.HybridIndex(tmp_path / "kb", embedder=plain) as index:
        index.add([{"id": "a", "text": "apple"}, {"id": "b", "text": "river"}])
        hits = index.search("apple", mode="dense")
        assert hits[0].id == "a"
        assert hits[0].dense_score == pytest.approx(1, abs=1e-6)
        with pytest.raises(InvalidInputError, match=r"zero vector.*documents\[1\]"):
            index.add(["river stone", "zebra"])  # of which it knows no word
        assert len(index) == 2
    with sl.HybridIndex(tmp_path / "kb", embedder=sl.load_embedder(embedder.name)) as index:
        assert index.search("river", mode="dense")[0].id == "b"
