"""References from messages to uploads in MongoDB: a small document for each."""

from collections.abc import Collection, Sequence
from typing import Any

from pymongo import ReplaceOne, UpdateOne

from parley.persistence_worker.commit_mongo import newest
from parley.persistence_worker.store_mongo import translate_errors
from parley.shared.documents import ATTACHMENT_USES, ATTACHMENTS, Document
from parley.shared.model import Message, now


class MongoAttachmentReferences:
    """`AttachmentReferences`.

    The uploads' own documents hold no list, because any number of messages may refer to one.
    """

    def __init__(self, database: Any) -> None:
        self._references = newest(database, ATTACHMENT_USES)
        self._attachments = database[ATTACHMENTS]

    async def add(self, messages: Sequence[Message]) -> None:
        references = [_reference(a.id, m.id) for m in messages for a in m.attachments]
        writes = [ReplaceOne({"_id": r["_id"]}, r, upsert=True) for r in references]
        with translate_errors():
            await self._references.bulk_write(writes)
        # The sender may have attached the upload before the last message that referred to it was deleted.
        await self._unmark({r["attachmentId"] for r in references})

    async def remove(self, message: Message) -> None:
        for attachment in message.attachments:
            with translate_errors():
                await self._references.delete_one({"_id": _reference(attachment.id, message.id)["_id"]})
            if not await self._has_references(attachment.id):
                await self._mark(attachment.id)
                # Another worker that lost its partition late may have added a reference meanwhile.
                if await self._has_references(attachment.id):
                    await self._unmark({attachment.id})

    async def _has_references(self, attachment_id: str) -> bool:
        with translate_errors():
            found = await self._references.find_one({"attachmentId": attachment_id}, {"_id": 1})
        return found is not None

    async def _mark(self, attachment_id: str) -> None:
        # Orphaned since now, so that it is deleted in a day; until then the mark can be removed.
        marked = {"condemned": True, "loose": int(now().timestamp())}
        with translate_errors():
            await self._attachments.update_one(_bound(attachment_id), {"$set": marked})

    async def _unmark(self, attachment_ids: Collection[str]) -> None:
        unmarked = {"$unset": {"condemned": "", "loose": ""}}
        updates = [UpdateOne({**_bound(i), "condemned": {"$exists": True}}, unmarked) for i in attachment_ids]
        with translate_errors():
            await self._attachments.bulk_write(updates, ordered=False)


def _bound(attachment_id: str) -> Document:
    return {"_id": attachment_id, "conversationId": {"$exists": True}}


def _reference(attachment_id: str, message_id: str) -> Document:
    return {"_id": f"{attachment_id}:{message_id}", "attachmentId": attachment_id}
