"""Other packages' text splitters: where the pieces that they return stand in the text that they were given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from sightline.errors import InvalidInputError
from sightline.sentences import Splitter

__all__ = ["sentence_splitter", "splitter_spans"]

_Span = tuple[int, int]
_NOT_SPACE = re.compile(r"\S")


def splitter_spans(splitter: Any, text: str) -> list[_Span]:
    """Cut a text by a splitter, and return the spans of its pieces without white space at their ends.

    Positions that the pieces state are believed only if the text there is theirs. The others are found: starts ascend
    from piece to piece, and of several places that fit, a piece stands where it follows the one before, else where it
    overlaps it, else at the first. O(n) for each piece, in practice much less.

    Parameters: splitter : with ``split_text`` (LangChain, LlamaIndex) or ``chunk`` (chonkie), or a callable; it returns
                strings, or objects with ``text`` and perhaps ``start_index`` and ``end_index``, or ``page_content``
    Returns:    spans in order, blank pieces left out
    Raises:     InvalidInputError if it is no splitter, or a piece is not in the text as it is, after the one before:
                such a splitter has changed it, and nobody could cite it
    """
    pieces = [piece for piece in _pieces(splitter, text) if piece[0].strip()]
    stated = [(start, start + len(words)) for words, start in pieces if start is not None]
    if len(stated) == len(pieces) and all(
        text[start:end] == words for (start, end), (words, _) in zip(stated, pieces, strict=True)
    ):
        return [_stripped(text, *span) for span in stated]
    return _located(text, [words.strip() for words, _ in pieces], type(splitter).__name__)


def sentence_splitter(splitter: Any) -> Splitter:
    """Return another package's splitter of sentences as what ``sentence_spans`` is: spans that cover all of a part.

    Parameters: splitter : as for ``splitter_spans``, called with each paragraph or so
    Raises:     InvalidInputError as ``splitter_spans``, when the returned function is called
    """

    def spans(text: str, start: int, end: int) -> list[_Span]:
        part = text[start:end]
        if not part.strip():
            return [(start, end)] if part else []
        begins = [begin for begin, _ in splitter_spans(splitter, part)]
        begins[:1] = [0]  # white space before the first belongs to it, other white space to the one before
        return [(start + a, start + b) for a, b in pairwise([*begins, len(part)]) if a < b]

    return spans


def _pieces(splitter: Any, text: str) -> list[tuple[str, int | None]]:
    found = _cutter(splitter)(text)
    if isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        raise InvalidInputError(f"splitter: expected it to return a list of pieces, got {type(found).__name__}")
    pieces: list[tuple[str, int | None]] = []
    for piece in found:
        words = piece if isinstance(piece, str) else getattr(piece, "text", getattr(piece, "page_content", None))
        if not isinstance(words, str):
            raise InvalidInputError(f"splitter: expected pieces of text, got {type(piece).__name__}")
        start = getattr(piece, "start_index", None)
        pieces.append((words, start if isinstance(start, int) and start >= 0 else None))
    return pieces


def _cutter(splitter: Any) -> Callable[[str], Any]:
    for name in ("split_text", "chunk"):
        method = getattr(splitter, name, None)
        if callable(method) and not isinstance(splitter, type):
            found: Callable[[str], Any] = method
            return found
    if not callable(splitter) or isinstance(splitter, type):
        raise InvalidInputError(
            f"splitter: expected an object with split_text or chunk, or a callable, got {splitter!r}; "
            "give an instance, not its class"
        )
    called: Callable[[str], Any] = splitter
    return called


def _stripped(text: str, start: int, end: int) -> _Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _located(text: str, pieces: list[str], name: str) -> list[_Span]:
    try:
        latest = _latest_starts(text, pieces, name)
    except InvalidInputError:  # perhaps only because a piece repeats all of the one before it
        latest = _latest_starts(text, pieces, name, repeating=True)
    spans: list[_Span] = []
    start, end = -1, 0
    before = ""
    for piece, last in zip(pieces, latest, strict=True):
        following = _NOT_SPACE.search(text, end)
        after = end if following is None else following.start()
        places = (
            after if start < after <= last and text.startswith(piece, after) else -1,
            text.find(piece, max(start, end - len(piece)) + 1, min(last, after) + len(piece)),  # overlaps, goes beyond
            text.find(piece, after, last + len(piece)),
            text.find(piece, start + 1, last + len(piece)),  # within the one before
            start if _repeats(piece, before) and text.startswith(piece, max(start, 0)) else -1,
        )
        start = next(place for place in places if place >= 0)
        end = start + len(piece)
        before = piece
        spans.append((start, end))
    return spans


def _repeats(piece: str, before: str) -> bool:
    """Whether a piece begins with all of the one before it, as its overlap, so that both begin at one place."""
    return bool(before) and len(piece) > len(before) and piece.startswith(before)


def _latest_starts(text: str, pieces: list[str], name: str, *, repeating: bool = False) -> list[int]:
    """Return for each piece the last start that leaves places for the ones after it.

    Parameters: repeating : a piece may begin where the one before it does, if it repeats that
    """
    latest: list[int] = []
    limit = len(text)
    for number in range(len(pieces) - 1, -1, -1):
        piece = pieces[number]
        following = pieces[number + 1] if number + 1 < len(pieces) else ""
        stop = limit if repeating and _repeats(following, piece) else limit - 1
        found = text.rfind(piece, 0, stop + len(piece)) if stop >= 0 else -1
        if found < 0:
            raise InvalidInputError(
                f"splitter: piece {number} of {name} is not in the text at its place, so that it has no span: "
                f"{piece[:80]!r}; use a splitter, or settings of it, that keep the text as it is"
            )
        latest.append(found)
        limit = found
    return latest[::-1]
