"""The store in MongoDB.

Messages are written, and heads measured, at a majority: a head or a counter that another primary stores must
not refer to a message that it does not have. All else that a batch reads and writes its commit confirms.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from parley.persistence_worker.commit_mongo import commit, newest, term_of, without_wait
from parley.persistence_worker.ports import Head, HeadMove, MemberKey, StoreUnavailable, Term
from parley.shared import mongo
from parley.shared.documents import (
    ATTEMPTS,
    CHANGES,
    CONVERSATIONS,
    MEMBERSHIPS,
    MESSAGES,
    Document,
    from_document,
    membership_id,
    to_document,
    to_update,
)
from parley.shared.model import Epoch, Membership, Message, now
from parley.shared.mongo import DUPLICATE_KEY

COUNTERS = ("readSeq", "deliveredSeq", "ownSeq", "ownSinceRead")
COMPARED = ("readSeq", "deliveredSeq", "ownSeq", "joinSeq")

translate_errors = partial(mongo.translate_errors, StoreUnavailable)


class MongoMessages:
    """`Messages` in the collection `messages`."""

    def __init__(self, database: Any) -> None:
        self._collection = newest(database, MESSAGES)
        self._changes = newest(database, CHANGES)

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        with translate_errors():
            documents = await self._collection.find({"_id": {"$in": list(message_ids)}}).to_list(None)
        return {d["_id"]: from_document(Message, d) for d in documents}

    async def insert(self, messages: Sequence[Message]) -> int:
        # Ordered, so that an interruption leaves a prefix stored, and no gap in the numbers.
        try:
            with translate_errors():
                await self._collection.insert_many([to_document(m) for m in messages], ordered=True)
        except BulkWriteError as error:
            return _written_before_duplicate(error)
        return len(messages)

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        try:
            with translate_errors():
                await self._collection.bulk_write([_replacement(*change) for change in changes], ordered=True)
        except BulkWriteError as error:
            return _written_before_duplicate(error)
        return len(changes)

    async def past_changes(self, record_ids: Sequence[str]) -> dict[str, int]:
        with translate_errors():
            documents = await self._changes.find({"_id": {"$in": list(record_ids)}}).to_list(None)
        return {d["_id"]: d["place"] for d in documents}

    async def note_changes(self, places: Mapping[str, int]) -> None:
        # At a majority, because the message, which a new primary may hold alone, refers to them by its place.
        at = now()
        notes = [
            UpdateOne({"_id": record_id}, {"$setOnInsert": {"place": place, "at": at}}, upsert=True)
            for record_id, place in places.items()
        ]
        with translate_errors():
            await self._changes.bulk_write(notes, ordered=False)

    async def count_own(self, key: MemberKey, above: int, upto: int) -> int:
        query = {"conversationId": key[0], "senderId": key[1], "seq": {"$gt": above, "$lte": upto}}
        with translate_errors():
            return int(await self._collection.count_documents(query))

    async def senders(self, conversation_id: str, above: int, upto: int) -> set[str]:
        query = {"conversationId": conversation_id, "seq": {"$gt": above, "$lte": upto}}
        with translate_errors():
            return {d["senderId"] for d in await self._collection.find(query, {"senderId": 1}).to_list(None)}


class MongoHeads:
    """`Heads` in the collection `conversations`, measured in `messages`."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._conversations = newest(database, CONVERSATIONS)
        self._messages = database[MESSAGES]

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        cursor = self._conversations.find(
            {"_id": {"$in": list(conversation_ids)}}, {"lastSeq": 1, "rev": 1, "epochs": 1}
        )
        with translate_errors():
            documents = await cursor.to_list(None)
        return {d["_id"]: Head(d["lastSeq"], d["rev"], _epochs(d)) for d in documents}

    async def measure(self, conversation_id: str, known: Head) -> tuple[Head, Message | None]:
        of = {"conversationId": conversation_id}
        above = {**of, "rev": {"$gt": known.rev}}
        with translate_errors():
            # The messages that are ahead of the head may be those of an attempt that timed out. This changes
            # nothing, and waits until a majority has them; a read at a majority may be late without it.
            await self._conversations.update_one({"_id": conversation_id}, {"$max": {"lastSeq": 0}})
            # Revisions are read first, so that a change stored in between is not counted as known.
            cursor = self._messages.find(above, {"rev": 1, "epoch": 1}).sort("rev", 1)
            changes = await cursor.to_list(None)
            last = await self._messages.find_one(of, sort=[("seq", -1)])
        if last is None:
            return known, None
        head = Head(max(known.seq, last["seq"]), known.rev, known.epochs)
        for change in changes:
            head = head.at(head.seq, change["rev"], change.get("epoch", 0))
        return head, from_document(Message, last)

    async def overtaken(self, conversation_id: str, known: Head) -> list[Message]:
        query = {"conversationId": conversation_id, "seq": {"$gt": known.seq}, "rev": {"$lte": known.rev}}
        with translate_errors():
            documents = await self._messages.find(query).sort("seq", 1).to_list(None)
        return [from_document(Message, d) for d in documents]

    async def note_epochs(self, conversation_id: str, known: Head, measured: Head) -> None:
        stored: Any = _stored_epochs(known) or {"$in": [None, []]}
        unchanged = {"_id": conversation_id, "epochs": stored}
        with translate_errors():
            await self._conversations.update_one(unchanged, {"$set": {"epochs": _stored_epochs(measured)}})

    async def term(self) -> Term:
        return term_of(self._database)

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        with translate_errors():
            matched = await commit(self._database, [_move(move) for move in moves], term)
            if matched < len(moves):
                # Another writer is ahead, and has set a later last message, or a later version of it.
                raises = [update for move in moves for update in _raise_numbers(move)]
                await commit(self._database, raises, term)
                await self._check_raised(moves)

    async def _check_raised(self, moves: Sequence[HeadMove]) -> None:
        heads = await self.read([move.conversation_id for move in moves])
        if any(heads[m.conversation_id].seq < m.to.seq for m in moves if m.conversation_id in heads):
            raise StoreUnavailable("another worker has given later revisions")


class MongoMemberships:
    """`Memberships` in the collection of that name."""

    def __init__(self, database: Any) -> None:
        self._collection = newest(database, MEMBERSHIPS)

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        ids = [membership_id(*key) for key in keys]
        with translate_errors():
            documents = await self._collection.find({"_id": {"$in": ids}}).to_list(None)
        members = (from_document(Membership, d) for d in documents)
        return {(m.conversation_id, m.user_id): m for m in members}

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        with translate_errors():
            saving = without_wait(self._collection)
            result = await saving.bulk_write([_save(*change) for change in changes], ordered=False)
        if result.matched_count == len(changes):
            return []
        stored = await self.read([(was.conversation_id, was.user_id) for was, _ in changes])
        return list(_differing((becomes for _, becomes in changes), stored))


class MongoAttempts:
    """`Attempts` in the collection `attempts`, which is empty unless a worker died in an attempt."""

    def __init__(self, database: Any) -> None:
        self._collection = database[ATTEMPTS]

    async def begin(self, record_id: str) -> int:
        with translate_errors():
            mark = await self._collection.find_one_and_update(
                {"_id": record_id}, {"$inc": {"begun": 1}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        return int(mark["begun"])

    async def end(self, record_id: str) -> None:
        with translate_errors():
            await self._collection.delete_one({"_id": record_id})


def _written_before_duplicate(error: BulkWriteError) -> int:
    """Return how many of the ordered writes were made before one that met a duplicate key."""
    errors = error.details.get("writeErrors") or []
    if errors and errors[0].get("code") == DUPLICATE_KEY:
        return int(errors[0]["index"])
    raise error


def _replacement(message: Message, rev: int) -> UpdateOne:
    """Return the update of a message that still has revision `rev`; of another one it is an error.

    A bulk of updates goes on behind one that matches nothing, and would leave a revision free, which a
    worker that was overtaken could still assign below the head. With `upsert` it is an insert, which the
    unique index refuses: the bulk ends there. If there is no such message at all, because MongoDB was
    restored meanwhile, the conversation's first number is taken.
    """
    first = {"conversationId": message.conversation_id, "seq": 1}
    update = {**to_update(message, without=first), "$setOnInsert": first}
    return UpdateOne({"_id": message.id, "rev": rev}, update, upsert=True)


def _move(move: HeadMove) -> Document:
    values: Document = {"$max": _numbers(move), "$set": {"epochs": _stored_epochs(move.to)}}
    if move.last_message is not None:
        digest = to_document(move.last_message)
        values["$set"]["lastMessage"] = {"id": digest.pop("_id"), **digest}
    reached = {name: {"$lte": number} for name, number in _numbers(move).items()}
    return {"q": {"_id": move.conversation_id, **reached}, "u": values}


def _raise_numbers(move: HeadMove) -> list[Document]:
    # The epochs are those up to the higher revision, so they are set only where it is about to be raised. A
    # number is not raised above a revision that is behind: its message would stay hidden below the head.
    in_order = [{"lastSeq": {"$gte": move.to.seq}}, {"rev": {"$lte": move.to.rev}}]
    behind = {"_id": move.conversation_id, "rev": {"$lt": move.to.rev}}
    return [
        {"q": behind, "u": {"$set": {"epochs": _stored_epochs(move.to)}}},
        {"q": {"_id": move.conversation_id, "$or": in_order}, "u": {"$max": _numbers(move)}},
    ]


def _epochs(document: Document) -> tuple[Epoch, ...]:
    return tuple(Epoch(each["id"], each["since"]) for each in document.get("epochs", ()))


def _stored_epochs(head: Head) -> list[Document]:
    return [{"id": each.id, "since": each.since} for each in head.epochs]


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
