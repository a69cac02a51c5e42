"""reStructuredText to Markdown, by docutils: parsed, not transformed, and nothing of it includes or runs anything.

Roles and directives that only Sphinx knows are read for what they hold: a role for its text, a directive for its body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from sightline.errors import InvalidInputError, MissingExtraError
from sightline.readers.parts import Part, ReadOptions, decoded, fenced, heading, one_line, paragraph, table

__all__ = ["read_rst"]

_ROLE = re.compile(r":[A-Za-z][\w:.+-]*:`[~!]?(?:([^`<]+?)\s*<[^`>]*>|([^`]*))`")
_DIRECTIVE = re.compile(r"\.\. +(?P<name>[\w:+.-]+) *::[ \t]*(?P<argument>[^\n]*)\n?(?P<body>.*)", re.DOTALL)
_FIELDS = re.compile(r"(?:[ \t]*:[\w-]+:[^\n]*(?:\n|$))+")
_WITHOUT_TEXT = {
    "toctree", "index", "highlight", "currentmodule", "module", "py:module", "py:currentmodule", "include",
    "literalinclude", "automodule", "autoclass", "autofunction", "automethod", "contents", "raw", "image",
    "tabularcolumns", "sectionauthor", "codeauthor",
}  # fmt: skip
_CODE = {
    "code-block", "sourcecode", "testcode", "testoutput", "doctest", "productionlist", "prompt",
    "parsed-literal",
}  # fmt: skip
_DROPPED = ("comment", "substitution_definition", "target", "pending", "meta", "raw", "docinfo")
_MOST_NESTED = 20  # directives that Sphinx knows within each other


def read_rst(data: bytes, options: ReadOptions) -> list[Part]:
    """Return the text of a document, with its sections as Markdown headings.

    Raises:     MissingExtraError without docutils; InvalidInputError if docutils cannot parse it
    """
    try:
        import docutils.nodes  # noqa: F401
    except ImportError:
        raise MissingExtraError("reading reStructuredText needs docutils: pip install 'sightline[ingest]'") from None
    try:
        blocks = list(_blocks(_parsed(decoded(data, options.encoding)), 0, 0))
    except (RecursionError, ValueError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"docutils cannot parse it ({type(error).__name__}: {error})") from None
    first = next((block for block in blocks if block.startswith("# ")), None)
    return [Part("\n\n".join(blocks) + "\n" if blocks else "", None if first is None else first[2:])]


def _parsed(text: str) -> Any:
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.transforms.references import Substitutions
    from docutils.utils import new_document

    settings = get_default_settings(Parser)
    settings.report_level = settings.halt_level = 5  # says nothing and goes on
    settings.file_insertion_enabled = settings.raw_enabled = False  # a document must not read other files
    settings.syntax_highlight = "none"
    document = new_document("", settings)
    Parser().parse(text, document)
    Substitutions(document).apply()
    return document


def _blocks(node: Any, level: int, nested: int) -> Iterator[str]:
    """Yield the blocks of a node's children; level: of the section around them."""
    from docutils import nodes

    for child in node.children:
        kind = child.tagname
        if kind in _DROPPED:
            continue
        if isinstance(child, nodes.section):
            yield from _blocks(child, level + 1, nested)
        elif isinstance(child, nodes.title):
            yield heading(level, _plain(child)) if isinstance(node, nodes.section) else paragraph(_plain(child))
        elif isinstance(child, nodes.system_message):
            yield from _unknown(child, level, nested)
        elif isinstance(child, (nodes.literal_block, nodes.doctest_block, nodes.math_block)):
            yield fenced(child.astext())
        elif isinstance(child, nodes.line_block):
            yield paragraph("\n".join(_plain(line) for line in child.findall(nodes.line)))
        elif isinstance(child, (nodes.bullet_list, nodes.enumerated_list)):
            for item in child.children:
                yield from _led("- ", _blocks(item, level, nested))
        elif isinstance(child, nodes.table):
            yield from _table(child)
        elif isinstance(child, (nodes.field, nodes.option_list_item, nodes.definition_list_item)):
            yield from _labelled(child, level, nested)
        elif isinstance(child, nodes.Admonition) and not isinstance(child, nodes.admonition):
            yield from _led(f"{kind.capitalize()}: ", _blocks(child, level, nested))
        elif isinstance(child, nodes.image):
            yield from filter(None, [paragraph(child.get("alt", ""))])
        elif isinstance(child, nodes.TextElement):
            yield from filter(None, [paragraph(_plain(child))])
        else:
            yield from _blocks(child, level, nested)


def _plain(node: Any) -> str:
    """Return the text of inline markup on one line, with roles that docutils does not know as their text."""
    return one_line(_ROLE.sub(lambda match: match[1] or match[2] or "", node.astext()))


def _led(lead: str, blocks: Iterator[str]) -> Iterator[str]:
    first = next(blocks, None)
    if first is not None:
        yield lead + first
        yield from blocks


def _labelled(item: Any, level: int, nested: int) -> Iterator[str]:
    """Yield a term, option or field with what stands beside it."""
    *labels, body = item.children
    yield from _led(f"{', '.join(_plain(label) for label in labels)}: ", _blocks(body, level, nested))


def _table(node: Any) -> Iterator[str]:
    from docutils import nodes

    for title in node.findall(nodes.title):
        yield paragraph(_plain(title))
    yield table([_plain(entry) for entry in row.findall(nodes.entry)] for row in node.findall(nodes.row))


def _unknown(message: Any, level: int, nested: int) -> Iterator[str]:
    """Yield what a directive holds that docutils does not know; other messages say nothing about the text."""
    from docutils import nodes

    source = next(iter(message.findall(nodes.literal_block)), None)
    found = None if source is None else _DIRECTIVE.match(source.astext())
    if found is None or found["name"] in _WITHOUT_TEXT or nested >= _MOST_NESTED:
        return
    body = dedent(found["body"]).strip("\n")
    body = _FIELDS.sub("", body, count=1) if _FIELDS.match(body) else body
    if found["name"] in _CODE:
        yield from filter(None, [fenced(body) if body.strip() else ""])
        return
    if found["argument"].strip():  # the signature of a function, the version of a change
        yield paragraph(one_line(_ROLE.sub(lambda match: match[1] or match[2] or "", found["argument"])))
    yield from _blocks(_parsed(body.strip("\n")), level, nested + 1)
