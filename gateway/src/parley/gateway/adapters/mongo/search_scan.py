"""The state of a search: positions, the cursor, and a downward scan of each conversation."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import dropwhile
from typing import NamedTuple

from parley.gateway.core.errors import Invalid
from parley.shared.documents import Document, from_document
from parley.shared.model import Message
from parley.shared.search_terms import BLOCK

MAX_STORE_DELAY = timedelta(hours=1)
"""Bound of the time between a message's acceptance and its storage, up to which it is found in order.

A conversation's last message was therefore stored before its time of creation plus this delay, so a quiet
conversation is not read before the search has reached that time.
"""
LEAST_WINDOW = 10
"""Messages that are read first of a conversation, if its newest ones should suffice."""
BRANCH = 5
"""A conversation of a query costs about as much as so many of its messages."""
TICK = timedelta(milliseconds=1)
"""The smallest difference of two times in MongoDB."""
MAX_SEQ_DIGITS = 15


class Position(NamedTuple):
    """A message's position in the order of results; within a conversation it is the order of the numbers."""

    at: datetime
    conversation_id: str
    seq: int


class Span(NamedTuple):
    """The numbers of messages to read, from `low` to `high`; none of them was stored after `at`, if known."""

    low: int
    high: int
    at: datetime | None = None


class Searched(NamedTuple):
    """Messages of one conversation to read: spans from the highest down, and a position above them all."""

    conversation_id: str
    spans: Sequence[Span]
    top: Position


class ConversationScan:
    """A scan of one conversation, from its newest message down, over the spans that may have matches.

    `found` holds matches that are not returned yet. No remaining message has a position above `top`.
    """

    def __init__(
        self,
        conversation_id: str,
        spans: Sequence[Span],
        top: Position,
        start: Position | None = None,
        window: int = LEAST_WINDOW,
    ) -> None:
        self.conversation_id = conversation_id
        self.spans = deque(spans)
        self.top = top
        self.start = start
        self.found: deque[Document] = deque()
        self.opened = False
        self._rest: Position | None = None
        self._window = window
        self._bound()

    def __lt__(self, other: "ConversationScan") -> bool:
        return self.top > other.top

    @property
    def finished(self) -> bool:
        return not self.found and not self.spans

    @property
    def is_far_above_start(self) -> bool:
        """Whether the search's start may lie more than a block of the index below: it is sought then."""
        if self.start is None or not self.spans:
            return False
        low, high, at = self.spans[0]
        return high - low >= BLOCK and (at is None or at > self.start.at)

    @property
    def wished(self) -> int:
        """How many messages to read next: twice as many each time."""
        span = self.spans[0]
        return min(self._window, span.high - span.low + 1)

    def begin_below(self, start: Position | None) -> None:
        """Leave out what the search has shown of the conversation of its cursor."""
        if start is not None and start.conversation_id == self.conversation_id:
            self.cut(start.seq)

    def extend(self, spans: Sequence[Span]) -> None:
        """Add spans below those that the scan has."""
        self.spans.extend(spans)
        self._bound()

    def window(self, size: int) -> Span:
        """Return the next numbers to read, at most `size` of them."""
        span = self.spans[0]
        return span._replace(low=max(span.low, span.high - size + 1))

    def needs_lowest(self, window: Span) -> bool:
        """Whether only the lowest message of a window tells where the messages below it are in time."""
        if self.start is not None or window.low > self.spans[0].low:
            return True
        return len(self.spans) > 1 and self.spans[1].at is None

    def add(self, window: Span, documents: Sequence[Document], lowest: Document | None) -> None:
        """Add what was read of a window.

        Args:
            window: The window, at the top of the first span.
            documents: The matches in it, newest first.
            lowest: The window's last message, a match or not; None if there is no such message.
        """
        self._window *= 2
        self.cut(window.low)
        self.found.extend(dropwhile(self._is_above_start, documents))
        self._rest = position_of(lowest) if lowest is not None else None
        self._bound()
        if self.found or (lowest is not None and not self._is_above_start(lowest)):
            self.start = None
        # One that is opened has progressed past the start, so that a cursor at its top is another one.
        self.opened = self.start is None

    def _is_above_start(self, document: Document) -> bool:
        return self.start is not None and position_of(document) >= self.start

    def cut(self, seq: int) -> None:
        """Leave out all numbers from this one up."""
        while self.spans and self.spans[0].low >= seq:
            self.spans.popleft()
        if self.spans and self.spans[0].high >= seq:
            self.spans[0] = self.spans[0]._replace(high=seq - 1)

    def take(self) -> Message:
        """Remove and return the newest match."""
        document = self.found.popleft()
        self._bound()
        return from_document(Message, document)

    def lower(self, top: Position) -> None:
        """Lower `top`, never raise it: a worker's clock may have been set back between two messages."""
        top = top._replace(at=min(top.at, self.top.at))
        self.top = top if top <= self.top else top._replace(at=top.at - TICK)

    def _bound(self) -> None:
        """Lower `top` to the next match, or to where the messages may begin that are not read yet."""
        if self.found:
            self.lower(position_of(self.found[0]))
            return
        if self._rest is not None:
            self.lower(self._rest)
        if self.spans and self.spans[0].at is not None:
            bound = Position(self.spans[0].at, self.conversation_id, self.spans[0].high + 1)
            self.top = min(self.top, bound)


class Scans:
    """The scans of a search by their tops: those that have found something, and those that must read."""

    def __init__(self) -> None:
        self._found: list[ConversationScan] = []
        self._waiting: list[ConversationScan] = []
        self._of: dict[str, ConversationScan] = {}

    def begin(self, searched: Searched, start: Position | None, window: int) -> ConversationScan:
        """Begin a scan for a search that continues at `start`, and reads so many messages first."""
        conversation_id, spans, top = searched
        if start is None or top <= start:
            scan = ConversationScan(conversation_id, spans, top, window=window)
        elif start.conversation_id == conversation_id:
            scan = ConversationScan(conversation_id, spans, start, window=window)
        else:
            scan = ConversationScan(conversation_id, spans, start, start, window)
        scan.begin_below(start)
        self.add(scan)
        return scan

    def extend(self, searched: Searched, start: Position | None, window: int) -> None:
        """Extend the scan of a conversation, or begin it: its messages come in the order of their numbers."""
        scan = self._of.get(searched.conversation_id)
        if scan is None:
            self._of[searched.conversation_id] = self.begin(searched, start, window)
            return
        was_finished = scan.finished
        scan.extend(searched.spans)
        scan.begin_below(start)
        if was_finished:
            self.add(scan)

    def add(self, scan: ConversationScan) -> None:
        """Add a scan, unless it is finished."""
        if scan.found:
            heappush(self._found, scan)
        elif scan.spans:
            heappush(self._waiting, scan)

    def first(self) -> ConversationScan | None:
        """Return the scan with the highest top."""
        return min((each[0] for each in (self._found, self._waiting) if each), default=None)

    def take(self) -> Message:
        """Remove and return the newest match, which the first scan has."""
        scan = heappop(self._found)
        message = scan.take()
        self.add(scan)
        return message

    def take_waiting(self, messages: int, *, only_new: bool) -> list[ConversationScan]:
        """Remove and return the first scans that must read, of so many messages in all.

        Args:
            messages: Their number; each conversation counts as some more.
            only_new: Leave out those that have read before.
        """
        taken: list[ConversationScan] = []
        left_out: list[ConversationScan] = []
        while self._waiting and messages > 0:
            scan = heappop(self._waiting)
            if only_new and scan.opened:
                left_out.append(scan)
                continue
            taken.append(scan)
            messages -= scan.wished + BRANCH
        for scan in left_out:
            heappush(self._waiting, scan)
        return taken


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
