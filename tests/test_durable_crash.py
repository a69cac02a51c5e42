"""A writer killed by SIGKILL at random moments loses nothing that it acknowledged, and leaves no half of a write."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crash_writer import apply, document, write_until_killed
from sightline import HybridIndex

KILLS = 200 if os.environ.get("SIGHTLINE_LONG_TESTS") else 50


def _versions(index: HybridIndex) -> dict[str, int]:
    """The version of every document, each of which must be whole."""
    found = {}
    for position, stored in enumerate(index.get([f"d{i}" for i in range(400)])):
        if stored is not None:
            expected = document(f"d{position}", stored.metadata["version"])
            assert stored == expected
            assert (stored.vector is None) == (expected.vector is None)
            assert stored.vector is None or np.array_equal(stored.vector, expected.vector)
            found[stored.id] = stored.metadata["version"]
    return found


def _possible(model: dict[str, int], log: Path) -> tuple[list[dict[str, int]], int]:
    """What the index may hold: all that was acknowledged, with or without the write that was under way."""
    pending: dict[str, Any] | None = None
    version = 0
    for text in log.read_text().splitlines():
        line = json.loads(text)
        if "begin" in line:
            pending = line["begin"]
            version = max([version, *pending["written"].values()])
        else:
            assert pending is not None
            model, pending = apply(model, pending), None
            version = max(version, line["done"])
    return ([model] if pending is None else [model, apply(model, pending)]), version


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL and forkserver")
def test_killed_writers_lose_nothing(tmp_path: Path) -> None:
    folder, log = tmp_path / "kb", tmp_path / "log"
    HybridIndex(folder).close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crash_writer", "sightline.bm25_index"])
    source = random.Random(7)
    model: dict[str, int] = {}
    version = acknowledged = interrupted = 0
    for kill in range(KILLS):
        log.unlink(missing_ok=True)
        writer = context.Process(target=write_until_killed, args=(str(folder), str(log), kill, version))
        writer.start()
        began = time.monotonic()
        # Some writes later, however slow the machine is, and at any moment of one; now and then while it opens.
        enough = source.randrange(1, 12) if kill % 10 else 0
        while enough and not (log.exists() and log.read_text().count("done") >= enough):
            assert writer.is_alive()
            time.sleep(0.001)
            assert time.monotonic() - began < 120
        time.sleep(source.uniform(0, 0.05 if enough else 0.25))
        writer.kill()
        writer.join()

        states, newest = _possible(model, log) if log.exists() else ([model], version)
        acknowledged += log.read_text().count("done") if log.exists() else 0
        version = max(version, newest) + 1
        with HybridIndex.open(folder) as index:
            assert index.verify()["documents"] == len(index)
            found = _versions(index)
            assert found in states, f"kill {kill}: neither the last acknowledged state nor the one after it"
            interrupted += found != states[0]
            assert len(index) == len(found)
            ids = {hit.id for hit in index.search("apple", 400, mode="lexical")}
            texts = {name: document(name, v) for name, v in found.items()}
            assert ids == {name for name, d in texts.items() if "apple" in d.text}
        model = found
    assert acknowledged > 3 * KILLS  # the writers did write
