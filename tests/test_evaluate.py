"""Evaluation: the measures against a few plain lines, the comparison, the command, and the published figures."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from optional import require

require("eval", "ir_measures", "typer")

import sightline as sl
from sightline import Convex, HybridIndex, InvalidInputError, cli, evaluate, split_queries

DOCUMENTS = [
    {"id": f"d{i}", "text": text, "vector": [math.cos(i), math.sin(i)]}
    for i, text in enumerate(["apple pie", "apple", "pear tree", "pear apple plum", "plum", "fig"])
]
QUERIES = {"q1": "apple", "q2": "pear plum", "q3": "nothing fits", "unjudged": "fig"}
QRELS = {"q1": {"d0": 2, "d1": 1, "d2": 0}, "q2": {"d3": 1, "d5": 1}, "q3": {"d0": 1}}
VECTORS = {name: [math.cos(i + 1), math.sin(i + 1)] for i, name in enumerate(QUERIES)}


@pytest.fixture
def index():
    index = HybridIndex()
    index.add(DOCUMENTS)
    return index


def plain(hits, grades, k):
    """nDCG, recall, precision, reciprocal rank and average precision at k, as textbooks write them."""
    gains = [max(grades.get(name, 0), 0) for name in hits[:k]]
    ideal = sorted((g for g in grades.values() if g > 0), reverse=True)[:k]
    dcg = [sum(g / math.log2(i + 2) for i, g in enumerate(values)) for values in (gains, ideal)]
    relevant = sum(g > 0 for g in grades.values())
    found = list(itertools.accumulate(g > 0 for g in gains))
    return {
        f"nDCG@{k}": dcg[0] / dcg[1],
        f"R@{k}": sum(g > 0 for g in gains) / relevant,
        f"P@{k}": sum(g > 0 for g in gains) / k,
        f"RR@{k}": next((1 / (i + 1) for i, g in enumerate(gains) if g > 0), 0.0),
        f"AP@{k}": sum(found[i] / (i + 1) for i, g in enumerate(gains) if g > 0) / relevant,
    }


@pytest.mark.parametrize("k", [1, 2, 5])
def test_measures(index, k):
    settings = {"words": {"mode": "lexical"}, "both": {"fusion": Convex(alpha=0.3)}}
    names = [f"{name}@{k}" for name in ("nDCG", "R", "P", "RR", "AP")]
    result = evaluate(index, QUERIES, QRELS, settings, measures=names, k=5, vectors=VECTORS)
    assert result.query_ids == ["q1", "q2", "q3"]
    for setting, options in settings.items():
        means = dict.fromkeys(names, 0.0)
        for query in QRELS:
            vector = None if setting == "words" else VECTORS[query]
            hits = index.search(QUERIES[query], 5, vector=vector, **options)
            assert result.runs[setting][query] == [(hit.id, hit.score) for hit in hits]
            for name, value in plain([hit.id for hit in hits], QRELS[query], k).items():
                assert result.scores[setting][name][query] == pytest.approx(value)
                means[name] += value / len(QRELS)
        assert result.means()[setting] == pytest.approx(means)
    assert result.scores["words"][f"R@{k}"]["q3"] == 0.0  # a query without hits counts


def test_ranks_decide_not_scores(index):
    # A reranker that makes all equal: ties keep the order of retrieval, whatever the ids.
    settings = {"plain": {"mode": "lexical"}, "reranked": {"mode": "lexical", "rerank": lambda q, t: [0.0] * len(t)}}
    result = evaluate(index, QUERIES, QRELS, settings)
    assert result.scores["plain"] == result.scores["reranked"]
    backwards = {"reversed": {"mode": "lexical", "rerank": lambda query, texts: range(len(texts))}}
    other = evaluate(index, QUERIES, QRELS, backwards)
    ranked = [name for name, _ in result.runs["plain"]["q1"]]
    assert [name for name, _ in other.runs["reversed"]["q1"]] == ranked[::-1]


def test_identical_ids_can_be_left_out():
    index = HybridIndex()
    index.add([{"id": "q1", "text": "apple"}, {"id": "d", "text": "apple pie"}])
    found = evaluate(index, {"q1": "apple"}, {"q1": {"d": 1}}, measures=["RR@1"], k=1)
    assert (found.runs["default"]["q1"][0][0], found.mean("default", "RR@1")) == ("q1", 0.0)
    found = evaluate(index, {"q1": "apple"}, {"q1": {"d": 1}}, measures=["RR@1"], k=1, ignore_identical_ids=True)
    assert (len(found.runs["default"]["q1"]), found.mean("default", "RR@1")) == (1, 1.0)


def evaluation(**scores):
    """An evaluation with given nDCG@10 by setting, of queries 0, 1, 2 ..."""
    return sl.Evaluation(
        ("nDCG@10",),
        {name: {"nDCG@10": {str(i): value for i, value in enumerate(values)}} for name, values in scores.items()},
        {name: {str(i): [] for i in range(len(values))} for name, values in scores.items()},
    )


def test_a_comparison_counts_and_tests_all_sign_patterns():
    base, other = [0.1, 0.5, 0.3, 0.3], [0.4, 0.4, 0.5, 0.3]
    found = evaluation(a=base, b=other).compare("a", "b")
    differences = np.subtract(other, base)
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([-1, 1], repeat=4)]
    assert found.p_value == pytest.approx(np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12))
    assert (found.wins, found.losses, found.ties) == (2, 1, 1)
    assert found.difference == pytest.approx(0.1)
    assert list(found.differences) == ["0", "2", "3", "1"]
    assert evaluation(a=base, b=base).compare("a", "b").p_value == 1.0
    assert found.p_value == evaluation(a=base, b=other).compare("b", "a").p_value


def test_a_comparison_of_many_queries_agrees_with_the_normal_approximation():
    random = np.random.default_rng(7)
    base = random.random(400)
    for shift, low, high in ((0.0, 0.02, 1.0), (0.05, 0.0, 0.01)):
        other = base + random.normal(shift, 0.2, 400)
        found = evaluation(a=base, b=other).compare("a", "b")
        differences = other - base
        z = abs(differences.sum()) / math.sqrt((differences**2).sum())
        assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.006)
        assert low <= found.p_value <= high
        assert found.p_value == evaluation(a=base, b=other).compare("a", "b").p_value  # the same seed, the same answer


def test_the_split_is_stable_and_whole():
    names = [f"q{i}" for i in range(100)]
    tuning, held_out = split_queries(names, 0.3)
    assert len(held_out) == 30
    assert sorted(tuning + held_out) == sorted(names)
    assert split_queries(names[::-1], 0.3)[1] == held_out[::-1]
    assert split_queries(names, 0.3, seed=1)[1] != held_out
    fewer = split_queries(names[:90], 0.3)[1]
    assert len(set(fewer) - set(held_out)) <= 3
    assert [len(part) for part in split_queries(["a", "b"], 0.01)] == [1, 1]
    whole = evaluation(a=np.arange(100) / 100)
    part = whole.restricted(["3", "5"])
    assert (part.mean("a", "nDCG@10"), part.query_ids) == (pytest.approx(0.04), ["3", "5"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: evaluate(i, QUERIES, {}), "qrels: expected judgments of at least one query"),
        (lambda i: evaluate(i, {}, QRELS), "qrels: judges query 'q1', which queries does not have"),
        (lambda i: evaluate(i, QUERIES, QRELS, {}), "settings: expected at least one"),
        (lambda i: evaluate(i, QUERIES, QRELS, vectors={"q1": [1, 0]}), "vectors: has none for query 'q2'"),
        (lambda i: evaluate(i, QUERIES, QRELS, measures=["nDCG@ten"]), "'nDCG@ten' is unknown to ir-measures"),
        (lambda i: evaluate(i, QUERIES, QRELS, measures="nDCG@10"), "measures: expected a list"),
        (lambda i: evaluate(i, QUERIES, QRELS, k=0), "k: expected an integer >= 1"),
        (lambda i: evaluation(a=[1.0]).compare("a", "b"), "setting: expected one of a, got 'b'"),
        (lambda i: evaluation(a=[1.0]).mean("a", "P@5"), "measure: expected one of nDCG@10, got 'P@5'"),
        (lambda i: evaluation(a=[1.0]).restricted(["7"]), "'7' was not evaluated"),
        (lambda i: evaluation(a=[1.0]).restricted([]), "query_ids: expected at least one"),
        (lambda i: split_queries(["a", "b"], 1.0), "held_out: expected a number above 0 and below 1"),
        (lambda i: split_queries(["a", "a"]), "expected at least two different ones, got 1"),
    ],
)  # fmt: skip
def test_bad_calls(index, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(index)


def test_judgments_of_a_metadata_field(index):
    chunks = HybridIndex()
    chunks.add(
        {"id": f"{d['id']}#{n}", "text": text, "metadata": {"source": d["id"], "number": int(d["id"][1:])}}
        for d in DOCUMENTS
        for n, text in enumerate((d["text"], d["text"] + " again", "other words"))
    )
    settings = {"words": {"mode": "lexical"}}
    whole = evaluate(index, QUERIES, QRELS, settings, k=3)
    # Each document counts once, at its best chunk; the chunk that repeats a document's text ranks as it does.
    by_source = evaluate(chunks, QUERIES, QRELS, settings, k=3, judged_by="source")
    assert {q: {name for name, _ in run} for q, run in by_source.runs["words"].items()} == {
        q: {name for name, _ in run} for q, run in whole.runs["words"].items()
    }
    assert by_source.scores["words"]["R@100"] == whole.scores["words"]["R@100"]
    numbers = {q: {d[1:]: grade for d, grade in grades.items()} for q, grades in QRELS.items()}
    by_number = evaluate(chunks, QUERIES, numbers, settings, k=3, judged_by="number")
    assert by_number.means() == by_source.means()
    grouped = {"words": {"mode": "lexical", "group_by": "source"}}
    assert evaluate(chunks, QUERIES, QRELS, grouped, k=3, judged_by="source").runs == by_source.runs
    with pytest.raises(InvalidInputError, match="group_by: judged_by='source' asks for 'source', got 'number'"):
        evaluate(chunks, QUERIES, QRELS, {"x": {"group_by": "number"}}, judged_by="source")


@pytest.fixture
def collection(tmp_path):
    lines = [json.dumps({"_id": d["id"], "text": d["text"]}) for d in DOCUMENTS]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    lines = [json.dumps({"_id": name, "text": text}) for name, text in QUERIES.items()]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "".join(f"{q} 0 {d} {grade}\n" for q, grades in QRELS.items() for d, grade in grades.items())
    )
    np.save(tmp_path / "docs.npy", np.array([d["vector"] for d in DOCUMENTS], dtype=np.float16))
    np.save(tmp_path / "queries.npy", np.array(list(VECTORS.values()), dtype=np.float32))
    return tmp_path


def command(capsys, *arguments):
    code = cli.main(["eval", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_gives_what_the_function_gives(collection, index, capsys):
    setting = 'mine={"mode": "hybrid", "alpha": 0.2}'
    code, out, _ = command(
        capsys, collection, "--setting", "lexical", "--setting", setting, "--measure", "RR@5", "--json",
        "--held-out", "0.5", "--runs", collection / "runs",
    )  # fmt: skip
    assert code == 0
    report = json.loads(out)
    settings = {"lexical": {"mode": "lexical"}, "mine": {"mode": "hybrid", "fusion": Convex(alpha=0.2)}}
    expected = evaluate(index, QUERIES, QRELS, settings, measures=["RR@5"], vectors=VECTORS)
    assert report["means"] == expected.means()
    assert report["comparisons"] == [expected.compare("lexical", "mine").to_dict()]
    assert (report["documents"], report["queries"], report["judged_documents_missing"]) == (6, 3, 0)
    assert report["held_out"]["tuning_queries"] + report["held_out"]["held_out_queries"] == 3
    assert (collection / "runs" / "lexical.trec").read_text().startswith("q1 Q0 d1 1 ")


def test_the_command_writes_a_chart_and_samples_for_ragas(collection, index, capsys):
    pytest.importorskip("matplotlib")
    chart, samples = collection / "chart.png", collection / "samples.jsonl"
    assert command(capsys, collection, "--chart", chart, "--ragas", samples, "--setting", "lexical")[0] == 0
    assert chart.read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [row["user_input"] for row in rows] == [QUERIES[query] for query in QRELS]
    assert rows[0]["retrieved_context_ids"] == [hit.id for hit in index.search("apple", 10, mode="lexical")]
    code, _, err = command(capsys, collection, "--chart", collection / "chart.doc")
    assert code == 1
    assert "expected a file with one of the suffixes" in err


def test_the_command_prints_a_table(collection, capsys):
    code, out, _ = command(capsys, collection, "--show", 1, "--held-out", "0.4")
    assert code == 0
    for word in ("lexical", "dense", "hybrid", "nDCG@10", "against lexical", "wins", "held out"):
        assert word in out
    (collection / "docs.npy").unlink()
    (collection / "queries.npy").unlink()
    code, out, _ = command(capsys, collection)
    assert "dense" not in out


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda c: (c / "corpus.jsonl").unlink(), [], "expected a folder with corpus.jsonl"),
        (lambda c: (c / "queries.jsonl").unlink(), [], "has no queries.jsonl; name the file with --queries"),
        (lambda c: (c / "docs.npy").unlink(), [], "give those of the documents and those of the queries, or neither"),
        (lambda c: np.save(c / "docs.npy", np.ones((5, 2))), [], "5 rows are fewer than the corpus has documents"),
        (lambda c: np.save(c / "docs.npy", np.ones((7, 2))), [], "7 rows are more than the corpus has documents"),
        (lambda c: np.save(c / "queries.npy", np.ones((1, 2))), [], "expected 4 rows, one for each query, got 1"),
        (lambda c: np.save(c / "docs.npy", np.ones(6)), [], "expected a row for each line"),
        (lambda c: np.save(c / "docs.npy", np.array([{}]), allow_pickle=True), [], "is not an array of numbers"),
        (lambda c: None, ["--setting", "sparse"], "mode: expected 'hybrid', 'dense' or 'lexical', got 'sparse'"),
        (lambda c: None, ["--setting", "x={"], "setting 'x': is not JSON"),
        (lambda c: None, ["--setting", "x=[]"], "setting 'x': expected an object"),
        (lambda c: None, ["--setting", 'x={"beta": 1}'], "setting 'x': unknown option 'beta'"),
        (lambda c: None, ["--setting", 'x={"alpha": 1, "rrf": 60}'], "alpha and rrf are two fusions"),
        (lambda c: None, ["--setting", "dense", "--setting", "dense"], "setting 'dense': is given twice"),
        (lambda c: None, ["--qrels", "absent"], "absent: cannot be read"),
        (lambda c: None, ["--held-out", "2"], "held_out: expected a number above 0"),
    ],
)
def test_what_is_wrong_with_a_collection_is_one_sentence(collection, capsys, change, arguments, message):
    change(collection)
    code, out, err = command(capsys, collection, *arguments)
    assert code == 1
    assert message in err
    assert err.startswith("sightline: ")
    assert out == ""


@pytest.fixture
def kb(collection):
    """The same documents as an index on disk, whose embedder only this program has."""
    with HybridIndex(collection / "kb") as index:
        index.add(document | {"metadata": {"part": i % 2}} for i, document in enumerate(DOCUMENTS))
    return collection / "kb"


def judged(collection, *more):
    return ["--queries", collection / "queries.jsonl", "--qrels", collection / "qrels" / "test.tsv", *more]


def test_an_index_on_disk_is_measured_as_the_collection_is(collection, kb, index, capsys):
    vectors = ["--query-vectors", collection / "queries.npy"]
    code, out, _ = command(capsys, kb, *judged(collection), *vectors, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(command(capsys, collection, "--json")[1])
    # One mode, a filter, k and ranked lists.
    code, out, _ = command(
        capsys, kb, *judged(collection), "--mode", "lexical", "--where", '{"part": 1}', "--k", "2", "--json",
        "--runs", collection / "runs",
    )  # fmt: skip
    assert code == 0
    with HybridIndex.open(kb, read_only=True) as found:
        options = {"mode": "lexical", "where": {"part": 1}}
        assert json.loads(out)["means"] == evaluate(found, QUERIES, QRELS, {"lexical": options}, k=2).means()
    assert (collection / "runs" / "lexical.trec").read_text().startswith("q1 Q0 d1 1 ")
    # A setting's own filter goes before the common one.
    setting = 'all={"mode": "lexical", "where": {}}'
    _, out, _ = command(capsys, kb, *judged(collection), "--setting", setting, "--where", '{"part": 1}', "--json")
    assert (
        json.loads(out)["means"]["all"] == evaluate(index, QUERIES, QRELS, {"all": {"mode": "lexical"}}).means()["all"]
    )


def test_files_are_judged_by_the_names_of_their_documents(collection, capsys):
    corpus, kb = collection / "corpus.jsonl", collection / "kb"
    assert cli.main(["index", str(corpus), "--into", str(kb), "--embedder", "lsa", "--json"]) == 0
    capsys.readouterr()
    code, _, err = command(capsys, kb, *judged(collection))
    assert code == 1
    assert "none of the 5 judged documents, such as 'd0', is among the index's ids; its first id is" in err
    assert "--judged-by" in err
    by_record = judged(collection, "--judged-by", "record")
    code, out, _ = command(capsys, kb, *by_record, "--json")
    assert code == 0
    report = json.loads(out)
    assert list(report["means"]) == ["lexical", "dense", "hybrid"]  # the embedder is kept with the index
    index = HybridIndex()
    index.add({"id": d["id"], "text": d["text"]} for d in DOCUMENTS)
    assert report["means"]["lexical"] == evaluate(index, QUERIES, QRELS).means()["default"]
    (collection / "more.tsv").write_text((collection / "qrels" / "test.tsv").read_text() + "q1 0 elsewhere 1\n")
    more = ["--queries", collection / "queries.jsonl", "--qrels", collection / "more.tsv", "--judged-by", "record"]
    _, out, _ = command(capsys, kb, *more, "--mode", "lexical")
    assert "1 judged documents are not in the index" in out
    code, _, err = command(capsys, kb, *by_record, "--ragas", collection / "samples.jsonl")
    assert (code, "ragas: needs judgments of the documents' own ids" in err) == (1, True)


def test_an_embedder_can_stand_in_for_vectors(collection, capsys):
    code, out, _ = command(capsys, collection, "--embedder", "lsa", "--json")
    assert code == 0
    assert list(json.loads(out)["means"]) == ["lexical", "dense", "hybrid"]
    code, _, err = command(capsys, collection, "--embedder", "lsa", "--vectors", collection / "docs.npy")
    assert (code, "vectors: an embedder makes them" in err) == (1, True)
    code, _, err = command(capsys, collection, "--embedder", "unknown")
    assert (code, "embedder: expected sentence-transformers:MODEL," in err) == (1, True)


def test_identical_ids_can_be_left_out_by_the_command(tmp_path, capsys):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "apple"}\n{"_id": "b", "text": "apple pie"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "a", "text": "apple"}\n')
    (tmp_path / "qrels.tsv").write_text("a\tb\t1\n")
    options = ["--qrels", tmp_path / "qrels.tsv", "--measure", "RR@1", "--k", "1", "--json"]
    for more, expected in ([], 0.0), (["--ignore-identical-ids"], 1.0):
        _, out, _ = command(capsys, tmp_path, *options, *more)
        assert json.loads(out)["means"]["lexical"]["RR@1"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--qrels", "q"], "an index holds no queries; name the file with --queries"),
        (["--queries", "q"], "an index holds no qrels; name the file with --qrels"),
        (["--queries", "q", "--qrels", "q", "--vectors", "v"], "has those of its documents; leave --vectors out"),
        (["--where", "[]"], "where: expected an object"),
    ],
)
def test_what_is_wrong_with_an_index_is_one_sentence(kb, capsys, arguments, message):
    code, out, err = command(capsys, kb, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert err.startswith("sightline: ")


def test_an_index_with_vectors_of_a_nameless_embedder(collection, kb, capsys):
    code, _, err = command(capsys, kb, *judged(collection))
    assert (code, "say --mode lexical" in err) == (1, True)
    assert command(capsys, kb, *judged(collection), "--mode", "lexical")[0] == 0


def test_without_ir_measures_the_error_names_the_extra(index, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(sl.MissingExtraError, match=r"sightline\[eval\]"):
        evaluate(index, QUERIES, QRELS)


def test_the_figures_on_scifact(shared_data, capsys):
    """Dense: the model's published nDCG@10 on BEIR SciFact is 0.645; BM25's is 0.665 (BEIR, multi-field Lucene)."""
    code, out, _ = command(capsys, shared_data / "scifact", "--json")
    assert code == 0
    means = json.loads(out)["means"]
    assert means["dense"]["nDCG@10"] >= 0.645
    assert means["lexical"]["nDCG@10"] >= 0.675
    assert means["hybrid"]["nDCG@10"] >= 0.725
