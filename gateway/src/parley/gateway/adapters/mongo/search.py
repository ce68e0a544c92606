"""Search in MongoDB: conversations are read from their newest message down, side by side.

No index of words: it would cost every message that is stored, and a common word would still find more than
can be sorted. A conversation's numbers say how much a query reads, and its index of numbers leads there.
"""

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import dropwhile
from time import monotonic
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_lane import (
    Lane,
    Place,
    lane_of,
    place_of,
    read_cursor,
    write_cursor,
)
from parley.gateway.adapters.mongo.search_pattern import Needle, needle
from parley.shared.documents import CONVERSATIONS, MESSAGES, Document, exactly
from parley.shared.model import Message

WINDOW = 500
"""Messages that one query reads at most."""
FIRST_WINDOW = 100
"""Messages that the first query reads: nobody knows yet how long they are."""
LEAST_WINDOW = 10
"""Messages that a query may always read."""
CANDIDATES = 50
"""Messages that one query brings at most when the words are still to be looked for in them."""
MAX_READ = 20_000
"""Messages that one search reads beside the first window of each conversation; then it ends with a cursor."""
MAX_SECONDS = 1.0
"""Time after which it likewise ends; conversations not begun by then still have the least of windows read."""
QUICK_SECONDS = 0.03
"""Of a query: a window that takes no longer may be doubled, one that takes twice as long is halved."""
MAX_QUERY_MS = 2_000
"""Time after which the server itself gives a query up, milliseconds."""


class Wanted(NamedTuple):
    """What one query asks for besides its window, how many it brings at most, and what they must hold."""

    query: Document
    limit: int
    needle: Needle


class Pace:
    """How much one query of a search may read, and when it has read enough."""

    def __init__(self) -> None:
        self._window = FIRST_WINDOW
        self._left = MAX_READ
        self._end = monotonic() + MAX_SECONDS

    @property
    def over(self) -> bool:
        return self._left <= 0 or self._late

    @property
    def window(self) -> int:
        return min(WINDOW, LEAST_WINDOW if self._late else self._window)

    @property
    def _late(self) -> bool:
        return monotonic() > self._end

    def count(self, messages: int) -> None:
        """So many were read."""
        self._left -= messages

    def took(self, seconds: float) -> None:
        """A query took so long."""
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
        wanted, pace = _wanted(needle(words), limit), Pace()
        start = read_cursor(before) if before is not None else None
        lanes = await self._lanes(conversation_ids, start)
        shown: list[Message] = []
        last = start
        while lanes:
            lane = lanes[0]
            if lane.found:
                if len(shown) == limit:
                    return shown, write_cursor(last)
                last = lane.top
                shown.append(lane.take())
            elif lane.opened and pace.over:
                return shown, write_cursor(lane.top)
            else:
                await self._read(lane, wanted, pace)
            heappop(lanes) if lane.finished else heapreplace(lanes, lane)
        return shown, None

    async def _lanes(self, conversation_ids: Collection[str], start: Place | None) -> list[Lane]:
        fields = {"lastSeq": 1, "createdAt": 1, "lastMessage": 1}
        with translate_errors():
            cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}}, fields)
            heads = await cursor.to_list(None)
        lanes = [lane_of(head, start) for head in heads if head["lastSeq"]]
        heapify(lanes)
        return lanes

    async def _read(self, lane: Lane, wanted: Wanted, pace: Pace) -> None:
        """Read a window of a lane."""
        first, lane.opened = not lane.opened, True
        above, began = lane.below, monotonic()
        found = await (self._open if first else self._window)(lane, wanted, pace.window)
        pace.took(monotonic() - began)
        lane.hold([document for document in found if wanted.needle.is_in(document["content"])])
        if not lane.found and lane.below > 1:
            place = await self._place_at(lane, lane.below - 1)
            lane.below = place.seq + 1 if place else 1
            lane.lower(place._replace(seq=lane.below) if place else lane.top)
        pace.count(0 if first else above - lane.below)

    async def _open(self, lane: Lane, wanted: Wanted, window: int) -> list[Document]:
        """Read the first window of a lane that begins below the start."""
        start = lane.start
        if start is None:
            return await self._window(lane, wanted, window)
        low = await self._seek(lane, start, 0, window)
        found = await self._window(lane, wanted, window)
        if len(found) == wanted.limit and place_of(found[-1]) >= start:
            # So many that none of them stands below the start: go closer, to where one must.
            await self._seek(lane, start, low, wanted.limit - 1)
            found = await self._window(lane, wanted, window)
        return list(dropwhile(lambda d: place_of(d) >= start, found))

    async def _seek(self, lane: Lane, start: Place, low: int, grain: int) -> int:
        """Bring a lane down to the start, or less than `grain` messages above it, by bisection.

        `low`, and the one given back, is a number that stands below the start.
        """
        while lane.below - low > grain:
            middle = (low + lane.below) // 2
            place = await self._place_at(lane, middle)
            if place is None or place < start:
                low = middle
            else:
                lane.below = place.seq
        return low

    async def _window(self, lane: Lane, wanted: Wanted, window: int) -> list[Document]:
        """The first that the pattern finds in the next window, newest first."""
        bottom = max(1, lane.below - window)
        numbers = {"$gte": bottom, "$lt": lane.below}
        query = {"conversationId": exactly(lane.conversation_id), "seq": numbers, **wanted.query}
        with translate_errors():
            cursor = self._messages.find(query).sort("seq", -1).limit(wanted.limit)
            found: list[Document] = await cursor.max_time_ms(MAX_QUERY_MS).to_list(None)
        lane.below = found[-1]["seq"] if len(found) == wanted.limit else bottom
        return found

    async def _place_at(self, lane: Lane, seq: int) -> Place | None:
        query = {"conversationId": exactly(lane.conversation_id), "seq": {"$lte": seq}}
        fields = {"conversationId": 1, "seq": 1, "storedAt": 1, "createdAt": 1}
        with translate_errors():
            d = await self._messages.find_one(query, fields, sort=[("seq", -1)])
        return place_of(d) if d else None


def _wanted(needle: Needle, limit: int) -> Wanted:
    query: Document = {"content": {"$regex": needle.pattern}, "deletedAt": {"$exists": False}}
    # One more than asked for tells whether there is a next page.
    return Wanted(query, limit + 1 if needle.exact else CANDIDATES, needle)
