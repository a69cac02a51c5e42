"""Where sentences end: rules for Latin and other scripts with spaces, and for Chinese and Japanese without them.

A full stop ends no sentence after an abbreviation that needs a continuation (``Dr.``, ``e.g.``), an initial (``J.``) or
a number at the start of a line (``3.``), nor before a small letter. A decimal point has no space behind it. Closing
quotes and brackets belong to the sentence before them. A blank line always ends a sentence.
"""

from __future__ import annotations

import re

__all__ = ["sentence_spans"]

# Always followed by what they abbreviate, so never the end of a sentence.
_ABBREVIATIONS = """
    mr mrs ms dr prof st messrs mme mlle dipl ing hon gen capt lt sgt gov sen rep rev
    e.g i.e cf vs viz approx z.b d.h u.a bzw ggf vgl s.o s.u evtl sog p.ex
"""
# So only before a number: many are words as well ("He said no. Then ...").
_BEFORE_NUMBERS = """
    fig figs eq eqs ref refs sec secs ch chap vol vols no nos nr p pp art par tab abb bd ca
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
"""
_CONTINUED = frozenset(_ABBREVIATIONS.split())
_NUMBERED = frozenset(_BEFORE_NUMBERS.split())
_CLOSERS = "\"'”’»›)]}）］｝」』】》〉〕"
_SPACED = ".!?…‥؟۔।॥።"  # what ends a sentence where white space follows
_CJK = "。！？｡．"  # what ends one by itself
# Every alternative is linear also on long runs of marks or of white space.
_END = re.compile(
    rf"[{re.escape(_CJK)}]+[{re.escape(_CLOSERS)}]*\s*"
    rf"|(?<![{re.escape(_SPACED)}])[{re.escape(_SPACED)}]+[{re.escape(_CLOSERS)}]*(?:\s+|$)"
    r"|\n[^\S\n]*\n\s*"
)
_WORD_BEFORE = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*$")
_ENUMERATOR = re.compile(r"[ \t>*-]*(?:\d{1,3}|[A-Za-z])")
_LONGEST_WORD = 40  # characters looked back for an abbreviation


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the sentences of a part of a text as spans that cover all of it, white space with the sentence before it.

    O(length).

    Returns:    (start, end) in characters of ``text``, ascending, each where the one before ends
    """
    end = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, end):
        if match.end() >= end:
            break
        if match.start() == begin and not match.group().strip():
            continue  # white space before the first sentence
        if _ends_sentence(text, begin, match):
            spans.append((begin, match.end()))
            begin = match.end()
    if begin < end:
        spans.append((begin, end))
    return spans


def _ends_sentence(text: str, begin: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] in _CJK or mark.count("\n") > 1 or not mark.strip():
        return True
    if text[match.end()].islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    before = text[max(begin, match.start() - _LONGEST_WORD) : match.start()]
    word = _WORD_BEFORE.search(before)
    if word is not None:
        found = word.group()
        if found.lower() in _CONTINUED or (len(found) == 1 and found.isupper() and found != "I"):
            return False
        if found.lower() in _NUMBERED and text[match.end()].isdecimal():
            return False
    return not _ENUMERATOR.fullmatch(_line_before(text, match.start()))


def _line_before(text: str, position: int) -> str:
    """Return what stands on the line before a position, cut to a length that no list's number reaches."""
    first = max(0, position - _LONGEST_WORD)
    return text[max(first, text.rfind("\n", first, position) + 1) : position]
