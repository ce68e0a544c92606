"""Search in MongoDB: scan all conversations in parallel, from their newest messages down.

A scan reads what the index of terms leaves, and what is not indexed yet. The messages themselves decide, by a
regular expression on the server; the index of their numbers bounds what a query reads.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from heapq import heapify, heapreplace, nsmallest
from time import monotonic
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_blocks import MAX_QUERY_MS
from parley.gateway.adapters.mongo.search_pattern import Needle, needle
from parley.gateway.adapters.mongo.search_scan import (
    MAX_STORE_DELAY,
    ConversationScan,
    Position,
    Span,
    position_of,
    read_cursor,
    write_cursor,
)
from parley.gateway.adapters.mongo.search_spans import Searched, SearchSpans
from parley.shared.documents import MESSAGES, Document
from parley.shared.model import Message

WINDOW = 500
"""Messages that one query reads at most."""
FIRST_WINDOW = 100
"""Messages that the first query reads, when their lengths are unknown."""
LEAST_WINDOW = 10
"""Messages that a query may always read of a conversation."""
CHECKED_AT_ONCE = 8
"""Messages that are checked before other work of the event loop is done: up to 0.4 ms each."""
MAX_READ = 20_000
"""Messages that a search reads, besides each first window, before it ends with a cursor."""
MAX_SECONDS = 1.0
"""Time before it ends likewise; of conversations not begun by then, a least window is still read."""
QUICK_SECONDS = 0.03
"""Time of a query up to which the window is doubled; above twice this time it is halved."""
BY_NUMBER = [("conversationId", 1), ("seq", 1)]


class WindowQuery(NamedTuple):
    """The condition of a query besides its windows, and the words to check."""

    query: Document
    needle: Needle


class ReadBudget:
    """Bounds what a search reads, by queries as large as the server answers quickly."""

    def __init__(self) -> None:
        self._window = FIRST_WINDOW
        self._left = MAX_READ
        self._end = monotonic() + MAX_SECONDS

    @property
    def spent(self) -> bool:
        return self._left <= 0 or monotonic() > self._end

    @property
    def window(self) -> int:
        return min(WINDOW, self._window)

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
        self._spans = SearchSpans(database)
        self._messages = database[MESSAGES]

    async def find(
        self, hidden: Mapping[str, int], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        budget = ReadBudget()
        found, cursor = await self._page(hidden, words, limit, before, budget)
        while cursor is not None and len(found) < limit and not budget.spent:
            # The index told of too few matches since the time that was looked back to.
            more, cursor = await self._page(hidden, words, limit - len(found), cursor, budget)
            found += more
        return found, cursor

    async def _page(
        self,
        hidden: Mapping[str, int],
        words: Sequence[str],
        limit: int,
        before: str | None,
        budget: ReadBudget,
    ) -> tuple[list[Message], str | None]:
        """Return matches below a cursor, as far back as one plan goes."""
        wanted = _wanted(needle(words))
        last = read_cursor(before) if before is not None else None
        plan = await self._spans.find(hidden, words, last)
        end = Position(plan.since, "", 0) if plan.since is not None else None
        scans = [scan for each in plan.searched if not (scan := _scan(each, last)).finished]
        heapify(scans)
        shown: list[Message] = []
        while scans and (end is None or scans[0].top >= end):
            scan = scans[0]
            if scan.found:
                if len(shown) == limit:
                    return shown, write_cursor(last)
                last = scan.top
                shown.append(scan.take())
                if not scan.finished:
                    heapreplace(scans, scan)
                    continue
            elif scan.opened and budget.spent:
                return shown, write_cursor(scan.top)
            else:
                await self._read(_next(scans, budget), wanted, budget)
            scans = [scan for scan in scans if not scan.finished]
            heapify(scans)
        if end is None:
            return shown, None
        return shown, write_cursor(last if len(shown) == limit else end)

    async def _read(self, scans: Sequence[ConversationScan], wanted: WindowQuery, budget: ReadBudget) -> None:
        """Read the next windows of some scans, by one query."""
        size = min(WINDOW, LEAST_WINDOW) if budget.spent else max(1, budget.window // len(scans))
        windows = {scan.conversation_id: scan.window(size) for scan in scans}
        began = monotonic()
        found = await self._windows(windows, wanted)
        budget.adapt(monotonic() - began)
        for scan in scans:
            window, documents = windows[scan.conversation_id], found[scan.conversation_id]
            matches = [document async for document in _matching(documents, window, wanted.needle)]
            lowest = documents[-1] if documents and documents[-1]["seq"] == window.low else None
            budget.spend(window.high - window.low + 1 if scan.opened else 0)
            scan.add(window, matches, lowest)
            if scan.start is not None and scan.is_far_above_start:
                await self._seek(scan, scan.start, size)

    async def _windows(self, windows: Mapping[str, Span], wanted: WindowQuery) -> dict[str, list[Document]]:
        """Return what matches the pattern, and the lowest message of each window, all newest first."""
        each = [
            {
                "conversationId": conversation_id,
                "seq": {"$gte": window.low, "$lte": window.high},
                "$or": [wanted.query, {"seq": window.low}],
            }
            for conversation_id, window in windows.items()
        ]
        with translate_errors():
            cursor = self._messages.find({"$or": each} if len(each) > 1 else each[0]).hint(BY_NUMBER)
            documents = await cursor.max_time_ms(MAX_QUERY_MS).to_list(None)
        found: dict[str, list[Document]] = {conversation_id: [] for conversation_id in windows}
        for document in sorted(documents, key=lambda each: -each["seq"]):
            found[document["conversationId"]].append(document)
        return found

    async def _seek(self, scan: ConversationScan, start: Position, grain: int) -> None:
        """Lower a scan to at most `grain` messages above the search's start, by bisection."""
        low, high = 0, scan.spans[0].high + 1
        while high - low > grain:
            middle = (low + high) // 2
            position = await self._position_at(scan, middle)
            if position is None or position < start:
                low = middle
            else:
                high = position.seq
        scan.cut(high)

    async def _position_at(self, scan: ConversationScan, seq: int) -> Position | None:
        query = {"conversationId": scan.conversation_id, "seq": {"$lte": seq}}
        fields = {"conversationId": 1, "seq": 1, "storedAt": 1, "createdAt": 1}
        with translate_errors():
            d = await self._messages.find_one(query, fields, sort=[("seq", -1)])
        return position_of(d) if d else None


def _next(scans: Sequence[ConversationScan], budget: ReadBudget) -> list[ConversationScan]:
    """Return the scans to read next: the first ones that have nothing found yet."""
    is_late = budget.spent
    waiting = (scan for scan in scans if not scan.found and not (is_late and scan.opened))
    return nsmallest(max(1, budget.window // LEAST_WINDOW), waiting)


def _scan(searched: Searched, start: Position | None) -> ConversationScan:
    """Return the scan of a conversation, for a search that continues at `start`."""
    conversation_id = searched.conversation_id
    if start is not None and start.conversation_id == conversation_id:
        scan = ConversationScan(conversation_id, searched.spans, start)
        scan.cut(start.seq)
        return scan
    end = Position(searched.active_at + MAX_STORE_DELAY, conversation_id, searched.last_seq + 1)
    if start is None or end <= start:
        return ConversationScan(conversation_id, searched.spans, end)
    return ConversationScan(conversation_id, searched.spans, start, start)


async def _matching(found: Iterable[Document], window: Span, needle: Needle) -> AsyncIterator[Document]:
    """Yield the documents that contain all words and were not deleted."""
    for number, document in enumerate(found, 1):
        text = _text(document)
        # The lowest one was read whether it matches the pattern or not.
        matches = needle.matches if document["seq"] == window.low else needle.is_in
        if "deletedAt" not in document and matches(text):
            yield document
        if number % CHECKED_AT_ONCE == 0 and not needle.exact:
            await asyncio.sleep(0)


def _text(document: Document) -> str:
    """Return what a message is found by, as `text_of` does."""
    return "\n".join((document["content"], *(each["name"] for each in document.get("attachments", ()))))


def _wanted(needle: Needle) -> WindowQuery:
    matching: Document = {"$regex": needle.pattern}
    texts = [{"content": matching}, {"attachments.name": matching}]
    return WindowQuery({"$or": texts, "deletedAt": {"$exists": False}}, needle)
