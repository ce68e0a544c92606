"""All that connecting users need of MongoDB, in two round trips for all who connect at a time."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from parley.gateway.adapters.call_batches import CallBatches, Spawn
from parley.gateway.adapters.mongo.memberships import PRESENT, PRESENT_BY_INDEX
from parley.gateway.adapters.mongo.parallel_reads import ParallelReads
from parley.gateway.adapters.mongo.people import saved_profile
from parley.gateway.adapters.mongo.primary_reads import PrimaryReads
from parley.gateway.core.ports import SavedProfile, UserConversations
from parley.gateway.core.positions import Position
from parley.gateway.core.spans import ALL, Span
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, USERS, Document, member_of
from parley.shared.indexes import OF_CONVERSATION
from parley.shared.model import Membership

SHARED_CONVERSATIONS = 100
"""Conversations of a user whose read is shared: others would wait for a user of thousands."""
SHARED_PAIRS = 2_000
"""Pairs of conversation and member of a shared read; of more, each user's are read alone."""
HEAD: Document = {"lastSeq": 1, "rev": 1, "epochs": 1}
IDS: Document = {"_id": 0, "userId": 1, "conversationId": 1}
COUNTERS = ("joinSeq", "readSeq", "ownSeq", "ownSinceRead", "hiddenSeq")
MARKS: Document = {**IDS, **dict.fromkeys(("role", "joinedAt", *COUNTERS), 1)}
MEMBER: Document = {"_id": 1, "conversationId": 1}
"""The fields of a member that the index `OF_CONVERSATION` holds; the id names the user."""

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
        self._shared = PrimaryReads(database)
        self._large = ParallelReads(database)
        self._beginnings = CallBatches(self._begin, spawn)
        self._loads = CallBatches(self._load, spawn)

    async def close(self) -> None:
        """Close the connections; a later read opens others."""
        self._shared.close()
        self._large.close()

    async def begin(self, user_id: str) -> Beginning:
        return await self._beginnings.call(user_id)

    async def load(
        self,
        user_id: str,
        conversation_ids: Collection[str],
        members_of: Collection[str],
        limit: int,
        among: Span = ALL,
    ) -> UserConversations:
        wanted = _Wanted(user_id, conversation_ids, members_of, limit)
        if len(conversation_ids) > SHARED_CONVERSATIONS or among != ALL:
            return await self._read(self._large.next(), [wanted], limit, among)
        return await self._loads.call(wanted)

    async def _begin(self, user_ids: Sequence[str]) -> Sequence[Beginning]:
        present, users = await self._shared.find(
            {
                "find": MEMBERSHIPS,
                "filter": {"userId": _any_of(user_ids), **PRESENT_BY_INDEX},
                "projection": IDS,
            },
            {"find": USERS, "filter": {"_id": _any_of(user_ids)}},
        )
        ids: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        for document in present:
            ids[document["userId"]].add(document["conversationId"])
        profiles = {document["_id"]: saved_profile(document) for document in users}
        # Two sockets of one user may ask at the same time.
        return [(set(ids[user_id]), profiles.get(user_id)) for user_id in user_ids]

    async def _load(self, wanted: Sequence[_Wanted]) -> Sequence[UserConversations]:
        limit = wanted[0].limit if len(wanted) == 1 else max(SHARED_PAIRS, *(each.limit for each in wanted))
        found = await self._read(self._shared, wanted, limit)
        if len(wanted) > 1 and len(found.pairs) == limit:
            # Pairs are missing, and it is not known whose.
            return [part for each in wanted for part in await self._load([each])]
        return _parts(found, wanted)

    async def _read(
        self, reads: PrimaryReads, wanted: Sequence[_Wanted], limit: int, among: Span = ALL
    ) -> UserConversations:
        conversation_ids = {c for each in wanted for c in each.conversation_ids}
        members_of = {c for each in wanted for c in each.members_of}
        # The heads come first: a reader of counters behind them sees none that are older than the head.
        documents = await reads.find(
            *([_heads(conversation_ids)] if conversation_ids else []),
            _marks([each.user_id for each in wanted], among),
            *([_members(members_of, limit)] if members_of else []),
        )
        heads = documents.pop(0) if conversation_ids else []
        pairs = documents.pop() if members_of else []
        return UserConversations(
            {document["_id"]: _head(document) for document in heads},
            list(map(_membership, documents[0])),
            [(d["conversationId"], member_of(d["conversationId"], d["_id"])) for d in pairs],
        )


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


def _heads(conversation_ids: Collection[str]) -> Document:
    return {"find": CONVERSATIONS, "filter": {"_id": _any_of([*conversation_ids])}, "projection": HEAD}


def _marks(user_ids: Sequence[str], among: Span = ALL) -> Document:
    """Return the command for the memberships of users, those in conversations of a span."""
    bounds = {name: each for name, each in zip(("$gte", "$lt"), among, strict=True) if each is not None}
    selected = {"userId": _any_of(user_ids), **PRESENT, **({"conversationId": bounds} if bounds else {})}
    return {"find": MEMBERSHIPS, "filter": selected, "projection": MARKS}


def _members(conversation_ids: Collection[str], limit: int) -> Document:
    return {
        "find": MEMBERSHIPS,
        "filter": {"conversationId": _any_of([*conversation_ids]), **PRESENT_BY_INDEX},
        "projection": MEMBER,
        "sort": {"conversationId": 1},
        "limit": limit,
        # Without the hint, MongoDB tries each index that begins with the conversation.
        "hint": dict(OF_CONVERSATION),
    }


def _head(document: Document) -> Position:
    rev, begun = document.get("rev", 0), (0, 0)
    for epoch in document.get("epochs", ()):
        if epoch["since"] <= rev:
            begun = max(begun, (epoch["since"], epoch["id"]))
    return Position(document.get("lastSeq", 0), rev, begun[1])


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
