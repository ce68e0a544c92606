"""All that connecting users need of MongoDB, in two calls for all who connect at a time.

A call costs more than what it brings.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from parley.gateway.adapters.call_batches import CallBatches, Spawn
from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.memberships import AT_ONCE, PRESENT, member_pairs
from parley.gateway.adapters.mongo.people import saved_profile
from parley.gateway.core.ports import SavedProfile, UserConversations
from parley.gateway.core.positions import Position
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, USERS, Document
from parley.shared.model import Membership

SHARED_CONVERSATIONS = 100
"""Conversations of a user whose read is shared: others would wait for a user of thousands."""
SHARED_PAIRS = 2_000
"""Pairs of conversation and member of a shared read; of more, each user's are read alone."""
HEAD: Document = {"lastSeq": 1, "rev": 1, "epochs": 1}
COUNTERS = ("joinSeq", "readSeq", "ownSeq", "ownSinceRead", "hiddenSeq")
MARKS: Document = dict.fromkeys(("conversationId", "userId", "role", "joinedAt", *COUNTERS), 1)

Beginning = tuple[set[str], SavedProfile | None]


class _Wanted(NamedTuple):
    """The arguments of `ConnectReads.load` for one user."""

    user_id: str
    conversation_ids: Collection[str]
    members_of: Collection[str]
    limit: int


class MongoConnectReads:
    """`ConnectReads`.

    Args:
        database: The database.
        spawn: Runs a coroutine in the background.
    """

    def __init__(self, database: Any, spawn: Spawn) -> None:
        self._memberships = database[MEMBERSHIPS]
        self._conversations = database[CONVERSATIONS]
        self._beginnings = CallBatches(self._begin, spawn)
        self._loads = CallBatches(self._load, spawn)

    async def begin(self, user_id: str) -> Beginning:
        return await self._beginnings.call(user_id)

    async def load(
        self, user_id: str, conversation_ids: Collection[str], members_of: Collection[str], limit: int
    ) -> UserConversations:
        wanted = _Wanted(user_id, conversation_ids, members_of, limit)
        if len(conversation_ids) > SHARED_CONVERSATIONS:
            return (await self._load([wanted]))[0]
        return await self._loads.call(wanted)

    async def _begin(self, user_ids: Sequence[str]) -> Sequence[Beginning]:
        stages: list[Document] = [
            {"$match": {"userId": _any_of(user_ids), **PRESENT}},
            {"$project": {"_id": 0, "userId": 1, "conversationId": 1}},
            {"$unionWith": {"coll": USERS, "pipeline": [{"$match": {"_id": _any_of(user_ids)}}]}},
        ]
        ids: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        profiles: dict[str, SavedProfile] = {}
        for document in await _all(self._memberships, stages):
            if "_id" in document:
                profiles[document["_id"]] = saved_profile(document)
            else:
                ids[document["userId"]].add(document["conversationId"])
        # Two sockets of one user may ask at the same time.
        return [(set(ids[user_id]), profiles.get(user_id)) for user_id in user_ids]

    async def _load(self, wanted: Sequence[_Wanted]) -> Sequence[UserConversations]:
        limit = wanted[0].limit if len(wanted) == 1 else max(SHARED_PAIRS, *(each.limit for each in wanted))
        found = await self._read(wanted, limit)
        if len(wanted) > 1 and len(found.pairs) == limit:
            # Pairs are missing, and it is not known whose.
            return [part for each in wanted for part in await self._load([each])]
        return _parts(found, wanted)

    async def _read(self, wanted: Sequence[_Wanted], limit: int) -> UserConversations:
        conversation_ids = {c for each in wanted for c in each.conversation_ids}
        members_of = {c for each in wanted for c in each.members_of}
        users = [each.user_id for each in wanted]
        # The heads come first: a reader of counters behind them sees none that are older than the head.
        stages: list[Document] = [
            {"$match": {"_id": {"$in": list(conversation_ids)}}},
            {"$project": HEAD},
            _also({"$match": {"userId": _any_of(users), **PRESENT}}, {"$project": {"_id": 0, **MARKS}}),
        ]
        if members_of:
            stages.append(_also(*member_pairs(members_of, limit)))
        found = UserConversations({}, [], [])
        for document in await _all(self._conversations, stages):
            if "_id" in document:
                found.heads[document["_id"]] = _head(document)
            elif "member" in document:
                found.pairs.append((document["conversationId"], document["member"]))
            else:
                found.memberships.append(_membership(document))
        return found


def _parts(found: UserConversations, wanted: Sequence[_Wanted]) -> list[UserConversations]:
    """Return, of what was read for many users, the part of each."""
    memberships: defaultdict[str, list[Membership]] = defaultdict(list)
    for membership in found.memberships:
        memberships[membership.user_id].append(membership)
    pairs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in found.pairs:
        pairs[pair[0]].append(pair)
    return [
        UserConversations(
            {c: found.heads[c] for c in each.conversation_ids if c in found.heads},
            memberships[each.user_id],
            [pair for c in sorted(set(each.members_of)) for pair in pairs[c]][: each.limit],
        )
        for each in wanted
    ]


def _any_of(ids: Sequence[str]) -> Any:
    return ids[0] if len(ids) == 1 else {"$in": list(ids)}


def _also(*stages: Document) -> Document:
    return {"$unionWith": {"coll": MEMBERSHIPS, "pipeline": list(stages)}}


async def _all(collection: Any, stages: list[Document]) -> list[Document]:
    found: list[Document] = []
    with translate_errors():
        cursor = collection.aggregate(stages, batchSize=AT_ONCE)
        while True:
            documents = await cursor.to_list(AT_ONCE)
            found += documents
            if len(documents) < AT_ONCE:
                return found


def _head(document: Document) -> Position:
    rev = document.get("rev", 0)
    begun = ((epoch["since"], epoch["id"]) for epoch in document.get("epochs", ()) if epoch["since"] <= rev)
    return Position(document.get("lastSeq", 0), rev, max(begun, default=(0, 0))[1])


def _membership(document: Document) -> Membership:
    return Membership(
        conversation_id=document["conversationId"],
        user_id=document["userId"],
        role=document.get("role", "member"),
        joined_at=document["joinedAt"],
        join_seq=document.get("joinSeq", 0),
        read_seq=document.get("readSeq", 0),
        own_seq=document.get("ownSeq", 0),
        own_since_read=document.get("ownSinceRead", 0),
        hidden_seq=document.get("hiddenSeq", 0),
    )
