"""Fusion by ranks against its definition on score arrays made to tie, and the settings of all fusions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import InvalidInputError
from sightline.fusion import RRF, Convex, fuse


class ArraySource:
    """A ScoredSource over given scores, NaN for rows without one."""

    def __init__(self, scores, rows_without=float("nan")):
        self.scores = np.asarray(scores, dtype=np.float64)
        self.without = rows_without

    def search(self, queries, depth):
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


# Few distinct values, so that ties at the bound are the rule.
DENSE = st.one_of(st.just(float("nan")), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0]))
LEXICAL = st.one_of(st.just(float("nan")), st.sampled_from([-2.0, 0.0, 2.5, 5.0, 7.5, 10.0]))
ROWS = st.integers(0, 40).flatmap(
    lambda n: st.tuples(st.lists(DENSE, min_size=n, max_size=n), st.lists(LEXICAL, min_size=n, max_size=n))
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(1, 8), st.integers(1, 10), st.sampled_from([(1.0, 1.0), (0.0, 1.0), (2.0, 0.5)]))
def test_rrf_follows_its_definition(rows, k, depth, weights):
    dense, lexical = (np.array(side, dtype=float).reshape(1, -1) for side in rows)
    rrf = RRF(k=60, weights=weights, depth=depth)
    found = fuse(rrf, ArraySource(dense), ArraySource(lexical, 0.0), 1, k)[0]
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
    for settings_ in (rrf, RRF(1e-30, (1e30, 1e30)), RRF(1e30)):
        found = fuse(settings_, *sources, 1, 2)[0]
        assert found.ids.tolist() == [0, 1]
        assert np.isfinite(found.scores).all()
