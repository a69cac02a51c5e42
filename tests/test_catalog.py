"""Catalogs: comparable scores across collections, against one index over all of them; routers and their fallback."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sightline import (
    RRF,
    Catalog,
    CentroidRouter,
    Convex,
    DuplicateIdError,
    ExampleRouter,
    HybridIndex,
    InvalidInputError,
    NotFoundError,
)

RANDOM = np.random.default_rng(5)
WORDS = ["contract", "law", "court", "stock", "bond", "rate", "app", "button", "screen", "common"]
TOPICS = {"legal": WORDS[:3], "finance": WORDS[3:6], "product": WORDS[6:9]}


def documents(name, count):
    topic = TOPICS[name] * 3 + ["common", "law"]
    center = np.eye(3)[list(TOPICS).index(name)]
    return [
        {
            "id": f"{name}-{i}",
            "text": " ".join(RANDOM.choice(topic, size=RANDOM.integers(3, 9))),
            "vector": (center + RANDOM.normal(0, 0.3, 3)).tolist(),
            "metadata": {"n": i},
        }
        for i in range(count)
    ]


DOCUMENTS = {"legal": documents("legal", 25), "finance": documents("finance", 12), "product": documents("product", 6)}


@pytest.fixture
def catalog():
    catalog = Catalog(b=0.0)  # so that scores do not depend on the average length, which each collection has its own of
    for name, rows in DOCUMENTS.items():
        catalog.create(name).add(rows)
    return catalog


@pytest.fixture
def union():
    index = HybridIndex(b=0.0)
    for rows in DOCUMENTS.values():
        index.add(rows)
    return index


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "dense"},
        {"mode": "lexical"},
        {"mode": "hybrid"},
        {"mode": "hybrid", "fusion": Convex(alpha=0.2)},
        {"mode": "hybrid", "fusion": Convex(alpha=0.7, lexical_scale=3.0)},
        {"mode": "hybrid", "where": {"n": {"$lt": 5}}},
    ],
)
@pytest.mark.parametrize("query", ["law", "common stock", "contract app law", "nothing here"])
def test_scores_are_those_of_one_index_over_all(catalog, union, options, query):
    options = dict(options)
    if options["mode"] != "lexical":
        options["vector"] = [0.5, 0.3, 0.1]
    found = catalog.search(query, 43, **options)
    expected = {hit.id: hit for hit in union.search(query, 43, **options)}
    assert {hit.id for hit in found} == set(expected)
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    for hit in found:
        assert hit.score == pytest.approx(expected[hit.id].score, rel=1e-5, abs=1e-6)
        assert hit.collection == hit.id.split("-")[0]
    assert all(a.score >= b.score for a, b in pairwise(found))
    best = catalog.search(query, 5, **options)
    assert best == found[:5]


def test_one_several_or_all(catalog):
    def collections(**options):
        return {hit.collection for hit in catalog.search("law", 43, mode="lexical", **options)}

    assert collections() == {"legal", "finance", "product"}
    assert collections(collections="legal") == {"legal"}
    assert collections(collections=["product", "finance", "product"]) == {"finance", "product"}
    assert collections(collections=[]) == set()
    catalog.create("empty")
    assert collections() == {"legal", "finance", "product"}
    alone = catalog.search("law", 5, collections="legal", mode="lexical")
    assert [hit.id for hit in alone] == [hit.id for hit in catalog["legal"].search("law", 5, mode="lexical")]


def test_collections_that_would_be_searched_in_different_modes_are_refused():
    catalog = Catalog()
    catalog.create("words").add(["law"])
    catalog.create("vectors", embedder=embed).add(["law"])
    with pytest.raises(InvalidInputError, match="mode: the collections would be searched in different ones"):
        catalog.search("law")
    assert len(catalog.search("law", mode="lexical")) == 2


def test_reranking_sees_the_best_of_all(catalog):
    seen = []

    def rerank(query, texts):
        seen.append(len(texts))
        return [-float(i) for i in range(len(texts))][::-1]

    plain = catalog.search("law", 6, mode="lexical")
    found = catalog.search("law", 6, mode="lexical", rerank=rerank, rerank_depth=4)
    assert seen == [4]
    assert [hit.id for hit in found] == [hit.id for hit in plain[:4]][::-1] + [hit.id for hit in plain[4:]]
    assert [hit.rerank_score for hit in found] == [0.0, -1.0, -2.0, -3.0, None, None]


def test_the_collections_of_a_catalog(catalog):
    assert (list(catalog), len(catalog), "legal" in catalog, "x" in catalog) == (list(DOCUMENTS), 3, True, False)
    with pytest.raises(NotFoundError, match="no collection 'x'; it has legal, finance, product"):
        catalog["x"]
    with pytest.raises(NotFoundError):
        catalog.search("law", collections=["legal", "x"])
    with pytest.raises(DuplicateIdError, match="already has a collection 'legal'"):
        catalog.create("legal")
    other = HybridIndex()
    catalog.attach("other", other)
    assert catalog["other"] is other
    catalog.close()


def test_a_centroid_router_sends_questions_where_their_vectors_lie(catalog):
    with pytest.raises(InvalidInputError, match="router: the catalog has none"):
        catalog.route("law", [1.0, 0.0, 0.0])
    catalog.fit_router(centroids=2)
    for position, name in enumerate(DOCUMENTS):
        vector = np.eye(3)[position]
        route = catalog.route("anything", vector)
        assert (route.collections, route.certain) == ((name,), True)
        assert sum(route.scores.values()) == pytest.approx(1.0)
        assert {hit.collection for hit in catalog.search("law", vector=vector, routed=True)} == {name}
    unsure = catalog.route("anything", np.ones(3))
    assert (unsure.collections, unsure.certain) == (tuple(DOCUMENTS), False)
    assert len({hit.collection for hit in catalog.search("law", 43, vector=np.ones(3), routed=True)}) == 3
    again = catalog.fit_router(centroids=2)
    assert again("x", np.ones(3)) == unsure.scores  # deterministic


def embed(texts):
    return np.array([[sum(word in text for word in words) for words in TOPICS.values()] + [0.1] for text in texts])


def test_routers_of_examples_and_of_embedded_documents():
    examples = {"legal": ["is this contract law?", "what does the court say"], "product": ["where is the button"]}
    router = ExampleRouter(examples, embed)
    assert max(router("a court case"), key=router("a court case").get) == "legal"
    assert router("the screen and button")["product"] > 0.9
    catalog = Catalog(embedder=embed, router=router)
    catalog.create("legal").add(["contract and court", "law"])
    catalog.create("product").add(["the app has a button"])
    assert catalog.route("press the button").collections == ("product",)
    catalog.fit_router()  # embeds documents that came without vectors
    assert catalog.route("the court").collections == ("legal",)


def test_any_callable_is_a_router():
    catalog = Catalog(router=lambda query, vector: "b" if "b" in query else {"a": 0.5})
    catalog.create("a").add(["text a"])
    catalog.create("b").add(["text b"])
    assert catalog.route("b").collections == ("b",)
    assert catalog.route("a").collections == ("a", "b")  # 0.5 is below the threshold
    for answer, message in (
        ("c", "router: named 'c'; the collections are a, b"),
        ({"a": 2.0}, "expected a confidence from 0 to 1 for 'a', got 2.0"),
        (5, "expected a name or a dict of confidences, got int"),
    ):
        catalog.router = lambda query, vector, answer=answer: answer
        with pytest.raises(InvalidInputError, match=message):
            catalog.route("a")
    catalog.router = lambda query, vector: {}
    assert catalog.route("a").collections == ("a", "b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: Catalog(router="legal"), "router: expected a callable"),
        (lambda c: Catalog(threshold=2), "threshold: expected a number from 0 to 1"),
        (lambda c: Catalog("folder").create("a/b"), "cannot be the name of a folder"),
        (lambda c: c.create(""), "name: expected a non-empty str"),
        (lambda c: c.attach("new", object()), "index: expected a HybridIndex"),
        (lambda c: c.search(["law"]), "query: expected a str, got list"),
        (lambda c: c.search("law", k=0), "k: expected an integer >= 1"),
        (lambda c: c.search("law", fusion=RRF()), "ranks of different collections do not compare"),
        (lambda c: c.search("law", routed=True, collections="legal"), "has no use beside routed=True"),
        (lambda c: CentroidRouter({}), "expected at least one collection"),
        (lambda c: CentroidRouter({"a": [1.0]}), r"vectors\['a'\]: expected shape \(n, dim\)"),
        (lambda c: CentroidRouter({"a": [[0.0, 0.0]]}), "a row is all zeros"),
        (lambda c: CentroidRouter({"a": [[1.0]], "b": [[1.0, 2.0]]}), "different dimensions"),
        (lambda c: CentroidRouter({"a": [[1.0]]}, temperature=0), "temperature: expected a number above 0"),
        (lambda c: CentroidRouter({"a": [[1.0]]})("question"), "needs vector= of the query, or an embedder"),
        (lambda c: CentroidRouter({"a": [[1.0]]})("question", [1.0, 2.0]), "vector: expected 1 finite numbers"),
        (lambda c: ExampleRouter({"a": "question"}, embed), r"examples\['a'\]: expected a list"),
        (lambda c: ExampleRouter({"a": ["question"]}, None), "embedder: expected a callable"),
        (lambda c: (c.create("words").add(["text"]), c.fit_router()), "'words': has no document with a vector"),
    ],
)
def test_bad_calls(catalog, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(catalog)
