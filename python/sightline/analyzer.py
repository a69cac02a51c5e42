"""From text to search terms."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from threading import Lock
from typing import Any, Literal

from sightline import _core
from sightline.errors import InvalidInputError

__all__ = ["ENGLISH_STOP_WORDS", "Analyzer"]

_ENGLISH = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they
this to was will with
"""

ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())
"""The 33 words of Lucene's classic list; hardly any can make or break a query."""

_STOP_WORDS = {"english": ENGLISH_STOP_WORDS, "porter": ENGLISH_STOP_WORDS}

CANNOT_BE_SAVED = (
    "code cannot be saved: analyze the texts yourself and add lists of terms to an index with analyzer=None"
)

Stemmer = Callable[[str], str]


class Analyzer:
    """Split text into case-folded, stemmed words.

    Segmentation and case folding are native, run in threads and release the GIL; stop words and stems are
    looked up once for each distinct word, in batches, and remembered (at most about two million words).
    Calling the analyzer shows what an index stores. Use the same analyzer for documents and queries.

    Words are maximal runs of letters and digits, with their combining marks. An apostrophe or middle dot
    between letters and a point or comma between digits belong to the word ("don't", "3.14", "v1.2.3");
    hyphens, underscores, slashes, points between letters, symbols and emoji separate words. Soft hyphens and
    joiners vanish. Text is brought to NFC, words to NFKC and full case folding ("Straße" and "STRASSE" are
    one word). Runs of Han, Hiragana, Katakana, Bopomofo, Hangul, Thai, Lao, Khmer and Myanmar characters
    become overlapping pairs ("東京都" gives "東京", "京都"); a character that stands alone becomes a word of
    its own, so a query of a single character finds only documents in which it stands alone. A lone surrogate
    separates words.

    Parameters: language : a Snowball algorithm such as "english", "german", "russian" (see
                ``Analyzer.languages()``), or None or "none" for neither stems nor stop words;
                stopwords : "default" (a short list for English, none for other languages), None, or words to
                drop; stemmer : "default" (Snowball for the language), None, the name of a Snowball algorithm,
                or a callable from word to a non-empty stem; an index with a callable cannot be saved
    Raises:     InvalidInputError for an unknown language or stemmer, or for a stop word that is not one word
    Notes:      thread-safe
    Source:     Unicode Standard Annex 29, "Unicode Text Segmentation"; Porter, "Snowball", 2001
    """

    def __init__(
        self,
        language: str | None = "english",
        *,
        stopwords: Literal["default"] | Iterable[str] | None = "default",
        stemmer: str | Stemmer | None = "default",
    ) -> None:
        self._language = _check_language(language)
        self._stemmer = stemmer
        stem_words = _stem_function(stemmer, self._language)
        if (isinstance(stopwords, str) and stopwords != "default") or not isinstance(stopwords, Iterable | None):
            raise InvalidInputError(f"stopwords: expected 'default', None or a collection of words, got {stopwords!r}")
        chosen = _STOP_WORDS.get(self._language or "", ()) if isinstance(stopwords, str) else stopwords
        self._stop_words = _normal_stop_words(chosen or ())
        self._core = _core.Analyzer(_resolver(self._stop_words, stem_words))

    @staticmethod
    def languages() -> list[str]:
        """Return the Snowball algorithms that ``language`` and ``stemmer`` may name."""
        return list(_snowball().algorithms())

    @property
    def language(self) -> str | None:
        """The language, or None."""
        return self._language

    @property
    def stopwords(self) -> frozenset[str]:
        """The words that are dropped, folded."""
        return self._stop_words

    @property
    def stemmer(self) -> str | Stemmer | None:
        """The stemmer as given: "default", None, a name or a callable."""
        return self._stemmer

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text, in order. O(length)."""
        if not isinstance(text, str):
            raise InvalidInputError(f"text: expected str, got {type(text).__name__}; use batch() for several texts")
        return self._core.token_lists([text])[0]

    def batch(self, texts: Iterable[str]) -> list[list[str]]:
        """Return the terms of each text, in threads. O(total length).

        Parameters: texts : iterable of str
        Returns:    a list of terms for each text, in order
        Raises:     InvalidInputError if texts is one str, a mapping or no iterable, or holds anything but str
        """
        if isinstance(texts, (str, bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
            raise InvalidInputError(
                f"texts: expected an iterable of str, got one {type(texts).__name__}; wrap a single text in a list"
            )
        return self._core.token_lists(list(texts))

    def settings(self) -> dict[str, Any]:
        """Return what ``Analyzer.from_settings`` needs to make an equal analyzer: values that JSON can hold.

        Raises:     InvalidInputError if the stemmer is a callable, or the class is not Analyzer itself
        """
        if type(self) is not Analyzer:
            raise InvalidInputError(
                f"analyzer: expected an Analyzer, got its subclass {type(self).__name__}; {CANNOT_BE_SAVED}"
            )
        if callable(self._stemmer):
            raise InvalidInputError(f"analyzer: expected a Snowball stemmer, got {self._stemmer!r}; {CANNOT_BE_SAVED}")
        return {"language": self._language, "stemmer": self._stemmer, "stopwords": sorted(self._stop_words)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Analyzer:
        """Make the analyzer that ``settings()`` described."""
        return cls(settings["language"], stemmer=settings["stemmer"], stopwords=settings["stopwords"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Analyzer) or type(self) is not type(other):
            return NotImplemented
        return (self._language, self._stemmer, self._stop_words) == (
            other._language,
            other._stemmer,
            other._stop_words,
        )

    def __hash__(self) -> int:
        return hash((self._language, self._stemmer, self._stop_words))

    def __repr__(self) -> str:
        stop_words = f"<{len(self._stop_words)} words>"
        return f"Analyzer({self._language!r}, stopwords={stop_words}, stemmer={self._stemmer!r})"


def _snowball() -> Any:
    """Import PyStemmer, which has no type hints, when it is first needed."""
    return import_module("Stemmer")


def _check_language(language: str | None) -> str | None:
    if language is None:
        return None
    if not isinstance(language, str):
        raise InvalidInputError(f"language: expected str or None, got {type(language).__name__}")
    name = language.lower()
    if name == "none":
        return None
    _check_algorithm(name, "language")
    return name


def _check_algorithm(name: str, argument: str) -> None:
    known = Analyzer.languages()
    if name not in known:
        raise InvalidInputError(f"{argument}: expected one of {', '.join(known)}, or None; got {name!r}")


def _stem_function(stemmer: str | Stemmer | None, language: str | None) -> Callable[[list[str]], list[str]] | None:
    if stemmer is None or (stemmer == "default" and language is None):
        return None
    if callable(stemmer):
        return lambda words: [_checked_stem(stemmer(word), word) for word in words]
    if not isinstance(stemmer, str):
        raise InvalidInputError(
            f"stemmer: expected 'default', None, a name or a callable, got {type(stemmer).__name__}"
        )
    if stemmer != "default":
        _check_algorithm(stemmer, "stemmer")
    # The native core remembers every stem, so PyStemmer need not. Its objects must not be used by two threads
    # at once.
    snowball_stemmer = _snowball().Stemmer(language if stemmer == "default" else stemmer, 0)
    lock = Lock()

    def stem_words(words: list[str]) -> list[str]:
        with lock:
            stems: list[str] = snowball_stemmer.stemWords(words)
            return stems

    return stem_words


def _checked_stem(stem: object, word: str) -> str:
    """Return what a callable made of a word. To the core, None or "" would mean a stop word."""
    if not isinstance(stem, str):
        raise InvalidInputError(f"stemmer: expected str for each word, got {type(stem).__name__} for {word!r}")
    if not stem:
        raise InvalidInputError(f"stemmer: expected a non-empty str for {word!r}; words to drop go into stopwords")
    return stem


def _normal_form(word: str) -> str:
    """Bring a case-folded word to NFKC, folded again: a compatibility character may stand for a capital."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())


def _normal_stop_words(words: Iterable[str]) -> frozenset[str]:
    split = _core.Analyzer(lambda batch: [_normal_form(word) for word in batch])
    result = set()
    for word in words:
        if not isinstance(word, str):
            raise InvalidInputError(f"stopwords: expected words, got {type(word).__name__} {word!r}")
        parts = split.token_lists([word])[0]
        if len(parts) != 1:
            raise InvalidInputError(f"stopwords: expected single words, got {word!r}, which is split into {parts!r}")
        result.add(parts[0])
    return frozenset(result)


def _resolver(
    stop_words: frozenset[str], stem_words: Callable[[list[str]], list[str]] | None
) -> Callable[[list[str]], list[str | None]]:
    """Make the function that the native core calls with each batch of new words.

    A function of its own, not a method: the core keeps it, and a reference back to the analyzer would be a
    cycle that the garbage collector cannot see.
    """

    def resolve(words: list[str]) -> list[str | None]:
        normal = [_normal_form(word) for word in words]
        stems: list[str] = normal if stem_words is None else stem_words(normal)
        return [None if word in stop_words else stem for word, stem in zip(normal, stems, strict=True)]

    return resolve
