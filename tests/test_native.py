"""The C++ unit tests, one pytest test each."""

from __future__ import annotations

from pathlib import Path

import pytest

import native_build


@pytest.fixture(scope="module")
def program() -> Path:
    return native_build.build()


def test_no_native_test_is_left_out(program: Path) -> None:
    listed = native_build.run(program, "--list").stdout.split()
    assert sorted(native_build.test_names()) == sorted(listed)
    assert len(listed) == len(set(listed)) > 0


def test_a_name_that_selects_nothing_is_a_failure(program: Path) -> None:
    assert native_build.run(program, "no_such_test").returncode == 1


@pytest.mark.parametrize("name", native_build.test_names())
def test_native(program: Path, name: str) -> None:
    done = native_build.run(program, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("1 passed, 0 failed")
