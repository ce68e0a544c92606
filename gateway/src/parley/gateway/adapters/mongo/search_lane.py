"""Where a search stands: its places, its cursor, and each conversation on its way down."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from parley.gateway.core.errors import Invalid
from parley.shared.documents import Document, from_document
from parley.shared.model import Message

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
            self.lower(place_of(self.found[0]))

    def take(self) -> Message:
        """The newest found."""
        document = self.found.popleft()
        if self.found:
            self.lower(place_of(self.found[0]))
        return from_document(Message, document)

    def lower(self, top: Place) -> None:
        """Come down to a place; never up, should a server's clock have been set back in between."""
        top = top._replace(at=min(top.at, self.top.at))
        self.top = top if top <= self.top else top._replace(at=top.at - TICK)


def lane_of(head: Document, start: Place | None) -> Lane:
    """The lane of a conversation, by its document, for a search that goes on from `start`."""
    conversation_id, last_seq = head["_id"], head["lastSeq"]
    if start is not None and start.conversation_id == conversation_id:
        return Lane(conversation_id, min(last_seq, start.seq - 1), start, None)
    active_at = head.get("lastMessage", head)["createdAt"]
    end = Place(active_at + LONGEST_WAY, conversation_id, last_seq + 1)
    if start is None or end <= start:
        return Lane(conversation_id, last_seq, end, None)
    return Lane(conversation_id, last_seq, start, start)


def place_of(message: Document) -> Place:
    """Where a message stands, by its document."""
    at = message.get("storedAt") or message["createdAt"]
    return Place(at, message["conversationId"], message["seq"])


def write_cursor(place: Place | None) -> str:
    """The cursor of a search that goes on below a place."""
    assert place is not None
    return f"{place.at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{place.conversation_id}_{place.seq}"


def read_cursor(text: str) -> Place:
    """The place that a cursor names. Raises `Invalid`."""
    at, _, rest = text.partition("_")
    conversation_id, _, seq = rest.rpartition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not (seq.isdecimal() and len(seq) <= MAX_SEQ_DIGITS):
            raise ValueError("not a place")
        return Place(moment.astimezone(UTC), conversation_id, int(seq))
    except (ValueError, OverflowError):
        raise Invalid.field("before", "Not a cursor.") from None
