"""The terms of the search index: those that a text has, and those that a searched word needs.

The index is a filter: it says which blocks of messages may have a word, and the messages decide. So a block
may have more terms than its messages, never less. Terms are stored as hashes.

Runs of letters and digits are words. Scripts that are written without spaces have no such runs: each of their
characters is a term, and each pair. So is each symbol. A word that is searched may be part of one in a text,
so the words that occur anywhere are stored with their endings: those that contain it have an ending that
begins with it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from parley.shared.folding import fold
from parley.shared.model import Message

BLOCK = 32
"""Messages of a block, by their numbers."""
ANY = 0
"""A term of a block that has more terms than are stored: it may have every word."""
MAX_TERMS = 2_000
"""Terms that a block gets at once, at most."""
LONGEST = 32
"""Letters of a word; a longer one is stored in pieces that overlap by half."""
CERTAIN = LONGEST // 2
"""Letters of a part that certainly lies in one piece."""
SHORTEST_PART = 2
"""Letters of a part that the stored endings can find."""

# Thai and Lao; Myanmar; Khmer; from radicals to Bopomofo; ideographs; Korean syllables.
DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u31ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Python does not count these as parts of words: accents, points, the vowels of Indic scripts.
MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff"
_TERM = re.compile(f"([{DENSE}]+)|((?:[^\\W{DENSE}]|[{MARKS}])+)|([^\\w\\s])")
_ASCII = re.compile(r"()(\w+)|([$+<=>^`|~])")


class Term(NamedTuple):
    """A term that a searched word needs; unless it is `whole`, it may be a part of a word."""

    text: str
    whole: bool


def text_of(message: Message) -> str:
    """Return what a message is found by: its content, and the names of its files."""
    if not message.attachments:
        return message.content
    return "\n".join((message.content, *(each.name for each in message.attachments)))


def hash_of(term: str) -> int:
    """Return the number by which a term is stored: 32 bits with a sign, as MongoDB stores them shortest."""
    number = crc32(term.encode())
    return (number - (1 << 32) if number >= 1 << 31 else number) or 1


def block_of(seq: int) -> int:
    """Return the number of the block that has a message."""
    return seq // BLOCK


def terms_of(text: str) -> tuple[set[str], set[str]]:
    """Return the terms of a text: its words, and the others, which are found as they are."""
    words: set[str] = set()
    others: set[str] = set()
    for dense, word, symbol in _runs(fold(text)):
        if word:
            words.update(_pieces(word))
        elif dense:
            others.update(dense)
            others.update(_pairs(dense))
        elif _is_symbol(symbol):
            others.add(symbol)
    return words, others


def needed_terms(word: str) -> list[Term]:
    """Return the terms that each text has which contains a searched word.

    Only a run between two others is surely a whole word of the text.
    """
    folded = fold(unicodedata.normalize("NFC", word))
    needed: list[Term] = []
    for match in _pattern(folded).finditer(folded):
        dense, run, symbol = match.groups(default="")
        if run:
            within = match.start() > 0 and match.end() < len(folded)
            whole = within and len(run) <= LONGEST
            needed.append(Term(run if whole else run[:CERTAIN], whole))
        elif dense:
            needed.extend(Term(each, True) for each in (_pairs(dense) or [dense]))
        elif _is_symbol(symbol):
            needed.append(Term(symbol, True))
    return needed


def endings(word: str) -> list[str]:
    """Return a word and its shorter endings, by which its parts are found."""
    return [word[at:] for at in range(max(1, len(word) - SHORTEST_PART + 1))]


def hashes_of(terms: Iterable[str]) -> list[int]:
    """Return the numbers of terms, or that of any term if there are too many."""
    numbers = sorted({hash_of(term) for term in terms})
    return numbers if len(numbers) <= MAX_TERMS else [ANY]


def _pattern(text: str) -> re.Pattern[str]:
    return _ASCII if text.isascii() else _TERM


def _runs(text: str) -> Iterator[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = _pattern(text).findall(text)
    return iter(found)


def _pieces(word: str) -> Iterable[str]:
    if len(word) <= LONGEST:
        return (word,)
    return [word[at : at + LONGEST] for at in range(0, len(word) - CERTAIN, CERTAIN)]


def _pairs(dense: str) -> list[str]:
    return [dense[at : at + 2] for at in range(len(dense) - 1)]


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character).startswith("S")
