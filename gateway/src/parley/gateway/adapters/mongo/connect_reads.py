"""All that a connecting user needs of MongoDB, in two calls: a call costs more than what it brings."""

from collections.abc import Collection
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.memberships import PRESENT
from parley.gateway.adapters.mongo.people import saved_profile
from parley.gateway.core.ports import SavedProfile, UserConversations
from parley.gateway.core.positions import Position
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, USERS, Document
from parley.shared.model import Membership

AT_ONCE = 1_000
"""Documents of one reply: more would hold up all clients while they are decoded."""
HEAD: Document = {"lastSeq": 1, "rev": 1, "epochs": 1}
MARKS: Document = dict.fromkeys(
    ("conversationId", "role", "joinedAt", "joinSeq", "readSeq", "ownSeq", "ownSinceRead", "hiddenSeq"), 1
)


class MongoConnectReads:
    """`ConnectReads`."""

    def __init__(self, database: Any) -> None:
        self._memberships = database[MEMBERSHIPS]
        self._conversations = database[CONVERSATIONS]

    async def begin(self, user_id: str) -> tuple[set[str], SavedProfile | None]:
        stages: list[Document] = [
            {"$match": {"userId": user_id, **PRESENT}},
            {"$project": {"_id": 0, "conversationId": 1}},
            {"$unionWith": {"coll": USERS, "pipeline": [{"$match": {"_id": user_id}}]}},
        ]
        found = await _all(self._memberships, stages)
        ids = {document["conversationId"] for document in found if "_id" not in document}
        profiles = [saved_profile(document) for document in found if "_id" in document]
        return ids, profiles[0] if profiles else None

    async def load(
        self, user_id: str, conversation_ids: Collection[str], members_of: Collection[str], limit: int
    ) -> UserConversations:
        # The heads come first: a reader of counters behind them sees none that are older than the head.
        stages: list[Document] = [
            {"$match": {"_id": {"$in": list(conversation_ids)}}},
            {"$project": HEAD},
            _also({"$match": {"userId": user_id, **PRESENT}}, {"$project": {"_id": 0, **MARKS}}),
        ]
        if members_of:
            stages.append(_also(*_pairs(members_of, limit)))
        loaded = UserConversations({}, [], [])
        for document in await _all(self._conversations, stages):
            if "_id" in document:
                loaded.heads[document["_id"]] = _head(document)
            elif "member" in document:
                loaded.pairs.append((document["conversationId"], document["member"]))
            else:
                loaded.memberships.append(_membership(user_id, document))
        return loaded


def _also(*stages: Document) -> Document:
    return {"$unionWith": {"coll": MEMBERSHIPS, "pipeline": list(stages)}}


def _pairs(conversation_ids: Collection[str], limit: int) -> list[Document]:
    return [
        {"$match": {"conversationId": {"$in": list(conversation_ids)}, **PRESENT}},
        {"$sort": {"conversationId": 1, "userId": 1}},
        {"$limit": limit},
        {"$project": {"_id": 0, "conversationId": 1, "member": "$userId"}},
    ]


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


def _membership(user_id: str, document: Document) -> Membership:
    return Membership(
        conversation_id=document["conversationId"],
        user_id=user_id,
        role=document.get("role", "member"),
        joined_at=document["joinedAt"],
        join_seq=document.get("joinSeq", 0),
        read_seq=document.get("readSeq", 0),
        own_seq=document.get("ownSeq", 0),
        own_since_read=document.get("ownSinceRead", 0),
        hidden_seq=document.get("hiddenSeq", 0),
    )
