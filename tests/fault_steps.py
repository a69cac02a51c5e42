"""Each writing system call of each kind of write fails once, in every way: run under faults.c by test_durable_faults.

Prints one JSON object: how many calls each kind of write makes, and how many failures it survived.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import sightline.durable
import sightline.maintenance
from crash_writer import document
from sightline import HybridIndex, StorageError

NAMES = [f"d{i}" for i in range(60)]
NO_SPACE, BROKEN, SHORT_WRITE = 1, 2, 3


def _maintain(index: HybridIndex) -> None:
    while index._keeper._maintain_once():
        pass


STEPS: dict[str, Callable[[HybridIndex], object]] = {
    "upsert": lambda index: index.upsert(document(name, 2) for name in NAMES[:3]),
    "delete": lambda index: index.delete(NAMES[5:9]),
    "bulk": lambda index: index.upsert(document(name, 3) for name in NAMES[:25]),
    "seal": lambda index: index._keeper._seal(),
    "flush": lambda index: index.flush(),
    "merge": _maintain,
    "compact": lambda index: index.compact(),
}


def _content(index: HybridIndex) -> dict[str, int]:
    found = {}
    for stored in index.get(NAMES):
        if stored is not None:
            expected = document(stored.id, stored.metadata["version"])
            if stored != expected:
                raise SystemExit(f"{stored.id} is not what was written")
            found[stored.id] = stored.metadata["version"]
    return found


def _searchable(index: HybridIndex, content: dict[str, int]) -> None:
    """Stop unless the engines hold what the database holds."""
    expected = {name for name, version in content.items() if "apple" in document(name, version).text}
    found = {hit.id for hit in index.search("apple", 100, mode="lexical")}
    if found != expected:
        raise SystemExit(f"the search found {sorted(found)}, expected {sorted(expected)}")


def _make_base(folder: Path) -> None:
    """An index with several segments, tombstones and unsealed rows."""
    with HybridIndex(folder, dim=8) as index:
        for start in range(0, 48, 12):
            index.upsert(document(name, 1) for name in NAMES[start : start + 12])
            index._keeper._seal()
        index.delete(NAMES[10:14])
        index.upsert(document(name, 1) for name in NAMES[48:])


def main(library: str, folder: Path, thorough: bool) -> None:
    faults = ctypes.CDLL(library)
    faults.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    faults.fault_calls.restype = ctypes.c_long
    sightline.maintenance._SEAL_ROWS = 10_000
    sightline.durable._DIRECT_ROWS = 20
    sightline.durable._SPOOL_BYTES = 1000
    sightline.durable._GROUP_ROWS = 12
    sightline.durable.DurableKeeper.background = False
    base, work = folder / "base", folder / "work-kb"
    _make_base(base)
    report = {}
    for name, step in STEPS.items():
        shutil.copytree(base, work)
        with HybridIndex.open(work) as index:
            before = _content(index)
            faults.fault_arm(b"work-kb", -1, 0, 0)
            step(index)
            calls = faults.fault_calls()
            after = _content(index)
        shutil.rmtree(work)
        failed = 0
        for mode, sticky in ((NO_SPACE, 1), (BROKEN, 0), (BROKEN, 1), (SHORT_WRITE, 0)):
            for nth in range(1, calls + 1, 1 if thorough else max(1, calls // 16)):
                shutil.copytree(base, work)
                index = HybridIndex.open(work, batch_size=8)
                faults.fault_arm(b"work-kb", nth, mode, sticky)
                try:
                    step(index)
                    expected = after
                except StorageError:
                    expected = before
                    failed += 1
                faults.fault_arm(b"", -1, 0, 0)
                what = f"{name}, call {nth} of {calls}, mode {mode}, sticky {sticky}"
                if _content(index) != expected:
                    raise SystemExit(f"{what}: the index holds something else than the last commit")
                _searchable(index, expected)
                index.upsert([document("d59", 9)])  # the cause is gone, so writing works again
                expected = expected | {"d59": 9}
                index.close()
                with HybridIndex.open(work) as index:
                    index.verify()
                    if _content(index) != expected:
                        raise SystemExit(f"{what}: after opening again the index holds something else")
                    _searchable(index, expected)
                    named = {int(segment) for segment in index._keeper._parts}
                left = {int(path.stem) for path in (work / "segments").iterdir()}
                if left != named:
                    raise SystemExit(f"{what}: opening left files that nothing names: {left - named}")
                shutil.rmtree(work)
        report[name] = {"calls": calls, "failed": failed}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "thorough")
