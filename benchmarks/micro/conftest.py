"""What the micro-benchmarks share."""

from __future__ import annotations

import pytest

# Without the plugin the tests are skipped, and say why.
try:
    import pytest_benchmark  # noqa: F401
except ImportError:

    @pytest.fixture
    def benchmark() -> None:
        pytest.skip("needs pytest-benchmark: pip install '.[bench]'")

    def pytest_configure(config: pytest.Config) -> None:
        config.addinivalue_line("markers", "benchmark: settings of pytest-benchmark")
