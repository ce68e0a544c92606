"""The state of a search: positions, the cursor, and a downward scan of each conversation."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from parley.gateway.core.errors import Invalid
from parley.shared.documents import Document, from_document
from parley.shared.model import Message

MAX_STORE_DELAY = timedelta(hours=1)
"""Bound of the time between a message's acceptance and its storage, up to which it is found in order.

A conversation's last message was therefore stored before its time of creation plus this delay, so a quiet
conversation is not read before the search has reached that time.
"""
TICK = timedelta(milliseconds=1)
"""The smallest difference of two times in MongoDB."""
MAX_SEQ_DIGITS = 15


class Position(NamedTuple):
    """A message's position in the order of results; within a conversation it is the order of the numbers."""

    at: datetime
    conversation_id: str
    seq: int


class ConversationScan:
    """A scan of one conversation, from its newest message down.

    `found` holds matches that are not returned yet. Messages with numbers less than `below` are still to be
    read. No remaining message has a position above `top`.
    """

    def __init__(self, conversation_id: str, last_seq: int, top: Position, start: Position | None) -> None:
        self.conversation_id = conversation_id
        self.below = last_seq + 1
        self.top = top
        self.start = start
        self.found: deque[Document] = deque()
        self.opened = False

    def __lt__(self, other: "ConversationScan") -> bool:
        return self.top > other.top

    @property
    def finished(self) -> bool:
        return not self.found and self.below <= 1

    def add(self, documents: Sequence[Document]) -> None:
        """Add matches, newest first."""
        self.found.extend(documents)
        if self.found:
            self.lower(position_of(self.found[0]))

    def take(self) -> Message:
        """Remove and return the newest match."""
        document = self.found.popleft()
        if self.found:
            self.lower(position_of(self.found[0]))
        return from_document(Message, document)

    def lower(self, top: Position) -> None:
        """Lower `top`, never raise it: a worker's clock may have been set back between two messages."""
        top = top._replace(at=min(top.at, self.top.at))
        self.top = top if top <= self.top else top._replace(at=top.at - TICK)


def scan_of(head: Document, start: Position | None) -> ConversationScan:
    """Return the scan of a conversation, given its document, for a search that continues at `start`."""
    conversation_id, last_seq = head["_id"], head["lastSeq"]
    if start is not None and start.conversation_id == conversation_id:
        return ConversationScan(conversation_id, min(last_seq, start.seq - 1), start, None)
    active_at = head.get("lastMessage", head)["createdAt"]
    end = Position(active_at + MAX_STORE_DELAY, conversation_id, last_seq + 1)
    if start is None or end <= start:
        return ConversationScan(conversation_id, last_seq, end, None)
    return ConversationScan(conversation_id, last_seq, start, start)


def position_of(message: Document) -> Position:
    """Return the position of a message, given its document."""
    at = message.get("storedAt") or message["createdAt"]
    return Position(at, message["conversationId"], message["seq"])


def write_cursor(position: Position | None) -> str:
    """Return the cursor of a search that continues below a position."""
    assert position is not None
    at = position.at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{at}Z_{position.conversation_id}_{position.seq}"


def read_cursor(text: str) -> Position:
    """Parse a cursor. Raises `Invalid`."""
    at, _, rest = text.partition("_")
    conversation_id, _, seq = rest.rpartition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not (seq.isdecimal() and len(seq) <= MAX_SEQ_DIGITS):
            raise ValueError("not a position")
        return Position(moment.astimezone(UTC), conversation_id, int(seq))
    except (ValueError, OverflowError):
        raise Invalid.field("before", "Not a cursor of this search.") from None
