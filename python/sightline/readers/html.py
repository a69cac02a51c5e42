"""HTML to Markdown, by BeautifulSoup: headings, paragraphs, lists, tables and code; no navigation, no scripts."""

from __future__ import annotations

import re
import warnings
from typing import Any

from sightline.errors import InvalidInputError, MissingExtraError
from sightline.readers.parts import Part, ReadOptions, fenced, heading, one_line, paragraph, table

__all__ = ["read_html"]

_DROPPED = {
    "script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "head", "nav", "button",
    "select", "textarea", "dialog", "audio", "video",
}  # fmt: skip
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p",
    "section", "summary", "ul", "caption", "tbody", "thead", "tfoot", "tr", "td", "th",
}  # fmt: skip
_HEADING = re.compile(r"h[1-6]")


def read_html(data: bytes, options: ReadOptions) -> list[Part]:
    """Return the content of a page: its ``main`` element if it has one, else its body.

    The encoding is the one that is named, else a byte order mark's or the page's own, else UTF-8 or windows-1252.

    Raises:     MissingExtraError without beautifulsoup4; InvalidInputError for a page nested too deep
    """
    try:
        import bs4
    except ImportError:
        raise MissingExtraError("reading HTML needs beautifulsoup4: pip install 'sightline[ingest]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # guesses of what else the page might be
            soup = bs4.BeautifulSoup(data, "html.parser", from_encoding=options.encoding)
        title = soup.title
        root = soup.find("main") or soup.find(attrs={"role": "main"}) or soup.body or soup
        writer = _Writer(bs4.element)
        writer.walk(root)
    except RecursionError:
        raise InvalidInputError("its elements are nested too deep") from None
    text = writer.text()
    named = one_line(title.get_text()) if title is not None else ""
    return [Part(text, named or writer.first_heading)]


class _Writer:
    """Writes elements as blocks of Markdown, a blank line between them."""

    def __init__(self, element: Any) -> None:
        self._element = element
        self._blocks: list[str] = []
        self._line: list[str] = []
        self._prefix = ""
        self.first_heading: str | None = None

    def text(self) -> str:
        self._flush()
        return "\n\n".join(self._blocks) + "\n" if self._blocks else ""

    def walk(self, node: Any) -> None:
        for child in node.children:
            if isinstance(child, self._element.PreformattedString):  # comments, declarations
                continue
            if isinstance(child, self._element.NavigableString):
                self._line.append(re.sub(r"\s+", " ", str(child)))
            elif child.name not in _DROPPED and not child.has_attr("hidden"):
                self._tag(child)

    def _tag(self, tag: Any) -> None:
        name = tag.name
        if name == "br":
            self._line.append("\n")
        elif name == "img":
            self._line.append(tag.get("alt") or "")
        elif _HEADING.fullmatch(name):
            self._flush()
            title = one_line(tag.get_text())
            if title:
                self.first_heading = self.first_heading or title
                self._blocks.append(heading(int(name[1]), title))
        elif name == "pre":
            self._flush()
            if tag.get_text().strip():
                self._blocks.append(fenced(tag.get_text()))
        elif name == "table" and _is_data(tag):
            self._flush()
            rows = [[cell.get_text(" ") for cell in row.find_all(["td", "th"])] for row in tag.find_all("tr")]
            self._blocks.append(table(row for row in rows if row))
        elif name in _BLOCKS or name == "table":
            self._flush()
            self._prefix = "- " if name == "li" else self._prefix
            self.walk(tag)
            self._flush()
            self._prefix = ""
        else:
            self.walk(tag)

    def _flush(self) -> None:
        lines = [one_line(line) for line in "".join(self._line).split("\n")]
        self._line = []
        text = paragraph("\n".join(line for line in lines if line))
        if text:
            self._blocks.append(self._prefix + text)
            self._prefix = ""


def _is_data(tag: Any) -> bool:
    """Whether a table has rows of short cells, rather than laying out a page."""
    return tag.find("tr") is not None and tag.find(["table", "p", "div", "pre", "ul", "ol", _HEADING]) is None
