"""BM25Index against the obvious float64 model, and against bm25s on the same tokens."""

from __future__ import annotations

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl
from reference_bm25 import VARIANTS, ReferenceBM25

WORDS = st.sampled_from([*"abcdefghij", "東京", "naïve", "'", "", "x" * 300])
DOCUMENT = st.lists(WORDS, max_size=12)
PARAMETERS = st.fixed_dictionaries(
    {
        "variant": st.sampled_from(VARIANTS),
        "k1": st.sampled_from([0.0, 0.5, 1.2, 3.0]),
        "b": st.sampled_from([0.0, 0.3, 0.75, 1.0]),
        "delta": st.sampled_from([0.0, 0.5, 1.5]),
    }
)


def check_result(scores, ids, ranking, k):
    """The ranking is the model's (all documents allowed); where float64 rounding may swap near ties, scores agree."""
    expected = ranking[:k]
    found = int((ids >= 0).sum())
    assert found == len(expected)
    np.testing.assert_allclose(scores[:found], [score for score, _ in expected], rtol=1e-6, atol=1e-12)
    assert (scores[found:] == -np.inf).all()
    assert (ids[found:] == -1).all()
    order = list(zip(-scores[:found], ids[:found], strict=True))
    assert order == sorted(order)
    score_of = {key: score for score, key in ranking}
    named = ids[:found].tolist()
    assert len(set(named)) == found
    assert score_of.keys() >= set(named)
    np.testing.assert_allclose(scores[:found], [score_of[key] for key in named], rtol=1e-6, atol=1e-12)
    for place, (key, (score, expected_key)) in enumerate(zip(named, expected, strict=True)):
        neighbours = [other for other, _ in ranking[max(place - 1, 0) : place] + ranking[place + 1 : place + 2]]
        if not np.isclose(neighbours, score, rtol=4e-6, atol=4e-12).any():
            assert key == expected_key


@pytest.mark.parametrize(
    ("scores", "ids"),
    [([3, 2], [1, 2]), ([3, 2], [1, 9]), ([3, 2], [2, 2]), ([3, 2], [3, 1]), ([2, 3], [1, 3])],
)
def test_the_check_itself_notices_wrong_ids(scores, ids):
    ranking = [(3.0, 1), (2.0, 3), (1.0, 2)]
    check_result(np.array([3.0, 2.0, -np.inf]), np.array([1, 3, -1]), ranking[:2], 3)
    with pytest.raises(AssertionError):
        check_result(np.array(scores, dtype=float), np.array(ids), ranking, 2)


@settings(max_examples=150, deadline=None)
@given(
    documents=st.dictionaries(st.integers(0, 2**62), DOCUMENT, max_size=25),
    queries=st.lists(DOCUMENT, min_size=1, max_size=4),
    parameters=PARAMETERS,
    k=st.integers(1, 40),
)
def test_search_score_and_explain_agree_with_the_model(documents, queries, parameters, k):
    index = sl.BM25Index(None, **parameters)
    index.add(list(documents.values()), ids=list(documents))
    model = ReferenceBM25(documents, **parameters)
    scores, ids = index.search(queries, k=k)
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    for query, row_scores, row_ids in zip(queries, scores, ids, strict=True):
        check_result(row_scores, row_ids, model.ranking(query), k)
        direct = index.score(query, list(documents))
        by_id = dict(zip(documents, direct, strict=True))
        assert [by_id[i] for i in row_ids if i >= 0] == [s for s in row_scores if s > -np.inf]
        for key in list(documents)[:5]:
            expected = model.score(query, key)
            assert by_id[key] == pytest.approx(expected or 0.0, rel=1e-6)
            parts = index.explain(query, key)
            assert parts.score == by_id[key]
            total = 0.0
            for term in parts.terms:
                total += term.contribution
            assert np.float32(total) == parts.score


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(DOCUMENT, min_size=1, max_size=25),
    query=DOCUMENT,
    data=st.data(),
)
def test_masks_allow_what_they_say(documents, query, data):
    ids = [7 * i + 3 for i in range(len(documents))]
    index = sl.BM25Index(None)
    index.add(documents, ids)
    allowed = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    keep = {key for key, ok in zip(ids, allowed, strict=True) if ok}
    expected = ReferenceBM25(dict(zip(ids, documents, strict=True))).ranking(query, keep)
    as_bool = index.search([query], k=30, mask=np.array(allowed))
    as_ids = index.search([query], k=30, mask=np.array([*keep, 1_000_003], dtype=np.int64))
    for scores, found in (as_bool, as_ids):
        check_result(scores[0], found[0], expected, 30)
    everything, nothing = np.ones(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    scores, found = index.search([query, query, query], k=30, mask=np.stack([np.array(allowed), everything, nothing]))
    np.testing.assert_array_equal(found[0], as_bool[1][0])
    np.testing.assert_array_equal(found[1], index.search([query], k=30)[1][0])
    assert (found[2] == -1).all()
    scores, found = index.search(
        [query, query], k=30, mask=[np.array(sorted(keep), dtype=np.int64), np.array([], dtype=np.int64)]
    )
    np.testing.assert_array_equal(found[0], as_bool[1][0])
    assert (found[1] == -1).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "b", "delta"), [(1.2, 0.75, 0.5), (2.0, 0.3, 1.0), (0.9, 1.0, 0.25)])
def test_scores_agree_with_bm25s(variant, k1, b, delta):
    random = np.random.default_rng(5)
    vocabulary = np.array([f"w{i}" for i in range(400)])
    weights = 1 / np.arange(1, 401)
    weights /= weights.sum()
    documents = [random.choice(vocabulary, size=random.integers(1, 60), p=weights).tolist() for _ in range(500)]
    theirs = bm25s.BM25(method=variant, k1=k1, b=b, delta=delta)
    theirs.index(documents, show_progress=False)
    ours = sl.BM25Index(None, variant=variant, k1=k1, b=b, delta=delta)
    ours.add(documents)
    for _ in range(40):
        query = random.choice(vocabulary, size=random.integers(1, 9), p=weights).tolist()
        query = [word for word in query if word in theirs.vocab_dict]  # bm25s rejects other words here
        if not query:
            continue
        expected = theirs.get_scores(query)
        has_term = np.array([bool(set(query) & set(document)) for document in documents])
        found = ours.score(query, np.arange(500))
        np.testing.assert_allclose(found[has_term], expected[has_term], rtol=1e-5, atol=1e-5)
        assert (found[~has_term] == 0).all()
        scores, ids = ours.search([query], k=500)
        assert set(ids[0][ids[0] >= 0]) == set(np.flatnonzero(has_term))
        np.testing.assert_array_equal(scores[0][ids[0] >= 0], found[ids[0][ids[0] >= 0]])


def test_parameters_of_a_search_replace_those_of_the_index():
    documents = [["a", "b", "b"], ["a"], ["b", "c", "d", "d"]]
    index = sl.BM25Index(None)
    index.add(documents)
    for variant in VARIANTS:
        other = sl.BM25Index(None, variant=variant, k1=2.0, b=0.1, delta=1.0)
        other.add(documents)
        changed = {"variant": variant, "k1": 2.0, "b": 0.1, "delta": 1.0}
        np.testing.assert_array_equal(index.search([["a", "d"]], **changed)[0], other.search([["a", "d"]])[0])
        np.testing.assert_array_equal(index.score(["a", "d"], [0, 2], **changed), other.score(["a", "d"], [0, 2]))
        assert index.explain(["a", "d"], 2, **changed) == other.explain(["a", "d"], 2)
    assert (index.variant, index.k1, index.b, index.delta) == ("lucene", 1.2, 0.75, 0.5)


def test_large_collections_use_several_windows_and_ties_go_by_id():
    n = 80_000
    documents = [["common", *(["rare"] if i % 1000 == 0 else []), *(["pair"] * (1 + i % 3))] for i in range(n)]
    index = sl.BM25Index(None)
    index.add(documents)
    scores, ids = index.search([["common"], ["rare", "absent"], ["common", "pair"]], k=100)
    shortest = [i for i in range(n) if len(documents[i]) == 2]
    assert ids[0].tolist() == shortest[:100]
    assert sorted(ids[1][ids[1] >= 0].tolist()) == list(range(0, n, 1000))
    direct = index.score(["common", "pair"], np.arange(n))
    order = np.lexsort((np.arange(n), -direct))[:100]
    assert ids[2].tolist() == order.tolist()
    np.testing.assert_array_equal(scores[2], direct[order])
    everything = index.search([["common", "pair"]], k=n + 5)
    np.testing.assert_array_equal(everything[1][0][:n], np.lexsort((np.arange(n), -direct)))
    assert everything[1][0][n:].tolist() == [-1] * 5


def test_masks_of_every_density_in_a_large_collection():
    n = 50_000
    random = np.random.default_rng(8)
    documents = [
        ["common", "half", "third"][: 1 + int(random.integers(0, 3))] * int(random.integers(1, 4)) for _ in range(n)
    ]
    index = sl.BM25Index(None)
    index.add(documents)
    index.remove(random.choice(n, 3000, replace=False))
    ids = index.ids
    query = ["third", "common", "half"]
    direct = index.score(query, ids)
    order = np.lexsort((ids, -direct))
    for allowed in (0, 1, 20, 400, 5000, 30_000, len(ids)):
        mask = np.zeros(len(ids), dtype=bool)
        mask[random.choice(len(ids), allowed, replace=False)] = True
        best = order[mask[order]][:10]
        for given_mask in (mask, ids[mask]):
            scores, found = index.search([query], k=10, mask=given_mask)
            assert found[0][: len(best)].tolist() == ids[best].tolist()
            assert scores[0][: len(best)].tolist() == direct[best].tolist()
            assert (found[0][len(best) :] == -1).all()


def test_explanations_of_long_queries_add_up_exactly_in_every_variant():
    random = np.random.default_rng(11)
    words = [f"w{i}" for i in range(300)]
    index = sl.BM25Index(None)
    index.add([random.choice(words, size=random.integers(1, 80)).tolist() for _ in range(200)])
    for variant in VARIANTS:
        for _ in range(40):
            query = random.choice(words, size=25).tolist()
            key = int(random.integers(0, 200))
            parts = index.explain(query, key, variant=variant, delta=float(random.random()))
            total = 0.0
            for term in parts.terms:
                total += term.contribution
            assert np.float32(total) == parts.score
