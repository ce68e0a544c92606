"""Revocations in MongoDB; they are only added, and MongoDB removes the lapsed ones."""

from typing import Any

from pymongo.errors import DuplicateKeyError

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import REVOCATIONS, from_document, to_document
from parley.shared.model import Revocation

COUNT = "count"
"""The `_id` of the document that counts revocations; it never lapses."""


class MongoRevocations:
    """`Revocations`."""

    def __init__(self, database: Any) -> None:
        self._revocations = database[REVOCATIONS]

    async def put(self, revocation: Revocation) -> None:
        with translate_errors():
            await self._revocations.insert_one(to_document(revocation))
        # Counted last, so that a gateway that reads the new count finds the revocation.
        await self._count_one()

    async def count(self) -> int:
        with translate_errors():
            found = await self._revocations.find_one({"_id": COUNT})
        return found["count"] if found else 0

    async def all(self) -> list[Revocation]:
        with translate_errors():
            documents = await self._revocations.find({}).to_list(None)
        return [from_document(Revocation, d) for d in documents if d["_id"] != COUNT]

    async def _count_one(self) -> None:
        one_more = {"$inc": {"count": 1}}
        with translate_errors():
            try:
                await self._revocations.update_one({"_id": COUNT}, one_more, upsert=True)
            except DuplicateKeyError:
                # Another gateway has inserted the count at the same time.
                await self._revocations.update_one({"_id": COUNT}, one_more)
