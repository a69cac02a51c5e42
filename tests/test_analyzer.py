"""Words, folding, bigrams, stop words and stems."""

from __future__ import annotations

import itertools
import string
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import Stemmer as snowball
from hypothesis import given, settings
from hypothesis import strategies as st

import sightline as sl
from sightline import _core

PLAIN = sl.Analyzer(None, unigrams=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello, World!", ["hello", "world"]),
        ("don't DON’T 'quoted' dogs'", ["don't", "don't", "quoted", "dogs"]),
        ("col·legi l'eau", ["col·legi", "l'eau"]),
        (
            "3.14 1,000,000 v1.2.3 10. ,5 1,a a,1",
            ["3.14", "1,000,000", "v1.2.3", "10", "5", "1", "a", "a", "1"],
        ),
        (
            "e-mail snake_case a/b C++ c# U.S.A. host.example",
            ["e", "mail", "snake", "case", "a", "b", "c", "c", "u", "s", "a", "host", "example"],
        ),
        ("covid19 2nd 4K", ["covid19", "2nd", "4k"]),
        ("Straße STRASSE ΣΊΣΥΦΟΣ İstanbul ﬁne", ["strasse", "strasse", "σίσυφοσ", "i̇stanbul", "fine"]),
        ("café cafe\u0301", ["café", "café"]),
        ("\u0301alone \u0301", ["alone"]),
        ("co\u00adop zero\u200bwidth joi\u200dner", ["coop", "zerowidth", "joiner"]),
        ("東京都", ["東京", "京都"]),
        ("猫 が", ["猫", "が"]),
        ("Python入門2024年", ["python", "入門", "2024", "年"]),
        ("データベース", ["デー", "ータ", "タベ", "ベー", "ース"]),
        ("ｶﾞｷﾞ ＡＢＣ１２", ["ガギ", "abc12"]),
        ("か\u3099き", ["がき"]),
        ("한국어", ["한국", "국어"]),
        ("ไทย", ["ไท", "ทย"]),
        ("привет МИР", ["привет", "мир"]),
        ("\U0001f600 \u2764\ufe0f \U0001f468\u200d\U0001f4bb a\U0001f600b", ["a", "b"]),
        ("a\ud800b \udc00", ["a", "b"]),
        ("x² Ⅷ", ["x2", "viii"]),
        ("Sightline™ ©2024", ["sightline", "2024"]),
        ("a\x00b\tc\nd", ["a", "b", "c", "d"]),
    ],
)
def test_words(text, words):
    assert PLAIN(text) == words


def test_zero_width_space_is_a_format_character_of_some_versions_only():
    assert unicodedata.category("\u200b") == "Cf"


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_ascii_words_are_those_of_a_regular_expression(text):
    import re

    pattern = re.compile(r"[a-z0-9](?:[a-z0-9]|(?<=[a-z])'(?=[a-z])|(?<=[0-9])[.,](?=[0-9]))*")
    assert PLAIN(text) == pattern.findall(text.lower())


def model_words(text):
    """The rules again, character by character, without tables."""
    bigram_names = (
        "CJK",
        "HIRAGANA",
        "KATAKANA",
        "HALFWIDTH KATAKANA",
        "HANGUL",
        "HALFWIDTH HANGUL",
        "BOPOMOFO",
        "THAI",
        "LAO",
        "KHMER",
        "MYANMAR",
    )

    def kind(c):
        category = unicodedata.category(c)
        if c in "'·׳״’‧":
            return "'"
        if c in ",.٫٬":
            return "."
        if category[0] == "M" or c in "ﾞﾟ":
            return "M"
        if category == "Cf":
            return "Cf"
        if c in "々〆〇ー" or (category[0] == "L" and unicodedata.name(c, "").startswith(bigram_names)):
            return "U"
        return category[0] if category[0] in "LN" else " "

    text = unicodedata.normalize("NFC", text)
    kinds = [kind(c) for c in text] + [" "]
    words, i = [], 0
    while i < len(text):
        if kinds[i] in "LN":
            word, last = "", ""
            while i < len(text):
                between = {"'": "L", ".": "N"}.get(kinds[i])
                if kinds[i] in ("L", "N"):
                    last = kinds[i]
                elif kinds[i] != "M" and kinds[i] != "Cf" and not (between and last == between == kinds[i + 1]):
                    break
                if kinds[i] != "Cf":
                    word += "'" if text[i] == "’" else text[i]
                i += 1
            words.append(word)
        elif kinds[i] == "U":
            run = []
            while kinds[i] in ("U", "M", "Cf"):
                if kinds[i] == "U":
                    run.append(text[i])
                elif kinds[i] == "M":
                    run[-1] += text[i]
                i += 1
            words += [a + b for a, b in itertools.pairwise(run)] or run
        else:
            i += 1
    folded = [word.casefold() for word in words]
    return [
        w if w.isascii() else unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", w).casefold()) for w in folded
    ]


INTERESTING = st.sampled_from("aZ1ßİ'’.,·-_ \u0301\u00ad\u200d猫京がーｶﾞ한ไท\u0e31ΣéдⅧ²\ufe0f\U0001f600\u05d0\u0660٫")


@pytest.mark.skipif(
    unicodedata.unidata_version != _core.UNICODE_VERSION, reason="another Unicode version than the tables'"
)
@settings(max_examples=400, deadline=None)
@given(st.text(INTERESTING | st.characters(exclude_categories=["Cs"]), max_size=25))
def test_words_follow_the_rules(text):
    assert PLAIN(text) == model_words(text)


def test_tables_are_generated():
    if unicodedata.unidata_version != _core.UNICODE_VERSION:
        pytest.skip("another Unicode version than the tables'")
    tool = Path(__file__).resolve().parent.parent / "tools" / "make_unicode_tables.py"
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0


def test_english_stops_and_stems():
    english = sl.Analyzer("english")
    assert english("The runners were running to the stores") == ["runner", "were", "run", "store"]
    assert sl.Analyzer() == english
    assert sl.Analyzer("English") == english
    assert english("THE the") == []
    assert english("the patient's books") == ["patient", "book"]


def test_options():
    assert sl.Analyzer("english", stopwords=None)("the cats") == ["the", "cat"]
    assert sl.Analyzer("english", stemmer=None)("the cats") == ["cats"]
    assert sl.Analyzer("english", stopwords=["Cats", "straße"])("the cats STRASSE dogs") == ["the", "dog"]
    assert sl.Analyzer("none")("the cats") == ["the", "cats"]
    assert sl.Analyzer(None, stemmer="porter")("the cats") == ["the", "cat"]
    assert sl.Analyzer("german")("die Häuser") == ["haus"]
    assert sl.Analyzer("russian")("книги") == ["книг"]
    assert sl.Analyzer(None, stemmer=lambda word: word[:2])("abc abd xyz") == ["ab", "ab", "xy"]
    for stem in (None, ""):
        with pytest.raises(sl.InvalidInputError, match=r"stemmer: expected .*str.* for 'abc'"):
            sl.Analyzer(None, stemmer=lambda word, stem=stem: stem)("abc")


def test_every_language_has_a_stemmer():
    for language in sl.Analyzer.languages():
        assert sl.Analyzer(language, stopwords=None)("testing") == [snowball.Stemmer(language).stemWord("testing")]


def test_the_stemmer_sees_each_distinct_word_once_in_batches():
    calls = []

    class Counting:
        def __call__(self, word):
            calls.append(word)
            return word

    analyzer = sl.Analyzer(None, stemmer=Counting())
    words = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    assert analyzer.batch([" ".join(words)] * 5) == [words] * 5
    analyzer(" ".join(words[::-1]))
    assert sorted(calls) == words
    assert analyzer._core.cached_words == len(words)


def test_batch_equals_single_calls():
    texts = ["One text.", "", "Zwei Texte: Straße", "三つの文"]
    analyzer = sl.Analyzer()
    assert analyzer.batch(texts) == [analyzer(text) for text in texts]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sl.Analyzer("klingon"), "language: expected one of"),
        (lambda: sl.Analyzer(3), "language: expected str"),
        (lambda: sl.Analyzer(stemmer="klingon"), "stemmer: expected one of"),
        (lambda: sl.Analyzer(stemmer=3), "stemmer: expected"),
        (lambda: sl.Analyzer(stopwords="the"), "stopwords: expected 'default'"),
        (lambda: sl.Analyzer(stopwords=[1]), "stopwords: expected words, got int"),
        (lambda: sl.Analyzer(stopwords=["two words"]), "stopwords: expected single words"),
        (lambda: sl.Analyzer(stopwords=3), "stopwords: expected"),
        (lambda: sl.Analyzer(accents="strip"), "accents: expected 'keep' or 'fold', got 'strip'"),
        (lambda: sl.Analyzer(accents=None), "accents: expected"),
        (lambda: sl.Analyzer(identifiers=1), "identifiers: expected True or False, got 1"),
        (lambda: sl.Analyzer(unigrams="no"), "unigrams: expected True or False"),
        (lambda: PLAIN.query_terms(["text"]), "text: expected str, got list"),
        (lambda: PLAIN(b"bytes"), "text: expected str, got bytes"),
        (lambda: PLAIN(["text"]), "text: expected str, got list"),
        (lambda: PLAIN.batch("text"), "texts: expected an iterable of str"),
        (lambda: PLAIN.batch(bytearray(b"text")), "texts: expected an iterable of str, got one bytearray"),
        (lambda: PLAIN.batch({"a": "text"}), "texts: expected an iterable of str, got one dict"),
        (lambda: PLAIN.batch(5), "texts: expected an iterable of str, got one int"),
        (lambda: PLAIN.batch(None), "texts: expected an iterable of str, got one NoneType"),
        (lambda: PLAIN.batch(["a", 3]), "position 1, got int"),
        (lambda: PLAIN.batch([["a"]]), "texts: expected str"),
    ],
)
def test_errors(make, message):
    with pytest.raises(sl.InvalidInputError, match=message):
        make()


def test_settings_round_trip():
    for analyzer in (
        sl.Analyzer(),
        sl.Analyzer(None),
        sl.Analyzer("german", stopwords=["die"], stemmer=None),
        sl.Analyzer("french", accents="fold", identifiers=True, unigrams=False),
    ):
        copy = sl.Analyzer.from_settings(analyzer.settings())
        assert copy == analyzer
        assert hash(copy) == hash(analyzer)
        assert copy("Die Häuser the cats") == analyzer("Die Häuser the cats")
    with pytest.raises(sl.InvalidInputError, match="code cannot be saved"):
        sl.Analyzer(stemmer=str.lower).settings()


def test_options_are_part_of_equality():
    plain = sl.Analyzer("french")
    others = [
        sl.Analyzer("french", accents="fold"),
        sl.Analyzer("french", identifiers=True),
        sl.Analyzer("french", unigrams=False),
    ]
    assert len({plain, *others}) == 4
    assert "accents='fold'" in repr(others[0])
    assert [others[0].accents, others[1].identifiers, others[2].unigrams] == ["fold", True, False]


def test_a_batch_larger_than_one_call_keeps_its_order():
    texts = [f"word{i} x" for i in range(10_000)]
    assert PLAIN.batch(iter(texts)) == [[f"word{i}", "x"] for i in range(10_000)]
