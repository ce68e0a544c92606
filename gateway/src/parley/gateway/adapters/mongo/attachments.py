"""The metadata of uploads in MongoDB."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Upload
from parley.shared.documents import ATTACHMENTS, Document, from_document, to_document
from parley.shared.model import Attachment, now

FREE: Document = {"loose": {"$exists": True}, "condemned": {"$exists": False}}
"""Matches uploads that are bound to no conversation, and not marked for deletion."""
COMPLETE: Document = {"size": {"$exists": True}, "condemned": {"$exists": False}}
"""Matches uploads that are complete, and not marked for deletion."""


class MongoAttachments:
    """`Attachments` and `OrphanedAttachments`.

    An orphaned upload has the field `loose`: the Unix time since when no conversation, or no message that is
    not deleted, refers to it. Other uploads lack the field, so the index on it stays small. The field
    `condemned` marks an upload for deletion; a worker sets both when it deletes the last message that refers
    to an upload.
    """

    def __init__(self, database: Any) -> None:
        self._attachments = database[ATTACHMENTS]

    async def begin(self, attachment_id: str, owner_id: str) -> None:
        document = {"_id": attachment_id, "ownerId": owner_id, "loose": _seconds()}
        with translate_errors():
            await self._attachments.insert_one(document)

    async def finish(self, attachment: Attachment) -> None:
        document = to_document(attachment)
        query = {"_id": document.pop("_id"), **FREE}
        if not await self._update(query, {"$set": document}):
            raise Unavailable("The upload took too long. Retry later.")

    async def get(self, attachment_ids: Collection[str]) -> dict[str, Upload]:
        query = {"_id": {"$in": list(attachment_ids)}, **COMPLETE}
        with translate_errors():
            documents = await self._attachments.find(query).to_list(None)
        return {d["_id"]: _upload(d) for d in documents}

    async def bind(self, attachment_id: str, owner_id: str, conversation_id: str, binding: str) -> bool:
        free = {"_id": attachment_id, "ownerId": owner_id, **COMPLETE, **FREE}
        bound = {"$set": {"conversationId": conversation_id, "binding": binding}, "$unset": {"loose": ""}}
        return await self._update(free, bound)

    async def confirm_binding(self, attachment_id: str, conversation_id: str) -> bool:
        query = {"_id": attachment_id, "conversationId": conversation_id, **COMPLETE}
        return await self._update(query, {"$unset": {"binding": ""}})

    async def unbind(self, attachment_id: str, binding: str) -> None:
        query = {"_id": attachment_id, "binding": binding}
        orphaned = {"$set": {"loose": _seconds()}, "$unset": {"conversationId": "", "binding": ""}}
        await self._update(query, orphaned)

    async def _update(self, query: Document, update: Document) -> bool:
        with translate_errors():
            result = await self._attachments.update_one(query, update)
        return bool(result.matched_count)

    async def mark(self, before: datetime, limit: int) -> list[str]:
        query = {"loose": {"$lt": int(before.timestamp())}}
        with translate_errors():
            documents = await self._attachments.find(query, {"_id": 1}).limit(limit).to_list(None)
        return [d["_id"] for d in documents if await self._mark(d["_id"])]

    async def _mark(self, attachment_id: str) -> bool:
        query = {"_id": attachment_id, "loose": {"$exists": True}}
        return await self._update(query, {"$set": {"condemned": True}})

    async def forget(self, attachment_id: str) -> None:
        with translate_errors():
            await self._attachments.delete_one({"_id": attachment_id, "loose": {"$exists": True}})


def _seconds() -> int:
    return int(now().timestamp())


def _upload(document: Document) -> Upload:
    return Upload(
        attachment=from_document(Attachment, document),
        owner_id=document["ownerId"],
        conversation_id=document.get("conversationId"),
    )
