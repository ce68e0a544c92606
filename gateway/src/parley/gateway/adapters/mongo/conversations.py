"""Conversations in MongoDB."""

from collections.abc import Collection, Sequence
from typing import Any

from parley.gateway.adapters.mongo.conversion import all_values
from parley.gateway.adapters.mongo.errors import UNAVAILABLE, translate_errors
from parley.gateway.adapters.mongo.inserts import insert_missing
from parley.gateway.adapters.mongo.parallel_reads import parts
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.pagination import Page, PageRequest, page_of
from parley.shared.documents import (
    CONVERSATIONS,
    MEMBERSHIPS,
    Document,
    from_document,
    membership_id,
    to_document,
)
from parley.shared.model import Conversation, Membership

SHARED_CONVERSATIONS = 100
"""Conversations of a read by the shared connection: others would wait for the page of thousands."""
LAST_ACTIVITY: Document = {"$ifNull": ["$lastMessage.createdAt", "$createdAt"]}
"""The expression for `Conversation.last_activity_at`."""


class MongoConversations:
    """`Conversations`."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        self._reads = reads
        self._conversations = database[CONVERSATIONS]
        self._memberships = database[MEMBERSHIPS]

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        stored = conversation
        if not await insert_missing(self._conversations, [to_document(conversation)]):
            stored = await self._existing(conversation)
        if stored.created_from == conversation.created_from:
            # Also if it existed: the gateway that created it may have crashed before this step.
            await self._insert_members(stored, members)
        return stored

    async def _existing(self, wanted: Conversation) -> Conversation:
        query = {"directKey": wanted.direct_key} if wanted.direct_key else {"_id": wanted.id}
        with translate_errors():
            found = await self._conversations.find_one(query)
        if found is None:
            raise Unavailable(UNAVAILABLE)
        return from_document(Conversation, found)

    async def _insert_members(self, conversation: Conversation, members: Sequence[Membership]) -> None:
        documents = [to_document(m) for m in members]
        for document in documents:
            document["_id"] = membership_id(conversation.id, document["userId"])
            document["conversationId"] = conversation.id
            # Of two concurrent attempts each may insert some: all have joined at the creation.
            document["joinedAt"] = conversation.created_at
        await insert_missing(self._memberships, documents)

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        if len(conversation_ids) > SHARED_CONVERSATIONS:
            query = {"_id": {"$in": list(conversation_ids)}}
            found = await all_values(Conversation, self._conversations.find(query))
        else:
            documents = await self._reads.by_id(CONVERSATIONS, conversation_ids)
            found = [from_document(Conversation, document) for document in documents]
        return {each.id: each for each in found}

    async def revisions(self, conversation_ids: Collection[str]) -> dict[str, int]:
        query = {"_id": {"$in": list(conversation_ids)}}
        with translate_errors():
            documents = await self._conversations.find(query, {"rev": 1}).to_list(None)
        return {d["_id"]: d["rev"] for d in documents}

    async def latest(self, conversation_id: str) -> Conversation | None:
        # Just after an election, a read at a majority can be older than what the lost primary has confirmed.
        # This changes nothing, and is confirmed only when that is over.
        with translate_errors():
            await self._conversations.update_one({"_id": conversation_id}, {"$max": {"lastSeq": 0}})
        return (await self.get([conversation_id])).get(conversation_id)

    async def most_recent(
        self, conversation_ids: Collection[str], request: PageRequest, contract_id: str | None
    ) -> Page[Conversation]:
        ids = list(conversation_ids)
        if contract_id is not None:
            return await self._most_recent_of_contract(ids, request, contract_id)
        pipelines = [[_among(part), *_page_stages(request)] for part in _parts(ids, request)]
        commands = [_aggregate(pipeline) for pipeline in pipelines]
        find = self._reads.find_large if len(ids) > SHARED_CONVERSATIONS else self._reads.find
        documents = [document for part in await find(*commands) for document in part]
        documents.sort(key=lambda each: (each["at"], each["_id"]), reverse=not request.ascending)
        found = [from_document(Conversation, document) for document in documents[: request.limit + 1]]
        # All of them exist: a conversation is stored before its members, and never deleted.
        return page_of(found, request, len(ids))

    async def _most_recent_of_contract(
        self, ids: Sequence[str], request: PageRequest, contract_id: str
    ) -> Page[Conversation]:
        selected = {"$match": {"_id": {"$in": ids}, "contractId": contract_id}}
        facets = {"page": _page_stages(request), "total": [{"$count": "count"}]}
        ((answer,),) = await self._reads.find(_aggregate([selected, {"$facet": facets}]))
        found = [from_document(Conversation, document) for document in answer["page"]]
        return page_of(found, request, sum(total["count"] for total in answer["total"]))

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        with translate_errors():
            documents = await self._conversations.find({"contractId": contract_id}).to_list(None)
        return [from_document(Conversation, d) for d in documents]


def _aggregate(pipeline: Sequence[Document]) -> Document:
    return {"aggregate": CONVERSATIONS, "pipeline": pipeline}


def _among(conversation_ids: Sequence[str]) -> Document:
    return {"$match": {"_id": {"$in": conversation_ids}}}


def _parts(ids: Sequence[str], request: PageRequest) -> Sequence[Sequence[str]]:
    """Return many conversations in parts: the page is merged from the first ones of each."""
    # Without all of them it is not known how many of a part are skipped.
    return parts(ids) if len(ids) > SHARED_CONVERSATIONS and not request.skipped else [ids]


def _page_stages(request: PageRequest) -> list[Document]:
    """Return the stages that select a page, and one entry more, by the field `at` that they add.

    They read a conversation once: its place in the page agrees with its content.
    """
    start, skipped = request.start(), request.skipped
    order, beyond = (1, "$gt") if request.ascending else (-1, "$lt")
    stages: list[Document] = [{"$sort": {"at": order, "_id": order}}, {"$skip": skipped}]
    stages = [*stages, {"$limit": request.limit + 1}]
    if start is not None:
        at, conversation_id = start
        later = [{"at": {beyond: at}}, {"at": at, "_id": {beyond: conversation_id}}]
        stages = [{"$match": {"$or": later}}, *stages]
    return [{"$set": {"at": LAST_ACTIVITY}}, *stages]
