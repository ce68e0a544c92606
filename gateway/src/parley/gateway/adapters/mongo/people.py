"""People in MongoDB, as their newest tokens described them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from parley.gateway.adapters.call_batches import CallBatches, Spawn
from parley.gateway.adapters.mongo.errors import UNAVAILABLE, translate_errors
from parley.gateway.adapters.mongo.primary_inserts import PrimaryInserts
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import SavedProfile
from parley.shared.documents import USERS, Document, from_document, to_document
from parley.shared.model import Person, now

SHOWN = ("name", "username", "firstName", "lastName", "avatar")
"""The fields that others see."""
ISSUED_AT = "tokenIssuedAt"


class MongoPeople:
    """`People`."""

    def __init__(self, database: Any, reads: SharedReads, spawn: Spawn) -> None:
        self._reads = reads
        self._inserts = PrimaryInserts(database)
        self._users = database[USERS]
        self._additions: CallBatches[Document, bool] = CallBatches(self._insert, spawn)

    def close(self) -> None:
        """Close the connection of the first profiles; a later one opens another."""
        self._inserts.close()

    async def save(self, person: Person, issued_at: float = 0.0) -> SavedProfile:
        document = to_document(person)
        # Version 0.2.0 stores no time: its profiles are older than any token.
        older = [{ISSUED_AT: {"$exists": False}}, {ISSUED_AT: {"$lte": issued_at}}]
        try:
            with translate_errors():
                before = await self._users.find_one_and_update(
                    {"_id": document.pop("_id"), "$or": older},
                    _replacement(document, issued_at),
                    upsert=True,
                    return_document=ReturnDocument.BEFORE,
                )
        except DuplicateKeyError:
            return await self._stored(person.id)
        is_renamed = before is not None and any(before.get(field) != document.get(field) for field in SHOWN)
        return SavedProfile(person=person, issued_at=issued_at, is_renamed=is_renamed)

    async def add(self, person: Person, issued_at: float = 0.0) -> bool:
        return await self._additions.call(_stated(to_document(person), issued_at))

    async def _insert(self, documents: Sequence[Document]) -> list[bool]:
        # Two sockets of one user may be the first ones at the same time.
        first = {document["_id"]: document for document in documents}
        added = await self._inserts.insert_missing(USERS, list(first.values()))
        return [document is first[document["_id"]] and document["_id"] in added for document in documents]

    async def _stored(self, user_id: str) -> SavedProfile:
        with translate_errors():
            stored = await self._users.find_one({"_id": user_id})
        if stored is None:
            raise Unavailable(UNAVAILABLE)
        return saved_profile(stored)

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        if not user_ids:
            return {}
        documents = await self._reads.by_id(USERS, user_ids)
        found = {d["_id"]: from_document(Person, d) for d in documents}
        return {user_id: found.get(user_id) or Person(id=user_id) for user_id in user_ids}

    async def note_tokens(self, issued_at: Mapping[str, float]) -> None:
        updates = [
            UpdateOne({"_id": user_id}, {"$max": {ISSUED_AT: at}, "$set": {"lastSeenAt": now()}})
            for user_id, at in issued_at.items()
        ]
        with translate_errors():
            await self._users.bulk_write(updates, ordered=False)


def saved_profile(document: Document) -> SavedProfile:
    """Return the profile of a stored document."""
    issued_at = document.get(ISSUED_AT, 0.0)
    return SavedProfile(person=from_document(Person, document), issued_at=issued_at, is_renamed=False)


def _stated(document: Document, issued_at: float) -> Document:
    return {**document, "lastSeenAt": now(), ISSUED_AT: issued_at}


def _replacement(document: Document, issued_at: float) -> Document:
    stated = _stated(document, issued_at)
    unstated = [field for field in Person.__struct_encode_fields__ if field not in (*document, "id")]
    return {"$set": stated, **({"$unset": dict.fromkeys(unstated, "")} if unstated else {})}
