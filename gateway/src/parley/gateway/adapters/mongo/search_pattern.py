"""Translate words to a regular expression that matches in any case."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

FURTHER = {"Σ": "ς", "I": "\u0131\u0130", "\u0130": "iI\u0131"}
"""By capital letter: letters that count as equal although a change of case does not produce them."""
PROBE = 8
"""Letters in the expression, at most.

An adversarial text makes the server compare the whole expression at each of its letters.
"""


@dataclass(frozen=True, slots=True)
class Needle:
    """Words that a text must all contain: a `pattern` for the server, and the `rest` to check afterwards."""

    pattern: str
    """Matches every such text; unless the needle is `exact`, it matches other texts too."""
    rest: tuple[frozenset[str], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the pattern alone decides."""
        return not self.rest

    def is_in(self, text: str) -> bool:
        """Return whether a text that matches the pattern contains all words."""
        folded = _folded(text) if self.rest else ""
        return all(any(way in folded for way in ways) for ways in self.rest)


def needle(words: Sequence[str]) -> Needle:
    """Return the needle of some words; its pattern is a piece of the word with the rarest letters.

    The pattern lists all forms of each letter, because the case-insensitive option knows neither decomposed
    letters nor those whose other case is two letters. Every character of a word is literal.
    """
    word = max(words, key=lambda word: _rarity(_piece(word)))
    pattern = _any_of(["".join(map(_letter, way)) for way in dict.fromkeys(map(_piece, _spellings(word)))])
    if len(words) == 1 and all(len(way) <= PROBE for way in _spellings(word)):
        return Needle(pattern)
    return Needle(pattern, tuple(_foldings(word) for word in words))


def _spellings(word: str) -> list[str]:
    # Unnormalized too: NFC changes the spelling of some letters.
    return list(dict.fromkeys([unicodedata.normalize("NFC", word), word]))


def _piece(word: str) -> str:
    """Return the piece of a word that the server looks for."""
    starts = range(max(1, len(word) - PROBE + 1))
    return max((word[start : start + PROBE] for start in starts), key=_rarity)


def _rarity(piece: str) -> tuple[int, int]:
    # Distinct bytes, because letters of large scripts are rare.
    return len(set(piece.casefold().encode())), len(piece)


def _letter(character: str) -> str:
    forms = _forms(character)
    if len(forms) > 1 and all(len(form) == 1 for form in forms):
        return f"[{''.join(forms)}]"
    return _any_of([_plain(form) for form in forms])


def _any_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


def _forms(character: str) -> list[str]:
    """Return all spellings of a letter: small, capital, and decomposed. Other characters have one."""
    upper = character.upper()
    cases = {character, character.lower(), upper, upper.lower(), character.title(), character.casefold()}
    cases.update(FURTHER.get(upper, ""))
    return sorted(cases | {unicodedata.normalize("NFD", form) for form in cases})


def _plain(text: str) -> str:
    return "".join(rf"\{c}" if c.isascii() and not c.isalnum() else c for c in text)


def _foldings(word: str) -> frozenset[str]:
    return frozenset(map(_folded, [*_spellings(word), unicodedata.normalize("NFD", word)]))


def _folded(text: str) -> str:
    """Fold the case of a text. It is not normalized: adversarial texts would make that slow."""
    return text.casefold().replace("i\u0307", "i").replace("\u0131", "i")
