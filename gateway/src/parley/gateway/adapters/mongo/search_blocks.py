"""The blocks of messages that may have all words of a search, by the index of terms."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import SEARCH_BLOCKS, SEARCH_WORDS, Document
from parley.shared.indexes import BLOCKS_BY_TERM, NEWEST_BLOCKS
from parley.shared.search_index import BUILD, block_of_id, conversation_hash
from parley.shared.search_terms import ANY, SHORTEST_PART, Term, hash_of, needed_terms

MAX_WORDS = 200
"""Words of texts that one searched part may stand for; of more, the messages are read instead."""
MAX_BLOCKS = 5_000
"""Blocks of a word up to which they are found by the word; those of a more common one are found by time."""
MAX_TERMS = 3
"""Terms of a search that are looked up, the longest ones."""
MAX_QUERY_MS = 2_000
"""Milliseconds after which the server aborts a query."""
MAX_SKEW = timedelta(seconds=10)
"""By so much the clocks of two workers may differ, of which one stores a conversation after the other."""
AT_ONCE = 1_000
"""Documents of one reply: more would hold up all clients while they are decoded."""

CONCURRENT = 2
"""Queries that share one read, if it is large."""
MANY = 200
"""Conversations of one query for blocks from which on the next may have a query of its own."""

LAST = "\U0010ffff"

T = TypeVar("T")


class Block(NamedTuple):
    """A block that may have matches: its number, and when its latest message was stored."""

    conversation_id: str
    number: int
    at: datetime


class SearchBlocks:
    """The indexed blocks of all conversations."""

    def __init__(self, database: Any) -> None:
        self._blocks = database[SEARCH_BLOCKS]
        self._words = database[SEARCH_WORDS]

    async def build(self) -> int | None:
        """Return the number of the index's build; None if there is no index."""
        with translate_errors():
            begun = await self._blocks.find_one({"_id": BUILD})
        return begun["number"] if begun else None

    async def terms(self, words: Sequence[str]) -> list[list[int]]:
        """Return hashes: a block with all words has one of each list. Without a distinctive word, none."""
        terms = sorted({term for word in words for term in needed_terms(word)}, key=_distinction)
        looked_up = await asyncio.gather(*(self._hashes(term) for term in terms[-MAX_TERMS:]))
        return [hashes for hashes in looked_up if hashes is not None]

    async def are_common(self, conversations: Sequence[int], terms: Sequence[Sequence[int]]) -> bool:
        """Return whether more than `MAX_BLOCKS` blocks may have each of the terms.

        Args:
            conversations: The hashes of the conversations whose blocks count.
            terms: The result of `terms`.
        """
        are = await asyncio.gather(*(self._is_common(conversations, hashes) for hashes in terms))
        return all(are)

    async def _is_common(self, conversations: Sequence[int], hashes: Sequence[int]) -> bool:
        query = {"conversation": {"$in": conversations}, "terms": {"$in": [ANY, *hashes]}}
        with translate_errors():
            # The index answers by itself, as long as no other field is asked for.
            keys = self._blocks.find(query, {"_id": 0, "conversation": 1}).hint(BLOCKS_BY_TERM)
            further = await keys.skip(MAX_BLOCKS).limit(1).max_time_ms(MAX_QUERY_MS).to_list(None)
        return bool(further)

    async def find(
        self,
        conversations: Sequence[int],
        terms: Sequence[Sequence[int]],
        since: datetime | None,
        most: int,
        *,
        by_time: bool,
    ) -> list[Block]:
        """Return the blocks that have all terms, newest first.

        Args:
            conversations: The hashes of the conversations whose blocks count.
            terms: The result of `terms`.
            since: Only blocks with messages that were stored since then; None for all.
            most: Their number, at most: the newest ones.
            by_time: Look through all blocks since then, not through all that have a term.
        """
        query: Document = {"$and": [{"terms": {"$in": [ANY, *hashes]}} for hashes in terms]}
        if since is not None:
            query["at"] = {"$gte": since}
        hint = NEWEST_BLOCKS if by_time else BLOCKS_BY_TERM
        parts = parts_of(conversations, MANY)
        queries = ({"conversation": {"$in": part}, **query} for part in parts)
        found = await asyncio.gather(*(self._find(each, most, hint) for each in queries))
        newest_first = sorted(chain(*found), key=itemgetter("at"), reverse=True)
        return [Block(*block_of_id(document["_id"]), document["at"]) for document in newest_first[:most]]

    async def _find(self, query: Document, most: int, hint: Sequence[tuple[str, int]]) -> list[Document]:
        with translate_errors():
            cursor = self._blocks.find(query, {"at": 1}).sort("at", -1).limit(most).batch_size(AT_ONCE)
            found: list[Document] = await cursor.hint(hint).max_time_ms(MAX_QUERY_MS).to_list(None)
        return found

    async def _hashes(self, term: Term) -> list[int] | None:
        """Return the hashes of the words that a term stands for; None if they are too many."""
        if term.whole:
            return [hash_of(term.text)]
        if len(term.text) < SHORTEST_PART:
            return None
        ending = {"$elemMatch": {"$gte": term.text, "$lt": term.text + LAST}}
        with translate_errors():
            cursor = self._words.find({"endings": ending}, {"_id": 1}).limit(MAX_WORDS + 1)
            found = await cursor.batch_size(AT_ONCE).to_list(None)
        if len(found) > MAX_WORDS:
            return None
        return list({hash_of(word) for word in (term.text, *(each["_id"] for each in found))})


def _distinction(term: Term) -> tuple[int, bool]:
    return len(term.text.encode()), term.whole


def hashes_of(conversation_ids: Iterable[str]) -> list[int]:
    """Return the numbers that stand for conversations in the index."""
    return list({conversation_hash(each) for each in conversation_ids})


def parts_of(items: Sequence[T], many: int) -> list[Sequence[T]]:
    """Return the parts of a read that are read by a query each: more than one if there are many items."""
    queries = min(CONCURRENT, 1 + len(items) // many)
    return [part for n in range(queries) if (part := items[n::queries])]


def below(blocks: Iterable[Block], time: datetime) -> list[Block]:
    """Return the blocks that may have messages stored by a time.

    Of a conversation's blocks with later messages only the lowest one may also have earlier ones, if clocks
    agree.
    """
    time += MAX_SKEW
    later: dict[str, Block] = {}
    earlier = []
    for block in blocks:
        if block.at <= time:
            earlier.append(block)
        else:
            lowest = later.get(block.conversation_id, block)
            later[block.conversation_id] = min(block, lowest)
    return [*later.values(), *earlier]
