"""Conversations in MongoDB."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from parley.gateway.adapters.mongo.errors import UNAVAILABLE, translate_errors
from parley.gateway.adapters.mongo.inserts import insert_missing
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.pagination import Page, PageRequest, SortKey, page_of
from parley.shared.documents import (
    CONVERSATIONS,
    MEMBERSHIPS,
    Document,
    from_document,
    membership_id,
    to_document,
)
from parley.shared.model import Conversation, Membership


class MongoConversations:
    """`Conversations`."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._memberships = database[MEMBERSHIPS]

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        inserted = await insert_missing(self._conversations, [to_document(conversation)])
        if not inserted and conversation.direct_key is not None:
            conversation = await self._direct(conversation.direct_key)
        await self._insert_members(conversation.id, members)
        return conversation

    async def _direct(self, key: str) -> Conversation:
        with translate_errors():
            found = await self._conversations.find_one({"directKey": key})
        if found is None:
            raise Unavailable(UNAVAILABLE)
        return from_document(Conversation, found)

    async def _insert_members(self, conversation_id: str, members: Sequence[Membership]) -> None:
        # Also if the conversation exists: the gateway that created it may have crashed before this step.
        documents = [to_document(m) for m in members]
        for document in documents:
            document["_id"] = membership_id(conversation_id, document["userId"])
            document["conversationId"] = conversation_id
        await insert_missing(self._memberships, documents)

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        with translate_errors():
            cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}})
            return {d["_id"]: from_document(Conversation, d) for d in await cursor.to_list(None)}

    async def latest(self, conversation_id: str) -> Conversation | None:
        # Just after an election, a read at a majority can be older than what the lost primary has confirmed.
        # This changes nothing, and is confirmed only when that is over.
        with translate_errors():
            await self._conversations.update_one({"_id": conversation_id}, {"$max": {"lastSeq": 0}})
        return (await self.get([conversation_id])).get(conversation_id)

    async def most_recent(
        self, conversation_ids: Collection[str], request: PageRequest, contract_id: str | None
    ) -> Page[Conversation]:
        # Sorted here, because not every server of MongoDB's protocol compares dates correctly.
        keys = page_of(await self._sort_keys(conversation_ids, contract_id), request)
        found = await self.get([conversation_id for _, conversation_id in keys.items])
        return keys.with_items([found[i] for _, i in keys.items if i in found])

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        with translate_errors():
            documents = await self._conversations.find({"contractId": contract_id}).to_list(None)
        return [from_document(Conversation, d) for d in documents]

    async def _sort_keys(self, conversation_ids: Collection[str], contract_id: str | None) -> list[SortKey]:
        query: Document = {"_id": {"$in": list(conversation_ids)}}
        if contract_id is not None:
            query["contractId"] = contract_id
        with translate_errors():
            cursor = self._conversations.find(query, {"createdAt": 1, "lastMessage.createdAt": 1})
            documents = await cursor.to_list(None)
        return sorted((_last_activity(d), d["_id"]) for d in documents)


def _last_activity(document: Document) -> datetime:
    at: datetime = document.get("lastMessage", document)["createdAt"]
    return at
