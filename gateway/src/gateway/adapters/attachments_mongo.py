"""What is known of uploads, in MongoDB."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from gateway.adapters.archive_mongo import translated
from gateway.core.errors import Unavailable
from gateway.core.ports import Upload
from shared.documents import ATTACHMENTS, Document, exactly, from_document, to_document
from shared.model import Attachment, now

FREE: Document = {"loose": {"$exists": True}, "condemned": {"$exists": False}}
"""Bound to no conversation, and not to be removed."""
WHOLE: Document = {"size": {"$exists": True}, "condemned": {"$exists": False}}


class MongoAttachments:
    """`Attachments` and `LooseAttachments`.

    What no conversation has carries `loose`, the Unix time at which it was begun: a number, for not
    every server of the protocol compares dates rightly, and absent on all others, so that the index is small.
    """

    def __init__(self, database: Any) -> None:
        self._attachments = database[ATTACHMENTS]

    async def begin(self, attachment_id: str, owner_id: str) -> None:
        document = {"_id": attachment_id, "ownerId": owner_id, "loose": int(now().timestamp())}
        with translated():
            await self._attachments.insert_one(document)

    async def finish(self, attachment: Attachment) -> None:
        document = to_document(attachment)
        query = {"_id": document.pop("_id"), **FREE}
        with translated():
            result = await self._attachments.update_one(query, {"$set": document})
        if not result.matched_count:
            raise Unavailable("The upload took too long; try again.")

    async def get(self, attachment_ids: Collection[str]) -> dict[str, Upload]:
        query = {"_id": {"$in": list(attachment_ids)}, **WHOLE}
        with translated():
            documents = await self._attachments.find(query).to_list(None)
        return {d["_id"]: _upload(d) for d in documents}

    async def bind(self, attachment_id: str, owner_id: str, conversation_id: str) -> bool:
        free = {"_id": attachment_id, "ownerId": exactly(owner_id), **WHOLE, **FREE}
        bound = {"$set": {"conversationId": conversation_id}, "$unset": {"loose": ""}}
        with translated():
            result = await self._attachments.update_one(free, bound)
        if result.matched_count:
            return True
        known = (await self.get([attachment_id])).get(attachment_id)
        return known is not None and (known.owner_id, known.conversation_id) == (owner_id, conversation_id)

    async def condemn(self, before: datetime, limit: int) -> list[str]:
        query = {"loose": {"$lt": int(before.timestamp())}}
        with translated():
            documents = await self._attachments.find(query, {"_id": 1}).limit(limit).to_list(None)
        return [d["_id"] for d in documents if await self._condemn(d["_id"])]

    async def _condemn(self, attachment_id: str) -> bool:
        query = {"_id": attachment_id, "loose": {"$exists": True}}
        with translated():
            result = await self._attachments.update_one(query, {"$set": {"condemned": True}})
        return bool(result.matched_count)

    async def forget(self, attachment_id: str) -> None:
        with translated():
            await self._attachments.delete_one({"_id": attachment_id, "loose": {"$exists": True}})


def _upload(document: Document) -> Upload:
    return Upload(
        attachment=from_document(Attachment, document),
        owner_id=document["ownerId"],
        conversation_id=document.get("conversationId"),
    )
