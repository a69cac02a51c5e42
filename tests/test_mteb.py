"""The search protocols of MTEB and BEIR, under the packages' own evaluation."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from optional import require

require("mteb", "mteb", "beir")

import mteb
from beir.retrieval.evaluation import EvaluateRetrieval
from datasets import Dataset
from mteb.models.models_protocols import SearchProtocol

from sightline import Convex, HybridIndex, InvalidInputError, MissingExtraError, SightlineError, cli
from sightline.datasets import read_corpus, read_qrels, read_queries
from sightline.integrations import beir
from sightline.integrations.mteb import SightlineSearch, collection_task, evaluate_task

CORPUS = {
    "d1": {"title": "Apples", "text": "a red fruit that grows on trees"},
    "d2": {"title": "", "text": "boats cross the sea"},
    "d3": {"title": "Trains", "text": "carry people over land"},
    "q1": {"title": "", "text": "which fruit grows on trees, a query that is a document"},
}
QUERIES = {"q1": "which fruit grows on trees", "q2": "cross the sea", "q3": "people on trains"}
QRELS = {"q1": {"d1": 2}, "q2": {"d2": 1, "d3": 0}, "q3": {"d3": 1}}
VECTORS = {"d1": [1.0, 0.1], "d2": [0.2, 1.0], "d3": [0.5, 0.5], "q1": [1.0, 0.0]}
QUERY_VECTORS = {"q1": [1.0, 0.0], "q2": [0.0, 1.0], "q3": [1.0, 1.1]}


def documents():
    return [{"id": name, **fields} for name, fields in CORPUS.items()]


def embed(texts):
    return [[1.0 + text.count("e"), 1.0 + text.count("a"), 1.0 + text.count("o")] for text in texts]


def own_ndcg(**options):
    """nDCG@10 of an index of ours, by its definition."""
    index = HybridIndex(embedder=options.pop("embedder", None))
    index.add(documents())
    total = 0.0
    for query, grades in QRELS.items():
        ranked = [hit.id for hit in index.search(QUERIES[query], 10, **options)]
        gained = sum(grades.get(name, 0) / np.log2(rank + 2) for rank, name in enumerate(ranked))
        ideal = sum(grade / np.log2(rank + 2) for rank, grade in enumerate(sorted(grades.values(), reverse=True)))
        total += gained / ideal
    return total / len(QRELS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"embedder": embed, "mode": "dense"},
        {"embedder": embed, "fusion": Convex(alpha=0.2)},
        {"embedder": embed, "rerank": lambda query, texts: [float(len(text)) for text in texts]},
        {"mode": "lexical", "diversity": 0.0, "embedder": embed},
    ],
)
def test_mteb_measures_what_an_index_finds(options):
    search = SightlineSearch(**options)
    assert isinstance(search, SearchProtocol)
    scores = evaluate_task(search, collection_task("small set", documents(), QUERIES, QRELS))
    assert scores["ndcg_at_10"] == pytest.approx(own_ndcg(**options), abs=1e-5)
    assert scores["main_score"] == scores["ndcg_at_10"]


def test_a_result_of_mteb_has_the_names():
    task = collection_task("small set", documents(), QUERIES, QRELS)
    result = mteb.evaluate(SightlineSearch(name="us/words"), task, cache=None, show_progress_bar=False)
    assert (result.model_name, result.task_results[0].task_name) == ("us/words", "smallset")


def test_ready_made_vectors():
    search = SightlineSearch(vectors=VECTORS, query_vectors=QUERY_VECTORS, mode="dense")
    search.index(Dataset.from_list(documents()))
    found = search.search(Dataset.from_list([{"id": n, "text": t} for n, t in QUERIES.items()]), top_k=2)
    assert {query: next(iter(scores)) for query, scores in found.items()} == {"q1": "q1", "q2": "d2", "q3": "d3"}
    assert found["q2"]["d2"] == pytest.approx(1 / np.hypot(0.2, 1.0), abs=1e-6)
    assert all(len(scores) == 2 for scores in found.values())
    with pytest.raises(InvalidInputError, match="give those of the documents and query_vectors"):
        SightlineSearch(vectors=VECTORS)
    with pytest.raises(InvalidInputError, match="vectors: has none for 'd9'"):
        search.index(Dataset.from_list([{"id": "d9", "text": "x"}]))
    with pytest.raises(InvalidInputError, match="query_vectors: has none for 'q9'"):
        search.search(Dataset.from_list([{"id": "q9", "text": "x"}]), top_k=1)


def test_reranking_tasks_instructions_and_conversations():
    search = SightlineSearch()
    with pytest.raises(SightlineError, match="call index"):
        search.search(Dataset.from_list([{"id": "q", "text": "x"}]), top_k=1)
    search.index(Dataset.from_list(documents()))
    asked = Dataset.from_list([{"id": "q", "text": "fruit people sea"}, {"id": "r", "text": "fruit"}])
    found = search.search(asked, top_k=10, top_ranked={"q": ["d3", "d2"], "r": ["d2"]})
    assert (sorted(found["q"]), found["r"]) == (["d2", "d3"], {})
    told = Dataset.from_list([{"id": "q", "text": "nothing", "instruction": "boats"}])
    assert list(search.search(told, top_k=10)["q"]) == ["d2"]
    turns = [{"role": "user", "content": "trains"}, {"role": "assistant", "content": "or boats"}]
    talk = Dataset.from_list([{"id": "q", "text": turns}])
    assert sorted(search.search(talk, top_k=10)["q"]) == ["d2", "d3"]
    with pytest.raises(InvalidInputError, match="corpus: expected rows with id and text, got id, image"):
        search.index(Dataset.from_list([{"id": "x", "image": 1}]))
    with pytest.raises(InvalidInputError, match="name: expected organisation/name, got 'x'"):
        SightlineSearch(name="x")


@pytest.mark.parametrize("options", [{}, {"embedder": embed}])
def test_beir_measures_what_an_index_finds(options):
    evaluation = EvaluateRetrieval(beir.SightlineSearch(**options), k_values=[1, 3])
    run = evaluation.retrieve(CORPUS, QUERIES)
    index = HybridIndex(**options)
    index.add(documents())
    for query, text in QUERIES.items():
        assert run[query] == {hit.id: hit.score for hit in index.search(text, 4)}
    ndcg, _, recall, _ = evaluation.evaluate(QRELS, run, evaluation.k_values)
    assert "q1" not in run["q1"]  # BEIR has left it out
    assert recall["Recall@3"] == 1.0
    assert ndcg["NDCG@1"] == 1.0 or options
    with pytest.raises(InvalidInputError, match="score_function: expected 'cos_sim', got 'dot'"):
        beir.SightlineSearch().search(CORPUS, QUERIES, 3, "dot")
    with pytest.raises(InvalidInputError, match="top_k: expected an integer >= 1"):
        beir.SightlineSearch().search(CORPUS, QUERIES, 0, "cos_sim")
    assert beir.SightlineSearch().search(CORPUS, {}, 3, "cos_sim") == {}


def test_the_command(tmp_path, capsys):
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": name, **fields} for name, fields in CORPUS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"_id": name, "text": text} for name, text in QUERIES.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    lines = [f"{query}\t{name}\t{grade}\n" for query, grades in QRELS.items() for name, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    assert cli.main(["mteb", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["task"], report["queries"]) == ("small", 3)
    assert report["scores"]["ndcg_at_10"] == pytest.approx(own_ndcg(), abs=1e-5)
    np.save(folder / "docs.npy", np.array(list(VECTORS.values())))
    np.save(folder / "queries.npy", np.array(list(QUERY_VECTORS.values())))
    assert cli.main(["mteb", str(folder), "--mode", "hybrid", "--alpha", "0.3"]) == 0
    out = capsys.readouterr().out
    assert "small, 3 judged queries" in out
    assert "ndcg_at_10      " in out
    assert cli.main(["mteb", str(tmp_path)]) == 1


def test_published_figures(shared_data):
    """MTEB's own measure of BM25 on this set is 0.68 to 0.69, depending on the variant."""
    folder = shared_data / "scifact"
    task = collection_task(
        "scifact",
        read_corpus(folder / "corpus.jsonl.gz"),
        read_queries(folder / "queries.jsonl"),
        read_qrels(folder / "qrels" / "test.tsv"),
    )
    assert evaluate_task(SightlineSearch(), task)["ndcg_at_10"] >= 0.675


def test_without_mteb_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb.models.model_meta", None)
    monkeypatch.delitem(sys.modules, "sightline.integrations.mteb")
    with pytest.raises(MissingExtraError, match=r"sightline\[mteb\]"):
        import sightline.integrations.mteb  # noqa: F401
