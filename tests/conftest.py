"""What all tests share: hypothesis profiles and the way to the shared data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() == "true"

# A deadline would fail a test because the machine is busy. CI runs the same examples every time; at home each run
# tries new ones. "reduced" is for repeating the suite under slow kernels: SIGHTLINE_HYPOTHESIS_PROFILE=reduced.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("reduced", deadline=None, derandomize=True, max_examples=15)
settings.load_profile(os.environ.get("SIGHTLINE_HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "default"))

# Haystack and Chroma report to their makers unless told not to; a test run is nobody's use of them.
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")


def pytest_configure(config: pytest.Config) -> None:
    # The suites of some frameworks hold bare ``async def`` tests; without pytest-asyncio nobody reads this.
    config.option.asyncio_mode = "auto"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets beside the repository. Skips the test where there is none, and fails it in CI."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        message = f"needs the data sets in {folder}, which does not exist"
        if IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    return folder
