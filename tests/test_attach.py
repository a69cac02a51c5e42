"""Indexes made of parts: attach shares the segments of another index, and the answers are those of one index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sightline as sl

WORDS = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"])


def _vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 12)).astype(np.float32)


def _texts(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(count)]


@pytest.mark.parametrize("interleaved", [False, True])
def test_attached_parts_answer_as_one_index(tmp_path: Path, interleaved: bool) -> None:
    vectors, texts = _vectors(900, 0), _texts(900, 1)
    ids = np.arange(900)
    parts = [ids[i::3] for i in range(3)] if interleaved else np.split(ids, 3)
    dense, lexical = sl.VectorIndex(12), sl.BM25Index()
    for number, part in enumerate(parts):
        one_dense, one_lexical = sl.VectorIndex(12), sl.BM25Index()
        one_dense.add(vectors[part], part)
        one_lexical.add([texts[i] for i in part], part)
        one_dense.save(tmp_path / f"{number}.dense")
        one_lexical.save(tmp_path / f"{number}.lexical")
        dense.attach(sl.VectorIndex.load(tmp_path / f"{number}.dense"))
        lexical.attach(sl.BM25Index.load(tmp_path / f"{number}.lexical"))
    removed = np.arange(0, 900, 7)
    kept = np.setdiff1d(ids, removed)
    assert dense.remove(removed) == lexical.remove(removed) == len(removed)

    whole_dense, whole_lexical = sl.VectorIndex(12), sl.BM25Index()
    whole_dense.add(vectors[kept], kept)
    whole_lexical.add([texts[i] for i in kept], kept)
    queries, words = _vectors(5, 2), _texts(5, 3)
    for _ in range(2):
        for ours, theirs in (
            (dense.search(queries, 50), whole_dense.search(queries, 50)),
            (lexical.search(words, 50), whole_lexical.search(words, 50)),
        ):
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
        dense.compact()
        lexical.compact()


def test_attached_rows_stay_mapped_until_compact(tmp_path: Path) -> None:
    dense = sl.VectorIndex(12)
    for number in range(5):  # five segments of one size would merge, were they not attached
        part = sl.VectorIndex(12)
        part.add(_vectors(256, number), np.arange(256 * number, 256 * (number + 1)))
        part.save(tmp_path / str(number))
        dense.attach(sl.VectorIndex.load(tmp_path / str(number)))
    mapped = dense.memory()["mapped"]
    assert mapped > 0
    dense.add(_vectors(1, 9), [5000])
    dense.remove(np.arange(0, 250))
    assert dense.memory()["mapped"] == mapped
    dense.compact()
    assert dense.memory()["mapped"] == 0
    assert len(dense) == 5 * 256 + 1 - 250


def test_attach_refuses_what_does_not_fit_and_changes_nothing() -> None:
    dense, lexical = sl.VectorIndex(12), sl.BM25Index()
    dense.add(_vectors(3, 0), [0, 1, 2])
    lexical.add(["alpha", "beta"], [0, 1])
    twin = sl.VectorIndex(12)
    twin.add(_vectors(2, 1), [2, 3])
    with pytest.raises(sl.DuplicateIdError, match="id 2 is already"):
        dense.attach(twin)
    with pytest.raises(sl.DuplicateIdError):
        dense.attach(dense)
    with pytest.raises(sl.DuplicateIdError):
        lexical.attach(lexical)
    for other in (sl.VectorIndex(11), sl.VectorIndex(12, metric="ip"), sl.VectorIndex(12, dtype="float16"), lexical):
        with pytest.raises(sl.InvalidInputError, match="other"):
            dense.attach(other)  # type: ignore[arg-type]
    with pytest.raises(sl.InvalidInputError, match="other"):
        lexical.attach(dense)  # type: ignore[arg-type]
    assert len(dense) == 3
    assert len(lexical) == 2


@pytest.mark.parametrize("positions", [False, True])
def test_indexes_with_and_without_positions_are_not_joined(positions: bool) -> None:
    index, other = sl.BM25Index(positions=positions), sl.BM25Index(positions=not positions)
    index.add(["alpha beta"], [0])
    other.add(["beta alpha"], [1])
    with pytest.raises(sl.InvalidInputError, match=f"positions={positions}.* got one with positions={not positions}"):
        index.attach(other)
    index.compact()
    assert index.ids.tolist() == [0]
