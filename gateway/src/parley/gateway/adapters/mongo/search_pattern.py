"""Words to a regular expression that leads to them in any case, the same to every server of the protocol."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

FURTHER = {"Σ": "ς", "I": "\u0131\u0130", "\u0130": "iI\u0131"}
"""By capital: letters that count as the same, to which changing the case does not lead."""
PROBE = 8
"""Letters that the server looks for.

For a text that was made for it, an expression costs its own length at each of the text's letters.
"""


@dataclass(frozen=True, slots=True)
class Needle:
    """Words that must all stand in a text, in any order: as a `pattern`, and what that leaves to check."""

    pattern: str
    """Stands in every such text, and unless the needle is `exact` in others too."""
    rest: tuple[frozenset[str], ...] = ()

    @property
    def exact(self) -> bool:
        """The pattern says it all."""
        return not self.rest

    def is_in(self, text: str) -> bool:
        """All words are in a text in which the pattern is."""
        folded = _folded(text) if self.rest else ""
        return all(any(way in folded for way in ways) for ways in self.rest)


def needle(words: Sequence[str]) -> Needle:
    """The needle of some words: its pattern is a piece of one of them, with the rarest letters.

    Case is spelt out letter by letter: servers differ in what their own switch for it makes of letters
    beyond ASCII, and one of them reads the whole collection when it is set. No character of a word has
    a meaning of its own.
    """
    word = max(words, key=lambda word: _rarity(_piece(word)))
    pattern = _any_of(["".join(map(_letter, way)) for way in dict.fromkeys(map(_piece, _ways(word)))])
    if len(words) == 1 and all(len(way) <= PROBE for way in _ways(word)):
        return Needle(pattern)
    return Needle(pattern, tuple(_foldings(word) for word in words))


def _ways(word: str) -> list[str]:
    # As it was given too: some letters are written in a way that normalizing does not keep.
    return list(dict.fromkeys([unicodedata.normalize("NFC", word), word]))


def _piece(word: str) -> str:
    """What the server is to look for of a word."""
    starts = range(max(1, len(word) - PROBE + 1))
    return max((word[start : start + PROBE] for start in starts), key=_rarity)


def _rarity(piece: str) -> tuple[int, int]:
    # Bytes, for the letters of large scripts are rare.
    return len(set(piece.casefold().encode())), len(piece)


def _letter(character: str) -> str:
    forms = _forms(character)
    if len(forms) > 1 and all(len(form) == 1 for form in forms):
        return f"[{''.join(forms)}]"
    return _any_of([_plain(form) for form in forms])


def _any_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


def _forms(character: str) -> list[str]:
    """All ways to write a letter: small, capital, and with its accent apart. More than one: letters only."""
    upper = character.upper()
    cases = {character, character.lower(), upper, upper.lower(), character.title(), character.casefold()}
    cases.update(FURTHER.get(upper, ""))
    return sorted(cases | {unicodedata.normalize("NFD", form) for form in cases})


def _plain(text: str) -> str:
    return "".join(rf"\{c}" if c.isascii() and not c.isalnum() else c for c in text)


def _foldings(word: str) -> frozenset[str]:
    return frozenset(map(_folded, [*_ways(word), unicodedata.normalize("NFD", word)]))


def _folded(text: str) -> str:
    """A text without case. Never normalized: that takes long for a text that was made for it."""
    return text.casefold().replace("i\u0307", "i").replace("\u0131", "i")
