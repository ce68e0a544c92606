"""The terms of a text include what each part of it needs, and are few and short."""

import random
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.shared.folding import fold
from parley.shared.model import MAX_CONTENT, Attachment, Message, now
from parley.shared.search_terms import (
    ANY,
    LONGEST,
    MAX_TERMS,
    SHORTEST_PART,
    endings,
    hash_of,
    hashes_of,
    needed_terms,
    terms_of,
    text_of,
)


def may_contain(text: str, word: str) -> bool:
    """Return whether the terms of a text allow that it contains a word, as the index decides it."""
    words, others = terms_of(text)
    stored = {ending for each in words for ending in endings(each)}
    return all(
        term.text in words | others
        if term.whole
        else len(term.text) < SHORTEST_PART or any(ending.startswith(term.text) for ending in stored)
        for term in needed_terms(word)
    )


TRICKY = "aAéßﬁ1_ -.'+$🎉漢字テデ한국กา\u0301\u0308\u3099İ\u0131Σ\uff21हिन्दी\n"


@settings(max_examples=1_000, deadline=None)
@given(st.text(TRICKY, min_size=1, max_size=80), st.data())
def test_the_terms_of_a_text_allow_each_of_its_parts(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    word = text[start : start + data.draw(st.integers(1, 50))]
    if fold(unicodedata.normalize("NFC", word)) in fold(text):
        assert may_contain(text, word)


def test_a_part_of_a_very_long_word_is_allowed() -> None:
    chance = random.Random(3)
    text = "".join(chance.choices("abcdefghij", k=400))
    for length in (2, 15, 16, 17, 31, 33, 50):
        for start in range(0, 400 - length, 7):
            assert may_contain(f"- {text} -", text[start : start + length])


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("tea", "coffee"),
        ("meet", "me et"),
        ("漢文", "漢字文"),
        ("c+", "c - d"),
        ("a-b-c", "a-bb-c"),
        ("🎉", "done"),
        ("x" * 40, "x" * 15),
    ],
)
def test_a_text_without_a_term_is_not_allowed(word: str, text: str) -> None:
    assert not may_contain(text, word)


def test_a_file_is_found_by_its_name() -> None:
    file = Attachment(id="a", name="Budget.xlsx", size=1, type="application/zip")
    message = Message(
        id="m", conversation_id="c", sender_id="ann", content="See", created_at=now(), attachments=(file,)
    )
    assert may_contain(text_of(message), "budget.xlsx")
    assert may_contain(text_of(message), "see")


def test_the_longest_message_has_few_short_terms() -> None:
    for letters in ("a", "ab ", "漢", "é", "🎉", "a\u0301"):
        words, others = terms_of((letters * MAX_CONTENT)[:MAX_CONTENT])
        assert max(map(len, words | others)) <= LONGEST
    chance = random.Random(5)
    text = "".join(chance.choices("abcdefghij0123456789 ", k=MAX_CONTENT))
    began = time.process_time()
    words, _ = terms_of(text)
    assert time.process_time() - began < 0.1
    assert sum(len(endings(word)) for word in words) < 2 * MAX_CONTENT


def test_too_many_terms_become_one_that_stands_for_any() -> None:
    assert len(hashes_of(f"w{n}" for n in range(MAX_TERMS // 2))) == MAX_TERMS // 2
    assert hashes_of(f"w{n}" for n in range(MAX_TERMS * 2)) == [ANY]
    assert ANY not in {hash_of(f"w{n}") for n in range(10_000)}


def test_a_hash_has_32_bits_with_a_sign() -> None:
    numbers = [hash_of(f"word {n}") for n in range(1_000)]
    assert min(numbers) < 0 < max(numbers)
    assert all(-(1 << 31) <= number < 1 << 31 for number in numbers)
