"""Text and Markdown: the file as it is, so that spans of chunks are spans of the file."""

from __future__ import annotations

import re

from sightline.blocks import markdown_sections
from sightline.readers.parts import Part, ReadOptions, decoded

__all__ = ["read_markdown", "read_text"]

_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*(.+?)[ \t\r]*$")


def read_text(data: bytes, options: ReadOptions) -> list[Part]:
    """Return plain text."""
    return [Part(decoded(data, options.encoding))]


def read_markdown(data: bytes, options: ReadOptions) -> list[Part]:
    """Return Markdown; its title is that of the front matter, else the first heading."""
    text = decoded(data, options.encoding)
    title = None
    end = text.find("\n---", 3) if text.startswith("---") else -1
    if end > 0 and (found := _FRONT_TITLE.search(text, 0, end)):
        title = found[1].strip("\"'")
    return [Part(text, title or first_heading(text))]


def first_heading(text: str) -> str | None:
    """Return the first heading of Markdown that a text stands under."""
    return next((section.headings[0] for section in markdown_sections(text) if section.headings), None)
