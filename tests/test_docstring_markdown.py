"""The extension that turns docstrings into Markdown for the API reference."""

from __future__ import annotations

from types import ModuleType

import pytest

from optional import require
from repository import tool

require("docs", "griffe")


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    return tool("docstring_markdown")


def test_sections_become_lists_and_paragraphs(extension: ModuleType) -> None:
    docstring = (
        "Do it.\n\nCosts: nothing.\n\nParameters: a, b : int, such\n            as 1; **options : a: b; c d\n"
        "Returns:    ids : int64 (n,)\nRaises:     ValueError if\n            not\n\nMore."
    )
    assert extension.to_markdown(docstring) == (
        "Do it.\n\nCosts: nothing.\n\n**Parameters**\n\n- `a`, `b`: int, such as 1\n- `**options`: a: b; c d\n\n"
        "**Returns:** ids : int64 (n,)\n\n**Raises:** ValueError if not\n\nMore."
    )


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One sentence.", "One sentence."),
        (
            "As before.\n\nParameters: as for ``add``; k : int",
            "As before.\n\n**Parameters**\n\nas for ``add``\n\n- `k`: int",
        ),
        ("Parameters: as for ``add``", "**Parameters**\n\nas for ``add``"),
        ("Where:\n- one\n  more\n- two", "Where:\n\n- one\n  more\n- two"),
    ],
    ids=["no sections", "text before the entries", "text only", "a list after a sentence"],
)
def test_what_else_docstrings_hold(extension: ModuleType, docstring: str, expected: str) -> None:
    assert extension.to_markdown(docstring) == expected
