"""Fold texts for a search: the same word in another case or spelling folds to the same characters.

Letters are decomposed and their case is folded (Unicode Standard, sections 3.11 and 3.13), full-width and
half-width forms and ligatures become plain letters. Each character is folded by itself, and few
marks are ordered at once, so that folding takes time in proportion to a text's length.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

COMPATIBLE = ("<wide>", "<narrow>")
"""Decompositions (field 5 of UnicodeData.txt) that are another spelling of the same character."""
LIGATURES = "ĲĳĿŀŉſǄǅǆǇǈǉǊǋǌǱǲǳﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ"
UNDOTTED = {"\u0130": "i", "\u0131": "i"}
"""Turkish dotted and dotless letters: they are the other case of each other's Latin pair."""
TONOS = re.compile("([\u0391-\u03c9]\u0308?)\u0301")
"""The accent of a Greek letter, which capitals go without."""
MARKS = re.compile("[\u0300-\u036f]{2,8}")
"""Marks of one letter: some keyboards write them in another order (Vietnamese)."""
JAMO = re.compile("[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?")
"""A decomposed Korean syllable."""
DOT = "i\u0307"
LAST = 0x20000
IDEOGRAPHS = range(0x3400, 0xA000)
SURROGATES = range(0xD800, 0xF900)
"""Surrogates and private characters."""


def fold(text: str) -> str:
    """Return a text without the differences of case and spelling."""
    if text.isascii():
        return text.lower()
    folded = MARKS.sub(_order_marks, text.translate(_TABLE))
    if "\u0301" in folded:
        folded = TONOS.sub(r"\1", folded)
    if JAMO.search(folded):
        folded = JAMO.sub(lambda syllable: unicodedata.normalize("NFC", syllable[0]), folded)
    return folded.replace(DOT, "i")


def _order_marks(marks: re.Match[str]) -> str:
    return "".join(sorted(marks[0], key=unicodedata.combining))


def _fold_character(character: str) -> str:
    if character in UNDOTTED:
        return UNDOTTED[character]
    folded = "".join(map(_decompose, _decompose(character).casefold()))
    return TONOS.sub(r"\1", folded).replace(DOT, "i")


def _decompose(text: str) -> str:
    return "".join(
        unicodedata.normalize("NFKD" if _is_compatible(c) else "NFD", c) if not c.isascii() else c
        for c in text
    )


def _is_compatible(character: str) -> bool:
    return character in LIGATURES or unicodedata.decomposition(character).startswith(COMPATIBLE)


def _changed() -> Iterator[tuple[int, str]]:
    """Yield the characters that folding changes, and what they become."""
    for point in range(LAST):
        if point in IDEOGRAPHS or point in SURROGATES:
            continue
        character = chr(point)
        if character in UNDOTTED or character.casefold() != character or unicodedata.decomposition(character):
            folded = _fold_character(character)
            if folded != character:
                yield point, folded


_FOLDED = dict(_changed())
# A list, because `translate` asks it far faster than a mapping that lacks a key.
_TABLE: list[int | str] = [_FOLDED.get(point, point) for point in range(LAST)]


def _by_folded() -> dict[str, tuple[str, ...]]:
    characters: dict[str, list[str]] = defaultdict(list)
    for point, folded in _FOLDED.items():
        characters[folded].append(chr(point))
    return {folded: tuple(of) for folded, of in characters.items()}


SPELLINGS: dict[str, tuple[str, ...]] = _by_folded()
"""The single characters that fold to one or several characters, by these."""
LONGEST = max(map(len, SPELLINGS))
"""Characters to which one character folds, at most."""
