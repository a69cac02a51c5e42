"""Builds the native programs, and runs single native unit tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "native-tests"  # kept, so that the next run compiles only what changed


def test_names() -> list[str]:
    """The names in the sources, so that pytest can list the tests before anything is built."""
    sources = sorted((ROOT / "cpp" / "tests").glob("*.cpp"))
    return [name for path in sources for name in re.findall(r"^TEST\((\w+)\)", path.read_text("utf-8"), re.MULTILINE)]


def tool(name: str) -> str:
    """The program of that name that the `test` extra installed beside this Python, else one on the path."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is needed to build the native programs: pip install '.[test]'")
    return found


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        lines = [" ".join(map(str, command)), done.stdout[-6000:], done.stderr[-6000:]]
        raise RuntimeError("building the native programs failed:\n" + "\n".join(lines))


def build(target: str = "sightline_native_tests") -> Path:
    """Return one of the native programs, up to date."""
    if not (BUILD / "build.ninja").is_file():
        _run(
            *(tool("cmake"), "-S", ROOT, "-B", BUILD, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"),
            *("-DSIGHTLINE_BUILD_PYTHON=OFF", "-DSIGHTLINE_BUILD_TESTS=ON", "-DSIGHTLINE_BUILD_BENCH=ON"),
        )
    _run(tool("cmake"), "--build", BUILD, "--target", target)
    return BUILD / target


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600)


if __name__ == "__main__":
    sys.exit(subprocess.run([build(), *sys.argv[1:]]).returncode)
