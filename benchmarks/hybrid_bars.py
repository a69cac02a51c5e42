"""HybridIndex on disk, what its users feel, each figure beside its bar: ``python -m benchmarks hybrid --data DIR``."""

from __future__ import annotations

import argparse
import gzip
import json
import resource
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

_K = 10


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


def first_answer(path: Path, folder: Path) -> tuple[float, float]:
    """Seconds from opening to the first answer, and resident megabytes after 100 searches, in a process of its own."""
    code = (
        "import sys, time, numpy as np\n"
        "from benchmarks import memory\n"
        "from sightline.hybrid_index import HybridIndex\n"
        "vectors = np.load(sys.argv[2] + '/queries.npy').astype(np.float32)\n"
        "start = time.perf_counter()\n"
        "with HybridIndex.open(sys.argv[1], read_only=True) as index:\n"
        "    assert index.search('solvable lattice models', vector=vectors[0])\n"
        "    seconds = time.perf_counter() - start\n"
        "    for vector in vectors[:100]: index.search('solvable lattice models', vector=vector)\n"
        "    resident = memory.resident_bytes()\n"
        "    print(seconds, resident / 2**20 if resident else 'nan')\n"
    )
    command = [sys.executable, "-c", code, str(path), str(folder)]
    environment = environment_for(sl.get_num_threads())
    runs = [subprocess.check_output(command, env=environment, text=True).split() for _ in range(3)]
    return min(float(run[0]) for run in runs), float(runs[0][1])


def measure_searches(
    index: sl.HybridIndex, queries: list[str], vectors: npt.NDArray[np.float32], count: int
) -> dict[str, float]:
    """Hybrid searches beside those of the two engines alone, interleaved so that all see the same machine."""
    state = index._keeper.newest()
    dense, lexical = state.dense, state.lexical
    assert dense is not None
    calls: dict[str, Callable[[int], object]] = {
        "hybrid": lambda i: index.search(queries[i], _K, vector=vectors[i]),
        "dense engine": lambda i: dense.search(vectors[i], _K),
        "lexical engine": lambda i: lexical.search(queries[i], _K),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(count):
        for name, call in calls.items():
            times[name].append(float(milliseconds(lambda _, n=number, c=call: c(n), 1)[0]))  # type: ignore[misc]
    found = {name: float(np.median(values)) for name, values in times.items()}
    shards = index.count() // 50
    index.count({"shard": 1})  # builds the columns
    # By themselves: beside the scans above, which read 20 MB each, these would pay for caches that they do not use.
    found["filtered"] = p50(
        lambda i: index.search(queries[i], _K, vector=vectors[i], where={"shard": i % shards}), count
    )
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--upserts", type=int, default=10_000, help="single upserts before the last measurement")
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
        seconds, resident = first_answer(path, options.data)
        rows.append(("open to first answer", seconds, "s", "< 0.3"))
        rows.append(("resident memory of a reader, Python included", resident, "MB", ""))

        index = sl.HybridIndex(path)
        found = measure_searches(index, queries, vectors, count)
        both = found["dense engine"] + found["lexical engine"]
        rows.append(("hybrid search p50", found["hybrid"], "ms", "< 2"))
        rows.append(("  dense engine alone", found["dense engine"], "ms", ""))
        rows.append(("  lexical engine alone", found["lexical engine"], "ms", ""))
        rows.append(("  hybrid / sum of both", found["hybrid"] / both, "times", "<= 1.2"))
        rows.append(("hybrid, filter keeping 50, p50", found["filtered"], "ms", "< 0.5"))
        index.close()

        for durability, bar in (("full", "< 5"), ("os", "< 1")):
            with sl.HybridIndex(path, durability=durability) as index:  # type: ignore[arg-type]
                rows += measure_upserts(index, durability, bar, documents, vectors, options)
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
    index: sl.HybridIndex,
    durability: str,
    bar: str,
    documents: list[sl.Document],
    vectors: npt.NDArray[np.float32],
    options: argparse.Namespace,
) -> list[tuple[str, float, str, str]]:
    """Replace a document and find it; at first, and after many single upserts."""

    def upsert(i: int) -> None:
        old = documents[i % len(documents)]
        index.upsert([sl.Document(old.id, "", old.metadata, vectors[i % len(vectors)], f"{old.title} upsert{i}")])

    def upsert_and_find(i: int) -> None:
        upsert(i)
        hits = index.search(f"upsert{i}", 1, mode="lexical")
        if [hit.id for hit in hits] != [documents[i % len(documents)].id]:
            raise SystemExit("WRONG ANSWER: a search does not find what was upserted before it")

    name = f"upsert to searchable p50, durability={durability!r}"
    first = p50(upsert_and_find, 300)
    rows = [(name, first, "ms", bar)]
    if durability == "os":
        for i in range(options.upserts):
            upsert(i)
        last = p50(upsert_and_find, 300)
        rows.append((f"  after {options.upserts} single upserts", last, "ms", f"<= {first:.2f}, as before"))
    return rows
