"""A process that writes to an index and says so, to be killed: see test_durable_crash.py."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import numpy as np

import sightline.durable
import sightline.maintenance
from sightline import Document, HybridIndex

__all__ = ["apply", "document", "write_until_killed"]

WORDS = ["apple", "banana", "cherry", "river", "stone", "cloud"]


def document(name: str, version: int) -> Document:
    """The one document that a name and a version stand for."""
    source = random.Random(f"{name} {version}")
    text = " ".join(source.choices(WORDS, k=source.randrange(9)))
    vector = None if source.random() < 0.1 else np.array([source.gauss(0, 1) for _ in range(8)], dtype=np.float32)
    return Document(name, text, {"version": version, "part": version % 3}, vector, source.choice([None, "title"]))


def apply(model: dict[str, int], change: dict[str, Any]) -> dict[str, int]:
    """What a write makes of the versions by name."""
    after = {name: version for name, version in model.items() if name not in change["deleted"]}
    return after | change["written"]


def write_until_killed(folder: str, log: str, seed: int, first_version: int) -> None:
    """Write at random. Each write is announced in the log before it begins, and acknowledged after it returned."""
    sightline.maintenance._SEAL_ROWS = 40
    sightline.durable._DIRECT_ROWS = 60
    sightline.durable._SPOOL_BYTES = 1000
    sightline.durable._GROUP_ROWS = 50
    source = random.Random(seed)
    index = HybridIndex.open(folder, batch_size=32)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(**line: Any) -> None:
        os.write(descriptor, (json.dumps(line) + "\n").encode())

    version = first_version
    while True:
        version += 1
        names = [f"d{i}" for i in source.sample(range(400), source.choice([1, 1, 1, 3, 10, 80]))]
        kind = source.choice(["upsert", "upsert", "upsert", "delete", "flush", "compact"])
        if kind == "upsert":
            say(begin={"written": dict.fromkeys(names, version), "deleted": []})
            index.upsert(document(name, version) for name in names)
        elif kind == "delete":
            say(begin={"written": {}, "deleted": names[:20]})
            index.delete(names[:20])
        elif source.random() < 0.3:
            say(begin={"written": {}, "deleted": []})
            index.flush() if kind == "flush" else index.compact()
        else:
            continue
        say(done=version)
