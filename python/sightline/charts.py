"""Charts of an evaluation, by matplotlib (extra ``charts``)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from sightline.errors import InvalidInputError, MissingExtraError, StorageError
from sightline.evaluation import Evaluation

__all__ = ["plot_evaluation", "save_chart"]

_BETTER, _WORSE, _BAR = "#2e7d32", "#c62828", "#4472a8"


def plot_evaluation(evaluation: Evaluation, measure: str | None = None) -> Any:
    """Draw the mean of each setting with its 95 % interval, and by query what each gains over the first, best first.

    The intervals are those of single settings over other queries; whether two settings differ is the paired test's
    matter, whose p-value stands above its wins and losses.

    Parameters: measure : default the first of the evaluation
    Returns:    matplotlib.figure.Figure, which no window shows and no state of pyplot knows
    Raises:     MissingExtraError without matplotlib; InvalidInputError for an unknown measure
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("charts need matplotlib: pip install 'sightline[charts]'") from None
    name = evaluation.measures[0] if measure is None else measure
    base, *others = evaluation.scores
    means = [evaluation.mean(setting, name) for setting in evaluation.scores]
    ends = [evaluation.interval(setting, name) for setting in evaluation.scores]
    figure = Figure(figsize=(7, 3.2 + 2.4 * len(others)), layout="constrained")
    panels = figure.subplots(1 + len(others), 1, squeeze=False)[:, 0]
    spread = [
        [max(mean - low, 0.0) for mean, (low, _) in zip(means, ends, strict=True)],
        [max(high - mean, 0.0) for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    bars = panels[0].bar(list(evaluation.scores), means, yerr=spread, capsize=4, color=_BAR)
    panels[0].bar_label(bars, labels=[f"{mean:.4f}" for mean in means], label_type="center", color="white")
    panels[0].set_ylabel(name)
    panels[0].set_title(f"{name} over {len(evaluation.query_ids)} queries, with 95 % intervals")
    for panel, other in zip(panels[1:], others, strict=True):
        found = evaluation.compare(base, other, name)
        gains = list(found.differences.values())
        panel.bar(range(len(gains)), gains, width=1.0, color=[_BETTER if gain > 0 else _WORSE for gain in gains])
        panel.axhline(0.0, color="black", linewidth=0.8)
        panel.set_xlabel("queries, the greatest gain first")
        panel.set_ylabel(f"gain in {name}")
        panel.set_title(
            f"{other} against {base}: {found.difference:+.4f}, p = {found.p_value:.3g}; "
            f"{found.wins} wins, {found.losses} losses, {found.ties} ties",
            fontsize="medium",
        )
    return figure


def save_chart(evaluation: Evaluation, path: str | PathLike[str], measure: str | None = None) -> None:
    """Draw an evaluation into a file, whose suffix says the format: .png, .svg, .pdf ...

    Raises:     as ``plot_evaluation``; InvalidInputError for another suffix; StorageError if it cannot be written
    """
    figure = plot_evaluation(evaluation, measure)
    suffix = Path(path).suffix.lower().removeprefix(".")
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise InvalidInputError(f"chart: expected a file with one of the suffixes {', '.join(known)}, got '{path}'")
    try:
        figure.savefig(path, format=suffix, dpi=150)
    except OSError as error:
        raise StorageError(f"'{path}' cannot be written: {error.strerror or error}") from None
