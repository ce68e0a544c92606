"""Search in MongoDB: scan all conversations in parallel, from their newest messages down.

A scan reads what the index of terms leaves, and what is not indexed yet. The messages themselves decide, by a
regular expression on the server; the index of their numbers bounds what a query reads.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Any

from parley.gateway.adapters.mongo.search_page import Page
from parley.gateway.adapters.mongo.search_pattern import Needle, needle
from parley.gateway.adapters.mongo.search_scan import (
    LEAST_WINDOW,
    ConversationScan,
    Position,
    Scans,
    read_cursor,
)
from parley.gateway.adapters.mongo.search_spans import SearchSpans
from parley.gateway.adapters.mongo.search_windows import MessageWindows, matching
from parley.shared.model import Message

WINDOW = 4_000
"""Messages that are read at once, at most."""
FIRST_WINDOW = 1_500
"""Messages that are read at first, when their lengths are unknown."""
MAX_READ = 20_000
"""Messages that a search reads, besides each first window, before it ends with a cursor."""
MAX_SECONDS = 1.0
"""Time before it ends likewise; of conversations not begun by then, a least window is still read."""
QUICK_SECONDS = 0.03
"""Time of a query up to which the window is doubled; above twice this time it is halved."""


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
        self._windows = MessageWindows(database)

    async def find(
        self, hidden: Mapping[str, int], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        start = read_cursor(before) if before is not None else None
        page, wanted, budget = Page(limit, start), needle(words), ReadBudget()
        slices = self._spans.slices(hidden, words, start, lambda: page.share)
        async with aclosing(slices):
            async for each in slices:
                page.begin(each)
                await self._fill(page, wanted, budget)
                if page.is_ended or page.is_full or budget.spent:
                    break
        return page.shown, page.cursor()

    async def _fill(self, page: Page, wanted: Needle, budget: ReadBudget) -> None:
        """Show the matches of a slice, and read what is needed to know the next ones."""
        while (scan := page.first()) is not None:
            if scan.found:
                page.show(scan)
            elif scan.opened and budget.spent:
                page.end(scan.top)
            else:
                await self._read(page.scans, wanted, budget)

    async def _read(self, scans: Scans, wanted: Needle, budget: ReadBudget) -> None:
        """Read the next windows of the first scans that must read."""
        next_ = scans.take_waiting(budget.window, only_new=budget.spent)
        share = budget.window // len(next_)
        most = min(LEAST_WINDOW, budget.window) if budget.spent else budget.window
        windows = {scan: scan.window(min(most, max(scan.wished, share))) for scan in next_}
        began = monotonic()
        found = await self._windows.read(windows, wanted)
        budget.adapt(monotonic() - began)
        for scan, window in windows.items():
            documents = found[scan]
            matches = [document async for document in matching(documents, window, wanted)]
            lowest = documents[-1] if documents and documents[-1]["seq"] == window.low else None
            budget.spend(window.high - window.low + 1 if scan.opened else 0)
            scan.add(window, matches, lowest)
            if scan.start is not None and scan.is_far_above_start:
                await self._seek(scan, scan.start, max(LEAST_WINDOW, share))
            scans.add(scan)

    async def _seek(self, scan: ConversationScan, start: Position, grain: int) -> None:
        """Lower a scan to at most `grain` messages above the search's start, by bisection."""
        low, high = 0, scan.spans[0].high + 1
        while high - low > grain:
            middle = (low + high) // 2
            position = await self._windows.position_at(scan, middle)
            if position is None or position < start:
                low = middle
            else:
                high = position.seq
        scan.cut(high)
