"""Search in MongoDB: scan all conversations in parallel, from their newest messages down.

There is no text index: it would make each stored message more expensive, and a common word would still match
more messages than can be sorted. The index of message numbers bounds what a query reads.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import dropwhile
from time import monotonic
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_pattern import Needle, needle
from parley.gateway.adapters.mongo.search_scan import (
    ConversationScan,
    Position,
    position_of,
    read_cursor,
    scan_of,
    write_cursor,
)
from parley.shared.documents import CONVERSATIONS, MESSAGES, Document
from parley.shared.model import Message

WINDOW = 500
"""Messages that one query reads at most."""
FIRST_WINDOW = 100
"""Messages that the first query reads, when their lengths are unknown."""
LEAST_WINDOW = 10
"""Messages that a query may always read."""
CANDIDATES = 50
"""Messages that one query returns at most when their words must be checked afterwards."""
CHECKED_AT_ONCE = 8
"""Messages that are checked before other work of the event loop is done: up to 0.4 ms each."""
MAX_READ = 20_000
"""Messages that a search reads, besides each first window, before it ends with a cursor."""
MAX_SECONDS = 1.0
"""Time before it ends likewise; of conversations not begun by then, a least window is still read."""
QUICK_SECONDS = 0.03
"""Time of a query up to which the window is doubled; above twice this time it is halved."""
MAX_QUERY_MS = 2_000
"""Milliseconds after which the server aborts a query."""


class WindowQuery(NamedTuple):
    """The condition of a query besides its window, the limit of its results, and the words to check."""

    query: Document
    limit: int
    needle: Needle


class ReadBudget:
    """Bounds what a search reads, by queries as large as the server answers quickly."""

    def __init__(self) -> None:
        self._window = FIRST_WINDOW
        self._left = MAX_READ
        self._end = monotonic() + MAX_SECONDS

    @property
    def spent(self) -> bool:
        return self._left <= 0 or self._late

    @property
    def window(self) -> int:
        return min(WINDOW, LEAST_WINDOW if self._late else self._window)

    @property
    def _late(self) -> bool:
        return monotonic() > self._end

    def spend(self, messages: int) -> None:
        """Count messages that were read."""
        self._left -= messages

    def adapt(self, seconds: float) -> None:
        """Adapt the window to the time that a query took."""
        if seconds <= QUICK_SECONDS:
            self._window = min(WINDOW, 2 * self._window)
        elif seconds > 2 * QUICK_SECONDS:
            self._window = max(LEAST_WINDOW, self._window // 2)


class MongoSearch:
    """`Search`."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]

    async def find(
        self, conversation_ids: Collection[str], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        wanted, budget = _wanted(needle(words), limit), ReadBudget()
        start = read_cursor(before) if before is not None else None
        scans = await self._scans(conversation_ids, start)
        shown: list[Message] = []
        last = start
        while scans:
            scan = scans[0]
            if scan.found:
                if len(shown) == limit:
                    return shown, write_cursor(last)
                last = scan.top
                shown.append(scan.take())
            elif scan.opened and budget.spent:
                return shown, write_cursor(scan.top)
            else:
                await self._read(scan, wanted, budget)
            heappop(scans) if scan.finished else heapreplace(scans, scan)
        return shown, None

    async def _scans(
        self, conversation_ids: Collection[str], start: Position | None
    ) -> list[ConversationScan]:
        fields = {"lastSeq": 1, "createdAt": 1, "lastMessage": 1}
        with translate_errors():
            cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}}, fields)
            heads = await cursor.to_list(None)
        scans = [scan_of(head, start) for head in heads if head["lastSeq"]]
        heapify(scans)
        return scans

    async def _read(self, scan: ConversationScan, wanted: WindowQuery, budget: ReadBudget) -> None:
        """Read the next window of a scan, and lower the scan to the next message."""
        first, scan.opened = not scan.opened, True
        above, began = scan.below, monotonic()
        found = await (self._open if first else self._window)(scan, wanted, budget.window)
        budget.adapt(monotonic() - began)
        scan.add([document async for document in _matching(found, wanted.needle)])
        if not scan.found and scan.below > 1:
            position = await self._position_at(scan, scan.below - 1)
            scan.below = position.seq + 1 if position else 1
            scan.lower(position._replace(seq=scan.below) if position else scan.top)
        budget.spend(0 if first else above - scan.below)

    async def _open(self, scan: ConversationScan, wanted: WindowQuery, window: int) -> list[Document]:
        """Read the first window of a scan, which begins below the search's start."""
        start = scan.start
        if start is None:
            return await self._window(scan, wanted, window)
        low = await self._seek(scan, start, 0, window)
        found = await self._window(scan, wanted, window)
        if len(found) == wanted.limit and position_of(found[-1]) >= start:
            # The limit was reached above the start. Seek closer, so that some results are below it.
            await self._seek(scan, start, low, wanted.limit - 1)
            found = await self._window(scan, wanted, window)
        return list(dropwhile(lambda d: position_of(d) >= start, found))

    async def _seek(self, scan: ConversationScan, start: Position, low: int, grain: int) -> int:
        """Lower a scan to at most `grain` messages above the start, by bisection.

        Args:
            scan: The scan to lower.
            start: The position where the search continues.
            low: A message number below the start.
            grain: The greatest distance, in message numbers.

        Returns:
            The greatest message number known to be below the start.
        """
        while scan.below - low > grain:
            middle = (low + scan.below) // 2
            position = await self._position_at(scan, middle)
            if position is None or position < start:
                low = middle
            else:
                scan.below = position.seq
        return low

    async def _window(self, scan: ConversationScan, wanted: WindowQuery, window: int) -> list[Document]:
        """Return the first matches of the pattern in the next window, newest first."""
        bottom = max(1, scan.below - window)
        numbers = {"$gte": bottom, "$lt": scan.below}
        query = {"conversationId": scan.conversation_id, "seq": numbers, **wanted.query}
        with translate_errors():
            cursor = self._messages.find(query).sort("seq", -1).limit(wanted.limit)
            found: list[Document] = await cursor.max_time_ms(MAX_QUERY_MS).to_list(None)
        scan.below = found[-1]["seq"] if len(found) == wanted.limit else bottom
        return found

    async def _position_at(self, scan: ConversationScan, seq: int) -> Position | None:
        query = {"conversationId": scan.conversation_id, "seq": {"$lte": seq}}
        fields = {"conversationId": 1, "seq": 1, "storedAt": 1, "createdAt": 1}
        with translate_errors():
            d = await self._messages.find_one(query, fields, sort=[("seq", -1)])
        return position_of(d) if d else None


async def _matching(found: Sequence[Document], needle: Needle) -> AsyncIterator[Document]:
    """Yield the documents whose texts contain all words."""
    for number, document in enumerate(found, 1):
        if needle.is_in(document["content"]):
            yield document
        if number % CHECKED_AT_ONCE == 0 and not needle.exact:
            await asyncio.sleep(0)


def _wanted(needle: Needle, limit: int) -> WindowQuery:
    query: Document = {"content": {"$regex": needle.pattern}, "deletedAt": {"$exists": False}}
    # One more than the limit shows whether there is a next page.
    return WindowQuery(query, limit + 1 if needle.exact else CANDIDATES, needle)
