"""Messages in MongoDB, as the gateway reads them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.core.positions import Tombstone
from parley.shared.documents import (
    ATTACHMENT_USES,
    MEMBERSHIPS,
    MESSAGES,
    Document,
    from_document,
)
from parley.shared.indexes import DELETED, TOMBSTONES
from parley.shared.model import Membership, Message

CONVERSATIONS_AT_ONCE = 100
FURTHEST = ("readSeq", "deliveredSeq")


class MongoMessages:
    """`Messages`."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        self._reads = reads
        self._tombstones = reads.batches(self._deleted_of_many)
        self._messages = database[MESSAGES]
        self._references = database[ATTACHMENT_USES]

    async def get(self, message_id: str) -> Message | None:
        found = await self._reads.by_id(MESSAGES, [message_id])
        return from_document(Message, found[0]) if found else None

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None, hidden: int = 0
    ) -> list[Message]:
        query: Document = {"conversationId": conversation_id}
        if before is not None:
            query["seq"] = {"$lt": before}
        if after is not None or hidden:
            query["seq"] = {**query.get("seq", {}), "$gt": max(after or 0, hidden)}
        direction = 1 if after is not None else -1
        found = await self._find(query, "seq", direction, limit)
        return found if direction == 1 else found[::-1]

    async def refer_to(self, conversation_id: str, attachment_id: str, above: int) -> bool:
        with translate_errors():
            found = self._references.find({"attachmentId": attachment_id}, {"_id": 1})
            references = await found.to_list(None)
            ids = [reference["_id"].removeprefix(f"{attachment_id}:") for reference in references]
            query = {"_id": {"$in": ids}, "conversationId": conversation_id, "seq": {"$gt": above}}
            return await self._messages.find_one(query, {"_id": 1}) is not None

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        query = {"conversationId": conversation_id, "rev": {"$gt": rev}}
        return await self._find(query, "rev", 1, limit)

    async def deleted(self, above: Mapping[str, int]) -> dict[str, list[Tombstone]]:
        if len(above) > CONVERSATIONS_AT_ONCE:
            return await self._deleted_above(above)
        return await self._tombstones.call(above)

    async def _deleted_of_many(self, wanted: Sequence[Mapping[str, int]]) -> list[dict[str, list[Tombstone]]]:
        lowest: dict[str, int] = {}
        for above in wanted:
            for conversation_id, seq in above.items():
                lowest[conversation_id] = min(seq, lowest.get(conversation_id, seq))
        found = await self._deleted_above(lowest)
        return [_above(above, found) for above in wanted]

    async def _deleted_above(self, above: Mapping[str, int]) -> dict[str, list[Tombstone]]:
        found: dict[str, list[Tombstone]] = {}
        ids = list(above)
        for start in range(0, len(ids), CONVERSATIONS_AT_ONCE):
            some = ids[start : start + CONVERSATIONS_AT_ONCE]
            for document in await self._read_deleted({each: above[each] for each in some}):
                tombstone = Tombstone(document["seq"], document["senderId"])
                found.setdefault(document["conversationId"], []).append(tombstone)
        return found

    async def _read_deleted(self, above: Mapping[str, int]) -> list[Document]:
        each = [{"conversationId": c, "seq": {"$gt": seq}, **DELETED} for c, seq in above.items()]
        fields = {"_id": 0, "conversationId": 1, "seq": 1, "senderId": 1}
        # Without the hint, the planner may choose an index by which it reads all unread messages.
        command = {"find": MESSAGES, "filter": {"$or": each}, "projection": fields, "hint": dict(TOMBSTONES)}
        (documents,) = await self._reads.find(command)
        return documents

    async def _find(self, query: Document, by: str, direction: int, limit: int) -> list[Message]:
        command = {"find": MESSAGES, "filter": query, "sort": {by: direction}, "limit": limit}
        (documents,) = await self._reads.find(command)
        return [from_document(Message, d) for d in documents]

    async def furthest_of(
        self, conversation_ids: Collection[str]
    ) -> dict[str, tuple[list[Membership], list[Membership]]]:
        ids = list(conversation_ids)
        found = await self._reads.find(*(_furthest(i, mark) for i in ids for mark in FURTHEST))
        furthest = [[from_document(Membership, d) for d in documents] for documents in found]
        return dict(zip(ids, zip(furthest[::2], furthest[1::2], strict=True), strict=True))


def _above(above: Mapping[str, int], found: Mapping[str, Sequence[Tombstone]]) -> dict[str, list[Tombstone]]:
    """Return, of the deleted messages that were found for many, those that one has asked for."""
    asked = {c: [each for each in found[c] if each.seq > seq] for c, seq in above.items() if c in found}
    return {conversation_id: tombstones for conversation_id, tombstones in asked.items() if tombstones}


def _furthest(conversation_id: str, mark: str) -> Document:
    """Return the command that finds the two members with the highest marks."""
    query = {"conversationId": conversation_id}
    return {"find": MEMBERSHIPS, "filter": query, "sort": {mark: -1}, "limit": 2}
