"""Reading and writing judged collections: every format, and what each mistake says."""

from __future__ import annotations

import gzip
import json

import pytest

from sightline import InvalidInputError, StorageError
from sightline.datasets import read_corpus, read_qrels, read_queries, write_run


def put(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_corpus_in_beir_form_plain_and_gzipped(tmp_path):
    rows = [
        {"_id": "a", "title": "Ä", "text": "one", "metadata": {"year": 1}},
        {"_id": "b", "title": "", "text": ""},
        {"_id": "c", "text": "three", "extra": 5},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    plain = put(tmp_path / "corpus.jsonl", text)
    packed = tmp_path / "corpus.jsonl.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    expected = [
        {"id": "a", "text": "one", "title": "Ä", "metadata": {"year": 1}},
        {"id": "b", "text": "", "title": None, "metadata": {}},
        {"id": "c", "text": "three", "title": None, "metadata": {}},
    ]
    assert list(read_corpus(plain)) == list(read_corpus(str(packed))) == expected


def test_queries_in_three_forms(tmp_path):
    expected = {"q1": "first query", "2": "second, with\u2028separators"}
    lines = [json.dumps({"_id": name, "text": text}, ensure_ascii=False) for name, text in expected.items()]
    assert read_queries(put(tmp_path / "q.jsonl", "\n".join(lines))) == expected
    tsv = "".join(f"{name}\t{text}\r\n" for name, text in expected.items())
    assert read_queries(put(tmp_path / "q.tsv", "\n" + tsv)) == expected
    topics = """<top>
<num> Number: 301
<title> International
Organized Crime

<desc> Description:
Identify ...
</top>
<top><num>302</num><title>Topic: Poliomyelitis</title></top>
"""
    found = read_queries(put(tmp_path / "topics.txt", topics))
    assert found == {"301": "International Organized Crime", "302": "Poliomyelitis"}


def test_judgments_in_both_forms(tmp_path):
    expected = {"1": {"d1": 1, "d2": 0}, "2": {"d1": -1}}
    beir = "query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n2\td1\t-1\n"
    trec = "1 0 d1 1\n1 Q0 d2 0\n\n2 0 d1 -1\n1 0 d1 1\n"  # a judgment that is repeated is one
    assert read_qrels(put(tmp_path / "beir.tsv", beir)) == expected
    assert read_qrels(put(tmp_path / "trec.txt", trec)) == expected


def test_a_run_in_trec_form(tmp_path):
    write_run(tmp_path / "run", {"1": [("d1", 0.5), ("d2", 0.25)], "2": []}, tag="x")
    assert (tmp_path / "run").read_text() == "1 Q0 d1 1 0.5 x\n1 Q0 d2 2 0.25 x\n"
    for run, tag in (({"1 2": [("d", 1.0)]}, "x"), ({"1": [("", 1.0)]}, "x"), ({"1": [("d", 1.0)]}, "a b")):
        with pytest.raises(InvalidInputError, match="white space"):
            write_run(tmp_path / "other", run, tag=tag)
    assert not (tmp_path / "other").exists()
    with pytest.raises(StorageError, match="cannot be written"):
        write_run(tmp_path / "absent" / "run", {})


@pytest.mark.parametrize(
    ("read", "name", "text", "message"),
    [
        (read_corpus, "c.jsonl", '{"_id": "a", "text": "x"}\n{', "line 2: is not JSON"),
        (read_corpus, "c.jsonl", "[1]", "line 1: expected an object, got list"),
        (read_corpus, "c.jsonl", '{"_id": 5, "text": "x"}', "_id: expected a string, got 5"),
        (read_corpus, "c.jsonl", '{"_id": "a"}', "text: expected a string, got None"),
        (read_corpus, "c.jsonl", '{"_id": "a", "text": "x", "metadata": [1]}', "metadata: expected an object"),
        (read_queries, "q.jsonl", '{"_id": "a", "text": ""}', "text: expected a string, got ''"),
        (read_queries, "q.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}', "'a' occurs twice"),
        (read_queries, "q.tsv", "1\tx\nno tab here", "line 2: expected an id, a tab and the text"),
        (read_queries, "q.txt", "<top><num>1</num></top>", "topic 1: expected <num> and <title>"),
        (read_qrels, "r.tsv", "1\td1\tx", "line 1: expected a whole number as the grade, got 'x'"),
        (read_qrels, "r.tsv", "1 d1", "expected 3 fields"),
        (read_qrels, "r.tsv", "1 d1 1\n1 d1 2", "line 2: query '1' and document 'd1' have two grades"),
        (read_qrels, "r.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgment"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, read, name, text, message):
    path = put(tmp_path / name, text)
    with pytest.raises(InvalidInputError, match=message) as caught:
        list(read(path))
    assert str(path) in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    for read in (read_corpus, read_queries, read_qrels):
        for name in ("absent.jsonl", "absent.gz"):
            with pytest.raises(StorageError, match="cannot be read: No such file"):
                list(read(tmp_path / name))
