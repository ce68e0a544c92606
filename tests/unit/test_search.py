"""A query is split into words, compiled to a pattern, and followed down each conversation."""

import random
import re
import time
import timeit
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.gateway.adapters.mongo.search_pattern import PROBE, Needle, needle
from parley.gateway.adapters.mongo.search_scan import ConversationScan, Position, Span
from parley.gateway.core.errors import Invalid
from parley.gateway.services.search import MAX_TEXT, MAX_WORD, MAX_WORDS, searched_words
from parley.shared.folding import fold
from parley.shared.model import MAX_CONTENT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", ["hello"]),
        ("  red\tapple\n", ["red", "apple"]),
        ("red\u3000apple", ["red", "apple"]),
        ("red - apple", ["red", "apple"]),
        ("red red", ["red"]),
        ("c++", ["c++"]),
        ("🎉", ["🎉"]),
        ("5 €", ["5", "€"]),
        ("日本語", ["日本語"]),
        ("x" * MAX_WORD, ["x" * MAX_WORD]),
    ],
)
def test_a_query_is_split_into_words(text: str, words: list[str]) -> None:
    assert searched_words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "...",
        "- ! ?",
        "\u200b",
        "a\0b",
        "\ud800",
        "x" * (MAX_WORD + 1),
        "short " + "x" * (MAX_WORD + 1),
        " " * MAX_TEXT + "x",
        " ".join(f"w{n}" for n in range(MAX_WORDS + 1)),
    ],
)
def test_a_query_without_a_word_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        searched_words(text)
    assert list(refused.value.details or ()) == ["q"]


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def finds(needle: Needle, text: str) -> bool:
    """Search as the adapter does: the server matches the pattern, the gateway the rest."""
    return re.search(needle.pattern, text) is not None and needle.is_in(text)


def test_every_character_of_a_query_is_literal() -> None:
    signs = "".join(map(chr, range(33, 127)))
    for sign in signs:
        assert re.findall(needle([sign]).pattern, signs) == sorted({sign.upper(), sign.lower()})
    for start in range(0, len(signs), MAX_WORD // 2):
        word = signs[start : start + MAX_WORD]
        assert finds(needle([word]), signs.swapcase())
        assert not finds(needle([word]), signs.replace(word[-1], ""))


def test_a_message_without_one_of_the_words_does_not_match() -> None:
    both = needle(["tea", "cup"])
    assert finds(both, "Cup\nof TEA")
    assert not finds(both, "cup of coffee")
    assert not finds(both, "tea")


def test_a_long_word_matches_as_a_whole_only() -> None:
    long = needle(["internationalization"])
    assert finds(long, "What about INTERNATIONALIZATION?")
    assert not finds(long, "internationalisation")
    assert not finds(long, "internationalizatio")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("Hauptstraßenfest", "HAUPTSTRASSENFEST"),
        ("crème-brûlée", "CRE\u0300ME-BRU\u0302LE\u0301E"),
        ("cre\u0300me-bru\u0302le\u0301e", "Crème-Brûlée"),
        ("İstanbul'daki", "istanbul'daki"),
        ("istanbul'daki", "İSTANBUL'DAKİ"),
        ("diyarbak\u0131r'da", "DIYARBAKIR'DA"),
        ("ΟΔΥΣΣΕΑΣ-ΟΔΟΣ", "Οδυσσεας-οδος"),
        ("\u0958" * 10, "\u0958" * 11),
        ("ÜBERGRÖSSENTRÄGER", "Übergrößenträger"),
        ("Straßenverkehrsordnung", "\uff33\uff34\uff32\uff21\uff33\uff33\uff25\uff2everkehrsordnung"),
        ("SSSSSSSSSSSSSS", "ßsßsßsßsßs"),
        ("o\ufb03ce-ﬂoor", "OFFICE-FLOOR"),
        ("ｲﾝﾀｰﾅｼｮﾅﾙ", "インターナショナル"),
        ("VIÊ\u0323T-NAM-TIÊ\u0301NG", "việt-nam-tiếng"),
        ("достопримечательность", "ДОСТОПРИМЕЧАТЕЛЬНОСТЬ"),
    ],
)
def test_long_words_match_in_any_case_and_script(word: str, text: str) -> None:
    assert finds(needle([word]), text)
    assert finds(needle(["and", word]), f"{text}, AND more")
    assert not finds(needle([word, "more"]), text)


def test_the_server_matches_the_rarest_part_of_a_query() -> None:
    assert needle(["tea"]) == Needle(needle(["tea"]).pattern)
    assert needle(["aaaaaaaaaaaa", "tea"]).pattern == needle(["tea"]).pattern
    assert re.search(needle(["a" * 20 + "zebra"]).pattern, "aaaazebr")


def test_the_longest_query_matches_in_the_longest_message() -> None:
    words = [f"w{n}" + "x" * 20 for n in range(MAX_WORDS)]
    assert finds(needle(words), "y" * 7_000 + " ".join(reversed(words)))


TRICKY = "aAäÄßẞsS\u017fﬀﬁﬆﬃfiIİ\u0131Σ\u03c3ς\u03bfόΌΐίéÉeệêạ\uff21\uff41ｱアｶガĲĳǅ한국ﾟ-(.^"


@settings(max_examples=500, deadline=None)
@given(st.text(TRICKY, min_size=1, max_size=20), st.text(TRICKY, max_size=20), st.randoms())
def test_a_word_is_found_in_each_of_its_spellings(word: str, text: str, chance: random.Random) -> None:
    spelled = "".join(chance.choice([c, c.upper(), c.lower(), nfd(c), nfkc(c)]) for c in text)
    for content in (nfd(word), nfc(word), word.upper(), f"{nfc(spelled)}|{nfc(word)}|{spelled}"):
        if fold(nfc(word)) in fold(content):
            assert finds(needle([word]), content), (word, content)
    for part in (nfc(spelled)[at : at + len(word)] for at in range(len(spelled))):
        assert finds(needle([word]), part) <= (fold(nfc(word)) in fold(part)), (word, part)


@settings(max_examples=200, deadline=None)
@given(st.text(TRICKY, min_size=1, max_size=MAX_WORD))
def test_any_query_makes_a_short_expression_at_once(word: str) -> None:
    # A single measurement may contain other work of the process, such as a thread's.
    assert min(timeit.repeat(lambda: needle([word]), timer=time.process_time, number=1, repeat=3)) < 0.05
    made = needle([word])
    assert len(made.pattern) < 1_000
    re.compile(made.pattern)


@pytest.mark.parametrize("letter", ["a", "i", "ß", "é", "\u1ff4", "İ", "s", "ﬃ", "한", "ệ"])
def test_an_adversarial_query_costs_little_time(letter: str) -> None:
    made = needle([letter * (MAX_WORD - 1) + "b", letter * (MAX_WORD - 2) + "c"])
    texts = [(form * MAX_CONTENT)[:MAX_CONTENT] for form in (letter, letter.casefold(), letter.upper())]
    began = time.process_time()
    for text in texts:
        assert not finds(made, text)
        assert not made.is_in(text)
    assert time.process_time() - began < 0.1
    assert len(made.pattern) < PROBE * 40


def test_a_lane_only_moves_down_even_if_a_clock_was_set_back() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    start = Position(noon, "a", 9)
    lane = ConversationScan("b", [Span(1, 20)], start, start)
    tops = [start]
    for seconds, seq in ((5, 12), (7, 11), (-1, 10), (3, 9)):
        lane.lower(Position(noon + timedelta(seconds=seconds), "b", seq))
        tops.append(lane.top)
    assert tops == sorted(set(tops), reverse=True)
