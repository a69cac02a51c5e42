"""Every code block of the documentation and of the README runs, and prints what the page says that it prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doc_pages import blocks_of, run_page
from repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    left_out = run_page(page)
    if left_out:
        message = "; ".join(left_out)
        if os.environ.get("SIGHTLINE_REQUIRE_EXTRAS") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


def test_a_page_is_read_as_doc_pages_says(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\nProse.\n\n```text\nno output\n```\n"
        "<!-- hidden\ny = 2\n-->\n<!-- needs: numpy, no_such_module -->\n```python\ny\n```\n"
        "<!-- raises: ValueError -->\n```python\nint('a')\n```\n<!-- not run: no network -->\n"
        "```console\ncurl x\n```\n",
        encoding="utf-8",
    )
    first, hidden, needing, raising, left = blocks_of(page)
    assert (first.code, first.line, first.output) == ("x = 1\nprint(x)\n", 4, "1\n")
    assert (hidden.code, hidden.output, needing.missing) == ("y = 2\n", None, ["no_such_module"])
    assert (raising.raises, left.language, left.not_run) == ("ValueError", "console", "no network")
    assert run_page(page) == ["line 22 needs no_such_module"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nprint(2)\n```\n```text\n1\n```\n", AssertionError),
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("```console\nls\n```\n", AssertionError),
        ("```console\nsightline info nowhere\n```\n", AssertionError),
    ],
    ids=["another output", "an error", "an unmarked command", "a command that fails"],
)
def test_a_page_that_is_not_true_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(error):
        run_page(page)
