"""One engine in one process: ``python -m benchmarks.worker``, driven by lines of JSON from ``benchmarks.workers``.

Standard output belongs to the protocol; what a library prints there goes to standard error instead.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.peers import load_peer
from benchmarks.peers.base import DensePeer, HybridPeer, LexicalPeer, Peer, Setting, folder_bytes
from benchmarks.timing import PACES, run_round, settle

Case = dict[str, Any]
Call = Callable[[int], Any]


_REHEARSAL = 2000  # rows or documents
_LONG_BUILD_MS = 500  # such a one needs no other before it


class Worker:
    """The engine with its inputs, which lie as files in ``inputs``."""

    def __init__(self, module: str, threads: int, inputs: str, folder: str) -> None:
        self.peer: Peer = load_peer(module)(threads, Path(folder))
        self.inputs = Path(inputs)
        self.settings: list[Setting] = []
        self._calls: dict[str, Call] = {}
        self._added = itertools.count()  # a word of its own for each document that a case adds
        self._prepared: dict[str, Any] = {}

    def build(self) -> dict[str, Any]:
        """Build and save; time, memory beyond interpreter and input, bytes on disk."""
        self._rehearse()
        started = memory.resident_bytes()
        arguments = self._arguments()
        memory.reset_peak()
        before = memory.resident_bytes()
        start = time.perf_counter()
        self.peer.build(*arguments)  # type: ignore[attr-defined]
        seconds = time.perf_counter() - start
        peak = memory.peak_bytes()
        del arguments
        self.settings = self.peer.settings()
        if not isinstance(self.peer, HybridPeer):
            self._warm()
        gc.collect()
        memory.trim()
        resident = memory.resident_bytes()
        start = time.perf_counter()
        self.peer.save()
        saving = time.perf_counter() - start
        return self._told() | {
            "build_seconds": seconds,
            "save_seconds": saving,
            "peak_bytes": None if peak is None or before is None else peak - before,
            "resident_bytes": None if resident is None or started is None else resident - started,
            "disk_bytes": folder_bytes(self.peer.folder) or None,
            "description": self.peer.described(),
        }

    def prepare(self) -> dict[str, Any]:
        """Build without measuring it, as one more process of an engine."""
        self.peer.build(*self._arguments())  # type: ignore[attr-defined]
        self.settings = self.peer.settings()
        if isinstance(self.peer, HybridPeer):
            self.peer.save()  # closed and opened again, as after ``build``
        gc.collect()
        memory.trim()
        return self._told()

    def _told(self) -> dict[str, Any]:
        """What cases can be asked of this engine."""
        return {
            "settings": [{"label": s.label, "exact": s.exact} for s in self.settings],
            "modes": list(getattr(self.peer, "modes", [])),
            "exact_modes": list(getattr(self.peer, "exact_modes", [])),
            "filters": bool(getattr(self.peer, "filters", False)),
            "upserts": type(self.peer).upsert is not HybridPeer.upsert if isinstance(self.peer, HybridPeer) else False,
        }

    def _rehearse(self) -> None:
        """Build a little in a folder that is dropped, so that imports and compilers are not counted as building."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = tuple(argument[:_REHEARSAL] for argument in self._arguments())
            with contextlib.suppress(Exception):  # what fails here fails in the build, too, and is reported there
                peer = type(self.peer)(self.peer.threads, Path(folder))
                peer.build(*arguments)  # type: ignore[attr-defined]
                peer.close()
        gc.collect()
        memory.trim()

    def _warm(self) -> None:
        """One search, so that what it allocates is counted, and what only the build needed may be given back."""
        self._call({"what": "search", "setting": 0, "k": 1, "batch": 1})(0)

    def open(self) -> dict[str, Any]:
        """Open what another process saved, and answer one query: seconds, resident bytes beyond the interpreter.

        Imports are not counted; what an engine compiles or loads at its first search is.
        """
        for name in self.peer.modules:
            importlib.import_module(name)
        before = memory.resident_bytes()
        case = {"what": "search", "setting": 0, "mode": "hybrid", "k": 10, "batch": 1}
        self._input("query_tokens.json" if isinstance(self.peer, LexicalPeer) else "queries.npy")
        start = time.perf_counter()
        self.peer.load()
        loaded = time.perf_counter() - start
        self.settings = self.peer.settings()
        self._call(case)(0)
        return {
            "load_seconds": loaded,
            "seconds": time.perf_counter() - start,
            "resident_bytes": None if before is None else (memory.resident_bytes() or 0) - before,
        }

    def answers(self, case: Case, count: int, path: str) -> dict[str, Any]:
        """The ids for the first ``count`` queries, asked in batches as the case does, into a file."""
        call = self._call(case)
        batch = case.get("batch", 1)
        found = []
        seconds = []
        for number in range(-(-count // batch)):
            start = time.perf_counter()
            answer = call(number)
            seconds.append(time.perf_counter() - start)
            found.append(np.asarray(answer))
        ids = np.full((count, case["k"]), -1, dtype=np.int64)
        at = 0
        for part in found:
            for row in np.atleast_2d(part):
                if at < count:
                    ids[at, : len(row)] = row
                    at += 1
        np.save(path, ids)
        # How long a call takes, roughly: the first may have had something to prepare.
        usual = float(np.median(seconds[1:])) * 1e3 if len(seconds) > 1 else None
        return {"bytes_read": self._bytes_read(case), "milliseconds": usual}

    def round(self, case: Case, first: int, calls: int) -> dict[str, Any]:
        case, pace = {**case}, PACES[case.get("pace", "usual")]
        case.pop("pace", None)  # it is no other case: what was prepared for its answers serves
        if case["what"] == "build":
            uncounted = 0 if calls == 1 and self._prepared.get("long build") else 1
            arguments = self._arguments()
            times = [self._build_anew(arguments) for _ in range(calls + uncounted)][uncounted:]
            self._prepared["long build"] = times[0] > _LONG_BUILD_MS
            return {"milliseconds": float(np.median(times))}
        return {"milliseconds": run_round(self._call(case), first, calls, pace)}

    def _build_anew(self, arguments: tuple[Any, ...]) -> float:
        """Milliseconds of one more build, in a folder of its own, beside the index that this process holds.

        Its memory comes from the system, as that of a first index does: what the C library keeps of one before differs
        from engine to engine and from time to time, between nothing and all, and to fill it anew is most of a build.
        The arguments are the same in all builds of a slice: their pages are there, and what Python keeps of a str.
        """
        memory.trim()
        with tempfile.TemporaryDirectory(dir=self.peer.folder) as folder:
            peer = type(self.peer)(self.peer.threads, Path(folder))
            start = time.perf_counter()
            peer.build(*arguments)  # type: ignore[attr-defined]
            seconds = time.perf_counter() - start
            peer.close()
            del peer
            gc.collect()
        settle()
        return seconds * 1e3

    # What a case asks for -----------------------------------------------------------------------------------------

    def _arguments(self) -> tuple[Any, ...]:
        if isinstance(self.peer, DensePeer):
            return (np.load(self.inputs / "rows.npy"),)
        if isinstance(self.peer, LexicalPeer):
            return (self._input("tokens.json"),)
        return (self._input("texts.json"), np.load(self.inputs / "rows.npy"), self._input("shards.json"))

    def _input(self, name: str) -> Any:
        """An input file, read once and kept."""
        if name not in self._prepared:
            path = self.inputs / name
            value = np.load(path) if path.suffix == ".npy" else json.loads(path.read_text(encoding="utf-8"))
            if name == "tokens.json" or name == "texts.json":  # large: only the build needs them
                return value
            self._prepared[name] = value
        return self._prepared[name]

    def _call(self, case: Case) -> Call:
        key = json.dumps(case, sort_keys=True)
        if key not in self._calls:
            peer = self.peer
            if case["what"] == "index texts":
                texts = self._input("texts.json")[: case["documents"]]
                self._calls[key] = lambda _: peer.index_texts(texts)  # type: ignore[attr-defined]
            elif isinstance(peer, DensePeer):
                self._calls[key] = self._dense_call(peer, case)
            elif isinstance(peer, LexicalPeer):
                self._calls[key] = self._lexical_call(peer, case)
            elif isinstance(peer, HybridPeer):
                self._calls[key] = self._hybrid_call(peer, case)
        return self._calls[key]

    def _dense_call(self, peer: DensePeer, case: Case) -> Call:
        queries, batch, k = self._input("queries.npy"), case["batch"], case["k"]
        options = self.settings[case["setting"]].options
        search = peer.search
        if "filter" in case:
            allowed = np.load(self.inputs / case["filter"])

            def search(queries: Any, k: int, options: Any) -> Any:
                if self._prepared.get("filter") != case["filter"]:
                    peer.set_filter(allowed)
                    self._prepared["filter"] = case["filter"]
                return peer.search_filtered(queries, k, options)

        batches = [queries[start : start + batch] for start in range(0, len(queries) - batch + 1, batch)]
        return lambda number: search(batches[number % len(batches)], k, options)

    def _lexical_call(self, peer: LexicalPeer, case: Case) -> Call:
        queries = self._input("query_tokens.json")
        if case["what"] == "add":
            return lambda number: peer.add_and_find([*_document(queries, number), f"added{next(self._added)}"])
        batch, k = case["batch"], case["k"]
        options = self.settings[case["setting"]].options
        starts = range(0, len(queries) - batch + 1, batch)
        batches = [peer.prepare(queries[start : start + batch]) for start in starts]
        return lambda number: peer.search(batches[number % len(batches)], k, options)

    def _hybrid_call(self, peer: HybridPeer, case: Case) -> Call:
        texts, vectors, k = self._input("query_texts.json"), self._input("queries.npy"), case["k"]
        if case["what"] == "upsert":
            shards = self._input("shards.json")

            def upsert_and_find(number: int) -> list[int]:
                at, word = number % len(shards), f"upserted{number}"
                peer.upsert(at, f"{texts[number % len(texts)]} {word}", vectors[number % len(texts)], shards[at])
                found = peer.search("text", word, vectors[0], 1, 0)
                if found != [at]:
                    raise RuntimeError(f"a search does not find what was upserted before it: got {found}, not {[at]}")
                return found

            return upsert_and_find
        mode, shard_count = case["mode"], case.get("shards", 1)

        def search(number: int) -> list[int]:
            at = number % len(texts)
            return peer.search(mode, texts[at], vectors[at], k, at % shard_count)

        return search

    def _bytes_read(self, case: Case) -> int | None:
        if isinstance(self.peer, DensePeer) and "filter" not in case:
            return self.peer.bytes_read(self._input("queries.npy")[: case["batch"]], case["k"])
        return None


def _document(queries: list[list[str]], number: int) -> list[str]:
    """Tokens of some queries, about as many as an abstract has."""
    start = number % len(queries)
    return [token for query in queries[start : start + 12] for token in query]


def main() -> int:
    # Libraries print to file descriptor 1, from C as well: the protocol keeps a copy of it for itself.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())
    affinity = getattr(os, "sched_setaffinity", None)
    if affinity is not None:
        affinity(0, sorted(os.sched_getaffinity(0))[: settings["threads"]])
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(**settings)
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
