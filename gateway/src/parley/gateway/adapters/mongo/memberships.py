"""Memberships in MongoDB."""

from collections.abc import Collection, Sequence
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.inserts import insert_missing
from parley.shared.documents import MEMBERSHIPS, Document, exactly, from_document, membership_id, to_document
from parley.shared.model import Membership, Role, now

ONE_BY_ONE = 20
"""Conversations up to which each is queried alone: not every server uses an index for `$in`."""
ENDED = ("leftAt", "archivedAt")
MARKS = ("readSeq", "deliveredSeq", "ownSeq")
"""Fields that a worker may change concurrently."""
PRESENT: Document = {"leftAt": {"$exists": False}}


class MongoMemberships:
    """`Memberships` and `MembershipChanges`."""

    def __init__(self, database: Any) -> None:
        self._memberships = database[MEMBERSHIPS]

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        # Ids may contain colons, so the `_id` alone may be that of another user's membership.
        query = {"_id": membership_id(conversation_id, user_id), "userId": user_id, **PRESENT}
        with translate_errors():
            document = await self._memberships.find_one(query)
        return from_document(Membership, document) if document else None

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        of = exactly(*user_ids) if len(user_ids) == 1 else {"$in": list(user_ids)}
        with translate_errors():
            documents = await self._memberships.find({"userId": of, **PRESENT}).to_list(None)
        return [from_document(Membership, d) for d in documents]

    async def of_conversation(self, conversation_id: str, limit: int) -> list[Membership]:
        query = {"conversationId": exactly(conversation_id), **PRESENT}
        with translate_errors():
            cursor = self._memberships.find(query).sort([("joinedAt", 1), ("_id", 1)]).limit(limit)
            documents = await cursor.to_list(None)
        return [from_document(Membership, d) for d in documents]

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        ids = [membership_id(conversation_id, user_id) for user_id in user_ids]
        with translate_errors():
            found = await self._memberships.find({"_id": {"$in": ids}, **PRESENT}, {"userId": 1}).to_list(
                None
            )
        return {d["userId"] for d in found}

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        ids = list(conversation_ids)
        if len(ids) > ONE_BY_ONE:
            return await self._users_of({"$in": ids}, limit)
        found: set[str] = set()
        for conversation_id in ids:
            found |= await self._users_of(exactly(conversation_id), limit - len(found))
            if len(found) >= limit:
                break
        return found

    async def _users_of(self, conversations: Document, limit: int) -> set[str]:
        query = {"conversationId": conversations, **PRESENT}
        with translate_errors():
            documents = await self._memberships.find(query, {"userId": 1}).limit(limit).to_list(None)
        return {d["userId"] for d in documents}

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        ids = [membership_id(m.conversation_id, m.user_id) for m in memberships]
        with translate_errors():
            known = {d["_id"]: d for d in await self._memberships.find({"_id": {"$in": ids}}).to_list(None)}
        wanted = dict(zip(ids, memberships, strict=True))
        missing = [to_document(wanted[i]) for i in dict.fromkeys(ids) if i not in known]
        added = [d["_id"] for d in await insert_missing(self._memberships, missing)] if missing else []
        added += [i for i, d in known.items() if await self._restore(wanted[i], d)]
        return [wanted[i].user_id for i in added]

    async def _restore(self, m: Membership, left: Document) -> bool:
        """Restore a former member; count from the current head, or from the last message of their own."""
        while "leftAt" in left:
            join_seq = max(m.join_seq, left["ownSeq"])
            begun = {"role": m.role, "joinedAt": m.joined_at, "joinSeq": join_seq, "ownSinceRead": 0}
            query = {"_id": left["_id"], "leftAt": {"$exists": True}, **{name: left[name] for name in MARKS}}
            # A replacement, because not every server of the protocol keeps the type of a date in `$set`.
            again = {name: value for name, value in {**left, **begun}.items() if name not in ENDED}
            with translate_errors():
                result = await self._memberships.replace_one(query, again)
                if result.matched_count:
                    return True
                # A worker has counted a message from before they left, or another gateway has restored them.
                left = await self._memberships.find_one({"_id": left["_id"]})
        return False

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        query: Document = {"_id": membership_id(conversation_id, user_id), **PRESENT}
        if unless is not None:
            query["role"] = {"$ne": unless}
        with translate_errors():
            result = await self._memberships.update_one(query, {"$set": {"leftAt": now(), "role": "member"}})
        return bool(result.matched_count)

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
