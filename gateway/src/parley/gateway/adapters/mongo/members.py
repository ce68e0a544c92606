"""Memberships, contracts and people in MongoDB."""

from collections.abc import Collection, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from parley.gateway.adapters.mongo.archive import translated
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.documents import (
    CONTRACTS,
    MEMBERSHIPS,
    USERS,
    Document,
    exactly,
    from_document,
    membership_id,
    to_document,
)
from parley.shared.model import Contract, Membership, Person, Role, now

REMEMBERED_PEOPLE = 20_000
ONE_BY_ONE = 20
"""Up to so many, questions that an index answers are better than one that it does not everywhere."""
ENDED = ("leftAt", "archivedAt")
MARKS = ("readSeq", "deliveredSeq", "ownSeq")
"""What a worker may move at the same moment."""
PRESENT: Document = {"leftAt": {"$exists": False}}


class MongoMemberships:
    """`Memberships` and `MembershipChanges`."""

    def __init__(self, database: Any) -> None:
        self._memberships = database[MEMBERSHIPS]

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        # Ids may have colons: what the user asks for may spell somebody else's membership.
        query = {"_id": membership_id(conversation_id, user_id), "userId": user_id, **PRESENT}
        with translated():
            document = await self._memberships.find_one(query)
        return from_document(Membership, document) if document else None

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        of = exactly(*user_ids) if len(user_ids) == 1 else {"$in": list(user_ids)}
        with translated():
            documents = await self._memberships.find({"userId": of, **PRESENT}).to_list(None)
        return [from_document(Membership, d) for d in documents]

    async def of_conversation(self, conversation_id: str, limit: int) -> list[Membership]:
        query = {"conversationId": exactly(conversation_id), **PRESENT}
        with translated():
            cursor = self._memberships.find(query).sort([("joinedAt", 1), ("_id", 1)]).limit(limit)
            documents = await cursor.to_list(None)
        return [from_document(Membership, d) for d in documents]

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        ids = [membership_id(conversation_id, user_id) for user_id in user_ids]
        with translated():
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
        with translated():
            documents = await self._memberships.find(query, {"userId": 1}).limit(limit).to_list(None)
        return {d["userId"] for d in documents}

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        ids = [membership_id(m.conversation_id, m.user_id) for m in memberships]
        with translated():
            known = {d["_id"]: d for d in await self._memberships.find({"_id": {"$in": ids}}).to_list(None)}
        wanted = dict(zip(ids, memberships, strict=True))
        added = [i for i in ids if i not in known and await self._insert(wanted[i])]
        added += [i for i, d in known.items() if await self._return(wanted[i], d)]
        return [wanted[i].user_id for i in added]

    async def _insert(self, m: Membership) -> bool:
        try:
            with translated():
                await self._memberships.insert_one(to_document(m))
        except DuplicateKeyError:
            return False
        return True

    async def _return(self, m: Membership, left: Document) -> bool:
        """Come back: counting begins anew, at the head of now or at what one said last before."""
        while "leftAt" in left:
            join_seq = max(m.join_seq, left["ownSeq"])
            begun = {"role": m.role, "joinedAt": m.joined_at, "joinSeq": join_seq, "ownSinceRead": 0}
            query = {"_id": left["_id"], "leftAt": {"$exists": True}, **{name: left[name] for name in MARKS}}
            # Replaced, for not every server of the protocol keeps a date a date that is set.
            again = {name: value for name, value in {**left, **begun}.items() if name not in ENDED}
            with translated():
                result = await self._memberships.replace_one(query, again)
                if result.matched_count:
                    return True
                # A worker has just counted what they did before they left, or somebody else let them in.
                left = await self._memberships.find_one({"_id": left["_id"]})
        return False

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        query: Document = {"_id": membership_id(conversation_id, user_id), **PRESENT}
        if unless is not None:
            query["role"] = {"$ne": unless}
        with translated():
            result = await self._memberships.update_one(query, {"$set": {"leftAt": now(), "role": "member"}})
        return bool(result.matched_count)

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        query = {"_id": membership_id(conversation_id, user_id), **PRESENT}
        with translated():
            result = await self._memberships.update_one(query, {"$set": {"role": "owner"}})
        return bool(result.matched_count)

    async def archive(self, conversation_id: str, user_id: str, archived: bool) -> bool:
        query = {"_id": membership_id(conversation_id, user_id), "userId": user_id, **PRESENT}
        change = {"$set": {"archivedAt": now()}} if archived else {"$unset": {"archivedAt": ""}}
        with translated():
            result = await self._memberships.update_one(query, change)
        return bool(result.matched_count)


class MongoContracts:
    """`Contracts`."""

    def __init__(self, database: Any) -> None:
        self._contracts = database[CONTRACTS]

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        with translated():
            documents = await self._contracts.find({"_id": {"$in": list(contract_ids)}}).to_list(None)
        return {d["_id"]: from_document(Contract, d) for d in documents}

    async def put(self, contract: Contract) -> None:
        document = to_document(contract)
        with translated():
            await self._contracts.replace_one({"_id": contract.id}, document, upsert=True)


class MongoPeople:
    """`People`: written only when a token says something new."""

    def __init__(self, database: Any) -> None:
        self._users = database[USERS]
        self._known: BoundedDict[str, Person] = BoundedDict(REMEMBERED_PEOPLE)

    async def remember(self, person: Person) -> None:
        if self._known.get(person.id) == person:
            return
        document = to_document(person)
        with translated():
            await self._users.update_one(
                {"_id": document.pop("_id")}, {"$set": {**document, "lastSeenAt": now()}}, upsert=True
            )
        self._known.put(person.id, person)

    async def named(self, user_ids: Collection[str]) -> dict[str, Person]:
        if not user_ids:
            return {}
        with translated():
            documents = await self._users.find({"_id": {"$in": list(user_ids)}}).to_list(None)
        found = {d["_id"]: from_document(Person, d) for d in documents}
        return {user_id: found.get(user_id) or Person(id=user_id) for user_id in user_ids}
