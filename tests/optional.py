"""What tests of optional packages share."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def require(extra: str, *modules: str) -> None:
    """Skip the calling test module where packages are missing.

    SIGHTLINE_REQUIRE_EXTRAS=1 makes that a failure; CI sets it in the stage whose environment has them all.
    """
    missing = [module for module in modules if find_spec(module.partition(".")[0]) is None]
    if missing:
        message = f"needs {', '.join(missing)}: pip install 'sightline[{extra}]'"
        if os.environ.get("SIGHTLINE_REQUIRE_EXTRAS") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message, allow_module_level=True)
