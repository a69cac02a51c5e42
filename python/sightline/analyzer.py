"""From text to search terms."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from itertools import islice
from threading import Lock
from typing import Any, Literal

from sightline import _core
from sightline.errors import InvalidInputError
from sightline.stop_words import ENGLISH_STOP_WORDS, STOP_WORDS

__all__ = ["ENGLISH_STOP_WORDS", "Analyzer"]

CANNOT_BE_SAVED = (
    "code cannot be saved: analyze the texts yourself and add lists of terms to an index with analyzer=None"
)

Stemmer = Callable[[str], str]
Accents = Literal["keep", "fold"]

_TEXTS_PER_CALL = 4096  # so that a long batch lets other threads run in between


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
    become overlapping pairs ("東京都" gives "東京", "京都"), and, unless ``unigrams`` is False, documents have each
    character as well ("東", "東京", "京", "京都", "都"), so that a query of one character finds all documents that
    contain it; a longer query is its pairs alone. A lone surrogate separates words.

    With ``identifiers`` compounds are words as well, besides the words they are made of: words joined by underscores,
    one hyphen or one full stop ("snake_case", "e-mail", "host.example"), names that begin with a full stop or end in ++
    or # (".NET", "C++", "C#"), the parts of CamelCase ("HTTPServer" gives "httpserver", "http", "server") and of
    versions ("3.11.2" gives "3.11.2", "3", "11", "2"). No word of the plain analysis is lost.

    Parameters: language : a Snowball algorithm such as "english", "german", "russian" (see
                ``Analyzer.languages()``), or None or "none" for neither stems nor stop words;
                stopwords : "default" (the short list of the language), None, or words to drop; stemmer : "default"
                (Snowball for the language), None, the name of a Snowball algorithm, or a callable from word to a
                non-empty stem; accents : "keep", or "fold" to take them from Latin and Greek letters (and ё, and
                vowel points of Hebrew and Arabic) before stop words and stemmer, so that "café", "cafe" and "Øre",
                "ore" are one word; identifiers : index compounds and parts of names, see above; unigrams : index
                single characters of scripts without spaces, see above
    Raises:     InvalidInputError for an unknown language or stemmer, for a stop word that is not one word, or for an
                option of another kind
    Notes:      thread-safe
    Source:     Unicode Standard Annex 29, "Unicode Text Segmentation"; Porter, "Snowball", 2001
    """

    def __init__(
        self,
        language: str | None = "english",
        *,
        stopwords: Literal["default"] | Iterable[str] | None = "default",
        stemmer: str | Stemmer | None = "default",
        accents: Accents = "keep",
        identifiers: bool = False,
        unigrams: bool = True,
    ) -> None:
        self._language = _check_language(language)
        self._stemmer = stemmer
        stem_words = _stem_function(stemmer, self._language)
        if (isinstance(stopwords, str) and stopwords != "default") or not isinstance(stopwords, Iterable | None):
            raise InvalidInputError(f"stopwords: expected 'default', None or a collection of words, got {stopwords!r}")
        if not isinstance(accents, str) or accents not in ("keep", "fold"):
            raise InvalidInputError(f"accents: expected 'keep' or 'fold', got {accents!r}")
        self._accents: Accents = accents
        self._identifiers = _check_bool(identifiers, "identifiers")
        self._unigrams = _check_bool(unigrams, "unigrams")
        normal_form = _normal_form if accents == "keep" else _folded_form
        chosen = STOP_WORDS.get(self._language or "", ()) if isinstance(stopwords, str) else stopwords
        self._stop_words = _normal_stop_words(chosen or (), normal_form)
        resolve = _resolver(normal_form, self._stop_words, stem_words)
        self._core = _core.Analyzer(resolve, self._unigrams, self._identifiers)

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

    @property
    def accents(self) -> Accents:
        """What becomes of accents: "keep" or "fold"."""
        return self._accents

    @property
    def identifiers(self) -> bool:
        """Whether compounds and parts of names are words."""
        return self._identifiers

    @property
    def unigrams(self) -> bool:
        """Whether documents have single characters of scripts without spaces."""
        return self._unigrams

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text, as of a document, in order. O(length)."""
        return self._core.token_lists([_check_text(text)], False)[0]

    def query_terms(self, text: str) -> list[str]:
        """Return the terms of a text as of a query: without ``unigrams``, but for a character that stands alone.

        Parameters: text : str
        Returns:    list of str, in order
        Raises:     InvalidInputError if text is no str
        """
        return self._core.token_lists([_check_text(text)], True)[0]

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
        iterator = iter(texts)
        result: list[list[str]] = []
        while some := list(islice(iterator, _TEXTS_PER_CALL)):
            result += self._core.token_lists(some, False)
        return result

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
        return {"stemmer": self._stemmer, **self.plain_settings()}

    def plain_settings(self) -> dict[str, Any]:
        """Return the settings without the stemmer, which may be code."""
        return {
            "language": self._language,
            "stopwords": sorted(self._stop_words),
            "accents": self._accents,
            "identifiers": self._identifiers,
            "unigrams": self._unigrams,
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Analyzer:
        """Return the analyzer that ``settings()`` described.

        Parameters: settings : dict
        Raises:     InvalidInputError if a language or stemmer is unknown here
        """
        return cls(
            settings["language"],
            stemmer=settings["stemmer"],
            stopwords=settings["stopwords"],
            accents=settings["accents"],
            identifiers=settings["identifiers"],
            unigrams=settings["unigrams"],
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Analyzer) or type(self) is not type(other):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        stop_words = f"<{len(self._stop_words)} words>"
        options = "".join(
            f", {name}={value!r}"
            for name, value, usual in (
                ("accents", self._accents, "keep"),
                ("identifiers", self._identifiers, False),
                ("unigrams", self._unigrams, True),
            )
            if value != usual
        )
        return f"Analyzer({self._language!r}, stopwords={stop_words}, stemmer={self._stemmer!r}{options})"

    def _key(self) -> tuple[object, ...]:
        return (
            self._language,
            self._stemmer,
            self._stop_words,
            self._accents,
            self._identifiers,
            self._unigrams,
        )


def _snowball() -> Any:
    """Import PyStemmer, which has no type hints, when it is first needed."""
    return import_module("Stemmer")


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidInputError(f"text: expected str, got {type(text).__name__}; use batch() for several texts")
    return text


def _check_bool(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}: expected True or False, got {value!r}")
    return value


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


# Letters whose stroke or ligature no decomposition takes away.
_PLAIN_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŋ": "n", "þ": "th", "ŧ": "t"}
)
_VOWEL_POINTS = range(10, 36)  # the combining classes of Hebrew points and Arabic vowel signs


def _folded_form(word: str) -> str:
    """Bring a case-folded word to its normal form without accents.

    Marks are kept where they make another letter for readers of the script, such as й, が or ไทย's vowels.
    """
    word = _normal_form(word)
    if word.isascii():
        return word
    kept = []
    has_accents = False  # whether marks of the current letter are accents
    for character in unicodedata.normalize("NFD", word):
        combining = unicodedata.combining(character)
        if combining == 0:
            has_accents = character == "е" or unicodedata.name(character, "").startswith(("LATIN ", "GREEK "))
        elif has_accents or combining in _VOWEL_POINTS:
            continue
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_PLAIN_LETTERS)


def _normal_stop_words(words: Iterable[str], normal_form: Callable[[str], str]) -> frozenset[str]:
    split = _core.Analyzer(lambda batch: [normal_form(word) for word in batch], False, False)
    result = set()
    for word in words:
        if not isinstance(word, str):
            raise InvalidInputError(f"stopwords: expected words, got {type(word).__name__} {word!r}")
        parts = split.token_lists([word], False)[0]
        if len(parts) != 1:
            raise InvalidInputError(f"stopwords: expected single words, got {word!r}, which is split into {parts!r}")
        result.add(parts[0])
    return frozenset(result)


def _resolver(
    normal_form: Callable[[str], str],
    stop_words: frozenset[str],
    stem_words: Callable[[list[str]], list[str]] | None,
) -> Callable[[list[str]], list[str | None]]:
    """Make the function that the native core calls with each batch of new words.

    A function of its own, not a method: the core keeps it, and a reference back to the analyzer would be a
    cycle that the garbage collector cannot see.
    """

    def resolve(words: list[str]) -> list[str | None]:
        normal = [normal_form(word) for word in words]
        stems: list[str] = normal if stem_words is None else stem_words(normal)
        return [None if word in stop_words else stem for word, stem in zip(normal, stems, strict=True)]

    return resolve
