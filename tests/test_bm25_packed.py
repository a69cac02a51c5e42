"""BM25Index(postings="packed"): the answers of the scan form, to the last bit, in less space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl
from reference_bm25 import VARIANTS

WORDS = st.sampled_from([*"abcdefgh", "東京", "x" * 300])
DOCUMENT = st.lists(WORDS, max_size=40)
PARAMETERS = st.fixed_dictionaries(
    {
        "variant": st.sampled_from(VARIANTS),
        "k1": st.sampled_from([0.0, 1.2, 3.0]),
        "b": st.sampled_from([0.0, 0.75, 1.0]),
    }
)


def zipf_documents(count, seed, words=3000, longest=60):
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, words + 1)
    chosen = random.choice(words, size=(count, longest), p=weights / weights.sum())
    return [[f"w{word}" for word in row[: random.integers(0, longest)]] for row in chosen]


def both(documents, ids=None, **settings):
    forms = [sl.BM25Index(None, postings=form, **settings) for form in ("scan", "packed")]
    for index in forms:
        index.add(documents, ids)
    return forms


def same_results(expected, found):
    for one, other in zip(expected, found, strict=True):
        assert one.tobytes() == other.tobytes()


@settings(max_examples=120, deadline=None)
@given(
    documents=st.dictionaries(st.integers(0, 2**62), DOCUMENT, min_size=1, max_size=40),
    repeated=st.integers(1, 60),
    queries=st.lists(DOCUMENT, min_size=1, max_size=3),
    parameters=PARAMETERS,
    k=st.integers(1, 50),
    data=st.data(),
)
def test_the_same_answers_from_both_forms(documents, repeated, queries, parameters, k, data):
    texts = [*documents.values()]
    texts[0] = texts[0] * repeated  # frequencies beyond those that codes name
    scan, packed = both(texts, list(documents), **parameters)
    removed = data.draw(st.lists(st.sampled_from(list(documents)), max_size=5))
    assert scan.remove(removed) == packed.remove(removed)
    np.testing.assert_array_equal(scan.ids, packed.ids)
    same_results(scan.search(queries, k), packed.search(queries, k))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(scan), max_size=len(scan))), dtype=bool)
    same_results(scan.search(queries, k, mask=mask), packed.search(queries, k, mask=mask))
    for query in queries:
        assert scan.score(query, scan.ids).tobytes() == packed.score(query, scan.ids).tobytes()
        for key in scan.ids[:3].tolist():
            assert scan.explain(query, key) == packed.explain(query, key)


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(
        st.fixed_dictionaries({}, optional={"title": DOCUMENT, "text": DOCUMENT}), min_size=1, max_size=30
    ),
    query=DOCUMENT,
    parameters=PARAMETERS,
)
def test_fields_and_phrases(tmp_path_factory, documents, query, parameters):
    fields = {"title": 2.0, "text": sl.Field(1.0, b=0.4)}
    scan, packed = both(documents, fields=fields, positions=True, **parameters)
    same_results(scan.search([query], 40), packed.search([query], 40))
    path = tmp_path_factory.mktemp("fields") / "index"
    packed.save(path)
    loaded = sl.BM25Index.load(path)
    assert loaded.postings == "packed"
    same_results(scan.search([query], 40), loaded.search([query], 40))

    texts = [" ".join([*document.get("title", []), *document.get("text", [])]) for document in documents]
    plain = [sl.BM25Index(postings=form, positions=True) for form in ("scan", "packed")]
    for index in plain:
        index.add(texts)
    for text in ('"a b"', '+c -d "東京"', "a -b", '-"b c" e f'):
        parsed = sl.parse_query(text)
        same_results(plain[0].search(parsed, 40), plain[1].search(parsed, 40))
        np.testing.assert_array_equal(plain[0].matching(parsed), plain[1].matching(parsed))


def test_a_large_collection_in_several_windows():
    documents = zipf_documents(40_000, seed=1)
    scan, packed = both(documents)
    random = np.random.default_rng(2)
    queries = [[f"w{int(3000 * u**3)}" for u in random.random(random.integers(1, 8))] for _ in range(150)]
    gone = random.choice(40_000, 3000, replace=False)
    for _ in range(2):
        for k in (1, 10, 100, 1000):
            same_results(scan.search(queries, k), packed.search(queries, k))
        for share in (0.001, 0.1, 0.9):
            mask = random.random(len(scan)) < share
            same_results(scan.search(queries, 10, mask=mask), packed.search(queries, 10, mask=mask))
        for index in (scan, packed):
            index.remove(gone)
    packed.compact()
    same_results(scan.search(queries, 10), packed.search(queries, 10))


def test_it_is_smaller_in_memory_and_in_the_file(tmp_path):
    scan, packed = both(zipf_documents(20_000, seed=3))
    sizes = []
    for index in (scan, packed):
        path = tmp_path / index.postings
        index.save(path)
        loaded = sl.BM25Index.load(path)
        assert loaded.postings == index.postings
        assert loaded.memory() == index.memory()
        total = sum(index.memory().values())
        assert path.stat().st_size == pytest.approx(total, rel=0.05)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]


def test_the_form_is_kept_and_forms_mix(tmp_path):
    documents = zipf_documents(600, seed=4, words=80)
    scan, packed = both(documents[:300])
    assert (scan.postings, packed.postings, packed.fork().postings) == ("scan", "packed", "packed")
    packed.save(tmp_path / "packed")
    for first, second in ((scan, packed), (packed, scan)):
        index = first.fork()
        other = sl.BM25Index(None, postings=second.postings)
        other.add(documents[300:], np.arange(300, 600))
        index.attach(other)
        index.save(tmp_path / "mixed")
        whole = sl.BM25Index(None)
        whole.add(documents)
        queries = documents[:20]
        for again in (index, sl.BM25Index.load(tmp_path / "mixed"), sl.BM25Index.load(tmp_path / "mixed", mmap=False)):
            assert again.postings == first.postings
            same_results(whole.search(queries, 30), again.search(queries, 30))
            before = sum(again.memory().values())
            again.compact()
            same_results(whole.search(queries, 30), again.search(queries, 30))
            assert (sum(again.memory().values()) < before) == (first.postings == "packed")


def test_an_index_without_documents_keeps_the_form(tmp_path):
    sl.BM25Index(postings="packed").save(tmp_path / "empty")
    loaded = sl.BM25Index.load(tmp_path / "empty")
    assert loaded.postings == "packed"
    loaded.add(["", "one word"])
    assert loaded.search("word", 3)[1].tolist() == [1, -1, -1]
    assert set(sl.BM25Index(postings="packed").memory().values()) == {0}


@pytest.mark.parametrize("postings", ["Packed", "", None, True, 1])
def test_other_forms_are_refused(postings):
    with pytest.raises(sl.InvalidInputError, match=r"postings: expected one of 'scan', 'packed', got"):
        sl.BM25Index(postings=postings)
