"""Kernels, threads, processes and import cost, as a user's process sees them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from typing import Any

import numpy as np
import pytest

import sightline as sl


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process whose only SIGHTLINE_ variables are those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, timeout=120
    )


def evaluate(expression: str, **environment: str) -> Any:
    done = run_python(f"import json, sightline as sl; print(json.dumps({expression}))", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


AVAILABLE: list[str] = evaluate("sl.cpu_info()['available']")
COMPILED: list[str] = evaluate("sl.cpu_info()['compiled']")

# --- kernels ------------------------------------------------------------------------------------------------------


def test_the_best_table_is_chosen_by_itself() -> None:
    info = evaluate("sl.cpu_info()")
    assert info["isa"] == info["available"][0]
    assert info["available"][-1] == "scalar"
    assert set(info["available"]) <= set(info["compiled"])
    assert info["forced"] is None
    assert "best" in info["reason"]


@pytest.mark.parametrize("name", AVAILABLE)
def test_a_forced_table_is_the_active_one(name: str) -> None:
    info = evaluate("sl.cpu_info()", SIGHTLINE_ISA=name)
    assert info["isa"] == info["forced"] == name
    assert name in info["reason"]


def test_this_run_uses_the_table_that_was_asked_for() -> None:
    forced = os.environ.get("SIGHTLINE_ISA")
    assert sl.cpu_info()["isa"] == (forced or AVAILABLE[0])


def test_an_empty_name_forces_nothing() -> None:
    assert evaluate("sl.cpu_info()['isa']", SIGHTLINE_ISA="") == AVAILABLE[0]


@pytest.mark.parametrize("name", ["avx1024", "AVX2", "scalar ", *(set(COMPILED) - set(AVAILABLE))])
def test_a_table_that_cannot_run_is_an_error_that_lists_the_others(name: str) -> None:
    code = "import sightline as sl\ntry:\n    sl.cpu_info()\nexcept sl.InvalidInputError as e:\n    print('ERROR', e)"
    done = run_python(code, SIGHTLINE_ISA=name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ERROR SIGHTLINE_ISA")
    assert f"'{name}'" in done.stdout
    assert ", ".join(AVAILABLE) in done.stdout


def test_an_error_of_choice_reaches_whoever_searches() -> None:
    code = "import sightline as sl\nix = sl.VectorIndex(2)\nix.add([[1.0, 0.0]])\nix.search([1.0, 0.0], k=1)"
    done = run_python(code, SIGHTLINE_ISA="avx1024")
    assert done.returncode == 1
    assert "InvalidInputError: SIGHTLINE_ISA" in done.stderr


# --- threads ------------------------------------------------------------------------------------------------------


def test_threads_default_to_the_cpus_of_this_process() -> None:
    assert evaluate("[sl.get_num_threads(), sl.cpu_info()['cpus']]") == [evaluate("sl.cpu_info()['cpus']")] * 2
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= evaluate("sl.get_num_threads()") <= len(os.sched_getaffinity(0))


def test_threads_by_the_environment() -> None:
    assert evaluate("sl.get_num_threads()", SIGHTLINE_NUM_THREADS="3") == 3
    assert evaluate("sl.cpu_info()['threads']", SIGHTLINE_NUM_THREADS="1") == 1


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "2x", "99999999999999999999"])
def test_a_number_of_threads_that_makes_no_sense_is_ignored(text: str) -> None:
    cpus = evaluate("sl.cpu_info()['cpus']")
    assert evaluate("sl.get_num_threads()", SIGHTLINE_NUM_THREADS=text) == cpus


def test_set_num_threads() -> None:
    before = sl.get_num_threads()
    try:
        for count in (1, 2, np.int64(3), 7, 4096):
            sl.set_num_threads(count)
            assert sl.get_num_threads() == count == sl.cpu_info()["threads"]
    finally:
        sl.set_num_threads(before)


@pytest.mark.parametrize("value", [0, -1, 4097, 10**30, 1.0, "2", None, True])
def test_set_num_threads_refuses(value: Any) -> None:
    before = sl.get_num_threads()
    with pytest.raises(sl.InvalidInputError, match=f"^n: .*{re.escape(repr(value))}$"):
        sl.set_num_threads(value)
    assert sl.get_num_threads() == before


FORK = """
import os, warnings
import numpy as np
import sightline as sl

sl.set_num_threads(3)
rng = np.random.default_rng(0)
ix = sl.VectorIndex(24)
ix.add(rng.standard_normal((20000, 24)))
queries = rng.standard_normal((50, 24))
expected = ix.search(queries, k=5)  # now the parent's pool has threads, which a child does not
for _ in range(3):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
        child = os.fork()
    if child == 0:
        import signal
        signal.alarm(60)  # a child that waits for threads it does not have is killed, not waited for
        scores, ids = ix.search(queries, k=5)
        same = np.array_equal(scores, expected[0]) and np.array_equal(ids, expected[1])
        os._exit(0 if same and sl.get_num_threads() == 3 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(ix.search(queries, k=5)[1], expected[1])
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_searches_and_so_does_its_parent() -> None:
    done = run_python(FORK)
    assert done.stdout == "done\n", done.stderr


# --- import and dependencies --------------------------------------------------------------------------------------


def test_import_is_fast_and_leaves_numpy_alone() -> None:
    code = (
        "import sys, time\nstart = time.perf_counter()\nimport sightline\nseconds = time.perf_counter() - start\n"
        "print(seconds, 'numpy' in sys.modules, 'sightline._core' in sys.modules)"
    )
    runs = [run_python(code).stdout.split() for _ in range(7)]
    assert {tuple(run[1:]) for run in runs} == {("False", "False")}
    assert min(float(run[0]) for run in runs) < 0.15  # the least: what else the machine does is not ours


def test_every_public_name_can_be_imported() -> None:
    assert evaluate("all(getattr(sl, name) is not None for name in sl.__all__)")
    assert set(sl.__all__) <= set(dir(sl))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sl.nonsense  # noqa: B018


def test_the_package_itself_needs_numpy_and_pystemmer_only() -> None:
    base = [text for text in requires("sightline") or [] if "extra" not in text]
    assert {re.split(r"[^\w-]", text)[0].lower() for text in base} == {"numpy", "pystemmer"}
