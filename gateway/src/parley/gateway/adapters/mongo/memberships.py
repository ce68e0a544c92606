"""Memberships in MongoDB."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from parley.gateway.adapters.mongo.conversion import all_values
from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.inserts import insert_missing
from parley.gateway.adapters.mongo.primary_reads import AT_ONCE
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.core.pagination import SortKey
from parley.shared.documents import MEMBERSHIPS, Document, from_document, membership_id, to_document
from parley.shared.model import Membership, Role, now

SHARED_MEMBERS = 250
"""Members of a read by the shared connection: to decode more would hold up all clients."""
BY_JOINING: Document = {"joinedAt": 1, "_id": 1}
LARGE_AT_ONCE = 4
"""Conversations with many members that are read at the same time."""
ENDED = ("leftAt", "archivedAt")
PRESENT: Document = {"leftAt": {"$exists": False}}
NEVER: Document = {"$not": {"$gt": datetime.fromtimestamp(0, UTC)}}
"""Selects documents without a time, as `$exists` does, but by an index alone."""
PRESENT_BY_INDEX: Document = {"leftAt": NEVER}


class MongoMemberships:
    """`Memberships` and `MembershipChanges`."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        self._reads = reads
        self._memberships = database[MEMBERSHIPS]

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        # Ids may contain colons, so the `_id` alone may be that of another user's membership.
        query = {"_id": membership_id(conversation_id, user_id), "userId": user_id, **PRESENT}
        (found,) = await self._reads.find({"find": MEMBERSHIPS, "filter": query, "limit": 1})
        return from_document(Membership, found[0]) if found else None

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        query = {"userId": {"$in": list(user_ids)}, **PRESENT}
        return await all_values(Membership, self._memberships.find(query))

    async def hidden_of(self, user_id: str) -> dict[str, int]:
        fields = {"_id": 0, "conversationId": 1, "hiddenSeq": 1}
        cursor = self._memberships.find({"userId": user_id, **PRESENT}, fields).batch_size(AT_ONCE)
        hidden: dict[str, int] = {}
        with translate_errors():
            while documents := await cursor.to_list(AT_ONCE):
                hidden.update((d["conversationId"], d.get("hiddenSeq", 0)) for d in documents)
        return hidden

    async def of_user(self, user_id: str, conversation_ids: Collection[str]) -> dict[str, Membership]:
        ids = [membership_id(conversation_id, user_id) for conversation_id in conversation_ids]
        query = {"_id": {"$in": ids}, "userId": user_id, **PRESENT}
        if len(ids) > SHARED_MEMBERS:
            found = await all_values(Membership, self._memberships.find(query))
        else:
            (documents,) = await self._reads.find({"find": MEMBERSHIPS, "filter": query})
            found = [from_document(Membership, document) for document in documents]
        return {m.conversation_id: m for m in found}

    async def conversations_of(self, user_id: str, *, archived: bool = True) -> set[str]:
        query = {"userId": user_id, **PRESENT_BY_INDEX} | ({} if archived else {"archivedAt": NEVER})
        fields = {"_id": 0, "conversationId": 1}
        (documents,) = await self._reads.find_large(
            {"find": MEMBERSHIPS, "filter": query, "projection": fields}
        )
        return {document["conversationId"] for document in documents}

    async def of_conversation(
        self, conversation_id: str, limit: int, after: SortKey | None = None
    ) -> list[Membership]:
        query: Document = {"conversationId": conversation_id, **PRESENT}
        if after is not None:
            at, last = after[0], membership_id(conversation_id, after[1])
            query["$or"] = [{"joinedAt": {"$gt": at}}, {"joinedAt": at, "_id": {"$gt": last}}]
        if limit > SHARED_MEMBERS:
            found = self._memberships.find(query).sort(list(BY_JOINING.items())).limit(limit)
            return await all_values(Membership, found)
        (documents,) = await self._reads.find(
            {"find": MEMBERSHIPS, "filter": query, "sort": BY_JOINING, "limit": limit}
        )
        return [from_document(Membership, document) for document in documents]

    async def first_of(self, conversation_ids: Collection[str], limit: int) -> dict[str, list[Membership]]:
        if len(conversation_ids) > 1:
            # A command for each costs the server ten times as much, and most conversations are small.
            query = {"conversationId": {"$in": list(conversation_ids)}, **PRESENT}
            command = {"find": MEMBERSHIPS, "filter": query, "limit": SHARED_MEMBERS + 1}
            (documents,) = await self._reads.find(command)
            if len(documents) <= SHARED_MEMBERS:
                return _by_joining(conversation_ids, documents, limit)
        ids, found = list(conversation_ids), []
        for start in range(0, len(ids), LARGE_AT_ONCE):
            some = ids[start : start + LARGE_AT_ONCE]
            found += await asyncio.gather(*(self.of_conversation(each, limit) for each in some))
        return dict(zip(ids, found, strict=True))

    async def count(self, conversation_id: str) -> int:
        with translate_errors():
            query = {"conversationId": conversation_id, **PRESENT}
            return int(await self._memberships.count_documents(query))

    async def removed(self, within: float, until: float) -> list[Membership]:
        return await all_values(
            Membership, self._memberships.find(await self._lately("leftAt", within, until))
        )

    async def joined(self, within: float, until: float) -> list[Membership]:
        query = {**await self._lately("joinedAt", within, until), **PRESENT}
        return await all_values(Membership, self._memberships.find(query))

    async def _lately(self, name: str, within: float, until: float) -> Document:
        """Return the query for a time between `within` and `until` seconds ago."""
        with translate_errors():
            at = (await self._memberships.database.command("hello"))["localTime"].replace(tzinfo=UTC)
        return {name: {"$gte": at - timedelta(seconds=within), "$lte": at - timedelta(seconds=until)}}

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        ids = [membership_id(conversation_id, user_id) for user_id in user_ids]
        with translate_errors():
            found = await self._memberships.find({"_id": {"$in": ids}, **PRESENT}, {"userId": 1}).to_list(
                None
            )
        return {d["userId"] for d in found}

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        query = {"conversationId": {"$in": list(conversation_ids)}, **PRESENT}
        with translate_errors():
            documents = await self._memberships.find(query, {"userId": 1}).limit(limit).to_list(None)
        return {d["userId"] for d in documents}

    async def pairs(self, conversation_ids: Collection[str], limit: int) -> list[tuple[str, str]]:
        found = self._memberships.aggregate(member_pairs(conversation_ids, limit), batchSize=limit)
        with translate_errors():
            documents = await found.to_list(None)
        return [(d["conversationId"], d["member"]) for d in documents]

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        ids = [membership_id(m.conversation_id, m.user_id) for m in memberships]
        with translate_errors():
            known = {d["_id"]: d for d in await self._memberships.find({"_id": {"$in": ids}}).to_list(None)}
        wanted = dict(zip(ids, memberships, strict=True))
        missing = [to_document(wanted[i]) for i in dict.fromkeys(ids) if i not in known]
        added = [d["_id"] for d in await insert_missing(self._memberships, missing)] if missing else []
        added += [i for i, d in known.items() if "leftAt" in d and await self._restore(wanted[i])]
        return [wanted[i].user_id for i in added]

    async def _restore(self, m: Membership) -> bool:
        """Restore a former member; count from the current head, or from the last message of their own."""
        query = {"_id": membership_id(m.conversation_id, m.user_id), "leftAt": {"$exists": True}}
        # The server compares, because a worker may still count a message from before they left.
        join_seq = {"$max": [m.join_seq, "$ownSeq"]}
        begun = {
            "role": m.role,
            "joinedAt": m.joined_at,
            "joinSeq": join_seq,
            "ownSinceRead": 0,
            "hiddenSeq": m.hidden_seq,
        }
        with translate_errors():
            result = await self._memberships.update_one(query, [{"$set": begun}, {"$unset": list(ENDED)}])
        return bool(result.matched_count)

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        query: Document = {"_id": membership_id(conversation_id, user_id), **PRESENT}
        if unless is not None:
            query["role"] = {"$ne": unless}
        with translate_errors():
            # The database's clock, by which `removed` finds it again.
            left = [{"$set": {"leftAt": "$$NOW", "role": "member"}}]
            result = await self._memberships.update_one(query, left)
        return bool(result.matched_count)

    async def reveal(self, conversation_id: str, user_ids: Collection[str]) -> None:
        ids = [membership_id(conversation_id, user_id) for user_id in user_ids]
        with translate_errors():
            await self._memberships.update_many({"_id": {"$in": ids}}, {"$set": {"hiddenSeq": 0}})

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        query = {"_id": membership_id(conversation_id, user_id), **PRESENT}
        with translate_errors():
            result = await self._memberships.update_one(query, {"$set": {"role": "owner"}})
        return bool(result.matched_count)

    async def archive(self, conversation_id: str, user_id: str, archived: bool) -> bool:
        query = {"_id": membership_id(conversation_id, user_id), "userId": user_id, **PRESENT}
        change = {"$set": {"archivedAt": now()}} if archived else {"$unset": {"archivedAt": ""}}
        with translate_errors():
            result = await self._memberships.update_one(query, change)
        return bool(result.matched_count)


def _by_joining(
    conversation_ids: Collection[str], documents: list[Document], limit: int
) -> dict[str, list[Membership]]:
    """Return the first members of each conversation, of the documents of all members."""
    documents.sort(key=lambda each: (each["joinedAt"], each["_id"]))
    found: dict[str, list[Membership]] = {each: [] for each in conversation_ids}
    for document in documents:
        members = found[document["conversationId"]]
        if len(members) < limit:
            members.append(from_document(Membership, document))
    return found


def member_pairs(conversation_ids: Collection[str], limit: int) -> list[Document]:
    """Return a pipeline that reads who is in conversations: `conversationId` and `member`, in this order."""
    return [
        {"$match": {"conversationId": {"$in": list(conversation_ids)}, **PRESENT}},
        {"$sort": {"conversationId": 1, "userId": 1}},
        {"$limit": limit},
        {"$project": {"_id": 0, "conversationId": 1, "member": "$userId"}},
    ]
