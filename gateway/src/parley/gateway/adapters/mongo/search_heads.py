"""The heads of the conversations that are searched, with the marks up to which these are indexed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.search_blocks import AT_ONCE, MAX_SKEW
from parley.gateway.adapters.mongo.search_scan import MAX_STORE_DELAY
from parley.shared.documents import CONVERSATIONS, MESSAGES, Document
from parley.shared.indexes import BY_REVISION
from parley.shared.search_index import INDEXED, Mark, behind, mark_of

EDITED_AT_ONCE = 100
"""Conversations of one query for edited messages."""
MAX_EDITED = 1_000
"""Edited messages of one such query, at most; of more, the conversations are read as if they had no index."""
UNKNOWN = datetime(9000, 1, 1, tzinfo=UTC)
"""The time of a conversation that may have later messages than any other."""
EVERY: Document = {}
FIELDS: Document = {
    **dict.fromkeys(("lastSeq", "rev", INDEXED), 1),
    **{f"lastMessage.{name}": 1 for name in ("seq", "createdAt", "storedAt")},
    "epochs": {"$slice": -1},
}


class SearchedHead(NamedTuple):
    """A conversation's head.

    Attributes:
        last_seq: The number of its last message.
        rev: Its last revision.
        latest_at: No message was stored later.
        mark: How far it is indexed; None if it is not.
    """

    conversation_id: str
    last_seq: int
    rev: int
    latest_at: datetime
    mark: Mark | None

    @property
    def is_behind(self) -> bool:
        """Whether changes of it are not indexed."""
        return self.mark is None or self.rev > self.mark.rev

    @property
    def has_edits(self) -> bool:
        """Whether indexed messages were changed: each new message takes one revision too."""
        return self.mark is not None and self.rev - self.mark.rev > self.last_seq - self.mark.seq


class SearchHeads:
    """Reads heads."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]

    async def all(self, conversation_ids: Collection[str], build: int | None) -> list[SearchedHead]:
        """Return the heads of conversations that have messages."""
        return await self._heads(self._find(conversation_ids, EVERY), build)

    async def behind(self, conversation_ids: Collection[str], build: int) -> list[SearchedHead]:
        """Return the heads of the conversations that are not indexed up to their heads."""
        return await self._heads(self._find(conversation_ids, behind(build)), build)

    async def newest(self, conversation_ids: Collection[str], build: int, most: int) -> list[SearchedHead]:
        """Return the heads of the conversations that have the latest indexed messages, the newest first."""
        newest_first = self._find(conversation_ids, EVERY).sort(f"{INDEXED}.at", -1).limit(most)
        heads = await self._heads(newest_first, build)
        return [head for head in heads if head.mark is not None and head.mark.at is not None]

    def _find(self, conversation_ids: Collection[str], condition: Document) -> Any:
        query = {"_id": {"$in": list(conversation_ids)}, "lastSeq": {"$gt": 0}, **condition}
        return self._conversations.find(query, FIELDS)

    async def _heads(self, cursor: Any, build: int | None) -> list[SearchedHead]:
        with translate_errors():
            found = await cursor.batch_size(AT_ONCE).to_list(None)
        return [head_of(document, build) for document in found]

    async def edited(self, heads: Iterable[SearchedHead]) -> Mapping[str, list[int] | None]:
        """Return the numbers of the messages that changed since they were indexed, by conversation.

        In place of too many of them stands None.
        """
        changed = iter([head for head in heads if head.has_edits])
        edited: dict[str, list[int] | None] = {}
        while some := list(islice(changed, EDITED_AT_ONCE)):
            found = await self._changed(some)
            numbers: dict[str, list[int]] = defaultdict(list)
            for document in found:
                numbers[document["conversationId"]].append(document["seq"])
            are_too_many = len(found) > MAX_EDITED
            edited |= {h.conversation_id: None if are_too_many else numbers[h.conversation_id] for h in some}
        return edited

    async def _changed(self, heads: Iterable[SearchedHead]) -> list[Document]:
        each = [
            {"conversationId": h.conversation_id, "rev": {"$gt": h.mark.rev}, "seq": {"$lte": h.mark.seq}}
            for h in heads
            if h.mark is not None
        ]
        fields = {"_id": 0, "conversationId": 1, "seq": 1}
        with translate_errors():
            cursor = self._messages.find({"$or": each}, fields).hint(BY_REVISION)
            found: list[Document] = await cursor.limit(MAX_EDITED + 1).to_list(None)
        return found


def head_of(document: Document, build: int | None) -> SearchedHead:
    """Return the head in a conversation's document, with the mark of a build of the index."""
    mark = mark_of(document, build)
    return SearchedHead(
        document["_id"],
        document["lastSeq"],
        document["rev"],
        _latest_at(document, mark),
        mark,
    )


def _latest_at(document: Document, mark: Mark | None) -> datetime:
    """Return a time after which no message of a conversation was stored, as near as it is known."""
    indexed_at = mark.at if mark is not None else None
    if mark is not None and indexed_at is not None and mark.rev >= document["rev"]:
        return indexed_at
    latest_at = _last_stored_at(document, mark.rev if mark is not None else 0)
    return max(latest_at, indexed_at) if indexed_at is not None else latest_at


def _last_stored_at(document: Document, indexed: int) -> datetime:
    """Return a time by which all messages above a revision were stored."""
    last = document.get("lastMessage") or {}
    at: datetime | None = last.get("storedAt")
    if last.get("seq") != document["lastSeq"]:
        # A worker that was overtaken has raised the number alone: the message tells nothing of that one.
        return UNKNOWN
    if at is None:
        # A worker of version 0.9.0 or before has stored the head.
        created_at: datetime = last["createdAt"]
        return created_at + MAX_STORE_DELAY
    # The messages before the last one may have later times only if another worker has stored them.
    is_of_one_worker = any(epoch["since"] <= indexed + 1 for epoch in document.get("epochs", ()))
    return at if is_of_one_worker else at + MAX_SKEW
