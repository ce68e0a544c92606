"""The store in MongoDB; only this module and `uses_mongo` know its driver."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, PyMongoError

from parley.persistence_worker.ports import Head, HeadMove, MemberKey, StoreUnavailable
from parley.shared.documents import (
    ATTEMPTS,
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
from parley.shared.model import Membership, Message

DUPLICATE_KEY = 11000
PING_SECONDS = 1.0
BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE = 2, 14, 121, 10334
OWN_FAULTS = {DUPLICATE_KEY, BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE}
"""Server errors (by code) that would come again however often the same is written."""
COUNTERS = ("readSeq", "deliveredSeq", "ownSeq", "ownSinceRead")
COMPARED = ("readSeq", "deliveredSeq", "ownSeq", "joinSeq")


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    """The database of `url`, which answers or fails within seconds; writes survive the loss of a server."""
    client: Any = AsyncIOMotorClient(
        url,
        tz_aware=True,
        w="majority",
        journal=True,
        serverSelectionTimeoutMS=2_000,
        socketTimeoutMS=5_000,
        connectTimeoutMS=2_000,
        # Whoever asks tries again, unless told to stop meanwhile.
        retryReads=False,
        retryWrites=False,
    )
    try:
        yield client.get_default_database("parley")
    finally:
        client.close()


async def prepare(database: Any) -> None:
    """Create the indexes that the algorithm rests on.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    with translated():
        await create_indexes(database)


async def ping(database: Any) -> None:
    """Ask for a sign of life, for a second at most.

    Raises:
        StoreUnavailable: there was none.
    """
    try:
        with translated():
            await asyncio.wait_for(database.command("ping"), PING_SECONDS)
    except TimeoutError as error:
        raise StoreUnavailable("it is asleep") from error


@contextmanager
def translated() -> Any:
    """Turn whatever is not the fault of what we write into `StoreUnavailable`: a full disk, say."""
    try:
        yield
    except (DocumentTooLarge, InvalidDocument):
        raise
    except PyMongoError as error:
        if _codes(error) & OWN_FAULTS:
            raise
        raise StoreUnavailable(str(error)) from error


def _codes(error: PyMongoError) -> set[Any]:
    if isinstance(error, BulkWriteError):
        return {e.get("code") for e in error.details.get("writeErrors") or ()}
    return {getattr(error, "code", None)}


class MongoMessages:
    """`Messages` in the collection `messages`."""

    def __init__(self, database: Any) -> None:
        self._collection = database[MESSAGES]

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        with translated():
            documents = await self._collection.find({"_id": {"$in": list(message_ids)}}).to_list(None)
        return {d["_id"]: from_document(Message, d) for d in documents}

    async def insert(self, messages: Sequence[Message]) -> int:
        # Ordered, so that what is stored is always a prefix: an interruption leaves no hole.
        try:
            with translated():
                await self._collection.insert_many([to_document(m) for m in messages], ordered=True)
        except BulkWriteError as error:
            errors = error.details.get("writeErrors") or []
            if errors and errors[0].get("code") == DUPLICATE_KEY:
                return int(errors[0]["index"])
            raise
        return len(messages)

    async def replace(self, message: Message, rev: int) -> bool:
        try:
            with translated():
                result = await self._collection.replace_one(
                    {"_id": message.id, "rev": rev}, to_document(message)
                )
        except DuplicateKeyError:
            return False
        return bool(result.matched_count)

    async def count_own(self, key: MemberKey, above: int, upto: int) -> int:
        # Not count_documents: that is an aggregation, and slow on some servers of the protocol.
        query = {
            "conversationId": exactly(key[0]),
            "senderId": exactly(key[1]),
            "seq": {"$gt": above, "$lte": upto},
        }
        with translated():
            return len(await self._collection.find(query, {"seq": 1}).to_list(None))


class MongoHeads:
    """`Heads` in the collection `conversations`, measured by the messages."""

    def __init__(self, database: Any) -> None:
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        cursor = self._conversations.find({"_id": {"$in": list(conversation_ids)}}, {"lastSeq": 1, "rev": 1})
        with translated():
            documents = await cursor.to_list(None)
        return {d["_id"]: Head(d["lastSeq"], d["rev"]) for d in documents}

    async def measure(self, conversation_id: str) -> tuple[Head, Message | None]:
        of = {"conversationId": exactly(conversation_id)}
        with translated():
            # In this order: a revision that comes in between must not seem to be known.
            newest = await self._messages.find_one(of, {"rev": 1}, sort=[("rev", -1)])
            last = await self._messages.find_one(of, sort=[("seq", -1)])
        if last is None or newest is None:
            return Head(0, 0), None
        return Head(last["seq"], newest["rev"]), from_document(Message, last)

    async def move(self, moves: Sequence[HeadMove]) -> None:
        with translated():
            result = await self._conversations.bulk_write([_move(move) for move in moves], ordered=False)
            if result.matched_count < len(moves):
                # Somebody is further, and has shown a later message, or what became of the same.
                await self._conversations.bulk_write([_reach(move) for move in moves], ordered=False)


class MongoMemberships:
    """`Memberships` in the collection of that name."""

    def __init__(self, database: Any) -> None:
        self._collection = database[MEMBERSHIPS]

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        ids = [membership_id(*key) for key in keys]
        with translated():
            documents = await self._collection.find({"_id": {"$in": ids}}).to_list(None)
        members = (from_document(Membership, d) for d in documents)
        return {(m.conversation_id, m.user_id): m for m in members}

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        with translated():
            result = await self._collection.bulk_write([_save(*change) for change in changes], ordered=False)
        if result.matched_count == len(changes):
            return []
        stored = await self.read([(was.conversation_id, was.user_id) for was, _ in changes])
        return list(_differing((becomes for _, becomes in changes), stored))


class MongoAttempts:
    """`Attempts` in the collection `attempts`, which is empty unless a worker died in one."""

    def __init__(self, database: Any) -> None:
        self._collection = database[ATTEMPTS]

    async def begin(self, record_id: str) -> int:
        with translated():
            mark = await self._collection.find_one_and_update(
                {"_id": record_id}, {"$inc": {"begun": 1}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        return int(mark["begun"])

    async def end(self, record_id: str) -> None:
        with translated():
            await self._collection.delete_one({"_id": record_id})


def _move(move: HeadMove) -> UpdateOne:
    values: Document = {"$max": _numbers(move)}
    if move.last_message is not None:
        digest = to_document(move.last_message)
        values["$set"] = {"lastMessage": {"id": digest.pop("_id"), **digest}}
    reached = {name: {"$lte": number} for name, number in _numbers(move).items()}
    return UpdateOne({"_id": move.conversation_id, **reached}, values)


def _reach(move: HeadMove) -> UpdateOne:
    return UpdateOne({"_id": move.conversation_id}, {"$max": _numbers(move)})


def _numbers(move: HeadMove) -> dict[str, int]:
    return {"lastSeq": move.to.seq, "rev": move.to.rev}


def _save(was: Membership, becomes: Membership) -> UpdateOne:
    before, after = to_document(was), to_document(becomes)
    compared = {name: before[name] for name in COMPARED}
    return UpdateOne({"_id": before["_id"], **compared}, {"$set": {name: after[name] for name in COUNTERS}})


def _differing(wanted: Iterable[Membership], stored: dict[MemberKey, Membership]) -> Iterable[MemberKey]:
    for m in wanted:
        key = (m.conversation_id, m.user_id)
        there = to_document(stored[key])
        if any(there[name] != to_document(m)[name] for name in COUNTERS):
            yield key
