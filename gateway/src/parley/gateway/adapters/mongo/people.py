"""People in MongoDB, as their tokens described them last."""

from collections.abc import Collection
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.documents import USERS, from_document, to_document
from parley.shared.model import Person, now

REMEMBERED_PEOPLE = 20_000


class MongoPeople:
    """`People`: writes a profile only when a token states another one than before."""

    def __init__(self, database: Any) -> None:
        self._users = database[USERS]
        self._known: BoundedDict[str, Person] = BoundedDict(REMEMBERED_PEOPLE)

    async def save(self, person: Person) -> None:
        if self._known.get(person.id) == person:
            return
        document = to_document(person)
        with translate_errors():
            await self._users.update_one(
                {"_id": document.pop("_id")}, {"$set": {**document, "lastSeenAt": now()}}, upsert=True
            )
        self._known.put(person.id, person)

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        if not user_ids:
            return {}
        with translate_errors():
            documents = await self._users.find({"_id": {"$in": list(user_ids)}}).to_list(None)
        found = {d["_id"]: from_document(Person, d) for d in documents}
        return {user_id: found.get(user_id) or Person(id=user_id) for user_id in user_ids}
