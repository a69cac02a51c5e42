"""``python -m benchmarks report RUN.json``: a run as Markdown; ``--write docs`` makes the page and plots of docs/."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks import plots, results
from benchmarks.results import EngineRecord, Row, Run

__all__ = ["main", "markdown"]

_BUSY = 0.05  # of the CPU time of the machine
_SUITE_TITLES = {
    "dense": "Vectors: exact and approximate search",
    "lexical": "Words: BM25",
    "hybrid": "Documents: both, fused",
    "ingest": "Ingest",
    "open": "Opening an index",
    "filter": "Filters",
    "quality": "Quality of answers",
}
_METHOD = """\
- **Correct before fast.** Each row has its recall, against brute force in float64. An engine that promises exact
  answers and gives another one ends the run, Sightline first: its vector ids are compared one by one, ties
  included. A row that ties with the k-th score to within the rounding of float32 counts as found.
- **Processes of its own for each engine**, with the same number of threads for all, set in each library and by CPU
  affinity.
  Memory beyond interpreter and input: the peak while building, and what stays resident after it and one search.
- **Paired rounds.** A slice of an engine is some calls that are not counted, then as many over other queries as take
  about 10 ms. In a round, a slice of an engine lies between two of Sightline of half that length, over the same
  queries: a slow phase of a shared machine hits all or none, and a drift cancels out. A slice ends when the engine's
  threads sleep, so that nobody spins on the next one's CPUs; those of OpenBLAS are set to spin for 2 ms, not 100, for
  all engines. Caches hold an engine's own data, as in a server; the same for all. A round in which other processes
  had a fifth of the CPUs is left out. In searches among more filtered rows than a core's own caches hold, what
  a query reads differs from query to query and is out of the caches after milliseconds: slices are four times as long
  there, after 30 ms of calls over other queries.
- **Several passes.** The quick profile does all its cases eight times, or as often as its minutes allow, and pools the
  rounds: what the machine is like in one minute is then part of every figure instead of one figure's luck. On a virtual
  machine that has neighbours five minutes are too few for that: `--steady` does the same in up to 24 passes and
  13.5 minutes, for figures that are to be compared (`compare --reproduce`). Engines
  whose index a case changes, and those that take in vectors or documents, are started anew for each pass, all others
  after four of them, or each time where memory is short. `--full` and the commands of single suites make one pass, in
  which an engine that starts and builds within two seconds is asked in three processes in turns.
- **Rounds where the noise is.** A ratio is an engine's time over Sightline's in the same round: above 1, Sightline is
  faster. It is the mean over passes of the midmean over rounds (the mean of the middle half of the logarithms); in
  brackets its 95 % interval, by a bootstrap over passes (or processes) and rounds, as if no two passes shared a
  process. In each of n passes rounds go on until the interval is within 3 % times the root of n, or the time of the
  case is over; what is known worse than to 5 % is called noisy. A time is the median of a slice's calls, then the
  median over rounds [least to most].
- **Limits.** Read bandwidth (of all threads and of one), int8 and float32 arithmetic, durable writing and syncs are
  measured in the same run; int8 by the instructions that the kernels in use have. "Share" is how much of the limit
  that binds Sightline it reaches; reading beyond 100 % means that the codes fit the caches.
- **Ingest** builds anew in each slice, in a process that has built before. Vectors and documents go into memory that
  comes from the system, as that of a first index does, where the C library is glibc: what it had kept of the build
  before is given back. **Opening** starts a process each time, imports not counted, after one opening that is not
  counted.
- Approximate engines are swept over their settings with 100 queries a call; elsewhere each shows the first setting
  that reached a recall of 0.95, or its last. Engines that are not installed, fail, or whose calls
  take longer than the quick profile allows stay in the tables as gaps."""
_DATA = """\
Nothing is downloaded. Texts are the docstrings of Python's standard library. "Embedding-like" vectors have the
spectrum and the clustering of sentence embeddings: `benchmarks/vectors.py` says how they are made, what they were
fitted to and how well they meet it. "Gaussian" vectors have no structure at all: the worst case for every engine
but brute force.
`--data` takes folders in the format of BEIR, HDF5 of ann-benchmarks, `.fvecs`, `.bvecs` and `.npy`."""


def markdown(run: Run, source: str, images: Sequence[str] = ()) -> str:
    """The page: everything in it comes from the run, so that a test can compare them."""
    parts = [
        "# Benchmarks",
        f"Generated from {source} by `python -m benchmarks report`; do not edit. To reproduce:",
        "<!-- not run: it takes minutes -->\n"
        f"```console\npip install '.[bench-all]'\npython -m benchmarks {run.command or run.profile}\n```",
        _environment(run),
        *_busy(run),
        "## How it is measured",
        _METHOD,
        "## Data",
        _DATA,
        _lost(run),
    ]
    parts += [f"![{Path(image).stem}]({image})" for image in images]
    for suite, title in _SUITE_TITLES.items():
        rows = [row for row in run.rows if row.suite == suite]
        if rows:
            parts.append(f"## {title}")
            parts += _suite(rows, [engine for engine in run.engines if engine.suite == suite])
    if run.cases:
        parts += ["## Single figures", _table(["case", "value"], ((c["case"], _number(_value(c))) for c in run.cases))]
    return "\n\n".join(parts) + "\n"


def _value(case: dict[str, object]) -> float:
    found = case.get("ratio", case.get("value"))
    return float(found) if isinstance(found, (int, float)) else float("nan")


def _environment(run: Run) -> str:
    known, limits = run.environment, run.limits
    packages = ", ".join(f"{name} {version}" for name, version in known["packages"].items())
    lines = [
        ("measured", f"{run.created}, profile {run.profile}"),
        ("CPU", f"{known['cpu']}, {known['cpus']} CPUs, {known['memory_gb']} GB, {known['system']}"),
        ("frequency governor", known["governor"] or "not readable"),
        (
            "Sightline",
            f"{known['sightline']}, kernels `{known['isa']}`, {known['compiler']}, `{known['compiler_flags']}`",
        ),
        ("threads", f"{known['threads']}, BM25 searches 1"),
        ("Python", f"{known['python']}, BLAS of NumPy: {known['blas']}"),
        ("peers", packages),
        (
            "read bandwidth",
            f"{limits['read_gb_s']:.1f} GB/s{_also(limits, 'read_one_gb_s', ', one thread {:.1f} GB/s')}",
        ),
        ("int8 arithmetic", f"{limits['int8_gop_s']:.0f} GOP/s"),
        ("float32 arithmetic", f"{limits['float32_gflop_s']:.0f} GFLOP/s (NumPy's BLAS)"),
        ("durable writing", f"{limits['write_gb_s']:.2f} GB/s{_also(limits, 'syncs_s', ', {:,.0f} syncs a second')}"),
        ("CPU time of other processes, stolen", f"{_percent(known['cpu_of_others'])}, {_percent(known['cpu_stolen'])}"),
    ]
    return _table(["", ""], lines)


def _also(limits: dict[str, float], name: str, shown: str) -> str:
    return shown.format(limits[name]) if name in limits else ""


def _percent(share: float | None) -> str:
    return "not readable" if share is None else f"{share:.1%}"


def _busy(run: Run) -> list[str]:
    """Warnings: others used the machine, which distorts, and in our favour; or time was short."""
    found = []
    known = run.environment
    shares = [share for name in ("cpu_of_others", "cpu_stolen") if (share := known.get(name)) is not None]
    load = f"load {known.get('load_before')} on {known.get('cpus')} CPUs before it"
    busy = sum(shares) > _BUSY if shares else (known.get("load_before") or 0.0) > 0.5 * (known.get("cpus") or 1)
    if busy:
        taken = f"others took {sum(shares):.0%} of its CPU time" if shares else load
        found.append(
            f"**The machine was not idle** ({taken}). Engines whose threads wait for "
            "each other actively, as those of OpenMP and BLAS do, suffer more from that than Sightline's: ratios "
            "against them flatter us, and shares of limits are uncertain. Spreads show how much; measure on your own "
            "machine."
        )
    passes = known.get("passes")
    if passes is None:
        found.append(
            "**These figures are from before the method below**: one pass, in which all rounds of a case lay within "
            "seconds. Their ratios vary more than those that it gives."
        )
    elif "paces" not in known:
        found.append(
            "**Filters and ingest are from before the method below**: with slices like all others, and builds in "
            "memory that the C library may have kept."
        )
    if known.get("shortened"):
        least = (
            "Some cases have three rounds only" if passes in (None, 1) else "Some cases have three rounds a pass only"
        )
        made = "" if passes is None else f", {passes} {'pass was' if passes == 1 else 'passes were'} made"
        found.append(f"**{least}**{made}: the run was behind the minutes that its profile has.")
    return found


def _lost(run: Run) -> str:
    """What Sightline lost, first: nobody should have to search for it."""
    compared = [row for row in run.rows if row.ratio is not None]
    lost = sorted((row for row in compared if row.ratio and row.ratio["high"] < 1), key=lambda row: row.ratio["value"])  # type: ignore[index]
    text = f"## Lost comparisons\n\nOf {len(compared)} comparisons, {len(lost)} are lost beyond noise"
    if not lost:
        return text + "."
    rows = (
        (row.suite, row.data, row.case, row.name, _recall(row), _number(row.ratio["value"] if row.ratio else None))
        for row in lost
    )
    return text + ":\n\n" + _table(["suite", "data", "case", "faster engine", "its recall", "ratio"], rows)


def _suite(rows: list[Row], engines: list[EngineRecord]) -> Iterator[str]:
    for described in dict.fromkeys(row.data for row in rows):
        yield f"### {described}"
        built = [engine for engine in engines if engine.data == described]
        if built:
            yield _table(
                ["engine", "version", "settings", "build s", "peak MB", "resident MB", "disk MB"],
                (_engine_cells(engine) for engine in built),
            )
        part = [row for row in rows if row.data == described]
        for case, group in groupby(part, key=lambda row: row.case):
            yield f"**{case}**"
            yield _case_table(list(group))


def _case_table(rows: list[Row]) -> str:
    unit = rows[0].unit
    if unit != "ms":
        return _table(
            ["engine", unit], ((row.name, _number(row.median) if row.status == "ok" else row.problem) for row in rows)
        )
    return _table(
        ["engine", "exact", "recall", "ms", "queries/s", "ratio", "share of the limit"],
        (_row_cells(row) for row in rows),
    )


def _row_cells(row: Row) -> Sequence[str]:
    if row.status != "ok" or row.median is None:
        return (row.name, "", "", row.problem or row.status, "", "", "")
    rate = row.per_second()
    return (
        f"**{row.name}**" if row.engine == "sightline" else row.name,
        "yes" if row.exact else "",
        _recall(row),
        f"{_number(row.median)} [{_number(row.least)} to {_number(row.most)}]",
        "" if rate is None else f"{rate:,.0f}",
        row.ratio_shown(),
        "" if row.share is None else f"{row.share['value']:.0%} of {_LIMITS[row.share['of']]}",
    )


_LIMITS = {
    "read_gb_s": "reading",
    "read_one_gb_s": "one thread's reading",
    "int8_gop_s": "int8 arithmetic",
    "write_gb_s": "writing",
    "syncs_s": "syncs",
}


def _engine_cells(engine: EngineRecord) -> Sequence[str]:
    if engine.status != "ok":
        return (engine.engine, engine.version, engine.problem, "", "", "", "")
    sizes = (engine.peak_bytes, engine.resident_bytes, engine.disk_bytes)
    return (
        engine.engine,
        engine.version,
        engine.description,
        _number(engine.build_seconds),
        *("" if size is None else f"{size / 1e6:.1f}" for size in sizes),
    )


def _recall(row: Row) -> str:
    return "" if row.recall is None else f"{row.recall:.4f}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="one run, or runs of different suites on one machine")
    parser.add_argument("--write", type=Path, help="write benchmarks.md and its plots into this folder (docs)")
    options = parser.parse_args(argv)
    try:
        run = results.merge([results.read(path) for path in options.runs])
    except (OSError, ValueError) as error:
        parser.error(str(error))
    source = ", ".join(f"benchmarks/results/{path.name}" for path in options.runs)
    if options.write is None:
        print(markdown(run, source), end="")
        return 0
    drawn = plots.draw(run, options.write / "benchmarks")
    images = sorted(f"benchmarks/{path.name}" for path in drawn)
    (options.write / "benchmarks.md").write_text(markdown(run, source, images), encoding="utf-8")
    return 0
