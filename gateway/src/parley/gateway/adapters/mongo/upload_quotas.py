"""The counts of users' uploads, and the space of the server's disk, in MongoDB."""

from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import UPLOAD_QUOTAS
from parley.shared.model import now

KEPT = timedelta(days=2)


class MongoUploadQuotas:
    """`UploadQuotas`: a document for each user and day, which expires."""

    def __init__(self, database: Any) -> None:
        self._quotas = database[UPLOAD_QUOTAS]

    async def reserve(self, user_id: str, day: str, size: int, quota: int) -> bool:
        if size > quota:
            return False
        query = {"_id": _id(user_id, day), "bytes": {"$lte": quota - size}}
        change = {"$inc": {"bytes": size}, "$setOnInsert": {"until": now() + KEPT}}
        try:
            with translate_errors():
                await self._quotas.update_one(query, change, upsert=True)
        except DuplicateKeyError:
            # The document exists, and has too many bytes for the query; or another upload has just made it.
            with translate_errors():
                result = await self._quotas.update_one(query, change)
            return bool(result.matched_count)
        return True

    async def settle(self, user_id: str, day: str, change: int) -> None:
        with translate_errors():
            await self._quotas.update_one({"_id": _id(user_id, day)}, {"$inc": {"bytes": change}})


class MongoStorageSpace:
    """`StorageSpace`: of the disk of the member that answers; all of them hold the same."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def free_share(self) -> float | None:
        with translate_errors():
            found = await self._database.command("dbStats")
        used, total = found.get("fsUsedSize"), found.get("fsTotalSize")
        return 1 - used / total if used is not None and total else None


class UnknownSpace:
    """`StorageSpace` of a storage whose space is another's concern."""

    async def free_share(self) -> float | None:
        return None


def _id(user_id: str, day: str) -> str:
    return f"{user_id}:{day}"
