"""The blocks that may have matches in slices, from the newest down: a search of a common word wants few."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from parley.gateway.adapters.mongo.search_blocks import MAX_SKEW, Block, SearchBlocks, below, hashes_of
from parley.gateway.adapters.mongo.search_scan import TICK, Position

SLICE = 300
"""Blocks of a slice, at most."""
ACTIVE = 400
"""The first slice of a common word goes back to when so many conversations were active."""
FURTHER = (2.0, 32.0)
"""By how many times the next one goes further back, at least and at most."""
SURPLUS = 2.0
"""By how much it goes further than a page should need, after the matches so far."""
LEAST_DEPTH = timedelta(seconds=1)
FURTHEST = timedelta(days=10_000)
MAX_LATER_BLOCKS = 10_000
"""Blocks that a search which continues looks through, most of them read before."""

Slices = AsyncGenerator[tuple[list[Block] | None, datetime | None], None]
"""Blocks, or None if they are too many, and the time since which there are no others; None for all times."""


class BlockSlices:
    """The blocks of one search.

    Args:
        blocks: The index.
        conversations: The hashes of the conversations that are searched.
        terms: The terms that the blocks must have.
        until: The blocks may have messages below this position; None for all.
    """

    def __init__(
        self,
        blocks: SearchBlocks,
        conversations: Sequence[int],
        terms: Sequence[Sequence[int]],
        until: Position | None,
    ) -> None:
        self._blocks = blocks
        self._conversations = conversations
        self._terms = terms
        self._until = until
        self._known: set[tuple[str, int]] = set()

    async def by_terms(self) -> Slices:
        """Yield the blocks of a word that few have."""
        async for each in self._slices(self._conversations, None, by_time=False):
            yield each

    async def by_time(self, active: Mapping[str, datetime], share: Callable[[], float]) -> Slices:
        """Yield the blocks of a word that many have, further and further back.

        Args:
            active: The conversations that have the latest messages, and the times of these.
            share: Tells which share of a page the search has found in the blocks so far.
        """
        latest, looked_at = max(active.values()), self._conversations
        if self._until is None:
            # Another conversation may have its latest message when the last of these has.
            top, depth, looked_at = latest, latest - min(active.values()) - TICK, hashes_of(active)
        else:
            # Matches lie about as close below the position as they did above it.
            top, depth = self._until.at, max(LEAST_DEPTH, (latest - self._until.at) / 2)
        while True:
            since = top - depth if depth < FURTHEST else None
            async for found in self._slices(looked_at, since, by_time=True):
                yield found
            if since is None:
                return
            least, most = FURTHER
            factor = min(most, max(least, SURPLUS / max(share(), SURPLUS / most)))
            depth, looked_at = max(LEAST_DEPTH, depth * factor), self._conversations

    async def _slices(self, conversations: Sequence[int], since: datetime | None, *, by_time: bool) -> Slices:
        """Yield the blocks since a time that were not yielded before.

        A block may get a later time between two queries. With an upper bound of the times the second one
        would miss it, so those that are known are left out here.
        """
        earliest = since - MAX_SKEW if since is not None else None
        slice_ = SLICE if self._until is None else MAX_LATER_BLOCKS
        while True:
            most = len(self._known) + slice_
            found = await self._blocks.find(conversations, self._terms, earliest, most, by_time=by_time)
            is_all = len(found) < most
            if not is_all and self._until is not None:
                yield None, None
                return
            bound = since if is_all else found[-1].at + MAX_SKEW + TICK
            new = [block for block in _since(bound, found) if block[:2] not in self._known]
            self._known.update(block[:2] for block in new)
            for each in _parts(self._below(new), bound):
                yield each
            if is_all:
                return
            if not new:
                slice_ *= 2

    def _below(self, blocks: list[Block]) -> list[Block]:
        """Return the blocks that may have messages below the position."""
        until = self._until
        if until is None:
            return blocks
        # The position's own conversation is read below its number: a worker's clock may have been set back.
        own = [block for block in blocks if block.conversation_id == until.conversation_id]
        others = (block for block in blocks if block.conversation_id != until.conversation_id)
        return [*own, *below(others, until.at)]


def _parts(blocks: list[Block], since: datetime | None) -> Iterator[tuple[list[Block], datetime | None]]:
    """Yield blocks in slices, the newest first: most pages need few of those of a later one."""
    newest_first = sorted(blocks, key=attrgetter("at"), reverse=True)
    while len(newest_first) > SLICE:
        bound = newest_first[SLICE].at + TICK
        if not (part := _since(bound, newest_first)):
            break
        yield part, bound
        taken = set(part)
        newest_first = [block for block in newest_first if block not in taken]
    yield newest_first, since


def _since(bound: datetime | None, blocks: list[Block]) -> list[Block]:
    """Return the blocks since a time, and those that lie above one of them in its conversation.

    Blocks of a conversation are searched by their numbers. A worker whose clock is behind may have stored one
    that has an earlier time than the block below.
    """
    if bound is None:
        return blocks
    lowest: dict[str, int] = {}
    for conversation_id, number, at in blocks:
        if at >= bound:
            lowest[conversation_id] = min(number, lowest.get(conversation_id, number))
    return [b for b in blocks if b.at >= bound or b.number > lowest.get(b.conversation_id, b.number)]
