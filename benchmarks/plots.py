"""Plots of a run (matplotlib): recall against queries per second, latency against rows, time by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Row, Run

__all__ = ["draw"]

_OURS = "sightline"
_BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}  # legends cover no points


def draw(run: Run, folder: Path) -> list[Path]:
    """Draw what the run has figures for, as SVG; the same run gives the same bytes. Needs the extra ``bench``."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("plots need matplotlib: pip install 'sightline[bench]'") from None
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "sightline", "font.size": 9, "figure.figsize": (8.0, 4.2)})
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    plots: dict[str, Callable[[Run, Any], bool]] = {
        "recall-qps": _recall_against_rate,
        "latency-rows": _latency_against_rows,
        "stages": _stages,
    }
    for name, plot in plots.items():
        figure, axes = pyplot.subplots(layout="constrained")
        if plot(run, axes):
            drawn.append(folder / f"{name}.svg")
            figure.savefig(drawn[-1], metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return drawn


def _recall_against_rate(run: Run, axes: Any) -> bool:
    """Approximate engines as curves over their settings; the horizontal axis is the share of answers lost."""
    from matplotlib import pyplot

    swept = [row for row in run.rows if row.suite == "dense" and row.recall is not None and row.per_second()]
    approximate = {(row.data, row.case) for row in swept if not row.exact and row.setting}
    if not approximate:
        return False
    counts = {key: sum((row.data, row.case) == key for row in swept) for key in sorted(approximate)}
    data, case = max(counts, key=lambda key: counts[key])
    curves: dict[str, list[Row]] = defaultdict(list)
    for row in swept:
        if (row.data, row.case) == (data, case):
            curves[row.name if row.exact else row.engine].append(row)
    axes.set_prop_cycle(color=pyplot.get_cmap("tab20").colors)  # more engines than the usual ten colours
    least = 1e-4  # stands for "none lost" on a logarithmic axis
    for name, rows in curves.items():
        points = sorted((max(1 - (row.recall or 0.0), least), row.per_second() or 0.0) for row in rows)
        style = (
            {"marker": "*", "markersize": 14, "color": "black"} if name == _OURS else {"marker": "o", "markersize": 4}
        )
        axes.plot(*zip(*points, strict=True), label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel="1 - recall (right edge: all found)", ylabel="queries/s")
    axes.set_title(f"{data}\n{case}")
    axes.invert_xaxis()
    axes.legend(fontsize=7, **_BESIDE)
    axes.grid(True, which="both", alpha=0.2)
    return True


def _latency_against_rows(run: Run, axes: Any) -> bool:
    """One query, exact engines, over sizes of one kind of data."""
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in run.rows:
        if row.suite == "dense" and row.exact and row.queries == 1 and row.median and row.data.startswith("embedding"):
            curves[row.name].append((row.count, row.median))
    curves = {name: sorted(set(points)) for name, points in curves.items()}  # type: ignore[assignment]
    if not any(len(points) > 1 for points in curves.values()):
        return False
    for name, points in curves.items():
        style = {"linewidth": 2.5, "color": "black"} if name == _OURS else {}
        axes.plot(*zip(*points, strict=True), marker="o", label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="milliseconds for one query")
    axes.set_title("Exact search of embedding-like vectors")
    axes.legend(fontsize=8, **_BESIDE)
    axes.grid(True, which="both", alpha=0.2)
    return True


def _stages(run: Run, axes: Any) -> bool:
    """A hybrid search: the two engines' searches alone, and what the fused one takes beyond them."""
    times: dict[str, dict[str, float]] = defaultdict(dict)
    for row in run.rows:
        if row.suite == "hybrid" and row.status == "ok" and row.median:
            mode, _, rest = row.case.partition(",")
            if not rest.startswith(" a filter"):
                times[row.engine][mode] = row.median
    whole = {name: found for name, found in times.items() if {"hybrid", "dense", "text"} <= found.keys()}
    if not whole:
        return False
    names = list(whole)
    labels = [f"{name}\n{whole[name]['hybrid']:.2f} ms" for name in names]
    left = [0.0] * len(names)
    for stage in ("dense", "text"):
        widths = [100 * whole[name][stage] / whole[name]["hybrid"] for name in names]
        axes.barh(labels, widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.barh(labels, [max(0.0, 100 - at) for at in left], left=left, label="fusion and documents")
    axes.axvline(100, color="black", linewidth=1)
    axes.set(xlabel="% of the hybrid search (beyond 100: together they take less time than apart)")
    axes.set_title("Hybrid search by stage: both searches alone, and the rest")
    axes.legend(fontsize=8, **_BESIDE)
    return True
