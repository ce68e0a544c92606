"""The store in MongoDB.

All that a batch reads and writes takes one connection to the primary, and its commit confirms it. A head or a
counter that another primary stores must not refer to a message that it does not have: `commit_mongo` says why
none does.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from parley.persistence_worker.commit_mongo import (
    commit,
    newest,
    no_change,
    term_of,
    wait_for_majority,
    write,
)
from parley.persistence_worker.compare_and_set import ROW, compare_and_set
from parley.persistence_worker.ports import Head, HeadMove, MemberKey, Names, Snapshot, StoreUnavailable, Term
from parley.persistence_worker.primary_connection import PrimaryConnection
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

HEAD = {"lastSeq": 1, "rev": 1, "epochs": 1}
WRITTEN_AT_ONCE = 500
"""Messages of one command: of the largest ones, half of what MongoDB takes."""
AS_READ: Document = {"$eq": [["$readSeq", "$deliveredSeq", "$ownSeq", "$joinSeq"], f"{ROW}.was"]}
NOT_AHEAD: Document = {"$and": [{"$lte": [f"${name}", f"{ROW}.set.{name}"]} for name in ("lastSeq", "rev")]}

translate_errors = partial(mongo.translate_errors, StoreUnavailable)


class MongoMessages:
    """`Messages` in the collection `messages`."""

    def __init__(self, primary: PrimaryConnection) -> None:
        self._primary = primary
        self._changes = newest(primary.database, CHANGES)

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        with translate_errors():
            documents = await self._primary.find(MESSAGES, {"_id": {"$in": list(message_ids)}})
        return {d["_id"]: from_document(Message, d) for d in documents}

    async def insert(self, messages: Sequence[Message]) -> int:
        # Ordered, so that an interruption leaves a prefix stored, and no gap in the numbers.
        inserted = 0
        for at in range(0, len(messages), WRITTEN_AT_ONCE):
            documents = [to_document(m) for m in messages[at : at + WRITTEN_AT_ONCE]]
            written = await self._write({"insert": MESSAGES, "ordered": True}, "documents", documents)
            inserted += written
            if written < len(documents):
                break
        return inserted

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        updates = [_replacement(*change) for change in changes]
        return await self._write({"update": MESSAGES, "ordered": True}, "updates", updates)

    async def _write(self, command: Document, name: str, documents: Sequence[Document]) -> int:
        try:
            with translate_errors():
                await write(self._primary, command, name, documents)
        except BulkWriteError as error:
            return _written_before_duplicate(error)
        return len(documents)

    async def past_changes(self, record_ids: Sequence[str]) -> dict[str, int]:
        with translate_errors():
            documents = await self._primary.find(CHANGES, {"_id": {"$in": list(record_ids)}})
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
            counted = await self._primary.aggregate(MESSAGES, [{"$match": query}, {"$count": "n"}])
        return int(counted[0]["n"]) if counted else 0

    async def senders(self, conversation_id: str, above: int, upto: int) -> set[str]:
        query = {"conversationId": conversation_id, "seq": {"$gt": above, "$lte": upto}}
        with translate_errors():
            found = await self._primary.find(MESSAGES, query, projection={"senderId": 1})
        return {document["senderId"] for document in found}


class MongoHeads:
    """`Heads` in the collection `conversations`, measured in `messages`."""

    def __init__(self, primary: PrimaryConnection) -> None:
        self._primary = primary

    async def begin(self, names: Names) -> Snapshot:
        with translate_errors():
            await self._primary.begin()
            term = term_of(self._primary.database)
            documents = await self._primary.aggregate(CONVERSATIONS, _everything_of(names))
        return Snapshot(
            term,
            {d["_id"]: Head(d["lastSeq"], d["rev"], _epochs(d)) for d in documents if "lastSeq" in d},
            {d["_id"]: from_document(Message, d) for d in documents if "senderId" in d},
            _by_key(d for d in documents if "userId" in d),
        )

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        query = {"_id": {"$in": list(conversation_ids)}}
        with translate_errors():
            documents = await self._primary.find(CONVERSATIONS, query, projection=HEAD)
        return {d["_id"]: Head(d["lastSeq"], d["rev"], _epochs(d)) for d in documents}

    async def measure(self, conversation_id: str, known: Head) -> tuple[Head, Message | None]:
        of = {"conversationId": conversation_id}
        above = {**of, "rev": {"$gt": known.rev}}
        with translate_errors():
            # The messages that are ahead of the head may be those of an attempt that timed out. This changes
            # nothing, and waits until a majority has them; a read at a majority may be late without it.
            await wait_for_majority(self._primary, conversation_id)
            # Revisions are read first, so that a change stored in between is not counted as known.
            changes = await self._primary.find(
                MESSAGES, above, "majority", projection={"rev": 1, "epoch": 1}, sort={"rev": 1}
            )
            last = await self._primary.find(MESSAGES, of, "majority", sort={"seq": -1}, limit=1)
        if not last:
            return known, None
        head = Head(max(known.seq, last[0]["seq"]), known.rev, known.epochs)
        for change in changes:
            head = head.at(head.seq, change["rev"], change.get("epoch", 0))
        return head, from_document(Message, last[0])

    async def overtaken(self, conversation_id: str, known: Head) -> list[Message]:
        query = {"conversationId": conversation_id, "seq": {"$gt": known.seq}, "rev": {"$lte": known.rev}}
        with translate_errors():
            documents = await self._primary.find(MESSAGES, query, "majority", sort={"seq": 1})
        return [from_document(Message, d) for d in documents]

    async def note_epochs(self, conversation_id: str, known: Head, measured: Head) -> None:
        stored: Any = _stored_epochs(known) or {"$in": [None, []]}
        unchanged = {"_id": conversation_id, "epochs": stored}
        update = {"q": unchanged, "u": {"$set": {"epochs": _stored_epochs(measured)}}}
        with translate_errors():
            await write(self._primary, {"update": CONVERSATIONS}, "updates", [update])

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        moving = [move for move in moves if not move.is_still]
        update = _advance(moving) if moving else no_change(moves[0].conversation_id)
        with translate_errors():
            if await commit(self._primary, [update], term) < len(moving):
                # Another writer is ahead, and has set a later last message, or a later version of it.
                raises = [update for move in moving for update in _raise_numbers(move)]
                await commit(self._primary, raises, term)
                await self._check_raised(moving)

    async def _check_raised(self, moves: Sequence[HeadMove]) -> None:
        heads = await self.read([move.conversation_id for move in moves])
        if any(heads[m.conversation_id].seq < m.to.seq for m in moves if m.conversation_id in heads):
            raise StoreUnavailable("another worker has given later revisions")


class MongoMemberships:
    """`Memberships` in the collection of that name."""

    def __init__(self, primary: PrimaryConnection) -> None:
        self._primary = primary

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        query = {"_id": {"$in": [membership_id(*key) for key in keys]}}
        with translate_errors():
            return _by_key(await self._primary.find(MEMBERSHIPS, query))

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        update = compare_and_set([counters_row(*change) for change in changes], AS_READ)
        with translate_errors():
            changed = await write(self._primary, {"update": MEMBERSHIPS}, "updates", [update])
        if changed == len(changes):
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


def _everything_of(names: Names) -> list[Document]:
    """Return a pipeline on the conversations that reads three collections for the price of two reads."""
    pipeline: list[Document] = [_any_of(names.conversations), {"$project": HEAD}]
    members = [membership_id(*key) for key in names.members]
    for collection, ids in ((MEMBERSHIPS, members), (MESSAGES, names.messages)):
        if ids:
            pipeline.append({"$unionWith": {"coll": collection, "pipeline": [_any_of(ids)]}})
    return pipeline


def _any_of(ids: Sequence[str]) -> Document:
    return {"$match": {"_id": ids[0] if len(ids) == 1 else {"$in": list(ids)}}}


def _by_key(documents: Iterable[Document]) -> dict[MemberKey, Membership]:
    members = (from_document(Membership, d) for d in documents)
    return {(m.conversation_id, m.user_id): m for m in members}


def _written_before_duplicate(error: BulkWriteError) -> int:
    """Return how many of the ordered writes were made before one that met a duplicate key."""
    errors = error.details.get("writeErrors") or []
    if errors and errors[0].get("code") == DUPLICATE_KEY:
        return int(errors[0]["index"])
    raise error


def _replacement(message: Message, rev: int) -> Document:
    """Return the update of a message that still has revision `rev`; of another one it is an error.

    A bulk of updates goes on behind one that matches nothing, and would leave a revision free, which a
    worker that was overtaken could still assign below the head. With `upsert` it is an insert, which the
    unique index refuses: the bulk ends there. If there is no such message at all, because MongoDB was
    restored meanwhile, the conversation's first number is taken.
    """
    first = {"conversationId": message.conversation_id, "seq": 1}
    update = {**to_update(message, without=first), "$setOnInsert": first}
    return {"q": {"_id": message.id, "rev": rev}, "u": update, "upsert": True}


def _advance(moves: Sequence[HeadMove]) -> Document:
    rows = [{"_id": move.conversation_id, "set": stored_head(move)} for move in moves]
    return compare_and_set(rows, NOT_AHEAD)


def stored_head(move: HeadMove) -> Document:
    """Return the fields of a conversation that a move of its head sets."""
    stored: Document = {**_numbers(move), "epochs": _stored_epochs(move.to)}
    if move.last_message is not None:
        digest = to_document(move.last_message)
        stored["lastMessage"] = {"id": digest.pop("_id"), **digest}
    return stored


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


def counters_row(was: Membership, becomes: Membership) -> Document:
    """Return the row that compares a membership's marks and counters, and sets them."""
    return {
        "_id": membership_id(was.conversation_id, was.user_id),
        "was": [was.read_seq, was.delivered_seq, was.own_seq, was.join_seq],
        "set": _counters(becomes),
    }


def _counters(m: Membership) -> dict[str, int]:
    return {
        "readSeq": m.read_seq,
        "deliveredSeq": m.delivered_seq,
        "ownSeq": m.own_seq,
        "ownSinceRead": m.own_since_read,
    }


def _differing(wanted: Iterable[Membership], stored: dict[MemberKey, Membership]) -> Iterable[MemberKey]:
    for m in wanted:
        key = (m.conversation_id, m.user_id)
        if _counters(stored[key]) != _counters(m):
            yield key
