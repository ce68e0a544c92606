"""What a query becomes: its words, the pattern that finds them, and the way down a conversation."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.adapters.archive_search import Lane, Place
from gateway.adapters.search_pattern import pattern
from gateway.core.errors import Invalid
from gateway.core.search import MAX_TEXT, MAX_WORDS, searched_words


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
        ("x" * MAX_TEXT, ["x" * MAX_TEXT]),
    ],
)
def test_a_query_is_its_words(text: str, words: list[str]) -> None:
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
        "x" * (MAX_TEXT + 1),
        " ".join(f"w{n}" for n in range(MAX_WORDS + 1)),
    ],
)
def test_a_query_without_sense_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        searched_words(text)
    assert list(refused.value.details or ()) == ["q"]


def test_every_sign_stands_for_itself() -> None:
    signs = "".join(map(chr, range(33, 127)))
    assert re.search(pattern([signs]), signs.swapcase())
    assert not re.search(pattern([signs]), signs[:-1])
    for sign in signs:
        assert re.findall(pattern([sign]), signs) == sorted({sign.upper(), sign.lower()})


def test_no_word_may_be_missing() -> None:
    both = pattern(["tea", "cup"])
    assert re.search(both, "Cup\nof TEA")
    assert not re.search(both, "cup of coffee")
    assert not re.search(both, "tea")


def test_the_pattern_of_the_longest_query_finds_in_the_longest_message() -> None:
    words = [f"w{n}" + "x" * 20 for n in range(MAX_WORDS)]
    assert re.search(pattern(words), "y" * 7_000 + " ".join(reversed(words)))


def test_a_lane_only_comes_down_whatever_a_clock_says() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    start = Place(noon, "a", 9)
    lane = Lane("b", 20, start, start)
    tops = [start]
    for seconds, seq in ((5, 12), (7, 11), (-1, 10), (3, 9)):
        lane.lower(Place(noon + timedelta(seconds=seconds), "b", seq))
        tops.append(lane.top)
    assert tops == sorted(set(tops), reverse=True)
