"""The bars that ``python -m benchmarks lexical`` prints."""

import pytest
from benchmarks.lexical_bars import Bars
from benchmarks.peers import load_peer
from benchmarks.results import Row
from benchmarks.workers import Contender


def _row(engine, *, ratio=None, median=1.0):
    found = None if ratio is None else {"value": ratio, "low": ratio, "high": ratio}
    return Row("lexical", "data", "case", engine, median=median, ratio=found)


def test_each_bar_stands_beside_its_figure_and_says_whether_it_is_met(capsys):
    bars = Bars(sentences=False)
    names = ("sightline", "sightline-packed", "tantivy")
    bars.sizes([Contender(name, name, built={"disk_bytes": size}) for name, size in zip(names, (9, 6, 5), strict=True)])
    found = [_row("sightline"), _row("sightline-packed", ratio=1.5), _row("bm25s-numba", ratio=3.5)]
    bars.searched("1 query, k = 10", [*found, _row("tantivy", ratio=5.9), _row("rank-bm25", ratio=99.0)])
    bars.indexed([_row("sightline"), _row("tantivy", ratio=2.0)])
    bars.added([_row("sightline", median=0.5), _row("sightline-packed", median=1.5)])
    bars.show()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert [line.endswith("NOT met)") for line in lines[1:]] == [False, False, False, True, False, False, True]
    assert "1.200  (at most 1.2: met)" in lines[1]
    assert "5.900  (at least 6: NOT met)" in lines[4]


def test_sentences_have_a_bar_of_their_own(capsys):
    bars = Bars(sentences=True)
    bars.searched("case", [_row("bm25s-numba", ratio=3.5)])
    bars.show()
    assert "(at least 4: NOT met)" in capsys.readouterr().out


def test_engines_that_are_missing_have_no_line(capsys):
    bars = Bars(sentences=False)
    bars.sizes([Contender("sightline-packed", "x", built={"disk_bytes": 1}), Contender("tantivy", "x")])
    bars.searched("case", [_row("tantivy", median=None)])
    bars.show()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("module", ["sightline_lexical", "sightline_packed_lexical"])
def test_a_document_that_is_added_is_found(module, tmp_path):
    peer = load_peer(module)(1, tmp_path)
    peer.build([["a", "b"], ["a"]] * 200)
    for number in range(3):
        peer.add_and_find(["a", "b", f"added{number}"])
    with pytest.raises(RuntimeError, match="does not find the document"):
        peer.add_and_find(["b", "a"])  # others have the word, too, and score more
