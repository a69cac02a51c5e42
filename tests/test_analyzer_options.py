"""Accents, identifiers, single characters of scripts without spaces, and the stop-word lists of all languages."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl
from sightline.stop_words import STOP_WORDS

PLAIN = sl.Analyzer(None, unigrams=False)
NAMES = sl.Analyzer(None, identifiers=True, unigrams=False)
FOLDED = sl.Analyzer(None, accents="fold")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("snake_case", ["snake_case", "snake", "case"]),
        ("CamelCase", ["camelcase", "camel", "case"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("utf8String", ["utf8string", "utf8", "string"]),
        ("URLs 4K H2O iOS", ["urls", "4k", "h2o", "ios", "i", "os"]),
        ("C++ C# F#, C++17", ["c++", "c", "c#", "c", "f#", "f", "c++", "c", "17"]),
        ("a++b c#d", ["a", "b", "c", "d"]),
        (".NET (.gitignore) ASP.NET", [".net", "net", ".gitignore", "gitignore", "asp.net", "asp", "net"]),
        ("e-mail e\u2010mail", ["e-mail", "e", "mail"] * 2),
        ("3.11.2 v1.2.3", ["3.11.2", "3", "11", "2", "v1.2.3", "v1", "2", "3"]),
        ("1,000", ["1,000"]),
        ("my_HTTPServer", ["my_httpserver", "my", "httpserver", "http", "server"]),
        ("__init__ foo__bar", ["init", "foo__bar", "foo", "bar"]),
        ("-flag end. ... .5 a--b", ["flag", "end", "5", "a", "b"]),
        ("don't-do", ["don't-do", "don't", "do"]),
        ("été_Été naïveÉté", ["été_été", "été", "été", "naïveété", "naïve", "été"]),
        ("x_東京", ["x", "東京"]),
    ],
)
def test_identifiers(text, words):
    assert NAMES(text) == words
    assert NAMES.query_terms(text) == words


def test_a_compound_too_long_for_a_name_is_only_its_words():
    parts = ["abcdefghi"] * 30
    assert NAMES("-".join(parts)) == parts


ASCII_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9]|(?<=[A-Za-z])'(?=[A-Za-z])|(?<=[0-9])[.,](?=[0-9]))*"
COMPOUND = re.compile(
    rf"(?P<point>(?:(?<=[^A-Za-z0-9._-])|^)\.(?=[A-Za-z]))?{ASCII_WORD}"
    rf"(?:(?:_+|-|\.){ASCII_WORD})*(?:\+\+(?![A-Za-z])|#(?![A-Za-z]))?"
)
# A cut between two letters: aB, 1Bc, and ABc unless that is a plural at the end of the word.
CUT = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s$)|(?<=[0-9])\.(?=[0-9])"
)


def model_names(text):
    """The rules for ASCII again, with regular expressions."""
    terms = []
    for compound in COMPOUND.finditer(text):
        words = re.findall(ASCII_WORD, compound.group())
        if len(words) > 1 or compound.group() != words[0]:
            terms.append(compound.group().lower())
        for word in words:
            parts = CUT.split(word)
            terms += [word.lower()] + ([part.lower() for part in parts] if len(parts) > 1 else [])
    return terms


@settings(max_examples=600, deadline=None)
@given(st.text(st.sampled_from("abABsS12._-+#', ") | st.characters(max_codepoint=0x7F), max_size=30))
def test_identifiers_follow_the_rules(text):
    assert NAMES(text) == model_names(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30) | st.text(st.sampled_from("aAéÉ1._-#+'猫京ß\u0301"), max_size=30))
def test_identifiers_lose_no_word(text):
    assert not Counter(PLAIN(text)) - Counter(NAMES(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Café CAFÉ cafe\u0301 cafe", ["cafe"] * 4),
        ("Ångström łódź Øre þing Œuvre Straße", ["angstrom", "lodz", "ore", "thing", "oeuvre", "strasse"]),
        ("Việt Nam İstanbul ısı", ["viet", "nam", "istanbul", "isi"]),
        ("καφές ΚΑΦΈΣ", ["καφεσ", "καφεσ"]),
        ("ёлка елка", ["елка", "елка"]),
        ("й ї ў", ["й", "ї", "ў"]),
        ("שָׁלוֹם שלום", ["שלום", "שלום"]),
        ("مُحَمَّد محمد أ ا", ["محمد", "محمد", "أ", "ا"]),
        ("が か", ["が", "か"]),
        ("हिन्दी", ["हिन्दी"]),
    ],
)
def test_folded_accents(text, words):
    assert FOLDED(text) == words


def test_accents_are_folded_before_stop_words_and_stems():
    french = sl.Analyzer("french", accents="fold")
    assert french("été élève même ETE ELEVE MEME") == french("ete eleve ete eleve") != []
    assert sl.Analyzer("french")("élève") != sl.Analyzer("french")("eleve")
    assert sl.Analyzer(None, stopwords=["öl"], accents="fold")("Öl ol gas") == ["gas"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30))
def test_folding_is_idempotent_and_keeps_every_word(text):
    folded = FOLDED(text)
    assert len(folded) == len(sl.Analyzer(None)(text))
    for word in folded:
        assert FOLDED(word) == FOLDED(word + " ")
        assert word
        assert not re.search("[\u0300-\u0345]", unicodedata.normalize("NFD", re.sub("[^a-z]", "", word)))


def test_one_character_finds_every_document_that_contains_it():
    index = sl.BM25Index(sl.Analyzer(None))
    index.add(["東京都", "京都", "猫", "한국어", "ไทย", "大阪"])
    assert sorted(index.search("京")[1].tolist())[-2:] == [0, 1]
    for query, found in [("猫", 2), ("국", 3), ("ท", 4), ("阪", 5), ("都", 1)]:
        assert index.search(query)[1][0] == found
    without = sl.BM25Index(sl.Analyzer(None, unigrams=False))
    without.add(["東京都", "京都"])
    assert without.search("京")[1][0] == -1


@settings(max_examples=200, deadline=None)
@given(st.text("東京都猫のa ", max_size=12), st.data())
def test_words_of_a_part_of_a_run_stand_side_by_side(text, data):
    """A phrase is found in every text that contains it."""
    begin = data.draw(st.integers(0, len(text)))
    part = text[begin : data.draw(st.integers(begin, len(text)))]
    if "a" in part:
        return
    analyzer = sl.Analyzer(None)
    words, wanted = analyzer(text), analyzer(part)
    assert any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))
    assert analyzer.query_terms(part) == PLAIN(part)


def test_every_language_has_stop_words():
    assert set(STOP_WORDS) == set(sl.Analyzer.languages())


@pytest.mark.parametrize("language", sorted(STOP_WORDS))
def test_stop_words_are_words_in_normal_form(language):
    words = STOP_WORDS[language]
    assert 20 <= len(words) <= 200
    for word in words:
        assert unicodedata.normalize("NFC", word) == word
        assert word.lower() == word
    analyzer = sl.Analyzer(language)
    assert len(analyzer.stopwords) <= len(words)  # fewer where folding makes two spellings one
    for word in words:
        assert analyzer(word) == []
        if "ı" not in word:  # whose capital is that of i everywhere but in Turkish
            assert analyzer(word.upper()) == []
    assert analyzer(" ".join(words)) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("german", "die Häuser und der Garten"),
        ("french", "les maisons de la ville"),
        ("russian", "я читаю книги и журналы"),
        ("greek", "ο σκύλος και η γάτα"),
        ("turkish", "bu kitap ve kalem"),
        ("arabic", "الكتاب في البيت"),
        ("hindi", "किताब का रंग"),
    ],
)
def test_stop_words_drop_the_small_words_and_leave_the_others(language, text):
    kept = sl.Analyzer(language, stemmer=None)(text)
    everything = sl.Analyzer(language, stemmer=None, stopwords=None)(text)
    assert 2 <= len(kept) < len(everything)
