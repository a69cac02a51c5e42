"""Where larger data for tests lies: ../shared/data, seen from the repository root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def data_folder(name: str) -> Path:
    """Return a data set's folder; without it the test is skipped, or fails where CI=true says that it must
    run."""
    folder = DATA / name
    if folder.is_dir():
        return folder
    message = f"the data set {name!r} is not in ../shared/data"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
