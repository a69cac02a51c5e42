"""Searches without options but the vector go a short way; it must be the way of all others, only shorter."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sightline as sl
from sightline import hybrid_index, retrieval
from sightline.store_format import RowGoneError

_DIM = 24
_WORDS = ["alpha", "beta", "gamma", "delta", "épsilon", "zeta", "eta", "theta"]
_QUERIES = ["alpha beta", "épsilon", "", "theta unknown theta", "日本"]


def _documents(count: int) -> list[sl.Document]:
    random = np.random.default_rng(7)
    vectors = random.standard_normal((count, _DIM)).astype(np.float32)
    words = random.integers(0, len(_WORDS), (count, 5))
    return [
        sl.Document(
            f"d{i}",
            " ".join(_WORDS[w] for w in words[i]) if i % 7 else "",
            {"n": i, "tags": ["x", None, 1.5]} if i % 3 else {},
            None if i % 7 and i % 5 == 0 else vectors[i],
            f"title {i}" if i % 2 else None,
        )
        for i in range(count)
    ]


@pytest.fixture(
    params=[{}, {"fields": {"title": 2.0, "text": 1.0}}, {"analyzer": "german"}], ids=["text", "fields", "german"]
)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, tmp_path: Path, options: dict[str, Any]) -> Any:
    path = tmp_path / "kb" if request.param == "disk" else None
    with sl.HybridIndex(path, **options) as made:
        made.add(_documents(300))
        made.delete([f"d{i}" for i in range(0, 300, 11)])
        yield made


def _count_usual(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note for each search that asks whether it went the short way."""
    went: list[bool] = []

    def noted(*arguments: Any) -> Any:
        hits = retrieval.usual_hits(*arguments)
        went.append(hits is not None)
        return hits

    monkeypatch.setattr(hybrid_index, "usual_hits", noted)
    return went


def test_the_short_way_finds_what_the_long_way_finds(index: sl.HybridIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    went = _count_usual(monkeypatch)
    random = np.random.default_rng(3)
    for query in _QUERIES:
        for k in (1, 10, 1000):
            vector = random.standard_normal(_DIM).astype(np.float32)
            usual = index.search(query, k, vector=vector)
            assert went == [True]
            went.clear()
            assert usual == index.search(query, k, vector=vector, fusion=sl.Convex())  # NaN never equals itself
            assert usual == index.search([query], k, vector=vector[np.newaxis])[0]
            assert not went
            assert [hit.rank for hit in usual] == list(range(1, len(usual) + 1))
            assert len(usual) >= min(k, 200)


@pytest.mark.parametrize(
    "vector",
    [
        [0.5] * _DIM,
        np.full(_DIM, 0.5),
        np.full((_DIM, 2), 0.5, dtype=np.float32)[:, 0],
        np.full(_DIM, 1e-30, dtype=np.float32),
        np.full(_DIM, 1e25, dtype=np.float32),
    ],
    ids=["list", "float64", "strided", "tiny", "huge"],
)
def test_any_vector_gets_the_same_answer(index: sl.HybridIndex, vector: Any) -> None:
    expected = index.search("alpha", vector=np.full(_DIM, 0.5, dtype=np.float32))
    found = index.search("alpha", vector=vector)
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], rel=1e-6)


@pytest.mark.parametrize("options", [{}], ids=["text"], indirect=True)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vector": np.zeros(_DIM, dtype=np.float32)}, "vector: is all zeros"),
        ({"vector": np.full(_DIM, np.nan, dtype=np.float32)}, "vector: holds NaN or infinity"),
        ({"vector": np.full(_DIM, np.inf, dtype=np.float32)}, "vector: holds NaN or infinity"),
        ({"vector": np.ones(_DIM + 1, dtype=np.float32)}, f"expected {_DIM} dimensions"),
        ({"k": 0}, "k: expected"),
        ({"k": True}, "k: expected"),
        ({"k": 2.0}, "k: expected"),
        ({"query": "lone \ud800"}, "query: holds a lone surrogate at character 5"),
        ({"offset": False}, "offset: expected"),
        ({"explain": 0}, "explain: expected True or False"),
        ({"per_group": True}, "per_group: expected"),
    ],
)
def test_what_does_not_fit_is_told_as_ever(index: sl.HybridIndex, given: dict[str, Any], message: str) -> None:
    call: dict[str, Any] = {"query": "alpha", "vector": np.ones(_DIM, dtype=np.float32)} | given
    with pytest.raises(sl.InvalidInputError, match=message):
        index.search(**call)


def test_options_and_adapters_go_the_long_way(index: sl.HybridIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    went = _count_usual(monkeypatch)
    vector = np.ones(_DIM, dtype=np.float32)
    whole = index.search("alpha beta", 30, vector=vector)
    assert went == [True]
    assert index.search("alpha beta", 10, vector=vector, offset=20) == whole[20:]
    assert [hit.id for hit in index.search("alpha beta", 30, vector=vector, where={"n": {"$gte": 0}})] == [
        hit.id for hit in index.search("alpha beta", 300, vector=vector) if hit.metadata
    ][:30]
    assert went == [True, True]
    turned = sl.LowRankAdapter(-2 * np.eye(_DIM, dtype=np.float32), np.eye(_DIM, dtype=np.float32))
    index.set_adapter(turned)
    assert [hit.id for hit in index.search("alpha beta", 30, vector=vector)] == [
        hit.id for hit in index.search("alpha beta", 30, vector=vector, fusion=sl.Convex())
    ]
    assert went == [True, True, False]


def test_the_usual_options_are_the_defaults() -> None:
    defaults = dict(vars(sl.HybridIndex)["search"].__kwdefaults__)
    assert defaults.pop("vector") is None
    assert len(defaults) == len(hybrid_index._USUAL)
    assert all(map(is_, defaults.values(), hybrid_index._USUAL))


def test_writes_between_searches_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    went = _count_usual(monkeypatch)
    vector = np.ones(_DIM, dtype=np.float32)

    def check(readers: list[sl.HybridIndex]) -> None:
        for reader in readers:
            went.clear()
            usual = reader.search("alpha delta", 50, vector=vector)
            assert went == [True]
            assert usual == reader.search("alpha delta", 50, vector=vector, fusion=sl.Convex())
            assert usual == readers[0].search("alpha delta", 50, vector=vector)

    documents = _documents(300)
    with sl.HybridIndex(tmp_path / "kb") as writer:
        writer.add(documents[:100])
        with sl.HybridIndex.open(tmp_path / "kb", read_only=True) as follower, sl.HybridIndex() as memory:
            memory.add(documents[:100])
            check([writer, follower, memory])
            steps: list[Callable[[sl.HybridIndex], object]] = [
                lambda index: index.add(documents[100:]),
                lambda index: index.delete([f"d{i}" for i in range(0, 300, 3)]),
                lambda index: index.upsert([sl.Document("d1", "alpha alpha delta", {}, vector)]),
                lambda index: index.compact(),
            ]
            for step in steps:
                for index in (writer, memory):
                    step(index)
                check([writer, follower, memory])


def test_an_index_without_documents_or_with_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    went = _count_usual(monkeypatch)
    vector = np.ones(_DIM, dtype=np.float32)
    assert sl.HybridIndex(dim=_DIM).search("alpha", vector=vector) == []
    assert sl.HybridIndex().search("alpha", vector=vector) == []
    went.clear()
    cached = sl.HybridIndex(cache=5)
    cached.add(_documents(30))
    assert cached.search("alpha", vector=vector) == cached.search("alpha", vector=vector)
    assert not went


def test_hits_are_the_callers_own(index: sl.HybridIndex) -> None:
    vector = np.ones(_DIM, dtype=np.float32)
    first = index.search("alpha", 50, vector=vector)
    expected = [dict(hit.metadata) for hit in first]
    for hit in first:
        hit.metadata["n"] = "changed"
    assert [hit.metadata for hit in index.search("alpha", 50, vector=vector)] == expected


@pytest.mark.parametrize("options", [{}], ids=["text"], indirect=True)
def test_a_row_that_was_purged_meanwhile_is_looked_for_in_the_newest_state(
    index: sl.HybridIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = np.ones(_DIM, dtype=np.float32)
    expected = index.search("alpha", vector=vector)

    def gone(*_: Any) -> Any:
        raise RowGoneError("a row was purged")

    monkeypatch.setattr(hybrid_index, "usual_hits", gone)
    assert index.search("alpha", vector=vector) == expected
