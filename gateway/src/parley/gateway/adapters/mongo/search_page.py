"""A page of a search while it is filled: the matches so far, and the scans that tell the next ones."""

from parley.gateway.adapters.mongo.search_scan import ConversationScan, Position, Scans, write_cursor
from parley.gateway.adapters.mongo.search_spans import Slice
from parley.shared.model import Message


class Page:
    """A page.

    Args:
        limit: The matches of the page, at most.
        start: The page has matches below this position; None for the first page.

    Attributes:
        shown: Its matches, newest first.
        scans: The scans of the conversations.
        is_ended: Whether it is known where the next page begins.
    """

    def __init__(self, limit: int, start: Position | None) -> None:
        self.shown: list[Message] = []
        self.scans = Scans()
        self.is_ended = False
        self._limit = limit
        self._start = self._last = start
        self._end: Position | None = None

    @property
    def is_full(self) -> bool:
        return len(self.shown) == self._limit

    @property
    def share(self) -> float:
        """The share of the page that is filled."""
        return len(self.shown) / self._limit

    def begin(self, slice_: Slice) -> None:
        """Take the messages of a further slice."""
        for searched in slice_.searched:
            self.scans.extend(searched, self._start, slice_.window)
        for searched in slice_.edited:
            self.scans.begin(searched, self._start, slice_.window)
        self._end = Position(slice_.since, "", 0) if slice_.since is not None else None

    def first(self) -> ConversationScan | None:
        """Return the scan with the next messages; None if these are of a further slice, or page."""
        scan = self.scans.first()
        is_below = scan is not None and self._end is not None and scan.top < self._end
        return None if self.is_ended or is_below else scan

    def show(self, scan: ConversationScan) -> None:
        """Show the match of the first scan, or end a full page: then it is on the next one."""
        if self.is_full:
            self.end(self._last)
        else:
            self._last = scan.top
            self.shown.append(self.scans.take())

    def end(self, position: Position | None) -> None:
        """End the page: the next one begins below a position."""
        self.is_ended, self._end = True, position

    def cursor(self) -> str | None:
        """Return the cursor of the next page; None if there are no more messages."""
        if self._end is None:
            return None
        return write_cursor(self._last if self.is_full else self._end)
