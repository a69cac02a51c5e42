"""HybridIndex on disk, what its users feel, each figure beside its bar: ``python -m benchmarks hybrid --data DIR``."""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sightline as sl
from benchmarks.workers import environment_for
from sightline.columns import Columns
from sightline.convex_search import search_convex
from sightline.filters import parse_filter

_K = 10
_WARM = 20  # searches of each kind that are not counted


def load(folder: Path, count: int) -> tuple[list[sl.Document], list[str], npt.NDArray[np.float32]]:
    """Titles with their embeddings and metadata, queries and their embeddings."""
    vectors = np.load(folder / "docs.npy").astype(np.float32)[:count]
    documents = []
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for number, (line, vector) in enumerate(zip(lines, vectors, strict=False)):
            entry = json.loads(line)
            metadata = entry["metadata"] | {"shard": number % (count // 50)}  # a filter on one shard keeps 50
            documents.append(sl.Document(entry["_id"], "", metadata, vector, entry["title"]))
    queries = [json.loads(line)["text"] for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    return documents, queries, np.load(folder / "queries.npy").astype(np.float32)


def milliseconds(call: Callable[[int], object], count: int) -> npt.NDArray[np.float64]:
    """The time of each of ``count`` calls."""
    times = np.empty(count)
    for number in range(count):
        start = time.perf_counter()
        call(number)
        times[number] = (time.perf_counter() - start) * 1e3
    return times


def p50(call: Callable[[int], object], count: int) -> float:
    return float(np.median(milliseconds(call, count)))


def first_answer(path: Path, folder: Path, where: dict[str, Any] | None) -> tuple[float, float]:
    """Seconds from opening to the first answer, and resident megabytes after 100 searches, in a process of its own."""
    code = (
        "import json, sys, time, numpy as np\n"
        "from benchmarks import memory\n"
        "from sightline.hybrid_index import HybridIndex\n"
        "vectors = np.load(sys.argv[2] + '/queries.npy').astype(np.float32)\n"
        "where = json.loads(sys.argv[3])\n"
        "start = time.perf_counter()\n"
        "with HybridIndex.open(sys.argv[1], read_only=True) as index:\n"
        "    assert index.search('solvable lattice models', vector=vectors[0], where=where)\n"
        "    seconds = time.perf_counter() - start\n"
        "    for vector in vectors[:100]: index.search('solvable lattice models', vector=vector, where=where)\n"
        "    resident = memory.resident_bytes()\n"
        "    print(seconds, resident / 2**20 if resident else 'nan')\n"
    )
    command = [sys.executable, "-c", code, str(path), str(folder), json.dumps(where)]
    environment = environment_for(sl.get_num_threads())
    runs = [subprocess.check_output(command, env=environment, text=True).split() for _ in range(3)]
    return min(float(run[0]) for run in runs), float(runs[0][1])


def measure_searches(
    index: sl.HybridIndex, queries: list[str], vectors: npt.NDArray[np.float32], count: int
) -> dict[str, float]:
    """Hybrid searches beside those of the two engines alone, under the same conditions for each.

    All three answer the same queries, one after the other, and who begins rotates: each then comes as often after each
    of the others, and finds the caches as that one left them. ``hybrid, core`` is the native part of the hybrid search.
    """
    state = index._keeper.newest()
    dense, lexical = state.dense, state.lexical
    assert dense is not None
    calls: dict[str, Callable[[int], object]] = {
        "hybrid": lambda i: index.search(queries[i], _K, vector=vectors[i]),
        "dense engine": lambda i: dense.search(vectors[i], _K),
        "lexical engine": lambda i: lexical.search(queries[i], _K),
        "hybrid, core": lambda i: search_convex(
            sl.Convex(), state.lexical_scale, dense, lexical, [queries[i]], vectors[i : i + 1], _K
        ),
    }
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-_WARM, count):
        for turn in range(len(names)):
            name = names[(number + turn) % len(names)]
            start = time.perf_counter()
            calls[name](number % count)
            if number >= 0:
                times[name].append((time.perf_counter() - start) * 1e3)
    found = {name: float(np.median(values)) for name, values in times.items()}
    shards = index.count() // 50
    index.count({"shard": 1})  # builds the columns
    # By themselves: beside the scans above, which read 20 MB each, these would pay for caches that they do not use.
    found["filtered"] = p50(
        lambda i: index.search(queries[i], _K, vector=vectors[i], where={"shard": i % shards}), count
    )
    return found


_FILTERS: dict[str, dict[str, Any]] = {
    "number, range": {"year": {"$gte": 2020}},
    "string, equal": {"source": "s3"},
    "date, range": {"day": {"$gte": "2024-03-01", "$lt": "2024-04-01"}},
    "list, member": {"tags": {"$contains": "t5"}},
    "missing or not": {"$or": [{"note": None}, {"$not": {"year": 2001}}]},
}


def filter_times(count: int) -> list[tuple[str, float, str, str]]:
    """Milliseconds of each kind of filter over ``count`` rows of metadata, checked against the metadata itself."""
    random = np.random.default_rng(0)
    years, sources, days, tags = (
        random.integers(low, high, count).tolist() for low, high in ((1990, 2026), (0, 20), (0, 336), (0, 40))
    )
    names = [f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    columns = Columns().extended_json(
        [
            f'{{"year":{year},"source":"s{source}","day":"{names[day]}","tags":["t{tag}","t{tag // 2}"]}}'
            for year, source, day, tag in zip(years, sources, days, tags, strict=True)
        ]
    )
    expected = {
        "number, range": sum(year >= 2020 for year in years),
        "string, equal": sources.count(3),
        "date, range": sum("2024-03-01" <= names[day] < "2024-04-01" for day in days),
        "list, member": sum(5 in (tag, tag // 2) for tag in tags),
        "missing or not": count,
    }
    rows = []
    for name, where in _FILTERS.items():
        condition = parse_filter(where)
        if int(np.count_nonzero(condition.mask(columns))) != expected[name]:
            raise SystemExit(f"WRONG ANSWER: the filter {where}")
        rows.append((f"filter of {count:,} rows: {name}", p50(lambda _, c=condition: c.mask(columns), 30), "ms", "~ 1"))
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--upserts", type=int, default=10_000, help="single upserts before the last measurement")
    parser.add_argument("--filter-rows", type=int, default=1_000_000, help="rows of the filters by themselves")
    parser.add_argument("--folder", type=Path, help="where to put the index, default a temporary folder")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure and print all figures, of the titles of ``--data``; return them for the run's file."""
    documents, queries, vectors = load(options.data, options.documents)
    count = min(options.searches, len(queries))
    rows: list[tuple[str, float, str, str]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        path = Path(temporary) / "kb"
        index = sl.HybridIndex(path)
        start = time.perf_counter()
        index.add(documents)
        rows.append(("ingest, durable", len(documents) / (time.perf_counter() - start), "docs/s", ">= 20000"))
        index.close()
        for name, where in (("", None), (" with a filter", {"shard": 7})):
            seconds, resident = first_answer(path, options.data, where)
            rows.append((f"open to first answer{name}", seconds, "s", "< 0.3"))
            rows.append((f"resident memory of a reader{name}, Python included", resident, "MB", ""))

        index = sl.HybridIndex(path)
        found = measure_searches(index, queries, vectors, count)
        both = found["dense engine"] + found["lexical engine"]
        rows.append(("hybrid search p50", found["hybrid"], "ms", "< 2"))
        rows.append(("  dense engine alone", found["dense engine"], "ms", ""))
        rows.append(("  lexical engine alone", found["lexical engine"], "ms", ""))
        rows.append(("  native part of the hybrid search", found["hybrid, core"], "ms", ""))
        rows.append(("  hybrid / sum of both", found["hybrid"] / both, "times", "<= 1.2"))
        rows.append(("hybrid, filter keeping 50, p50", found["filtered"], "ms", "< 0.5"))
        index.close()

        rows += measure_upserts(path, documents, vectors, options.upserts)
        rows += filter_times(options.filter_rows)
        rows.append(
            (
                "peak of this process, input included",
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "MB",
                "",
            )
        )
    print(f"{options.documents} documents, {options.searches} searches, {sl.get_num_threads()} threads")
    for name, value, unit, bar in rows:
        print(f"{name:45} {value:12,.3f} {unit:7} {'bar: ' + bar if bar else ''}")
    return [{"case": name.strip(), "value": value, "unit": unit, "bar": bar} for name, value, unit, bar in rows]


def measure_upserts(
    path: Path, documents: list[sl.Document], vectors: npt.NDArray[np.float32], count: int
) -> list[tuple[str, float, str, str]]:
    """Replace a document and find it, and that again after many single upserts.

    The latter alternates with an index that has not had them, a copy made before: minutes later the machine may be
    another.
    """

    def upsert(index: sl.HybridIndex, i: int) -> None:
        old = documents[i % len(documents)]
        index.upsert([sl.Document(old.id, "", old.metadata, vectors[i % len(vectors)], f"{old.title} upsert{i}")])

    def upsert_and_find(index: sl.HybridIndex, i: int) -> None:
        upsert(index, i)
        hits = index.search(f"upsert{i}", 1, mode="lexical")
        if [hit.id for hit in hits] != [documents[i % len(documents)].id]:
            raise SystemExit("WRONG ANSWER: a search does not find what was upserted before it")

    name = "upsert to searchable p50"
    with sl.HybridIndex(path, durability="full") as index:
        rows = [(f"{name}, durability='full'", p50(lambda i: upsert_and_find(index, i), 300), "ms", "< 5")]
    before = path.with_name("before")
    shutil.copytree(path, before)
    with sl.HybridIndex(path, durability="os") as index, sl.HybridIndex(before, durability="os") as fresh:
        rows.append((f"{name}, durability='os'", p50(lambda i: upsert_and_find(index, i), 300), "ms", "< 1"))
        for i in range(count):
            upsert(index, i)
        times: tuple[list[float], list[float]] = ([], [])
        for i in range(300):
            for which in (i % 2, 1 - i % 2):
                start = time.perf_counter()
                upsert_and_find((index, fresh)[which], i)
                times[which].append((time.perf_counter() - start) * 1e3)
        last, same = (float(np.median(each)) for each in times)
        rows.append((f"  after {count} single upserts", last, "ms", ""))
        rows.append(("    times an index without them", last / same, "times", "~ 1"))
        if index.stats()["maintenance_error"] is not None:
            raise SystemExit(f"sealing failed: {index.stats()['maintenance_error']}")
    return rows
