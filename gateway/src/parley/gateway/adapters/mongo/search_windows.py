"""Windows of conversations' messages, of which those that match are read by few queries."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_blocks import AT_ONCE, MAX_QUERY_MS, parts_of
from parley.gateway.adapters.mongo.search_pattern import Needle
from parley.gateway.adapters.mongo.search_scan import ConversationScan, Position, Span, position_of
from parley.shared.documents import MESSAGES, Document

MANY = 20
"""Windows of one query from which on the next may have a query of its own."""
CHECKED_AT_ONCE = 8
"""Messages that are checked before other work of the event loop is done: up to 0.4 ms each."""
BY_NUMBER = [("conversationId", 1), ("seq", 1)]

Windows = Mapping[ConversationScan, Span]
Found = dict[ConversationScan, list[Document]]


class MessageWindows:
    """Reads windows."""

    def __init__(self, database: Any) -> None:
        self._messages = database[MESSAGES]

    async def read(self, windows: Windows, wanted: Needle) -> Found:
        """Return what matches the pattern in each window, and its lowest message if needed; newest first."""
        answers = await asyncio.gather(*map(self._find, _queries(windows, wanted)))
        documents = sorted(chain(*answers), key=lambda document: -document["seq"])
        return distribute(windows, documents)

    async def position_at(self, scan: ConversationScan, seq: int) -> Position | None:
        """Return the position of a conversation's message with this number, or else of the one below."""
        query = {"conversationId": scan.conversation_id, "seq": {"$lte": seq}}
        fields = {"conversationId": 1, "seq": 1, "storedAt": 1, "createdAt": 1}
        with translate_errors():
            d = await self._messages.find_one(query, fields, sort=[("seq", -1)])
        return position_of(d) if d else None

    async def _find(self, query: Document) -> list[Document]:
        with translate_errors():
            cursor = self._messages.find(query).hint(BY_NUMBER)
            found: list[Document] = await cursor.batch_size(AT_ONCE).max_time_ms(MAX_QUERY_MS).to_list(None)
        return found


def _queries(windows: Windows, wanted: Needle) -> Iterator[Document]:
    pattern: Document = {"$regex": wanted.pattern}
    matches: Document = {"$or": [{"content": pattern}, {"attachments.name": pattern}]}
    plain: list[Document] = []
    with_lowest: list[Document] = []
    for scan, window in windows.items():
        numbers = {"$gte": window.low, "$lte": window.high}
        each = {"conversationId": scan.conversation_id, "seq": numbers}
        if scan.needs_lowest(window):
            with_lowest.append({**each, "$or": [matches, {"seq": window.low}]})
        else:
            plain.append(each)
    # The server compiles a pattern for each time that it stands in a query, which takes as long as to read
    # several messages. So it stands there once, unless each window has another condition beside it.
    yield from ({"$and": [{"$or": part}, matches]} for part in parts_of(plain, MANY))
    yield from ({"$or": part} for part in parts_of(with_lowest, MANY))


def distribute(windows: Windows, documents: Iterable[Document]) -> Found:
    """Return the documents of each window, of which a conversation may have several."""
    found: Found = {scan: [] for scan in windows}
    by_conversation: dict[str, list[ConversationScan]] = defaultdict(list)
    for scan in windows:
        by_conversation[scan.conversation_id].append(scan)
    for document in documents:
        for scan in by_conversation[document["conversationId"]]:
            window = windows[scan]
            if window.low <= document["seq"] <= window.high:
                found[scan].append(document)
    return found


async def matching(found: Iterable[Document], window: Span, wanted: Needle) -> AsyncIterator[Document]:
    """Yield the documents that contain all words and were not deleted."""
    for number, document in enumerate(found, 1):
        text = _text(document)
        # The lowest one was read whether it matches the pattern or not.
        matches = wanted.matches if document["seq"] == window.low else wanted.is_in
        if "deletedAt" not in document and matches(text):
            yield document
        if number % CHECKED_AT_ONCE == 0 and not wanted.exact:
            await asyncio.sleep(0)


def _text(document: Document) -> str:
    """Return what a message is found by, as `text_of` does."""
    return "\n".join((document["content"], *(each["name"] for each in document.get("attachments", ()))))
