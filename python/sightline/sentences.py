"""Where sentences end: rules for Latin and other scripts with spaces, and for Chinese and Japanese without them.

A full stop ends no sentence after an abbreviation that needs a continuation (``Dr.``, ``e.g.``), an initial (``J.``) or
a number at the start of a line (``3.``), nor before a small letter; after one that may end a sentence (``U.S.``,
``Inc.``, ``a.m.``) the next word decides. A decimal point has no space behind it. Closing quotes and brackets belong to
the sentence before them, and so does a source in brackets. A blank line always ends a sentence.

The rules are those that English, German, French, Chinese and Japanese prose needs most, and few: an error costs a chunk
that begins inside a sentence, no more. Where that matters, ``chunk(sentences=...)`` takes another package's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Splitter", "sentence_spans"]

# (text, start, end) -> spans that cover text[start:end]
Splitter: TypeAlias = "Callable[[str, int, int], list[tuple[int, int]]]"

# Always followed by what they abbreviate, so never the end of a sentence.
_ABBREVIATIONS = """
    mr mrs ms dr prof messrs mme mlle dipl ing hon gen capt lt sgt gov sen rep rev mt mts
    e.g i.e cf vs viz approx z.b d.h u.a bzw ggf vgl s.o s.u evtl sog p.ex
"""
# Only before a number: many are words as well ("He said no. Then ...").
_BEFORE_NUMBERS = """
    fig figs eq eqs ref refs sec secs ch chap vol vols no nos nr n° p pp art par tab abb bd ca
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
"""
# May end one, so the next word tells: those that begin sentences more often than names. So it is with whatever has
# full stops inside (U.S., a.m., Ph.D.), and with "I", which is a word and an initial.
_EITHER = "al etc inc corp ltd co llc bros jr sr esq st ave blvd rd dept est"
_STARTERS = """
    a an the this that these those there here it its he she they we you i his her their our my your one some many most
    all both each every no not in on at by to for from of with as if when while where why what who which how however but
    and or so then thus hence also after before since because although though once only even such more did do does is
    are was were can could will would should have has had let please see finally meanwhile moreover therefore now yes
    der die das ein eine er sie es wir ich im am auf und aber dann wenn als le la les il elle un une et mais nous
"""
_GERMAN_MONTHS = """
    januar februar m\u00e4rz april mai juni juli august september oktober november dezember jahrhundert jahrhunderts
"""
_CONTINUED = frozenset(_ABBREVIATIONS.split())
_NUMBERED = frozenset(_BEFORE_NUMBERS.split())
_OPEN = frozenset(_EITHER.split())
_BEGINNERS = frozenset(_STARTERS.split())
_MONTHS = frozenset(_GERMAN_MONTHS.split())
_CLOSERS = "\"'”’»›)]}）］｝」』】》〉〕"
_SPACED = ".!?…‥؟۔।॥።"  # what ends a sentence where white space follows
_CJK = "。！？｡．"  # what ends one by itself
# Every alternative is linear also on long runs of marks or of white space.
_END = re.compile(
    rf"[{re.escape(_CJK)}]+[{re.escape(_CLOSERS)}]*\s*"
    rf"|(?<![{re.escape(_SPACED)}])(?:\.(?:[ \u00a0]\.){{2,}}|[{re.escape(_SPACED)}]+)[{re.escape(_CLOSERS)}]*(?:\s+|$)"
    r"|\n[^\S\n]*\n\s*"
)
_WORD_BEFORE = re.compile(r"(?:[^\W\d_]\.?)*(?:[^\W\d_]|N\u00b0)$")
_WORD_AFTER = re.compile(r"\W*([^\W\d_]+)")
_WORD_HERE = re.compile(r"\w+")
_ENUMERATOR = re.compile(r"[ \t>*-]*(?:\d{1,3}|[A-Za-z])")
_NUMBER_BEFORE = re.compile(r"(?<![\d.,])\d{1,3}$")
_REFERENCE = re.compile(r"[(\[][^()\[\]\n]{1,80}[)\]][.,;]")
_PARTICLES = "とってのはがをにでへもやか、，"  # go on after a quotation in Japanese: "..." he said
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
    following = text[match.end()]
    if mark.count("\n") > 1 or not mark.strip():
        return True
    if mark[0] in _CJK:
        return mark[-1] not in _CLOSERS or following not in _PARTICLES
    if following.islower():
        word = _WORD_HERE.match(text, match.end(), match.end() + _LONGEST_WORD)
        if word is not None and word.group().isalpha() and word.group().islower():  # unlike v2, iPhone
            return False
    if mark.rstrip()[-1] in "\"'”’»)]" and _REFERENCE.match(text, match.end()):
        return False  # a quotation with its source in brackets
    if mark[0] != ".":
        return True
    if mark.startswith((". .", ".\u00a0.")):  # an ellipsis of spaced points; with a fourth it ends a sentence, too
        return mark.count(".") > 3 and not following.islower()
    return mark.startswith("..") or _stop_ends(text, begin, match)


def _stop_ends(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a single full stop ends a sentence."""
    following = text[match.end()]
    before = text[max(begin, match.start() - _LONGEST_WORD) : match.start()]
    word = _WORD_BEFORE.search(before)
    if word is not None:
        found = word.group()
        name = found.casefold()
        if name in _CONTINUED:
            return False
        if name in _NUMBERED and following.isdecimal():
            return False
        initial = len(found) == 1 and found.isupper() and before[: word.start()][-1:] in ("", *" \t\n.-(\"'“«\u00a0")
        if initial and found != "I":
            return False
        if name in _OPEN or "." in found or initial:
            # Behind it may stand a number (It closed in 2020), a bracket (et al. (2019)), a name, or a new sentence.
            after = _WORD_AFTER.match(text, match.end(), match.end() + _LONGEST_WORD)
            return following not in "([" and after is not None and after[1].casefold() in _BEGINNERS
    elif _NUMBER_BEFORE.search(before):
        after = _WORD_AFTER.match(text, match.end(), match.end() + _LONGEST_WORD)
        if match.group().startswith(".)") or (after is not None and after[1].casefold() in _MONTHS):
            return False  # 2.) or, in German, 3. Oktober
    return not _ENUMERATOR.fullmatch(_line_before(text, match.start()))


def _line_before(text: str, position: int) -> str:
    """Return what stands on the line before a position, cut to a length that no list's number reaches."""
    first = max(0, position - _LONGEST_WORD)
    return text[max(first, text.rfind("\n", first, position) + 1) : position]
