"""Samples for ragas: their fields, and that each context is the text of its id."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec

import pytest

from sightline import Evaluation, HybridIndex, InvalidInputError, StorageError, ragas_samples, write_ragas

QUERIES = {"q1": "fruit caf\u00e9", "q2": "boats", "unjudged": "x"}
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1, "d1": 1}}
RUNS = {
    "words": {"q1": [("d2", 2.0), ("d1", 1.0), ("d3", 0.5)], "q2": []},
    "other": {"q1": [("d1", 1.0)], "q2": [("d3", 1.0)]},
}
EVALUATION = Evaluation(("nDCG@10",), {name: {"nDCG@10": {"q1": 0.0, "q2": 0.0}} for name in RUNS}, RUNS)


@pytest.fixture
def index():
    index = HybridIndex()
    index.add([{"id": "d1", "text": "apples \u65e5"}, {"id": "d2", "text": "pears", "title": "Fruit"}])
    index.add([{"id": "d3", "text": "boats"}])
    return index


def test_fields(index):
    first, second = ragas_samples(
        index, EVALUATION, QUERIES, QRELS, k=2, responses={"q1": "yes"}, references={"q2": "no"}
    )
    assert first == {
        "user_input": "fruit caf\u00e9",
        "retrieved_contexts": ["Fruit\npears", "apples \u65e5"],
        "retrieved_context_ids": ["d2", "d1"],
        "reference_contexts": ["apples \u65e5"],
        "reference_context_ids": ["d1"],
        "response": "yes",
    }
    assert second == {
        "user_input": "boats",
        "retrieved_contexts": [],
        "retrieved_context_ids": [],
        "reference_contexts": ["boats", "apples \u65e5"],
        "reference_context_ids": ["d3", "d1"],
        "reference": "no",
    }
    other = ragas_samples(index, EVALUATION, QUERIES, QRELS, setting="other")
    assert [sample["retrieved_context_ids"] for sample in other] == [["d1"], ["d3"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"setting": "third"}, "setting: expected one of words, other, got 'third'"),
        ({"k": 0}, "k: expected an integer >= 1"),
        ({"queries": {"q1": "x"}}, "queries: has no text for query 'q2'"),
        ({"qrels": {"q1": {"d9": 1}}}, "index: has no document 'd9'"),
    ],
)
def test_bad_calls(index, change, message):
    given = {"queries": QUERIES, "qrels": QRELS} | change
    with pytest.raises(InvalidInputError, match=message):
        ragas_samples(index, EVALUATION, **given)


def test_a_file_has_a_sample_a_line(index, tmp_path):
    samples = ragas_samples(index, EVALUATION, QUERIES, QRELS)
    path = tmp_path / "samples.jsonl"
    write_ragas(path, samples)
    assert path.read_bytes().isascii()
    assert [json.loads(line) for line in path.read_text().splitlines()] == samples
    with pytest.raises(StorageError, match="cannot be written"):
        write_ragas(tmp_path, samples)


@pytest.mark.filterwarnings("ignore")  # of what ragas imports
def test_ragas_reads_it(index, tmp_path):
    if find_spec("ragas") is None and os.environ.get("SIGHTLINE_REQUIRE_EXTRAS") != "1":
        pytest.skip("needs ragas: pip install 'sightline[test-evaluation]'")
    from ragas import EvaluationDataset

    samples = ragas_samples(index, EVALUATION, QUERIES, QRELS, responses={"q1": "yes", "q2": "no"})
    write_ragas(tmp_path / "samples.jsonl", samples)
    dataset = EvaluationDataset.from_jsonl(str(tmp_path / "samples.jsonl"))
    assert dataset.to_list() == samples
