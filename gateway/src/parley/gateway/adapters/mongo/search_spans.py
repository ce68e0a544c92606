"""The messages that a search has to read: blocks by the index, and whatever is not indexed yet.

The heads are read before the index, so that what a conversation's mark covers is in the index by then.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from msgspec import Struct

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_blocks import MAX_BLOCKS, Block, SearchBlocks, below
from parley.gateway.adapters.mongo.search_scan import Position, Span
from parley.shared.documents import CONVERSATIONS, MESSAGES, Document
from parley.shared.indexes import BY_REVISION
from parley.shared.search_index import INDEXED, Mark, behind, mark_of
from parley.shared.search_terms import BLOCK, block_of

EDITED_AT_ONCE = 100
"""Conversations of one query for edited messages."""
MAX_EDITED = 1_000
"""Edited messages of one such query, at most; of more, the conversations are read as if they had no index."""
ENOUGH = 60
"""Blocks of a common word that have a page of matches: each has one, as a rule."""
ACTIVE = (20, 200, 2_000)
"""The newest blocks of a common word are looked for since so many conversations were active."""
FURTHER = 4
"""Steps further back, each over four times the time of the one before."""
FURTHEST = timedelta(days=10_000)
LEAST_STEP = timedelta(seconds=1)
MAX_LATER_BLOCKS = 10_000
"""Blocks of a common word that a search which continues looks through, most of them read before."""
EVERY: Document = {}
FIELDS = {"lastSeq": 1, "rev": 1, "createdAt": 1, "lastMessage.createdAt": 1, INDEXED: 1}


class Searched(Struct):
    """A conversation that is searched.

    Attributes:
        last_seq: The number of its last message.
        active_at: When its last message was created.
        spans: The messages to read, from the newest down.
    """

    conversation_id: str
    last_seq: int
    active_at: datetime
    spans: list[Span]


class SearchPlan(NamedTuple):
    """The conversations to search, and the time since which they have all matches; None if at all times."""

    searched: list[Searched]
    since: datetime | None = None


class SearchSpans:
    """Finds what must be read of each conversation."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]
        self._blocks = SearchBlocks(database)

    async def find(
        self, hidden: Mapping[str, int], words: Sequence[str], until: Position | None
    ) -> SearchPlan:
        """Return the conversations that may have matches.

        Args:
            hidden: The conversations, and the number up to which the messages of each are left out.
            words: The words of which a match has all.
            until: The newest matches below this position suffice; None for the newest ones of all.
        """
        ids = list(hidden)
        build = await self._blocks.build()
        if build is None:
            return SearchPlan(self._searched(await self._heads(ids), {}, None, {}, hidden))
        # Marks are read before the index: messages up to a mark are in the index by then.
        heads = await self._behind(ids, build)
        terms = await self._blocks.terms(words)
        blocks, since = await self._blocks.find(ids, terms) if terms else None, None
        if blocks is None:
            # The heads that are behind stay as they were.
            heads = {**await self._heads(ids), **heads}
            if terms:
                blocks, since = await self._newest(ids, terms, _times(heads, build), until)
        elif until is not None:
            blocks = _below(blocks, until)
        if blocks is not None and await self._blocks.build() != build:
            blocks, since = None, None  # The index was begun anew meanwhile, without these blocks.
        also = [i for i in (ids if blocks is None else blocks) if i not in heads]
        heads |= await self._heads(also)
        marks = {i: mark for i, head in heads.items() if (mark := mark_of(head, build))}
        edited = await self._edited(heads, marks) if blocks is not None else {}
        return SearchPlan(self._searched(heads, marks, blocks, edited, hidden), since)

    async def _newest(
        self,
        ids: Sequence[str],
        terms: Sequence[Sequence[int]],
        times: Sequence[datetime],
        until: Position | None,
    ) -> tuple[dict[str, list[Block]] | None, datetime | None]:
        """Return the blocks since a time such that they are enough and not too many, and that time.

        Args:
            ids: The conversations.
            terms: The terms that blocks must have.
            times: When each conversation had its latest message, from the newest down.
            until: The blocks may have messages below it.
        """
        if until is None:
            steps, most = _steps(times), MAX_BLOCKS
        else:
            steps, most = _steps_before(until.at, times), MAX_LATER_BLOCKS
        for since in steps:
            blocks = await self._blocks.find(ids, terms, since, most)
            if blocks is None:
                break
            if until is not None:
                blocks = _below(blocks, until)
            if _count(blocks, until) >= ENOUGH:
                return blocks, since
        return None, None

    def _searched(
        self,
        heads: Mapping[str, Document],
        marks: Mapping[str, Mark],
        blocks: Mapping[str, list[Block]] | None,
        edited: Mapping[str, list[int]],
        hidden: Mapping[str, int],
    ) -> list[Searched]:
        return [
            Searched(i, head["lastSeq"], head.get("lastMessage", head)["createdAt"], spans)
            for i, head in heads.items()
            if (spans := _above(hidden[i], _spans(head, marks.get(i), blocks, edited.get(i))))
        ]

    async def _behind(self, conversation_ids: Sequence[str], build: int) -> dict[str, Document]:
        """Return the heads of the conversations that are not indexed up to their heads."""
        return await self._heads(conversation_ids, behind(build))

    async def _heads(
        self, conversation_ids: Sequence[str], condition: Document = EVERY
    ) -> dict[str, Document]:
        if not conversation_ids:
            return {}
        query = {"_id": {"$in": conversation_ids}, "lastSeq": {"$gt": 0}, **condition}
        with translate_errors():
            found = await self._conversations.find(query, FIELDS).to_list(None)
        return {head["_id"]: head for head in found}

    async def _edited(self, heads: Mapping[str, Document], marks: dict[str, Mark]) -> dict[str, list[int]]:
        """Return the numbers of the messages that changed since they were indexed.

        Each new message takes one revision too, so most conversations that are behind have no other changes.
        The marks of those that have too many are left out.
        """
        changed = iter([i for i, mark in marks.items() if _has_edits(heads[i], mark)])
        edited: dict[str, list[int]] = defaultdict(list)
        while some := list(islice(changed, EDITED_AT_ONCE)):
            found = await self._changed([(i, marks[i]) for i in some])
            if len(found) > MAX_EDITED:
                for conversation_id in some:
                    del marks[conversation_id]
            else:
                for document in found:
                    edited[document["conversationId"]].append(document["seq"])
        return edited

    async def _changed(self, marks: Sequence[tuple[str, Mark]]) -> list[Document]:
        each = [
            {"conversationId": i, "rev": {"$gt": mark.rev}, "seq": {"$lte": mark.seq}} for i, mark in marks
        ]
        fields = {"_id": 0, "conversationId": 1, "seq": 1}
        with translate_errors():
            cursor = self._messages.find({"$or": each}, fields).hint(BY_REVISION)
            found = await cursor.limit(MAX_EDITED + 1).to_list(None)
        return list(found)


def _times(heads: Mapping[str, Document], build: int) -> list[datetime]:
    marks = (mark_of(head, build) for head in heads.values())
    return sorted((mark.at for mark in marks if mark and mark.at), reverse=True)


def _below(blocks: Mapping[str, list[Block]], until: Position) -> dict[str, list[Block]]:
    # The position's own conversation is read below its number: a worker's clock may have been set back there.
    return {
        conversation_id: each if conversation_id == until.conversation_id else below(each, until.at)
        for conversation_id, each in blocks.items()
    }


def _count(blocks: Mapping[str, list[Block]], until: Position | None) -> int:
    """Return the number of blocks whose messages were all stored by then."""
    return sum(until is None or block.at <= until.at for each in blocks.values() for block in each)


def _steps(times: Sequence[datetime]) -> Iterator[datetime]:
    """Yield times to look back to, from the newest down."""
    if not times:
        return
    for active in ACTIVE:
        yield times[min(active, len(times)) - 1]
        if active >= len(times):
            break
    since = times[min(ACTIVE[-1], len(times)) - 1]
    steps = [(times[0] - since) * 4**step for step in range(1, FURTHER + 1)]
    yield from (since - step for step in steps if step < FURTHEST)


def _steps_before(until: datetime, times: Sequence[datetime]) -> Iterator[datetime]:
    """Yield times to look back to from one: matches lie about as close there as they did above it."""
    if not times:
        return
    seen = max(times[0] - until, LEAST_STEP)
    steps = [seen / 4 * 4**step for step in range(FURTHER + 1)]
    yield from (until - step for step in steps if step < FURTHEST)


def _has_edits(head: Document, mark: Mark) -> bool:
    return bool(head["rev"] - mark.rev > head["lastSeq"] - mark.seq)


def _spans(
    head: Document, mark: Mark | None, blocks: Mapping[str, list[Block]] | None, edited: list[int] | None
) -> list[Span]:
    """Return what must be read of a conversation, from its newest message down."""
    last = head["lastSeq"]
    if mark is None:
        return [Span(1, last)]
    if blocks is None:
        return [Span(1, last, mark.at if mark.rev >= head["rev"] else None)]
    times: dict[int, datetime | None] = {block.number: block.at for block in blocks.get(head["_id"], ())}
    for seq in edited or ():
        times.setdefault(block_of(seq), None)
    tail = [Span(mark.seq + 1, last)] if mark.seq < last else []
    indexed = (
        Span(max(1, number * BLOCK), min(mark.seq, number * BLOCK + BLOCK - 1), times[number])
        for number in sorted(times, reverse=True)
    )
    return tail + [span for span in indexed if span.low <= span.high]


def _above(hidden: int, spans: Sequence[Span]) -> list[Span]:
    """Return the parts of spans above a number."""
    return [span._replace(low=max(span.low, hidden + 1)) for span in spans if span.high > hidden]
