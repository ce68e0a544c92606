"""Words to a regular expression that finds them in any case, the same to every server of the protocol."""

import unicodedata
from collections.abc import Sequence

FURTHER = {"Σ": "ς", "I": "\u0131\u0130", "\u0130": "iI\u0131"}
"""By capital: letters that count as the same, to which changing the case does not lead."""


def pattern(words: Sequence[str]) -> str:
    """A pattern for text in which each word stands somewhere, in any order.

    Case is spelt out letter by letter: servers differ in what their own switch for it makes of letters
    beyond ASCII, and one of them reads the whole collection when it is set. No character of a word has
    a meaning of its own.
    """
    spelt = [_word(word) for word in words]
    if len(spelt) == 1:
        return spelt[0]
    return "^" + "".join(rf"(?=[\s\S]*?{word})" for word in spelt)


def _word(word: str) -> str:
    # As it was given too: some letters are written in a way that normalizing does not keep.
    ways = dict.fromkeys([unicodedata.normalize("NFC", word), word])
    return _any_of(["".join(_letter(c) for c in way) for way in ways])


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
