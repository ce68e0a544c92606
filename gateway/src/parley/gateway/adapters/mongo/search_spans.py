"""The messages that a search has to read: blocks by the index, and whatever is not indexed yet."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.search_blocks import Block, SearchBlocks, hashes_of
from parley.gateway.adapters.mongo.search_heads import SearchedHead, SearchHeads
from parley.gateway.adapters.mongo.search_scan import LEAST_WINDOW, TICK, Position, Searched, Span
from parley.gateway.adapters.mongo.search_slices import ACTIVE, BlockSlices, Slices
from parley.shared.search_terms import BLOCK, block_of


class Slice(NamedTuple):
    """Messages to read next.

    Attributes:
        searched: Messages of some conversations, below those of the slices before.
        since: The time since which all is read then; None if at all times.
        window: The messages of each that should be read first.
        edited: Blocks whose messages were edited since they were indexed.
    """

    searched: Sequence[Searched]
    since: datetime | None = None
    window: int = LEAST_WINDOW
    edited: Sequence[Searched] = ()


class Tail(NamedTuple):
    """The messages of a conversation that are read beside its blocks.

    Attributes:
        spans: The messages that are not indexed.
        indexed: The number up to which its blocks count.
        edited: The blocks of messages that were edited since.
        blocks: The numbers of these blocks.
    """

    spans: Sequence[Span]
    indexed: int = 0
    edited: Sequence[Span] = ()
    blocks: Collection[int] = ()


class SearchSpans:
    """Finds what must be read of each conversation."""

    def __init__(self, database: Any) -> None:
        self._heads = SearchHeads(database)
        self._blocks = SearchBlocks(database)

    async def slices(
        self,
        hidden: Mapping[str, int],
        words: Sequence[str],
        until: Position | None,
        share: Callable[[], float],
    ) -> AsyncGenerator[Slice, None]:
        """Yield the messages that may match, the newest first.

        It ends early if the index is begun anew meanwhile.

        Args:
            hidden: The conversations, and the number up to which the messages of each are left out.
            words: The words of which a match has all.
            until: The matches below this position suffice; None for all.
            share: Tells which share of a page the search has found so far.
        """
        build = await self._blocks.build()
        if build is None:
            yield await self._everything(hidden, None)
            return
        terms, conversations = await self._blocks.terms(words), hashes_of(hidden)
        # Marks are read before the index, so that what they cover is in the index by then.
        behind, newest = await asyncio.gather(
            self._heads.behind(hidden, build), self._newest(hidden, build, conversations, terms)
        )
        if terms:
            blocks = BlockSlices(self._blocks, conversations, terms, until)
            found = blocks.by_time(_times_of(newest), share) if newest else blocks.by_terms()
            slices = self._by_blocks(hidden, build, behind, found)
        else:
            slices = self._by_heads(hidden, build, behind, newest)
        async for each in slices:
            yield each

    async def _newest(
        self,
        hidden: Mapping[str, int],
        build: int,
        conversations: Sequence[int],
        terms: Sequence[Sequence[int]],
    ) -> list[SearchedHead]:
        """Return the heads of the newest conversations if many blocks have the terms; none if few have."""
        if await self._blocks.are_common(conversations, terms):
            return await self._heads.newest(hidden, build, ACTIVE)
        return []

    async def _by_blocks(
        self, hidden: Mapping[str, int], build: int, behind: Sequence[SearchedHead], found: Slices
    ) -> AsyncGenerator[Slice, None]:
        """Yield the messages of blocks, and those that are not indexed."""
        tails = await self._tails(behind)
        of_tails = [s for head in behind if (s := _searched(head, tails[head.conversation_id].spans, hidden))]
        edited = [s for head in behind if (s := _searched(head, tails[head.conversation_id].edited, hidden))]
        is_first = True
        async for blocks, since in found:
            if blocks is None or await self._blocks.build() != build:
                if is_first:
                    yield await self._everything(hidden, build)
                return
            of_blocks = _searched_blocks(blocks, tails, hidden)
            yield Slice([*of_tails, *of_blocks], since, BLOCK, edited)
            of_tails, edited, is_first = [], [], False

    async def _by_heads(
        self,
        hidden: Mapping[str, int],
        build: int,
        behind: Sequence[SearchedHead],
        newest: Sequence[SearchedHead],
    ) -> AsyncGenerator[Slice, None]:
        """Yield all messages, first those of the newest conversations: most pages have no others."""
        first = {head.conversation_id: head for head in (*newest, *behind)}
        if newest:
            # Each other conversation is indexed up to its head, and is older than these.
            yield Slice(_all_of(first.values(), hidden), min(_times_of(newest).values()) + TICK)
        others = await self._heads.all(hidden.keys() - (first.keys() if newest else ()), build)
        yield Slice(_all_of(others, hidden))

    async def _everything(self, hidden: Mapping[str, int], build: int | None) -> Slice:
        """Return all messages of the conversations, as if they had no index."""
        return Slice(_all_of(await self._heads.all(hidden, build), hidden))

    async def _tails(self, heads: Sequence[SearchedHead]) -> dict[str, Tail]:
        edited = await self._heads.edited(heads)
        return {head.conversation_id: _tail(head, edited.get(head.conversation_id, ())) for head in heads}


def _tail(head: SearchedHead, edited: Collection[int] | None) -> Tail:
    """Return what is read beside the blocks, given the numbers of edited messages; None if they are many."""
    mark = head.mark
    if mark is None or edited is None:
        return Tail([Span(1, head.last_seq)])
    blocks = sorted({block_of(seq) for seq in edited}, reverse=True)
    spans = [Span(mark.seq + 1, head.last_seq)] if mark.seq < head.last_seq else []
    return Tail(spans, mark.seq, [_span_of(number, mark.seq, mark.at) for number in blocks], blocks)


def _searched(head: SearchedHead, spans: Sequence[Span], hidden: Mapping[str, int]) -> Searched | None:
    conversation_id = head.conversation_id
    visible = list(_above(hidden[conversation_id], spans))
    top = Position(head.latest_at, conversation_id, head.last_seq + 1)
    return Searched(conversation_id, visible, top) if visible else None


def _all_of(heads: Iterable[SearchedHead], hidden: Mapping[str, int]) -> list[Searched]:
    return [s for head in heads if (s := _searched(head, [Span(1, head.last_seq)], hidden))]


def _times_of(heads: Iterable[SearchedHead]) -> dict[str, datetime]:
    """Return when the latest indexed message of each conversation was stored."""
    return {head.conversation_id: head.mark.at for head in heads if head.mark and head.mark.at}


def _searched_blocks(
    blocks: Iterable[Block], tails: Mapping[str, Tail], hidden: Mapping[str, int]
) -> Iterator[Searched]:
    """Yield the spans of blocks; those of other conversations, which have the same hash, are left out."""
    by_conversation: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        by_conversation[block.conversation_id].append(block)
    for conversation_id in by_conversation.keys() & hidden.keys():
        tail = tails.get(conversation_id)
        found = sorted(by_conversation[conversation_id], reverse=True)
        spans = [
            _span_of(number, tail.indexed if tail is not None else None, at)
            for _, number, at in found
            if tail is None or number not in tail.blocks
        ]
        if spans := list(_above(hidden[conversation_id], spans)):
            at = max(block.at for block in found)
            yield Searched(conversation_id, spans, Position(at, conversation_id, spans[0].high + 1))


def _span_of(number: int, indexed: int | None, at: datetime | None) -> Span:
    """Return the messages of a block, up to the number up to which it is indexed."""
    last = number * BLOCK + BLOCK - 1
    return Span(number * BLOCK, last if indexed is None else min(indexed, last), at)


def _above(hidden: int, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the parts of spans above a number, which some have none of."""
    for span in spans:
        low = max(span.low, hidden + 1)
        if low <= span.high:
            yield span._replace(low=low)
