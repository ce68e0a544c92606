"""Translate words to a regular expression that matches all spellings of a piece of one of them."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, permutations

from parley.shared.folding import LONGEST, MARKS, SPELLINGS, fold

PROBE = 8
"""Letters in the expression, at most.

An adversarial text makes the server compare the whole expression at each of its letters.
"""
MAX_WAYS = 8
"""Ways to write some letters with ligatures that an expression lists; of more, it matches a part."""
HANGUL = ("\uac00", "\ud7a3")
VOWELS = frozenset("\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9")
"""The Greek letters that may have an accent, which folding removes."""


@dataclass(frozen=True, slots=True)
class Needle:
    """Words that a text must all contain: a `pattern` for the server, and the `rest` to check afterwards."""

    pattern: str
    """Matches every such text; unless the needle is `exact`, it matches other texts too."""
    rest: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the pattern alone decides."""
        return not self.rest

    def matches(self, text: str) -> bool:
        """Return whether a text contains all words."""
        return re.search(self.pattern, text) is not None and self.is_in(text)

    def is_in(self, text: str) -> bool:
        """Return whether a text that matches the pattern contains all words."""
        folded = fold(text) if self.rest else ""
        return all(word in folded for word in self.rest)


@dataclass(frozen=True, slots=True)
class Unit:
    """Letters of a folded word that no ligature joins to others, and the pattern of their spellings."""

    letters: str
    pattern: str
    exact: bool = True


def needle(words: Sequence[str]) -> Needle:
    """Return the needle of some words; its pattern is a piece of the word with the rarest letters.

    The pattern lists all spellings of each letter, because the server's case-insensitive option knows neither
    decomposed letters nor those whose other case is two letters. Every character of a word is literal.
    """
    folded = [fold(unicodedata.normalize("NFC", word)) for word in words]
    piece = max((max(_pieces(word), key=_rarity) for word in folded), key=_rarity)
    pattern = "".join(unit.pattern for unit in piece)
    if len(folded) == 1 and _letters(piece) == folded[0] and all(unit.exact for unit in piece):
        return Needle(pattern)
    return Needle(pattern, tuple(folded))


def _pieces(word: str) -> Iterator[Sequence[Unit]]:
    """Yield the pieces of a word that the server may look for: the longest from each unit on."""
    units = list(_units(word))
    for start, first in enumerate(units):
        piece = [first]
        for unit in units[start + 1 :] if first.exact else ():
            if not unit.exact or len(_letters(piece)) + len(unit.letters) > PROBE:
                break
            piece.append(unit)
        yield piece


def _letters(piece: Sequence[Unit]) -> str:
    return "".join(unit.letters for unit in piece)


def _rarity(piece: Sequence[Unit]) -> tuple[int, int]:
    # Distinct bytes, because letters of large scripts are rare.
    letters = _letters(piece)
    return len(set(letters.encode())), len(letters)


def _units(word: str) -> Iterator[Unit]:
    """Divide a folded word where no single character stands for letters on both sides."""
    start = 0
    while start < len(word):
        end = at = start + 1
        while at <= end and at <= len(word):
            end = max(end, at - 1 + _longest_at(word, at - 1))
            at += 1
        yield _unit(word[start:end])
        start = end


def _longest_at(word: str, at: int) -> int:
    """Return how many letters from here on a single character stands for, at most."""
    lengths = range(min(LONGEST, len(word) - at), 1, -1)
    return next((length for length in lengths if word[at : at + length] in SPELLINGS), 1)


def _unit(letters: str) -> Unit:
    ways = list(dict.fromkeys(way for each in _orders(letters) for way in _ways(each)))
    if len(ways) <= MAX_WAYS:
        return Unit(letters, _any_of(ways))
    # The ways are too many to list. Each of them has at least this many characters one after the other.
    joined = {"\u0301", "\u0307"} | {
        c for start, end in _spans(letters) for c in _singles(letters[start:end])
    }
    least = min(PROBE, -(-len(letters) // LONGEST))
    return Unit(letters, f"[{''.join(map(_plain, sorted(joined)))}]{{{least}}}", exact=False)


def _orders(letters: str) -> list[str]:
    """Return the orders in which the marks of a letter may be written."""
    marks = MARKS.search(letters)
    if marks is None:
        return [letters]
    before, after = letters[: marks.start()], letters[marks.end() :]
    return [f"{before}{''.join(order)}{after}" for order in islice(permutations(marks[0]), MAX_WAYS)]


def _ways(letters: str) -> Iterator[str]:
    """Yield the ways to write letters, each as a pattern; not many more than `MAX_WAYS`."""
    waiting, count = [("", 0)], 0
    while waiting and count <= MAX_WAYS:
        pattern, at = waiting.pop()
        if at == len(letters):
            count += 1
            yield pattern
        for length in range(1, min(LONGEST, len(letters) - at) + 1):
            part = letters[at : at + length]
            if length == 1 or part in SPELLINGS:
                removed = _removed_behind(part, letters[:at])
                waiting.append((pattern + _spellings(part) + removed, at + length))


def _removed_behind(part: str, before: str) -> str:
    """Return the pattern of a mark that folding removes behind some letters."""
    if part in VOWELS or (part == "\u0308" and before[-1:] in VOWELS):
        return "\u0301?"
    return "\u0307?" if part == "i" else ""


def _spans(letters: str) -> Iterator[tuple[int, int]]:
    for start in range(len(letters)):
        for end in range(start + 1, min(start + LONGEST, len(letters)) + 1):
            yield start, end


@lru_cache(10_000)
def _spellings(letters: str) -> str:
    """Return the pattern of the single characters that stand for these letters."""
    singles = _singles(letters)
    if len(letters) == 1 and HANGUL[0] <= letters <= HANGUL[1]:
        return f"(?:{letters}|{unicodedata.normalize('NFD', letters)})"
    characters = "".join(map(_plain, singles))
    return characters if len(singles) == 1 else f"[{characters}]"


def _singles(letters: str) -> list[str]:
    return [*([letters] if len(letters) == 1 else ()), *SPELLINGS.get(letters, ())]


def _any_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


def _plain(character: str) -> str:
    return rf"\{character}" if character.isascii() and not character.isalnum() else character
