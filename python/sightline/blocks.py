"""The structure of a document, as far as chunking needs it: sections under headings, and pieces not to be cut lightly.

Both are spans of the text that cover it without gaps, so what is cut along them can be found in the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sightline.sentences import Splitter, sentence_spans

__all__ = ["Section", "code_sections", "enclosing_lines", "line_spans", "markdown_sections", "text_sections"]

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKED = re.compile(r"(?: {4}|\t| {0,3}(?:[-*+>|]|\d{1,9}[.)])(?:\s|$))")  # list items, quotes, indented code
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_MOST_ENCLOSING = 8
_MOST_LINES_BACK = 2000


@dataclass(frozen=True, slots=True)
class Section:
    """Hold a part of a text that no chunk crosses the border of.

    Parameters: headings : those it stands under, outermost first; pieces : spans to pack into chunks; kinds : of each,
                "prose" (may be cut between words) or "lines" (a code block or a table, cut between lines if at all)
    """

    headings: tuple[str, ...]
    pieces: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]


def line_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return lines with their line feeds as spans that cover a part of a text."""
    end = len(text) if end is None else end
    spans = []
    while start < end:
        stop = text.find("\n", start, end) + 1 or end
        spans.append((start, stop))
        start = stop
    return spans


def text_sections(text: str, sentences: Splitter = sentence_spans) -> list[Section]:
    """Return plain text as one section of sentences."""
    spans = sentences(text, 0, len(text))
    return [Section((), tuple(spans), ("prose",) * len(spans))]


def markdown_sections(text: str, sentences: Splitter = sentence_spans) -> list[Section]:
    """Return the sections of Markdown, each under its path of headings; a heading belongs to the section it opens.

    A heading with nothing but a deeper heading below it opens the deeper one's section. Fenced code and tables are
    pieces of kind "lines". Headings are ATX (#) and setext (underlined) ones outside fences.

    Source:     CommonMark 0.31, sections 4.2, 4.3 and 4.5
    """
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    bare = True  # whether the section so far holds headings only
    blocks: list[tuple[int, int, str]] = []

    def close() -> None:
        nonlocal blocks
        if blocks:
            sections.append(_section(text, tuple(title for _, title in path), blocks, sentences))
        blocks = []

    for start, stop, kind, heading in _markdown_blocks(text):
        if heading is not None:
            level, title = heading
            if not (bare and path and level > path[-1][0]):
                close()
            bare = True
            path = [entry for entry in path if entry[0] < level]
            path.append((level, title))
        elif text[start:stop].strip():
            bare = False
        blocks.append((start, stop, kind))
    close()
    return sections


def _section(text: str, headings: tuple[str, ...], blocks: list[tuple[int, int, str]], sentences: Splitter) -> Section:
    pieces: list[tuple[int, int]] = []
    kinds: list[str] = []
    for start, stop, kind in blocks:
        spans = sentences(text, start, stop) if kind == "prose" else [(start, stop)]
        pieces += spans
        kinds += [kind] * len(spans)
    return Section(headings, tuple(pieces), tuple(kinds))


def _markdown_blocks(text: str) -> Iterator[tuple[int, int, str, tuple[int, str] | None]]:
    """Yield (start, end, kind, heading as level and title or None) over all of a text."""
    front = _FRONT_MATTER.match(text)
    lines = line_spans(text, front.end() if front else 0)
    if front:
        yield 0, front.end(), "lines", None
    position = 0
    while position < len(lines):
        start, stop = lines[position]
        line = text[start:stop].rstrip("\r\n")
        fence = _FENCE.match(line)
        heading = _HEADING.match(line)
        underline = None if heading or fence else _underline(text, lines, position)
        count = 1
        if heading:
            yield start, stop, "prose", (len(heading[1]), _title(line[heading.end(1) :]))
        elif underline:
            count = 2
            yield start, lines[position + 1][1], "prose", (1 if underline[1][0] == "=" else 2, line.strip())
        elif fence:
            closing = re.compile(rf" {{0,3}}{re.escape(fence[1][0])}{{{len(fence[1])},}}[ \t]*$")
            while position + count < len(lines):
                found = closing.match(text[slice(*lines[position + count])].rstrip("\r\n"))
                count += 1
                if found:
                    break
            yield start, lines[position + count - 1][1], "lines", None
        elif _is_table(line):
            while position + count < len(lines) and _is_table(text[slice(*lines[position + count])]):
                count += 1
            yield start, lines[position + count - 1][1], "lines", None
        else:
            while position + count < len(lines) and _is_prose(text, lines, position + count):
                count += 1
            yield start, lines[position + count - 1][1], "prose", None
        position += count


def _title(text: str) -> str:
    """Return what a heading says, without the closing #s that it may have."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text


def _is_table(line: str) -> bool:
    return line.lstrip().startswith("|")


def _is_prose(text: str, lines: list[tuple[int, int]], position: int) -> bool:
    """Whether a line goes on with the prose before it: it opens nothing, and the next one does not underline it."""
    line = text[slice(*lines[position])].rstrip("\r\n")
    if _FENCE.match(line) or _HEADING.match(line) or _is_table(line):
        return False
    return _underline(text, lines, position) is None


def _underline(text: str, lines: list[tuple[int, int]], position: int) -> re.Match[str] | None:
    """Return the next line if it makes a heading of this one."""
    line = text[slice(*lines[position])]
    if position + 1 == len(lines) or not line.strip() or _MARKED.match(line):
        return None
    return _UNDERLINE.match(text[slice(*lines[position + 1])].rstrip("\r\n"))


def code_sections(text: str, sentences: Splitter = sentence_spans) -> list[Section]:
    """Return source code as one section whose pieces begin where an unindented line follows a blank one.

    So a function or class at the top level is a piece; one that is too long is cut between lines.
    """
    pieces: list[tuple[int, int]] = []
    begin = 0
    after_blank = False
    for start, stop in line_spans(text):
        blank = not text[start:stop].strip()
        if after_blank and not blank and not text[start].isspace() and start > begin:
            pieces.append((begin, start))
            begin = start
        after_blank = blank
    if begin < len(text):
        pieces.append((begin, len(text)))
    return [Section((), tuple(pieces), ("lines",) * len(pieces))]


def enclosing_lines(text: str, position: int) -> tuple[str, ...]:
    """Return the lines that a line is nested in by indentation, outermost first: its class, its function.

    At most 8 of them, none more than 2,000 lines above, without what follows the first line of a statement.
    """
    start = text.rfind("\n", 0, position) + 1
    stop = text.find("\n", position)
    indent = _indent(text[start : len(text) if stop < 0 else stop])
    found: list[str] = []
    for _ in range(_MOST_LINES_BACK):
        if not indent or not start or len(found) == _MOST_ENCLOSING:
            break
        start, stop = text.rfind("\n", 0, start - 1) + 1, start - 1
        line = text[start:stop]
        if line.strip() and line.strip()[0] not in ")]}" and _indent(line) < indent:
            indent = _indent(line)
            found.append(line.strip())
    return tuple(reversed(found))


def _indent(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip(" "))
