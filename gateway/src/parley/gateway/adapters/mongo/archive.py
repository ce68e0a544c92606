"""The archive in MongoDB; with `archive_members`, all that the gateway knows of its driver."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.pagination import Place, cut_out
from parley.gateway.core.ports import Cut, Slice
from parley.shared.documents import (
    CONVERSATIONS,
    MEMBERSHIPS,
    MESSAGES,
    Document,
    create_indexes,
    exactly,
    from_document,
    membership_id,
    to_document,
)
from parley.shared.model import Conversation, Membership, Message

log = structlog.get_logger()

DUPLICATE_KEY = 11000
PING_SECONDS = 1.0


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    """The database of `url`, which answers or fails within seconds."""
    client: Any = AsyncIOMotorClient(
        url,
        tz_aware=True,
        w="majority",
        journal=True,
        serverSelectionTimeoutMS=2_000,
        socketTimeoutMS=5_000,
        connectTimeoutMS=2_000,
    )
    try:
        yield client.get_default_database("parley")
    finally:
        client.close()


@contextmanager
def translated() -> Any:
    """Turn what the driver says of an outage into `Unavailable`."""
    try:
        yield
    except (DuplicateKeyError, BulkWriteError):
        raise
    except PyMongoError as error:
        log.warning("the archive failed", error=str(error)[:200])
        raise Unavailable("The archive is away; try again.") from error


async def prepare(database: Any) -> None:
    """Create the indexes. Raises `Unavailable`."""
    with translated():
        await create_indexes(database)


async def ping(database: Any) -> None:
    """Ask for a sign of life, for a second at most. Raises `Unavailable`."""
    try:
        with translated():
            await asyncio.wait_for(database.command("ping"), PING_SECONDS)
    except TimeoutError as error:
        raise Unavailable("The archive is asleep.") from error


class MongoConversations:
    """`Conversations`."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._memberships = database[MEMBERSHIPS]

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        with translated():
            try:
                await self._conversations.insert_one(to_document(conversation))
            except DuplicateKeyError:
                found = await self._conversations.find_one({"directKey": exactly(conversation.direct_key)})
                conversation = from_document(Conversation, found)
            await self._insert_missing(conversation.id, members)
        return conversation

    async def _insert_missing(self, conversation_id: str, members: Sequence[Membership]) -> None:
        # Also when the conversation was there: whoever began it may have died in between.
        documents = [to_document(m) for m in members]
        for document in documents:
            document["_id"] = membership_id(conversation_id, document["userId"])
            document["conversationId"] = conversation_id
        try:
            await self._memberships.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(e.get("code") != DUPLICATE_KEY for e in error.details.get("writeErrors", ())):
                raise Unavailable("The archive is away; try again.") from error

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        with translated():
            cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}})
            return {d["_id"]: from_document(Conversation, d) for d in await cursor.to_list(None)}

    async def liveliest(self, conversation_ids: Collection[str], cut: Cut, contract_id: str | None) -> Slice:
        # Compared here, for not every server of the protocol compares dates rightly.
        every = await self._places(conversation_ids, contract_id)
        shown, cursor = cut_out(every, cut)
        found = await self.get([conversation_id for _, conversation_id in shown])
        page = [found[conversation_id] for _, conversation_id in shown if conversation_id in found]
        return Slice(page, cursor, len(every))

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        with translated():
            documents = await self._conversations.find({"contractId": exactly(contract_id)}).to_list(None)
        return [from_document(Conversation, d) for d in documents]

    async def _places(self, conversation_ids: Collection[str], contract_id: str | None) -> list[Place]:
        query: Document = {"_id": {"$in": list(conversation_ids)}}
        if contract_id is not None:
            query["contractId"] = exactly(contract_id)
        with translated():
            cursor = self._conversations.find(query, {"createdAt": 1, "lastMessage.createdAt": 1})
            documents = await cursor.to_list(None)
        return sorted((_last_activity(d), d["_id"]) for d in documents)


class MongoMessages:
    """`Messages`."""

    def __init__(self, database: Any) -> None:
        self._messages = database[MESSAGES]
        self._memberships = database[MEMBERSHIPS]

    async def get(self, message_id: str) -> Message | None:
        with translated():
            document = await self._messages.find_one({"_id": message_id})
        return from_document(Message, document) if document else None

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> list[Message]:
        query: Document = {"conversationId": exactly(conversation_id)}
        if before is not None:
            query["seq"] = {"$lt": before}
        if after is not None:
            query["seq"] = {"$gt": after}
        direction = 1 if after is not None else -1
        found = await self._find(query, "seq", direction, limit)
        return found if direction == 1 else found[::-1]

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        query = {"conversationId": exactly(conversation_id), "rev": {"$gt": rev}}
        return await self._find(query, "rev", 1, limit)

    async def _find(self, query: Document, by: str, direction: int, limit: int) -> list[Message]:
        with translated():
            documents = await self._messages.find(query).sort(by, direction).limit(limit).to_list(None)
        return [from_document(Message, d) for d in documents]

    async def furthest(self, conversation_id: str) -> tuple[list[Membership], list[Membership]]:
        return await self._two(conversation_id, "readSeq"), await self._two(conversation_id, "deliveredSeq")

    async def _two(self, conversation_id: str, mark: str) -> list[Membership]:
        with translated():
            cursor = (
                self._memberships.find({"conversationId": exactly(conversation_id)}).sort(mark, -1).limit(2)
            )
            return [from_document(Membership, d) for d in await cursor.to_list(None)]


def _last_activity(document: Document) -> datetime:
    # Some servers of the protocol give a field within a field back under its whole path.
    at: datetime = document.get("lastMessage.createdAt") or document.get("lastMessage", document)["createdAt"]
    return at
