"""Chunking: texts cut along sentences, headings and code into pieces that fit a budget of tokens.

Budget and overlap are both counted in tokens, by whatever counts them for the model that will read the chunks. A chunk
is a span of its source, so a citation can point into the document.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sightline.blocks import Section, code_sections, enclosing_lines, line_spans, markdown_sections, text_sections
from sightline.documents import Document, read_documents
from sightline.errors import InvalidInputError, checked_integer
from sightline.sentences import sentence_spans
from sightline.splitters import sentence_splitter, splitter_spans

__all__ = ["Chunk", "Format", "chunk", "chunk_documents", "count_tokens", "token_counter"]

Format: TypeAlias = Literal["text", "markdown", "code"]
_Span: TypeAlias = "tuple[int, int]"

_SECTIONS: dict[str, Callable[..., list[Section]]] = {
    "text": text_sections,
    "markdown": markdown_sections,
    "code": code_sections,
}
# Chinese characters and kana stand one by one, other words as a whole.
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_WORD = re.compile(rf"(?:[{_CJK}]|[^\s{_CJK}]+)\s*")  # where a sentence may be cut


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hold one piece of a text: ``text`` is ``source[start:end]``, without white space at its ends.

    Parameters: tokens : as the tokenizer counts ``text``; headings : those it stands under in Markdown, the enclosing
                lines (class, function) in code, outermost first
    """

    text: str
    start: int
    end: int
    tokens: int
    headings: tuple[str, ...] = ()


def count_tokens(text: str) -> int:
    """Count words, punctuation marks, and Chinese or Japanese characters: the default where no tokenizer is given."""
    return sum(1 for _ in _TOKEN.finditer(text))


def chunk(
    text: str,
    *,
    max_tokens: int = 256,
    overlap: int = 0,
    tokenizer: Any = None,
    format: Format = "text",
    sentences: Any = None,
) -> list[Chunk]:
    """Cut a text into chunks of at most ``max_tokens``, between sentences where possible.

    A sentence that is too long is cut between words, a code block or table between lines, a word between characters.
    Chunks follow each other without gaps but white space, and none crosses from one Markdown section into another. A
    chunk begins with the end of the one before it in its section, as much as ``overlap`` tokens allow: whole sentences,
    or, where the last one is longer, whole words. Costs a few counts of about ``max_tokens`` for each sentence.

    Parameters: max_tokens : int >= 1, of a chunk with its overlap (a single character may exceed it); overlap : 0 to
                max_tokens - 1; tokenizer : callable ``(str) -> int``, or an object whose ``encode(str)`` gives tokens,
                such as those of tiktoken, tokenizers and transformers, default ``count_tokens``; format : "text",
                "markdown" or "code"; sentences : what finds sentences in place of the rules of sightline.sentences:
                a callable ``(str) -> sentences``, such as ``pysbd.Segmenter("en").segment`` or
                ``nltk.sent_tokenize``, which must keep the text as it is
    Returns:    chunks in order; none for blank text
    Raises:     InvalidInputError if an argument has the wrong type or range, the tokenizer returns no count, or
                ``sentences`` what is not in the text
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"text: expected a str, got {type(text).__name__}")
    limit = checked_integer("max_tokens", max_tokens, 1)
    shared = checked_integer("overlap", overlap, 0, limit - 1)
    _check_format(format)
    packer = _Packer(text, token_counter(tokenizer), limit, shared)
    finder = sentence_spans if sentences is None else sentence_splitter(sentences)
    chunks: list[Chunk] = []
    for section in _SECTIONS[format](text, finder):
        for start, end in packer.pack(section):
            headings = enclosing_lines(text, start) if format == "code" else section.headings
            chunks.append(Chunk(text[start:end], start, end, packer.count(start, end), headings))
    return chunks


def chunk_documents(
    documents: Iterable[Document | Mapping[str, Any] | str],
    *,
    max_tokens: int = 256,
    overlap: int = 0,
    tokenizer: Any = None,
    format: Format | Callable[[Document], str] = "text",
    sentences: Any = None,
    splitter: Any = None,
) -> Iterator[Document]:
    """Cut documents into documents of a chunk each, ready for ``HybridIndex.add``.

    Ids are ``<document id>#<number from 0>``. Metadata are those of the document, and ``source`` (its id), ``chunk``
    (the number), ``start`` and ``end`` (characters of its text). The title is the document's and the chunk's headings,
    joined by " > ", so that they are searched, too; a first heading that repeats the title is left out.

    Parameters: as for ``chunk``, and documents without their own vectors, which would not fit the chunks; format : or a
                callable that says it of each document; splitter : another package's, in place of max_tokens, overlap,
                tokenizer and sentences: a LangChain or chonkie one, or any callable (str) -> pieces, see
                sightline.splitters
    Raises:     InvalidInputError as ``chunk``, and for documents that HybridIndex would refuse, that have a vector, or
                whose metadata has one of those four fields; if a splitter returns what is not in the text
    """
    if splitter is not None and (overlap or tokenizer is not None or sentences is not None):
        raise InvalidInputError("splitter: has its own budget and overlap; give it alone, or leave it out")
    options = {"max_tokens": max_tokens, "overlap": overlap, "tokenizer": tokenizer, "sentences": sentences}
    for batch in read_documents(documents, 1):
        document = batch[0]
        where = f"documents: id {document.id!r}"
        if document.vector is not None:
            raise InvalidInputError(f"{where}: has a vector, which is not that of its chunks; leave it out")
        taken = [name for name in ("source", "chunk", "start", "end") if name in document.metadata]
        if taken:
            raise InvalidInputError(f"{where}: its metadata has {taken[0]!r}, which names something else in chunks")
        kind: Any = format(document) if callable(format) else format
        pieces: Iterable[Chunk] = (
            chunk(document.text, format=kind, **options) if splitter is None else _split(document.text, splitter, kind)
        )
        for number, piece in enumerate(pieces):
            headings = piece.headings[1:] if piece.headings[:1] == (document.title,) else piece.headings
            titles = [title for title in (document.title, *headings) if title]
            yield Document(
                f"{document.id}#{number}",
                piece.text,
                {**document.metadata, "source": document.id, "chunk": number, "start": piece.start, "end": piece.end},
                None,
                " > ".join(titles) or None,
            )


def _check_format(format: str) -> None:
    if format not in _SECTIONS:
        raise InvalidInputError(f"format: expected 'text', 'markdown' or 'code', got {format!r}")


def _split(text: str, splitter: Any, format: str) -> Iterator[Chunk]:
    """Yield the chunks of another package's splitter, under the headings that their beginnings have."""
    _check_format(format)
    sections = _SECTIONS[format](text) if format == "markdown" else []
    begins = [section.pieces[0][0] for section in sections]
    for start, end in splitter_spans(splitter, text):
        headings: tuple[str, ...] = ()
        if format == "code":
            headings = enclosing_lines(text, start)
        elif sections:
            headings = sections[max(bisect_right(begins, start) - 1, 0)].headings
        yield Chunk(text[start:end], start, end, count_tokens(text[start:end]), headings)


def token_counter(tokenizer: Any) -> Callable[[str], int]:
    """Return what counts tokens, as ``chunk`` takes tokenizers; ``count_tokens`` for None."""
    if tokenizer is None:
        return count_tokens
    encode = getattr(tokenizer, "encode", None)
    if callable(encode) and not isinstance(tokenizer, str):
        return lambda text: len(encode(text))
    if not callable(tokenizer):
        raise InvalidInputError(
            f"tokenizer: expected a callable (str) -> int or an object with encode, got {type(tokenizer).__name__}"
        )

    def count(text: str) -> int:
        found = tokenizer(text)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise InvalidInputError(f"tokenizer: expected a number of tokens, got {found!r} for {text[:40]!r}")
        return found

    return count


class _Packer:
    """Packs the pieces of a section into spans that fit the budget."""

    def __init__(self, text: str, counter: Callable[[str], int], limit: int, overlap: int) -> None:
        self._text = text
        self._counter = counter
        self._limit = limit
        self._overlap = overlap

    def count(self, start: int, end: int) -> int:
        """Count the tokens of a span without the white space at its ends, as it will stand in a chunk."""
        return self._counter(self._text[start:end].strip())

    def fits(self, start: int, end: int) -> bool:
        return self.count(start, end) <= self._limit

    def pack(self, section: Section) -> Iterator[_Span]:
        """Yield spans that begin and end with characters that are no white space."""
        pieces = [
            part
            for piece, kind in zip(section.pieces, section.kinds, strict=True)
            for part in self._parts(*piece, kind)
            if self._text[slice(*part)].strip()
        ]
        position = 0
        start: int | None = None  # of the next chunk, where it overlaps the one before
        while position < len(pieces):
            first = position
            begin = pieces[position][0] if start is None else start
            end = pieces[position][1]
            position += 1
            while position < len(pieces) and self.fits(begin, pieces[position][1]):
                end = pieces[position][1]
                position += 1
            yield self._stripped(begin, end)
            start = None
            if self._overlap and position < len(pieces):
                start = self._overlap_start(begin, end, pieces[first:position], pieces[position][1])

    def _parts(self, start: int, end: int, kind: str) -> Iterator[_Span]:
        """Cut a piece that does not fit, first into lines, then words, then characters; O(log) counts a cut."""
        if self.fits(start, end):
            yield start, end
            return
        if kind == "lines":
            lines = line_spans(self._text, start, end)
            if len(lines) > 1:
                for line in lines:
                    yield from self._parts(*line, "prose")
                return
        words = [match.span() for match in _WORD.finditer(self._text, start, end)]
        if words:
            words[0] = (start, words[0][1])
        for begin, stop in self._greedy(words):
            if self.fits(begin, stop):
                yield begin, stop
            else:  # one word alone
                yield from self._greedy([(i, i + 1) for i in range(begin, stop)])

    def _greedy(self, units: list[_Span]) -> Iterator[_Span]:
        """Join units as long as they fit, at least one at a time; found by galloping, then bisection."""
        position = 0
        while position < len(units):
            begin = units[position][0]
            fitting, step = 1, 1
            while position + fitting + step <= len(units) and self.fits(begin, units[position + fitting + step - 1][1]):
                fitting += step
                step *= 2
            while step:
                if position + fitting + step <= len(units) and self.fits(
                    begin, units[position + fitting + step - 1][1]
                ):
                    fitting += step
                step //= 2
            position += fitting
            yield begin, units[position - 1][1]

    def _overlap_start(self, begin: int, end: int, pieces: list[_Span], next_end: int) -> int | None:
        """Return where the next chunk begins within this one: at the earliest place that both limits allow."""

        def allowed(start: int) -> bool:
            return self.count(start, end) <= self._overlap and self.fits(start, next_end)

        words = (match.start() for match in _WORD.finditer(self._text, pieces[-1][0], end))
        for starts in ([start for start, _ in pieces], list(words)):
            later = [start for start in starts if start > begin]
            # The later it starts, the fewer tokens; where a tokenizer breaks that, the next place that fits will do.
            first = bisect_left(later, True, key=allowed)
            for start in later[first:]:
                if allowed(start):
                    return start
        return None

    def _stripped(self, start: int, end: int) -> _Span:
        text = self._text[start:end]
        return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
