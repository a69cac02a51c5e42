"""Fusion against brute force over all documents, on score arrays made to tie and to mislead the bound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline import fusion
from sightline.errors import InvalidInputError
from sightline.fusion import RRF, Convex, fuse


class ArraySource:
    """A ScoredSource over given scores, NaN for rows without one; counts how deep it was read."""

    def __init__(self, scores, rows_without=float("nan")):
        self.scores = np.asarray(scores, dtype=np.float64)
        self.without = rows_without
        self.deepest = 0

    @property
    def size(self):
        return int((~np.isnan(self.scores)).sum(axis=1).max(initial=0)) if self.scores.size else 0

    def search(self, queries, depth):
        self.deepest = max(self.deepest, depth)
        found = []
        for query in queries:
            row = self.scores[query]
            ids = np.flatnonzero(~np.isnan(row))
            ids = ids[np.lexsort((ids, -row[ids]))][:depth]
            found.append((row[ids], ids.astype(np.int64)))
        return found

    def score(self, query, ids):
        row = self.scores[query][ids]
        return np.where(np.isnan(row), self.without, row)


def brute_force_convex(convex, dense, lexical, k, scale):
    answers = []
    for d, l in zip(dense, lexical, strict=True):  # noqa: E741
        takes_part = np.flatnonzero(~np.isnan(d) | ~np.isnan(l))
        fused = convex.combine(np.nan_to_num(d, nan=0.0), np.nan_to_num(l, nan=0.0), scale)
        order = takes_part[np.lexsort((takes_part, -fused[takes_part]))][:k]
        answers.append([(int(i), float(fused[i])) for i in order])
    return answers


def as_pairs(answers):
    return [list(zip(a.ids.tolist(), a.scores.tolist(), strict=True)) for a in answers]


# Few distinct values, so that ties at the bound are the rule.
DENSE = st.one_of(st.just(float("nan")), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0]))
LEXICAL = st.one_of(st.just(float("nan")), st.sampled_from([-2.0, 0.0, 2.5, 5.0, 7.5, 10.0]))
ROWS = st.integers(0, 40).flatmap(
    lambda n: st.tuples(st.lists(DENSE, min_size=n, max_size=n), st.lists(LEXICAL, min_size=n, max_size=n))
)


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """Start at depth 2, so that small examples go through many rounds."""
    monkeypatch.setattr(fusion, "_FIRST_DEPTH", 2)
    monkeypatch.setattr(fusion, "_SMALL", 3)
    monkeypatch.setattr(fusion, "_GROWTH", 2)


@settings(max_examples=500, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(1, 8), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_convex_equals_brute_force(rows, k, alpha):
    n = min(len(dense) for dense, _ in rows)
    dense = np.array([d[:n] for d, _ in rows], dtype=float).reshape(len(rows), n)
    lexical = np.array([l[:n] for _, l in rows], dtype=float).reshape(len(rows), n)  # noqa: E741
    convex = Convex(alpha=alpha)
    found = fuse(convex, ArraySource(dense), ArraySource(lexical, 0.0), len(rows), k, 10.0)
    assert as_pairs(found) == brute_force_convex(convex, dense, lexical, k, 10.0)
    for query, answer in enumerate(found):
        assert np.array_equal(answer.dense, dense[query][answer.ids], equal_nan=True)
        assert np.array_equal(answer.lexical, np.nan_to_num(lexical[query][answer.ids], nan=0.0))


@pytest.mark.parametrize("seed", range(5))
def test_convex_equals_brute_force_at_size_and_stops_early(seed, monkeypatch):
    monkeypatch.setattr(fusion, "_FIRST_DEPTH", 64)
    rng = np.random.default_rng(seed)
    n = 20_000
    dense = rng.normal(0.2, 0.1, (4, n)).astype(np.float32).astype(float)
    lexical = np.where(rng.random((4, n)) < 0.05, rng.gamma(2.0, 3.0, (4, n)), np.nan).astype(np.float32).astype(float)
    sources = ArraySource(dense), ArraySource(lexical, 0.0)
    found = fuse(Convex(), *sources, 4, 10, 40.0)
    assert as_pairs(found) == brute_force_convex(Convex(), dense, lexical, 10, 40.0)
    assert sources[0].deepest < n / 2


def test_a_tie_with_the_bound_does_not_stop():
    # Document 9 ties with all others but has the lower ids before it in neither list's head.
    dense = np.full((1, 10), 0.5)
    lexical = np.full((1, 10), 5.0)
    found = fuse(Convex(), ArraySource(dense), ArraySource(lexical, 0.0), 1, 3, 10.0)
    assert found[0].ids.tolist() == [0, 1, 2]


def test_own_scale_replaces_the_default():
    sources = ArraySource([[1.0]]), ArraySource([[8.0]], 0.0)
    assert fuse(Convex(alpha=0.5, lexical_scale=4.0), *sources, 1, 1, 100.0)[0].scores[0] == 0.5 * 1.0 + 0.5 * 2.0


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(1, 8), st.integers(1, 10), st.sampled_from([(1.0, 1.0), (0.0, 1.0), (2.0, 0.5)]))
def test_rrf_follows_its_definition(rows, k, depth, weights):
    dense, lexical = (np.array(side, dtype=float).reshape(1, -1) for side in rows)
    rrf = RRF(k=60, weights=weights, depth=depth)
    found = fuse(rrf, ArraySource(dense), ArraySource(lexical, 0.0), 1, k, 1.0)[0]
    expected: dict[int, float] = {}
    for weight, scores in zip(weights, (dense[0], lexical[0]), strict=True):
        ranked = sorted((-s, i) for i, s in enumerate(scores.tolist()) if s == s)[: max(depth, k)]
        for rank, (_, i) in enumerate(ranked, start=1):
            expected[i] = expected.get(i, 0.0) + weight / (60 + rank)
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    assert found.ids.tolist() == [i for i, _ in best]
    assert found.scores.tolist() == [score for _, score in best]
    assert np.array_equal(found.lexical, np.nan_to_num(lexical[0][found.ids], nan=0.0))
    assert np.array_equal(found.dense, dense[0][found.ids], equal_nan=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convex(alpha=1.5), "alpha: expected a number from 0 to 1"),
        (lambda: Convex(alpha=float("nan")), "alpha"),
        (lambda: Convex(alpha="a"), "alpha"),
        (lambda: Convex(alpha=True), "alpha"),
        (lambda: Convex(lexical_scale=0), "lexical_scale"),
        (lambda: Convex(lexical_scale=float("inf")), "lexical_scale"),
        (lambda: Convex(alpha=10**400), "alpha"),
        (lambda: Convex(0.5, 10**400), "lexical_scale"),
        (lambda: Convex(1, 1e-310), "lexical_scale: expected a number from 1e-30 to 1e"),
        (lambda: Convex(0.5, 1e-320), "lexical_scale"),
        (lambda: RRF(k=0), "k: expected a number from 1e-30"),
        (lambda: RRF(k=10**400), "k: expected"),
        (lambda: RRF(k=float("nan")), "k: expected"),
        (lambda: RRF(weights=(1,)), "weights"),
        (lambda: RRF(weights=(1, "2")), "weights"),
        (lambda: RRF(weights=(1, 10**400)), "weights"),
        (lambda: RRF(weights=(1e308, 1e308)), "weights"),
        (lambda: RRF(weights=(0, 1e-320)), "weights"),
        (lambda: RRF(depth=np.bool_(True)), "depth"),
        (lambda: RRF(depth=np.float64(5)), "depth"),
        (lambda: RRF(weights=(-1, 1)), "weights"),
        (lambda: RRF(weights=(0, 0)), "weights"),
        (lambda: RRF(weights=3), "weights"),
        (lambda: RRF(depth=0), "depth"),
        (lambda: RRF(depth=2.5), "depth"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_settings_become_plain_floats():
    assert Convex(Fraction(1, 2), np.float32(4)) == Convex(0.5, 4.0)
    rrf = RRF(k=Fraction(3, 2), weights=[1, np.int64(2)], depth=np.int64(5))
    assert rrf == RRF(1.5, (1.0, 2.0), 5)
    assert len({rrf, RRF(1.5, (1, 2), 5)}) == 1
    assert type(rrf.depth) is int
    assert {type(x) for x in (Convex(1).alpha, Convex(0, 3).lexical_scale, rrf.k, *rrf.weights)} == {float}
    sources = ArraySource([[1.0, 0.5]]), ArraySource([[8.0, 2.0]], 0.0)
    for settings_ in (Convex(Fraction(1, 2), 1e-30), Convex(1, 1e30), rrf, RRF(1e-30, (1e30, 1e30)), RRF(1e30)):
        found = fuse(settings_, *sources, 1, 2, 1.0)[0]
        assert found.ids.tolist() == [0, 1]
        assert np.isfinite(found.scores).all()
