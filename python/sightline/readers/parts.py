"""What readers take and give, and how they write structure: as Markdown, which ``sl.chunk`` can cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sightline.errors import InvalidInputError

__all__ = ["Part", "ReadOptions", "decoded", "fenced", "heading", "one_line", "paragraph", "table"]

# What would open a heading, a fence or a table, or underline the line before it.
_MARKUP = re.compile(r"(?m)^(?=(?:#{1,6}(?:\s|$)|=+\s*$|-+\s*$|`{3}|~{3}|\|))")
_BACKTICKS = re.compile("`{3,}")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Hold what a reader must be told.

    Parameters: encoding : of texts and records, None for UTF-8 (HTML may then name its own); text_fields : of records,
                joined by a blank line; id_field : default ``id`` or ``_id`` where there is one; title_field : default
                ``title``; metadata_fields : default all others
    """

    encoding: str | None = None
    text_fields: tuple[str, ...] = ("text",)
    id_field: str | None = None
    title_field: str | None = None
    metadata_fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Hold what a file has in one piece: all of it, a page of a PDF, or a record.

    Parameters: page : from 1; record : its id within the file
    """

    text: str
    title: str | None = None
    page: int | None = None
    record: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def decoded(data: bytes, encoding: str | None) -> str:
    """Return bytes as text: UTF-8 with or without a mark, UTF-16 and 32 with one, or the encoding that is named.

    Raises:     InvalidInputError if they are something else
    """
    name = encoding or "utf-8"
    if encoding is None:
        for mark, marked in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\xff\xfe", "utf-16"),
                             (b"\xfe\xff", "utf-16"), (b"\x00\x00\xfe\xff", "utf-32")):  # fmt: skip
            if data.startswith(mark):
                name = marked
                break
    try:
        return data.decode(name)
    except LookupError:
        raise InvalidInputError(f"encoding: {encoding!r} is unknown to Python") from None
    except UnicodeError as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise InvalidInputError(f"is not text in {name}{at}; name its encoding, such as latin-1") from None


def one_line(text: str) -> str:
    """Return text with every run of white space as one blank."""
    return " ".join(text.split())


def paragraph(text: str) -> str:
    """Return lines as a paragraph: what Markdown would take for structure gets a backslash."""
    return _MARKUP.sub(r"\\", text.strip())


def heading(level: int, text: str) -> str:
    """Return a heading of level 1 to 6, deeper ones as 6."""
    return f"{'#' * min(level, 6)} {one_line(text)}"


def fenced(code: str) -> str:
    """Return a block of code, in a fence that it does not hold."""
    longest = max((len(run) for run in _BACKTICKS.findall(code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{code.strip(chr(10))}\n{fence}"


def table(rows: Iterable[Iterable[str]]) -> str:
    """Return a table, each row a line between bars."""
    return "\n".join(f"| {' | '.join(one_line(cell) for cell in row)} |" for row in rows)
