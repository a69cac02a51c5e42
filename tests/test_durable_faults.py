"""A disk that is full, broken or writes half: an error leaves the last commit, and the index goes on afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
LONG = bool(os.environ.get("SIGHTLINE_LONG_TESTS"))


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs LD_PRELOAD and a C compiler")
def test_every_failing_system_call_leaves_the_last_commit(tmp_path: Path) -> None:
    library = tmp_path / "faults.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, TESTS / "faults.c", "-ldl"], check=True)
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, TESTS / "fault_steps.py", library, tmp_path, "thorough" if LONG else "quick"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert set(report) == {"upsert", "delete", "bulk", "seal", "flush", "merge", "compact"}
    for name, counts in report.items():  # each writes several times, and most failures cannot be hidden from the caller
        assert counts["calls"] >= 10, name
        assert counts["failed"] >= 10, name
