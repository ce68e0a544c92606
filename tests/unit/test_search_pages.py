"""Pages of a search miss nothing and repeat nothing, whatever part of the conversations is indexed."""

import random
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parley.gateway.adapters.mongo import search as mongo_search
from parley.gateway.adapters.mongo.search import MongoSearch
from parley.gateway.adapters.mongo.search_pattern import Needle
from parley.gateway.adapters.mongo.search_scan import (
    LEAST_WINDOW,
    ConversationScan,
    Position,
    Searched,
    Span,
    position_of,
)
from parley.gateway.adapters.mongo.search_spans import Slice
from parley.shared.documents import Document, to_document
from parley.shared.model import Message

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
BLOCK = 8
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 40))]


class StoredMessages:
    """Messages of some conversations, of which those up to a number are indexed."""

    def __init__(self, chance: random.Random, lengths: Sequence[int]) -> None:
        self.chance = chance
        self.documents: dict[str, list[Document]] = {}
        self.indexed: dict[str, int] = {}
        for length in lengths:
            conversation_id = f"c{chance.randrange(10**9)}"
            # With few distinct times, many messages share one.
            times = sorted(NOON + timedelta(seconds=chance.randrange(40)) for _ in range(length))
            self.documents[conversation_id] = [
                self._document(conversation_id, n, at) for n, at in enumerate(times, 1)
            ]
            self.indexed[conversation_id] = chance.choice([0, length, chance.randrange(length + 1)])

    def _document(self, conversation_id: str, seq: int, at: datetime) -> Document:
        word = self.chance.choice(["tea", "coffee", "coffee", "coffee"])
        message = Message(
            id=f"{conversation_id}-{seq}",
            conversation_id=conversation_id,
            sender_id="ann",
            content=f"{word} {conversation_id} {seq}",
            created_at=at,
            stored_at=at,
            seq=seq,
            rev=seq,
        )
        return to_document(message)

    def expected(self, word: str) -> list[str]:
        """Return the ids of all matches, newest first."""
        found = [d for each in self.documents.values() for d in each if word in d["content"]]
        return [d["_id"] for d in sorted(found, key=position_of, reverse=True)]

    def spans(self, conversation_id: str, word: str) -> list[Span]:
        """Return what the index leaves of a conversation: some blocks without a match are among it."""
        documents, indexed = self.documents[conversation_id], self.indexed[conversation_id]
        spans = [Span(indexed + 1, len(documents))] if indexed < len(documents) else []
        for number in range(indexed // BLOCK, -1, -1):
            low, high = max(1, number * BLOCK), min(indexed, number * BLOCK + BLOCK - 1)
            block = documents[low - 1 : high]
            if any(word in d["content"] for d in block) or (block and self.chance.random() < 0.2):
                spans.append(Span(low, high, max(d["storedAt"] for d in block)))
        return spans


class MemorySearch(MongoSearch):
    """The search, over messages in memory."""

    def __init__(self, stored: StoredMessages) -> None:
        super().__init__(defaultdict(dict))
        self._stored = stored
        self._spans: Any = self
        self._windows: Any = self
        self._searching: str = ""

    async def pages(self, word: str, limit: int) -> list[list[str]]:
        pages, cursor = [], None
        self._searching = word
        while True:
            found, cursor = await MongoSearch.find(
                self, dict.fromkeys(self._stored.documents, 0), [word], limit, cursor
            )
            pages.append([m.id for m in found])
            if cursor is None:
                return pages
            assert len(pages) < 2_000, "the cursor never ends"

    async def slices(
        self, hidden: Mapping[str, int], words: Sequence[str], until: Position | None, share: Any
    ) -> AsyncGenerator[Slice, None]:
        """Yield what to read: all at once, or in slices, each down to a time."""
        spans = {i: self._stored.spans(i, words[0]) for i in hidden}
        upto, since = None, self._time_below(NOON + timedelta(seconds=45) if until is None else until.at)
        while True:
            some = [self._searched(i, each, since, upto) for i, each in spans.items()]
            window = self._stored.chance.choice([LEAST_WINDOW, BLOCK])
            yield Slice([searched for searched in some if searched.spans], since, window)
            if since is None:
                return
            upto, since = since, self._time_below(since)

    def _time_below(self, time: datetime) -> datetime | None:
        chance = self._stored.chance
        return time - timedelta(milliseconds=chance.randrange(1, 45_000)) if chance.random() < 0.7 else None

    def _searched(
        self, conversation_id: str, spans: list[Span], since: datetime | None, upto: datetime | None
    ) -> Searched:
        """Return the spans between two times; those without a time are in the first slice."""
        chosen = [
            span
            for span in spans
            if (upto is None and span.at is None)
            or (span.at and (since is None or span.at >= since) and (upto is None or span.at < upto))
        ]
        documents = self._stored.documents[conversation_id]
        at = chosen[0].at if chosen and chosen[0].at else documents[-1]["storedAt"]
        return Searched(conversation_id, chosen, Position(at, conversation_id, len(documents) + 1))

    async def read(
        self, windows: Mapping[ConversationScan, Span], wanted: Needle
    ) -> dict[ConversationScan, list[Document]]:
        return {
            scan: [
                d
                for d in reversed(self._stored.documents[scan.conversation_id][window.low - 1 : window.high])
                if (d["seq"] == window.low and scan.needs_lowest(window))
                or re.search(wanted.pattern, d["content"])
            ]
            for scan, window in windows.items()
        }

    async def position_at(self, scan: Any, seq: int) -> Position | None:
        below = self._stored.documents[scan.conversation_id][:seq]
        return position_of(below[-1]) if below else None


@pytest.fixture(params=[(500, 20_000, 1.0), (7, 20, 1.0), (7, 20, -1.0), (40, 200, 1.0)])
def _bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of one read and of one search: as they are, and such that few messages exceed them."""
    window, most, seconds = request.param
    monkeypatch.setattr(mongo_search, "WINDOW", window)
    monkeypatch.setattr(mongo_search, "MAX_READ", most)
    monkeypatch.setattr(mongo_search, "MAX_SECONDS", seconds)


@pytest.mark.usefixtures("_bounds")
@pytest.mark.parametrize("seed", SEEDS)
async def test_all_pages_together_are_all_matches_newest_first(seed: int) -> None:
    chance = random.Random(seed)
    stored = StoredMessages(
        chance, [chance.choice([1, 3, 10, 60, 150]) for _ in range(chance.randrange(1, 9))]
    )
    for word in ("tea", "coffee", "cake"):
        for limit in (1, 3, 10, 100):
            pages = await MemorySearch(stored).pages(word, limit)
            assert all(len(page) <= limit for page in pages)
            assert [each for page in pages for each in page] == stored.expected(word)
