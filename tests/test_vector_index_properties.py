"""A random life of a VectorIndex, in lockstep with the model: whatever came before, it answers as a fresh one would."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import sightline as sl
from reference import ReferenceIndex
from vector_data import METRICS, RECIPES, make

seeds = st.integers(0, 2**32 - 1)
recipes = st.sampled_from(sorted(RECIPES))
some_ids = st.lists(st.integers(0, 300), max_size=80, unique=True)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(metric=st.sampled_from(METRICS), dim=st.sampled_from([1, 2, 7, 8, 17]))
    def create(self, metric: str, dim: int) -> None:
        self.metric, self.dim = metric, dim
        self.index, self.model = sl.VectorIndex(dim, metric), ReferenceIndex(dim, metric)

    def data(self, name: str, seed: int, n: int) -> tuple[Any, Any]:
        return make(name, self.metric, n, self.dim, seed)

    # Writes ------------------------------------------------------------------------------------------------------

    @rule(name=recipes, seed=seeds, n=st.sampled_from([0, 1, 2, 30, 64, 65, 200]))
    def add_next(self, name: str, seed: int, n: int) -> None:
        rows, _ = self.data(name, seed, n)
        assert self.index.add(rows).tolist() == self.model.add(rows)

    @rule(name=recipes, seed=seeds, ids=some_ids)
    def add(self, name: str, seed: int, ids: list[int]) -> None:
        rows, _ = self.data(name, seed, len(ids))
        if set(ids) & set(self.model.rows):
            with pytest.raises(sl.DuplicateIdError):
                self.index.add(rows, ids)
        else:
            assert self.index.add(rows, ids).tolist() == self.model.add(rows, ids) == ids

    @rule(name=recipes, seed=seeds, ids=some_ids)
    def upsert(self, name: str, seed: int, ids: list[int]) -> None:
        rows, _ = self.data(name, seed, len(ids))
        assert self.index.upsert(rows, ids).tolist() == self.model.add(rows, ids) == ids

    @rule(ids=st.lists(st.integers(-5, 600), max_size=150))
    def remove(self, ids: list[int]) -> None:
        assert self.index.remove(ids) == self.model.remove(ids)

    @rule(part=st.sampled_from([1, 2, 3, 10]), seed=seeds)
    def remove_many(self, part: int, seed: int) -> None:
        ids = np.random.default_rng(seed).permutation(self.model.ids)[::part]
        assert self.index.remove(ids.astype(np.int64)) == self.model.remove(ids.tolist()) == len(ids)

    @rule()
    def compact(self) -> None:
        self.index.compact()
        assert self.index.memory()["tombstones"] == 0

    @rule(mmap=st.booleans())
    def save_and_load(self, mmap: bool) -> None:
        path = Path(self.folder.name) / "index"  # the same each time: it may be the file that is mapped
        self.index.save(path)
        self.index = sl.VectorIndex.load(path, mmap=mmap)

    @rule(name=recipes, seed=seeds)
    def add_a_bad_row(self, name: str, seed: int) -> None:
        rows, _ = self.data(name, seed, 30)
        rows[20, 0] = np.nan
        with pytest.raises(sl.InvalidInputError):
            self.index.upsert(rows, np.arange(30))

    # Reads -------------------------------------------------------------------------------------------------------

    @rule(name=recipes, seed=seeds, k=st.sampled_from([1, 3, 10, 1000]), batch=st.booleans())
    def search(self, name: str, seed: int, k: int, batch: bool) -> None:
        _, queries = self.data(name, seed, 3)
        if self.model.rows and seed % 2:
            queries[0] = self.model.rows[self.model.ids[seed % len(self.model.rows)]]
        if batch:
            for query, scores, ids in zip(queries, *self.index.search(queries, k), strict=True):
                self.model.check_search(query, k, scores, ids)
        else:
            for query in queries[:3]:
                self.model.check_search(query, k, *self.index.search(query, k))

    @rule(name=recipes, seed=seeds, part=st.sampled_from([1, 2, 40]))
    def search_with_a_mask(self, name: str, seed: int, part: int) -> None:
        _, queries = self.data(name, seed, 3)
        bits = np.random.default_rng(seed).integers(0, part, len(self.model.rows)) == 0
        allowed = np.array(self.model.ids, np.int64)[bits]
        for mask in (bits, allowed):
            self.model.check_search(queries[0], 10, *self.index.search(queries[0], 10, mask), allowed.tolist())
            found = self.index.range_search(queries[1], -1.0, mask)
            self.model.check_range(queries[1], -1.0, *found, allowed.tolist())

    @precondition(lambda self: self.model.rows)
    @rule(name=recipes, seed=seeds, rank=st.integers(0, 1000))
    def range_search(self, name: str, seed: int, rank: int) -> None:
        _, queries = self.data(name, seed, 3)
        exact = self.index.score(queries[0], self.model.ids)
        self.model.check_score(queries[0], self.model.ids, exact)
        threshold = float(np.sort(exact)[rank % len(exact)])
        scores, ids = self.index.range_search(queries[0], threshold)
        self.model.check_range(queries[0], threshold, scores, ids)
        assert len(ids) == (exact >= np.float32(threshold)).sum()

    @invariant()
    def holds_the_same_rows(self) -> None:
        if not hasattr(self, "index"):
            return
        assert len(self.index) == len(self.model.rows)
        assert self.index.ids.tolist() == self.model.ids
        stored = self.index.get(self.model.ids)
        expected = np.array([self.model.rows[i] for i in self.model.ids], np.float32)
        assert stored.tobytes() == expected.tobytes()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=min(settings().max_examples, 40), stateful_step_count=40, deadline=None)
