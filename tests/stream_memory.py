"""A process that adds a generator of documents and prints its peak memory: see test_durable_stream.py."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator

import numpy as np

import sightline.durable
from sightline import Document, HybridIndex

__all__ = ["peak"]

DIM = 32
TEXT = "a title of some words that repeat themselves " * 8


def _documents(count: int) -> Iterator[Document]:
    source = np.random.default_rng(0)
    for i in range(count):
        vector = source.standard_normal(DIM, dtype=np.float32)
        yield Document(f"d{i}", f"{TEXT} number{i % 1000}", {"part": i % 7}, vector)


def peak() -> int:
    """Peak resident bytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(path: str, count: int) -> None:
    sightline.durable._SPOOL_BYTES = 8 << 20
    sightline.durable._GROUP_ROWS = 8192
    sightline.durable.DurableKeeper.background = False  # a merge takes the memory of what it merges
    with HybridIndex(None if path == "-" else path, dim=DIM) as index:
        index.add(_documents(1000))  # whatever is loaded at the first call
        before = peak()
        index.upsert(_documents(count))
        after = peak()
        assert index.count() == count
        held = sum(sum(part.values()) for part in index.stats()["bytes"].values())
    print(json.dumps({"grown": after - before, "held": held}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
