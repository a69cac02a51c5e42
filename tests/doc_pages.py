"""Runs what the documentation shows: the ``python`` and ``console`` blocks of a page, in order.

All Python blocks of a page share one fresh namespace, all blocks one temporary directory. A ``text`` block that follows
one of them is its exact output. HTML comments, which readers do not see, say what is special about the next block:

    <!-- needs: faiss, bm25s -->      modules without which it is skipped, visibly
    <!-- raises: InvalidInputError -->    the error it ends with; the block's output is the message
    <!-- not run: why -->             never executed; the page says why, too
    <!-- hidden                       code that runs here and is not shown
    import numpy
    -->

Of console blocks the lines are run that begin with ``sightline``; those with pip are what stages of .ci/run begin with.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>[\w-]*)")
_DIRECTIVE = re.compile(r"^<!-- (needs|raises|not run): (.+?) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced or hidden block: what is executed, and what is expected of it."""

    language: str
    code: str
    line: int  # of its first line of code, from 1
    needs: tuple[str, ...] = ()
    raises: str | None = None
    not_run: str | None = None
    output: str | None = None

    @property
    def missing(self) -> list[str]:
        return [name for name in self.needs if find_spec(name.partition(".")[0]) is None]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that can be executed."""
    found: list[Block] = []
    for block in _fences(page.read_text(encoding="utf-8").splitlines()):
        if block.language in ("python", "console"):
            found.append(block)
        elif block.language == "output":
            found[-1] = Block(**{**vars(found[-1]), "output": block.code})
    return found


def _fences(lines: list[str]) -> Iterator[Block]:
    directives: dict[str, str] = {}
    previous: str | None = None  # the language of a block that only blank lines separate from here
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        directive = _DIRECTIVE.match(line)
        fence = _FENCE.match(line)
        if line == "<!-- hidden":
            end = lines.index("-->", number)
            yield _block("python", lines[number:end], number, directives)
            directives, previous, number = {}, "hidden", end + 1
        elif directive is not None:
            directives[directive[1]] = directive[2]
        elif fence is not None:
            end = next(i for i in range(number, len(lines)) if lines[i].strip() == fence["ticks"])
            indent = len(fence["indent"])
            code = [text[indent:] for text in lines[number:end]]
            is_output = fence["language"] == "text" and previous in ("python", "console")
            yield _block("output" if is_output else fence["language"], code, number, directives)
            directives, previous, number = {}, fence["language"], end + 1
        elif line.strip():
            directives, previous = {}, None


def _block(language: str, code: list[str], before: int, directives: dict[str, str]) -> Block:
    return Block(
        language,
        "\n".join(code) + "\n",
        before + 1,
        tuple(name.strip() for name in directives.get("needs", "").split(",") if name.strip()),
        directives.get("raises"),
        directives.get("not run"),
    )


def run_page(page: Path) -> list[str]:
    """Execute the blocks of a page in the current directory, and return why some were left out.

    Raises:     AssertionError if an output is another than the page shows; what the code raises
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    left_out = []
    for block in blocks_of(page):
        if block.not_run is not None:
            continue
        if block.missing:
            left_out.append(f"line {block.line} needs {', '.join(block.missing)}")
            continue
        where = f"{page.name}, line {block.line}"
        output = _run_python(block, page, namespace) if block.language == "python" else _run_console(block, where)
        if block.output is not None:
            assert output.rstrip() == block.output.rstrip(), f"{where} printed:\n{output}"
    return left_out


def _run_python(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")  # so that a traceback names the line
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        if block.raises is None:
            exec(code, namespace)
        else:
            with pytest.raises(Exception) as caught:
                exec(code, namespace)
            assert type(caught.value).__name__ == block.raises
            print(caught.value)
    return output.getvalue()


def _run_console(block: Block, where: str) -> str:
    lines = [line for line in block.code.splitlines() if not line.startswith(("pip ", "#"))]
    assert all(line.startswith(("sightline ", " ")) for line in lines), f"{where}: mark what is not run"
    if not lines:
        return ""
    script = f'sightline() {{ "{sys.executable}" -m sightline "$@"; }}\n' + "\n".join(lines)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )
    assert result.returncode == 0, f"{where}: {result.stderr}"
    return result.stdout
