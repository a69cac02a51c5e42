"""Turns the sections of the house's docstrings into Markdown, for the API reference (mkdocs.yml names this file).

"Parameters: queries : float32 (q, d); k : int" becomes a list with an entry for each parameter; Returns, Raises, Notes
and Source become paragraphs that begin with their name in bold.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(Parameters|Returns|Raises|Notes|Source):[ \t]+", re.MULTILINE)
_LIST = re.compile(r"^((?!- |  ).+)\n(- )", re.MULTILINE)  # which Markdown takes for a part of the paragraph before
_ENTRY = re.compile(r"(?:^|;\s+)(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*) : ")


def to_markdown(docstring: str) -> str:
    """Return a docstring as Markdown; text without sections stays as it is."""
    parts = _SECTION.split(_LIST.sub(r"\1\n\n\2", docstring))
    text = parts[0].rstrip()
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        # A section ends at a blank line; what follows is text again.
        body, blank, rest = body.partition("\n\n")
        body = " ".join(body.split())
        text += f"\n\n**{name}**\n\n{_entries(body)}" if name == "Parameters" else f"\n\n**{name}:** {body}"
        text += f"\n\n{rest.rstrip()}" if blank else ""
    return text.strip()


def _entries(body: str) -> str:
    found = list(_ENTRY.finditer(body))
    if not found:
        return body
    lines = [body[: found[0].start()].rstrip(" ;"), ""] if found[0].start() else []
    for match, following in zip(found, [*found[1:], None], strict=True):
        names = ", ".join(f"`{name}`" for name in match["names"].split(", "))
        described = body[match.end() : None if following is None else following.start()]
        lines.append(f"- {names}: {described}")
    return "\n".join(lines)


class HouseStyle(griffe.Extension):
    """Rewrites every docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
