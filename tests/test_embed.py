"""Embedders: what is checked, and that the latent semantic one is valid, deterministic and finds related words."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from sightline.embed import LatentSemanticEmbedder, SentenceTransformersEmbedder, embed_documents, embed_queries
from sightline.errors import InvalidInputError, MissingExtraError, SightlineError

CORPUS = [
    "the doctor treats a patient in the hospital",
    "a physician treats a patient",
    "the hospital employs doctor and physician",
    "cars and trucks drive on the road",
    "a truck needs a road",
    "cars need fuel and a road",
] * 3


@pytest.fixture(scope="module")
def fitted():
    return LatentSemanticEmbedder(dim=8).fit(CORPUS)


def test_vectors_are_unit_and_of_the_asked_dimension(fitted):
    vectors = fitted(CORPUS)
    assert vectors.shape == (len(CORPUS), 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert fitted([]).shape == (0, 8)
    assert fitted.embed_query("doctor").shape == (8,)


def test_numpy_integers_are_integers(fitted):
    other = LatentSemanticEmbedder(np.int64(8), min_df=np.int8(1), max_features=np.int32(100_000), seed=np.uint8(0))
    np.testing.assert_array_equal(other.fit(CORPUS)(CORPUS), fitted(CORPUS))


def test_related_words_are_near():
    doctor, physician, truck = LatentSemanticEmbedder(dim=3).fit(CORPUS)(["doctor", "physician", "truck"])
    assert doctor @ physician > 0.5 > doctor @ truck


def test_texts_without_a_known_word_share_one_direction_of_their_own(fitted):
    unknown = fitted(["", "zzz", "the of and", "🙂"])
    assert (unknown == unknown[0]).all()
    assert np.linalg.norm(unknown[0]) == 1
    np.testing.assert_array_equal(fitted(CORPUS) @ unknown[0], 0)


def test_identifiers_are_split(fitted):
    vectors = fitted(["doctor_hospital", "doctorHospital", "doctor hospital"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_array_equal(vectors[1], vectors[2])


def test_fitting_twice_gives_the_same_bits():
    first, second = (LatentSemanticEmbedder(dim=8).fit(CORPUS)(CORPUS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_tiny_corpora_still_fit():
    for corpus in (["word"], ["word", "word"], ["red blue", "green"]):
        vectors = LatentSemanticEmbedder(dim=4).fit(corpus)(corpus)
        assert vectors.shape == (len(corpus), 4)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LatentSemanticEmbedder(dim=1), InvalidInputError, "dim: expected an integer >= 2"),
        (lambda: LatentSemanticEmbedder(min_df=0), InvalidInputError, "min_df"),
        (lambda: LatentSemanticEmbedder(max_features=0), InvalidInputError, "max_features"),
        (lambda: LatentSemanticEmbedder(seed=-1), InvalidInputError, "seed"),
        (lambda: LatentSemanticEmbedder(seed=2**32), InvalidInputError, "seed: expected an integer from 0 to 4294967295"),
        (lambda: LatentSemanticEmbedder(dim=np.float64(8)), InvalidInputError, "dim"),
        (lambda: LatentSemanticEmbedder(dim=np.bool_(True)), InvalidInputError, "dim"),
        (lambda: LatentSemanticEmbedder()(["x"]), SightlineError, "call fit"),
        (lambda: LatentSemanticEmbedder().fit([]), InvalidInputError, "no word occurs"),
        (lambda: LatentSemanticEmbedder().fit(["", "the"]), InvalidInputError, "no word occurs"),
        (lambda: LatentSemanticEmbedder(min_df=5).fit(["a word"]), InvalidInputError, "no word occurs in 5 of 1"),
        (lambda: LatentSemanticEmbedder().fit("text"), InvalidInputError, "texts: expected a list"),
        (lambda: LatentSemanticEmbedder().fit(["a", 5]), InvalidInputError, r"texts\[1\]"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[lsa\]'"):
        LatentSemanticEmbedder().fit(CORPUS)


def test_checks_on_any_embedder():
    names = ["first", "second"]
    ok = embed_documents(lambda texts: [[1, 2], [3, 4]], ["a", "b"], names)
    assert ok.dtype == np.float32
    for result, message in [
        ([[1.0], [float("nan")]], "NaN or infinity for second"),
        ([[0.0], [1.0]], "zero vector.* for first"),
        ([[1.0]], r"expected shape \(2, dim\) for 2 texts, got \(1, 1\)"),
        ([1.0, 2.0], r"got \(2,\)"),
        ([[], []], r"got \(2, 0\)"),
        ([["1"], ["2"]], r"embedder: expected numbers of shape \(2, dim\), got list of dtype <U1"),
        ([[True], [True]], "expected numbers"),
        (np.ones((2, 2), dtype=complex), "expected numbers"),
        (None, "expected"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            embed_documents(lambda texts, result=result: result, ["a", "b"], names)


class TwoWay:
    def __call__(self, texts):
        return [[1.0, 0.0]] * len(texts)

    def embed_query(self, text):
        return [0.0] * len(text) + [1.0] * 2


def test_queries_go_to_embed_query():
    assert embed_queries(TwoWay(), ["", ""]).tolist() == [[1, 1], [1, 1]]
    assert embed_queries(lambda texts: [[2.0]] * len(texts), ["a", "b"]).tolist() == [[2], [2]]
    with pytest.raises(InvalidInputError, match="3 dimensions, and 2 for another"):
        embed_queries(TwoWay(), ["", "a"])


def test_a_batch_of_queries_goes_to_embed_queries_at_once():
    class Batched(TwoWay):
        calls = []

        def embed_queries(self, texts):
            self.calls.append(texts)
            return [[3.0, len(text)] for text in texts]

    assert embed_queries(Batched(), ["", "a"]).tolist() == [[3, 0], [3, 1]]
    assert Batched.calls == [["", "a"]]
    assert embed_queries(Batched(), []).shape[0] == 0
    for result, message in [
        ([[1.0]], r"embedder.embed_queries: expected shape \(2, dim\) for 2 texts, got \(1, 1\)"),
        ([["1"], ["2"]], "embedder.embed_queries: expected numbers"),
        ([[1.0], [0.0]], "zero vector.* for query 'b'"),
    ]:
        embedder = Batched()
        embedder.embed_queries = lambda texts, result=result: result
        with pytest.raises(InvalidInputError, match=message):
            embed_queries(embedder, ["a", "b"])


def test_what_an_embedder_returns_is_copied():
    """One that fills the same buffer again must not change the vectors of the texts before."""
    buffer = np.ones((1, 2), dtype=np.float32)
    first = embed_documents(lambda texts: buffer, ["a"], ["a"])
    buffer[:] = 2
    assert first.tolist() == [[1, 1]]


class FakeModel:
    def __init__(self, *args, **options):
        self.args, self.options, self.calls = args, options, []

    def encode(self, texts, *, batch_size, convert_to_numpy, show_progress_bar):
        self.calls.append((texts, batch_size))
        return np.ones((len(texts), 3), dtype=np.float64)


def test_sentence_transformers_adapter_loads_and_prefixes(monkeypatch):
    package = types.ModuleType("sentence_transformers")
    package.SentenceTransformer = FakeModel
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    embedder = SentenceTransformersEmbedder(
        "some/model", batch_size=5, query_prefix="query: ", document_prefix="passage: ", device="cpu"
    )
    model = embedder._model
    assert (model.args, model.options) == (("some/model",), {"device": "cpu"})
    assert embedder(["a", "b"]).dtype == np.float32
    assert embedder.embed_query("q").shape == (3,)
    assert embed_queries(embedder, ["r", "s"]).shape == (2, 3)
    assert model.calls == [(["passage: a", "passage: b"], 5), (["query: q"], 5), (["query: r", "query: s"], 5)]


def test_sentence_transformers_adapter_takes_a_loaded_model():
    assert SentenceTransformersEmbedder(FakeModel())(["a"]).shape == (1, 3)
    with pytest.raises(InvalidInputError, match="apply only to a model given by name"):
        SentenceTransformersEmbedder(FakeModel(), device="cpu")


def test_without_sentence_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[embed\]'"):
        SentenceTransformersEmbedder("some/model")
