"""The low-rank adapter: its gradient, a case it must solve, a case it must refuse, and the figure on SciFact."""

from __future__ import annotations

import numpy as np
import pytest

from sightline import (
    CorruptIndexError,
    HybridIndex,
    InvalidInputError,
    LowRankAdapter,
    NotImprovedError,
    StorageError,
)
from sightline.adapter import _Data, _Fit
from sightline.datasets import read_corpus, read_qrels, read_queries

RANDOM = np.random.default_rng(3)
DIM = 12


def collection(twist, noise=0.05, count=300):
    """Documents, and queries that are their documents with one direction turned into another."""
    documents = {f"d{i}": row for i, row in enumerate(RANDOM.normal(size=(200, DIM)))}
    queries, qrels = {}, {}
    for i in range(count):
        document = int(RANDOM.integers(1, 200))
        row = documents[f"d{document}"] @ twist + RANDOM.normal(0, noise, DIM)
        queries[f"q{i}"], qrels[f"q{i}"] = row, {f"d{document}": 1, "d0": 0}
    return queries, documents, qrels


SWAP = np.eye(DIM)
SWAP[[0, 1]] = 3 * SWAP[[1, 0]]  # of rank 2, and strong


def test_it_learns_a_turn_of_low_rank_also_for_new_documents():
    queries, documents, qrels = collection(SWAP)
    adapter = LowRankAdapter.fit(queries, documents, qrels, rank=4, epochs=60)
    report = adapter.report
    assert (report.held_out, report.fitted) == (60, 240)
    assert report.after > report.before + 0.03
    assert report.new > 0
    assert report.new_after >= report.new_before
    again = LowRankAdapter.fit(queries, documents, qrels, rank=4, epochs=60)
    assert np.array_equal(again.a, adapter.a)  # deterministic
    assert np.array_equal(again.b, adapter.b)


def test_it_is_refused_with_the_figures_where_it_does_not_help():
    queries, documents, qrels = collection(np.eye(DIM), noise=0.0)  # perfect already
    with pytest.raises(NotImprovedError, match=r"nDCG@10 of 60 held-out queries 1\.0000 without it, 1\.0000 with it"):
        LowRankAdapter.fit(queries, documents, qrels, rank=4, epochs=3)
    queries, documents, qrels = collection(SWAP)
    with pytest.raises(NotImprovedError, match=r"a gain of more than 0\.9"):
        LowRankAdapter.fit(queries, documents, qrels, rank=4, epochs=3, min_gain=0.9)


def test_the_gradient_is_that_of_the_loss():
    queries, documents, qrels = collection(SWAP, count=20)
    qrels["q1"] = {"d3": 1, "d4": 2}  # two relevant documents: neither is a negative of the other
    data = _Data(queries, documents, qrels)
    fit = _Fit(data, 2, 0.5, 0)
    fit._weights[1] = RANDOM.normal(0, 0.3, (DIM, 2)).astype(np.float32)
    pairs = np.array([(row, document) for row, found in enumerate(data.relevant) for document in found])

    def loss(a, b):
        total = 0.0
        for query, target in pairs:
            row = data.queries[query].astype(np.float64)
            row = row + b @ (a @ row)
            cosines = data.documents.astype(np.float64) @ (row / np.linalg.norm(row))
            kept = [d for d in range(len(cosines)) if d == target or d not in data.relevant[query]]
            total += np.log(np.exp(cosines[kept] / 0.5).sum()) - cosines[target] / 0.5
        return total / len(pairs)

    found = {}
    fit._update = lambda gradients: found.update(a=gradients[0], b=gradients[1])
    fit._step(pairs)
    a, b = (weight.astype(np.float64) for weight in fit._weights)
    for name, weight in (("a", a), ("b", b)):
        for position in [(0, 0), (1, 1), tuple(size - 1 for size in weight.shape)]:
            step = 1e-5
            weight[position] += step
            above = loss(a, b)
            weight[position] -= 2 * step
            below = loss(a, b)
            weight[position] += step
            assert found[name][position] == pytest.approx((above - below) / (2 * step), rel=1e-3, abs=1e-5)


def test_it_adapts_queries_and_leaves_documents(tmp_path):
    adapter = LowRankAdapter(RANDOM.normal(size=(2, DIM)), RANDOM.normal(size=(DIM, 2)))
    rows = RANDOM.normal(size=(3, DIM)).astype(np.float32)
    expected = rows @ (np.eye(DIM) + adapter.b @ adapter.a).T
    assert adapter(rows) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert adapter(rows[0]) == pytest.approx(adapter(rows)[0], rel=1e-4, abs=1e-5)
    assert (adapter.dim, adapter.rank, adapter.report) == (DIM, 2, None)
    adapter.save(tmp_path / "adapter.npz")
    again = LowRankAdapter.load(tmp_path / "adapter.npz")
    assert np.array_equal(again(rows), adapter(rows))

    def embed(texts):
        return np.array([[len(text), *range(DIM - 1)] for text in texts], dtype=np.float32)

    index = HybridIndex(embedder=adapter.wrap(embed))
    index.add([{"id": str(n), "text": "x" * n} for n in range(1, 6)])
    plain = HybridIndex()
    plain.add([{"id": str(n), "text": "x" * n, "vector": embed(["x" * n])[0]} for n in range(1, 6)])
    hits = index.search("xxx", mode="dense")
    expected_hits = plain.search(None, vector=adapter(embed(["xxx"])[0]))
    assert [(hit.id, pytest.approx(hit.score, abs=1e-6)) for hit in hits] == [(h.id, h.score) for h in expected_hits]


def test_the_report_is_saved_too(tmp_path):
    queries, documents, qrels = collection(SWAP)
    adapter = LowRankAdapter.fit(queries, documents, qrels, rank=4, epochs=40)
    adapter.save(tmp_path / "a.npz")
    assert LowRankAdapter.load(tmp_path / "a.npz").report == adapter.report


def test_files_that_are_no_adapters(tmp_path):
    with pytest.raises(StorageError, match="cannot be read"):
        LowRankAdapter.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "other.npz", x=1)
    np.savez(tmp_path / "newer.npz", format=9, a=1, b=1, report=1)
    np.savez(tmp_path / "pickled.npz", format=1, a=np.array([{}]), b=1, report=1)
    whole = tmp_path / "whole.npz"
    LowRankAdapter(np.ones((1, 2)), np.ones((2, 1))).save(whole)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:100])
    for name in ("text", "other", "newer", "pickled", "cut"):
        with pytest.raises(CorruptIndexError, match=f"{name}.npz"):
            LowRankAdapter.load(tmp_path / f"{name}.npz")
    with pytest.raises(StorageError, match="cannot be written"):
        LowRankAdapter(np.ones((1, 2)), np.ones((2, 1))).save(tmp_path / "absent" / "a.npz")


ONE = {"q": [1.0, 0.0], "r": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LowRankAdapter(np.ones((2, 3)), np.ones((2, 3))), "b: expected the shape of a turned round"),
        (lambda: LowRankAdapter([[np.nan]], [[1.0]]), "hold NaN or infinity"),
        (lambda: LowRankAdapter([[1.0]], [[1.0]])([1.0, 2.0]), r"vectors: expected shape \(1,\)"),
        (lambda: LowRankAdapter([[1.0]], [[1.0]]).wrap("model"), "embedder: expected a callable"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {}), "qrels: expected at least one query"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"q": 0}}), "qrels: expected at least one query"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"x": {"q": 1}}), "judges query 'x', which has no vector"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"x": 1}}), "names document 'x', which has no vector"),
        (lambda: LowRankAdapter.fit(ONE, {"q": [1.0]}, {"q": {"q": 1}}), "queries: have 2 dimensions, documents 1"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"q": 1}}, rank=1), "expected at least two different ones"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"q": 1}}, rank=3), "rank: expected an integer from 1 to 2"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"q": 1}}, rank=1, epochs=0), "epochs"),
        (lambda: LowRankAdapter.fit(ONE, ONE, {"q": {"q": 1}}, rank=1, temperature=0), "temperature"),
        (lambda: LowRankAdapter.fit({"q": [0.0, 0.0]}, ONE, {"q": {"q": 1}}), "a vector is all zeros"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


@pytest.mark.slow
def test_the_figure_on_scifact(shared_data):
    """Fitted on the train judgments, measured on the test judgments: at least 0.03 more nDCG@10.

    Two thirds of the test queries share relevant documents with train; the others must not lose.
    """
    folder = shared_data / "scifact"
    names = [row["id"] for row in read_corpus(folder / "corpus.jsonl.gz")]
    documents = dict(zip(names, np.load(folder / "docs.npy"), strict=True))
    queries = dict(zip(read_queries(folder / "queries.jsonl"), np.load(folder / "queries.npy"), strict=True))
    train, test = (read_qrels(folder / "qrels" / f"{part}.tsv") for part in ("train", "test"))
    adapter = LowRankAdapter.fit(queries, documents, train)
    measured = _Data(queries, documents, test)
    everything = list(range(len(measured.names)))
    known = {names.index(name) for grades in train.values() for name, grade in grades.items() if grade > 0}
    new = [row for row in everything if not known.intersection(measured.relevant[row])]
    for label, rows in (("all", everything), ("new documents", new)):
        before, after = measured.ndcg(rows, None), measured.ndcg(rows, adapter)
        print(f"{label}: {len(rows)} queries, nDCG@10 {before:.4f} -> {after:.4f}")
        assert after >= before + (0.03 if label == "all" else -0.01)
