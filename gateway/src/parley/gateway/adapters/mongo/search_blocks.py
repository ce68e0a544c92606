"""The blocks of messages that may have all words of a search, by the index of terms."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import SEARCH_BLOCKS, SEARCH_WORDS, Document
from parley.shared.indexes import BLOCKS_BY_TERM, NEWEST_BLOCKS
from parley.shared.search_index import BUILD, block_of_id, conversation_hash
from parley.shared.search_terms import ANY, SHORTEST_PART, Term, hash_of, needed_terms

MAX_WORDS = 200
"""Words of texts that one searched part may stand for; of more, the messages are read instead."""
MAX_BLOCKS = 1_000
"""Blocks that one query returns, at most."""
MAX_TERMS = 3
"""Terms of a search that are looked up, the longest ones."""
MAX_QUERY_MS = 2_000
"""Milliseconds after which the server aborts a query."""
MAX_SKEW = timedelta(seconds=10)
"""By so much the clocks of two workers may differ, of which one stores a conversation after the other."""

LAST = "\U0010ffff"


class Block(NamedTuple):
    """A block that may have matches: its number, and when its latest message was stored."""

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

    async def find(
        self,
        conversation_ids: Collection[str],
        terms: Sequence[Sequence[int]],
        since: datetime | None = None,
        most: int = MAX_BLOCKS,
    ) -> dict[str, list[Block]] | None:
        """Return the blocks that have all terms, those of each conversation from the highest down.

        Args:
            conversation_ids: The conversations whose blocks count.
            terms: The result of `terms`.
            since: Only blocks with messages that were stored since then.
            most: More blocks are too many.

        Returns:
            The blocks by conversation; None if they are too many.
        """
        query: Document = {
            "conversation": {"$in": list({conversation_hash(each) for each in conversation_ids})},
            "$and": [{"terms": {"$in": [ANY, *hashes]}} for hashes in terms],
        }
        with translate_errors():
            if since is None:
                cursor = self._blocks.find(query, {"at": 1}).hint(BLOCKS_BY_TERM)
            else:
                cursor = self._blocks.find({**query, "at": {"$gte": since}}, {"at": 1}).hint(NEWEST_BLOCKS)
            found = await cursor.limit(most + 1).max_time_ms(MAX_QUERY_MS).to_list(None)
        return _by_conversation(found, frozenset(conversation_ids)) if len(found) <= most else None

    async def _hashes(self, term: Term) -> list[int] | None:
        """Return the hashes of the words that a term stands for; None if they are too many."""
        if term.whole:
            return [hash_of(term.text)]
        if len(term.text) < SHORTEST_PART:
            return None
        ending = {"$elemMatch": {"$gte": term.text, "$lt": term.text + LAST}}
        with translate_errors():
            found = await self._words.find({"endings": ending}, {"_id": 1}).limit(MAX_WORDS + 1).to_list(None)
        if len(found) > MAX_WORDS:
            return None
        return list({hash_of(word) for word in (term.text, *(each["_id"] for each in found))})


def _distinction(term: Term) -> tuple[int, bool]:
    return len(term.text.encode()), term.whole


def below(blocks: Sequence[Block], time: datetime) -> list[Block]:
    """Return the blocks of a conversation that may have messages stored by a time, from the highest down.

    Of the blocks with later messages only the lowest one may also have earlier ones, if clocks agree.
    """
    time += MAX_SKEW
    later = [block for block in blocks if block.at > time]
    return [*later[-1:], *(block for block in blocks if block.at <= time)]


def _by_conversation(found: Sequence[Document], of: frozenset[str]) -> dict[str, list[Block]]:
    blocks: dict[str, list[Block]] = defaultdict(list)
    for document in found:
        conversation_id, number = block_of_id(document["_id"])
        if conversation_id in of:
            blocks[conversation_id].append(Block(number, document["at"]))
    return {conversation_id: sorted(each, reverse=True) for conversation_id, each in blocks.items()}
