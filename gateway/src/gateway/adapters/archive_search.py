"""Search in MongoDB: conversations are read from their newest message down, side by side.

No index of words: it would cost every message that is stored, and a common word would still find more than
can be sorted. A conversation's numbers say how much a query reads, and its index of numbers leads there.
"""

from collections import deque
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heapreplace
from itertools import dropwhile
from time import monotonic
from typing import Any, NamedTuple

from gateway.adapters.archive_mongo import translated
from gateway.adapters.search_pattern import pattern
from gateway.core.errors import Invalid
from shared.documents import CONVERSATIONS, MESSAGES, Document, exactly, from_document
from shared.model import Message

WINDOW = 500
"""Messages that one query reads at most."""
MAX_READ = 20_000
"""Messages that one search reads beside the first window of each conversation; then it ends with a cursor."""
MAX_SECONDS = 1.0
"""Time after which it likewise begins no further window: messages may be long."""
LONGEST_WAY = timedelta(hours=1)
"""How long a message may be under way to the archive and still be found in its place; others are found later.

By this, quiet conversations are not looked into before the search has come down to them.
"""
TICK = timedelta(milliseconds=1)
"""The smallest difference of two times in MongoDB."""
MAX_SEQ_DIGITS = 15


class Place(NamedTuple):
    """Where a message stands among all; within a conversation this is the order of the numbers."""

    at: datetime
    conversation_id: str
    seq: int


class Lane:
    """One conversation on its way down: what was `found`, and all `below` that is still to be read.

    Nothing that is left in it stands above `top`.
    """

    def __init__(self, conversation_id: str, last_seq: int, top: Place, start: Place | None) -> None:
        self.conversation_id = conversation_id
        self.below = last_seq + 1
        self.top = top
        self.start = start
        self.found: deque[Document] = deque()
        self.opened = False

    def __lt__(self, other: "Lane") -> bool:
        return self.top > other.top

    @property
    def finished(self) -> bool:
        return not self.found and self.below <= 1

    def hold(self, documents: Sequence[Document]) -> None:
        """Take in what was found, newest first."""
        self.found.extend(documents)
        if self.found:
            self.lower(_place(self.found[0]))

    def take(self) -> Message:
        """The newest found."""
        document = self.found.popleft()
        if self.found:
            self.lower(_place(self.found[0]))
        return from_document(Message, document)

    def lower(self, top: Place) -> None:
        """Come down to a place; never up, should a server's clock have been set back in between."""
        top = top._replace(at=min(top.at, self.top.at))
        self.top = top if top <= self.top else top._replace(at=top.at - TICK)


class MongoSearch:
    """`Search`."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]

    async def find(
        self, conversation_ids: Collection[str], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        wanted: Document = {"content": {"$regex": pattern(words)}, "deletedAt": {"$exists": False}}
        start = _read_cursor(before) if before is not None else None
        lanes = await self._lanes(conversation_ids, start)
        shown: list[Message] = []
        last, left, end = start, MAX_READ, monotonic() + MAX_SECONDS
        while lanes:
            lane = lanes[0]
            if lane.found:
                if len(shown) == limit:
                    return shown, _write_cursor(last)
                last = lane.top
                shown.append(lane.take())
            elif lane.opened and (left <= 0 or monotonic() > end):
                return shown, _write_cursor(lane.top)
            else:
                left -= await self._read(lane, wanted, limit + 1)
            heappop(lanes) if lane.finished else heapreplace(lanes, lane)
        return shown, None

    async def _lanes(self, conversation_ids: Collection[str], start: Place | None) -> list[Lane]:
        fields = {"lastSeq": 1, "createdAt": 1, "lastMessage": 1}
        with translated():
            cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}}, fields)
            heads = await cursor.to_list(None)
        lanes = [_lane(head, start) for head in heads if head["lastSeq"]]
        heapify(lanes)
        return lanes

    async def _read(self, lane: Lane, wanted: Document, limit: int) -> int:
        """Read a window of a lane; how many messages counted as read."""
        first, lane.opened = not lane.opened, True
        above = lane.below
        lane.hold(await (self._open(lane, wanted, limit) if first else self._window(lane, wanted, limit)))
        if not lane.found and lane.below > 1:
            place = await self._place_at(lane, lane.below - 1)
            lane.below = place.seq + 1 if place else 1
            lane.lower(place._replace(seq=lane.below) if place else lane.top)
        return 0 if first else above - lane.below

    async def _open(self, lane: Lane, wanted: Document, limit: int) -> list[Document]:
        """Read the first window of a lane that begins below the start."""
        start = lane.start
        if start is None:
            return await self._window(lane, wanted, limit)
        low = await self._seek(lane, start, 0, WINDOW)
        found = await self._window(lane, wanted, limit)
        if len(found) == limit and _place(found[-1]) >= start:
            # So many that none of them stands below the start: go closer, to where one must.
            await self._seek(lane, start, low, limit - 1)
            found = await self._window(lane, wanted, limit)
        return list(dropwhile(lambda d: _place(d) >= start, found))

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

    async def _window(self, lane: Lane, wanted: Document, limit: int) -> list[Document]:
        """The first `limit` that are found in the next window, newest first."""
        bottom = max(1, lane.below - WINDOW)
        numbers = {"$gte": bottom, "$lt": lane.below}
        query = {"conversationId": exactly(lane.conversation_id), "seq": numbers, **wanted}
        with translated():
            found: list[Document] = (
                await self._messages.find(query).sort("seq", -1).limit(limit).to_list(None)
            )
        lane.below = found[-1]["seq"] if len(found) == limit else bottom
        return found

    async def _place_at(self, lane: Lane, seq: int) -> Place | None:
        query = {"conversationId": exactly(lane.conversation_id), "seq": {"$lte": seq}}
        fields = {"conversationId": 1, "seq": 1, "storedAt": 1, "createdAt": 1}
        with translated():
            d = await self._messages.find_one(query, fields, sort=[("seq", -1)])
        return _place(d) if d else None


def _lane(head: Document, start: Place | None) -> Lane:
    conversation_id, last_seq = head["_id"], head["lastSeq"]
    if start is not None and start.conversation_id == conversation_id:
        return Lane(conversation_id, min(last_seq, start.seq - 1), start, None)
    active_at = head.get("lastMessage", head)["createdAt"]
    end = Place(active_at + LONGEST_WAY, conversation_id, last_seq + 1)
    if start is None or end <= start:
        return Lane(conversation_id, last_seq, end, None)
    return Lane(conversation_id, last_seq, start, start)


def _place(message: Document) -> Place:
    at = message.get("storedAt") or message["createdAt"]
    return Place(at, message["conversationId"], message["seq"])


def _write_cursor(place: Place | None) -> str:
    assert place is not None
    return f"{place.at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{place.conversation_id}_{place.seq}"


def _read_cursor(text: str) -> Place:
    at, _, rest = text.partition("_")
    conversation_id, _, seq = rest.rpartition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not (seq.isdecimal() and len(seq) <= MAX_SEQ_DIGITS):
            raise ValueError("not a place")
        return Place(moment.astimezone(UTC), conversation_id, int(seq))
    except (ValueError, OverflowError):
        raise Invalid.field("before", "Not a cursor.") from None
