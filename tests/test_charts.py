"""Charts: what is drawn is what the evaluation says."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from optional import require

require("charts", "matplotlib")

from matplotlib.container import BarContainer

from sightline import Evaluation, InvalidInputError, MissingExtraError, StorageError, plot_evaluation
from sightline.charts import save_chart


def evaluation(count=40, **shifts):
    random = np.random.default_rng(3)
    base = random.random(count)
    names = [str(i) for i in range(count)]
    scores = {
        name: {
            "nDCG@10": dict(zip(names, np.clip(base + shift, 0, 1).tolist(), strict=True)),
            "R@100": dict.fromkeys(names, 0.5),
        }
        for name, shift in shifts.items()
    }
    return Evaluation(("nDCG@10", "R@100"), scores, {name: {query: [] for query in names} for name in shifts})


def test_bars_intervals_gains_and_losses():
    found = evaluation(words=0.0, both=0.2, worse=-0.1)
    means, better, worse = plot_evaluation(found).axes
    bars = next(each for each in means.containers if isinstance(each, BarContainer))
    errors = bars.errorbar
    assert [bar.get_height() for bar in bars] == pytest.approx([found.mean(n, "nDCG@10") for n in found.scores])
    assert [label.get_text() for label in means.get_xticklabels()] == ["words", "both", "worse"]
    (segments,) = [each.get_segments() for each in errors.lines[2]]
    for segment, name in zip(segments, found.scores, strict=True):
        assert segment[:, 1] == pytest.approx(found.interval(name, "nDCG@10"))
    for panel, name in ((better, "both"), (worse, "worse")):
        gains = found.compare("words", name).differences
        assert [patch.get_height() for patch in panel.patches] == pytest.approx(list(gains.values()))
        assert f"{name} against words: " in panel.get_title()
    assert f"{found.compare('words', 'both').wins} wins" in better.get_title()
    (only,) = plot_evaluation(evaluation(alone=0.0), "R@100").axes
    assert [bar.get_height() for bar in only.patches] == [0.5]


def test_an_interval_is_where_means_of_other_samples_lie():
    found = evaluation(count=400, words=0.0)
    low, high = found.interval("words", "nDCG@10")
    values = np.array(list(found.scores["words"]["nDCG@10"].values()))
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    inner = found.interval("words", "nDCG@10", confidence=0.5)
    assert low < inner[0] < inner[1] < high
    assert found.interval("words", "R@100") == (0.5, 0.5)
    for confidence in (0, 1, "high", True):
        with pytest.raises(InvalidInputError, match="confidence: expected a number above 0 and below 1"):
            found.interval("words", "nDCG@10", confidence=confidence)
    with pytest.raises(InvalidInputError, match="measure: expected one of"):
        plot_evaluation(found, "MAP")


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_files(tmp_path, suffix, magic):
    path = tmp_path / f"chart.{suffix}"
    save_chart(evaluation(words=0.0, both=0.2), path)
    assert path.read_bytes().startswith(magic)


def test_what_cannot_be_drawn(tmp_path, monkeypatch):
    found = evaluation(words=0.0)
    for name in ("chart.doc", "chart"):
        with pytest.raises(InvalidInputError, match="expected a file with one of the suffixes"):
            save_chart(found, tmp_path / name)
    with pytest.raises(StorageError, match="cannot be written"):
        save_chart(found, tmp_path / "no" / "chart.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[charts\]'"):
        save_chart(found, tmp_path / "chart.png")
