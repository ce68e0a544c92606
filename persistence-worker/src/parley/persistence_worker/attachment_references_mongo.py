"""References from messages to uploads in MongoDB: a small document for each."""

from collections.abc import Collection, Sequence, Set
from typing import Any

from pymongo import ReplaceOne

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

    async def remove(self, messages: Sequence[Message]) -> None:
        references = [_reference(a.id, m.id) for m in messages for a in m.attachments]
        with translate_errors():
            await self._references.delete_many(_any_of("_id", [r["_id"] for r in references]))
        orphaned = await self._without_references({r["attachmentId"] for r in references})
        if orphaned:
            await self._mark(orphaned)
            # Another worker that lost its partition late may have added a reference meanwhile.
            referenced = orphaned - await self._without_references(orphaned)
            if referenced:
                await self._unmark(referenced)

    async def _without_references(self, attachment_ids: Set[str]) -> Set[str]:
        with translate_errors():
            found = await self._references.distinct("attachmentId", _any_of("attachmentId", attachment_ids))
        return attachment_ids - set(found)

    async def _mark(self, attachment_ids: Set[str]) -> None:
        # Orphaned since now, so that they are deleted in a day; until then the mark can be removed.
        marked = {"condemned": True, "loose": int(now().timestamp())}
        with translate_errors():
            await self._attachments.update_many(_bound(attachment_ids), {"$set": marked})

    async def _unmark(self, attachment_ids: Set[str]) -> None:
        marked = {**_bound(attachment_ids), "condemned": {"$exists": True}}
        with translate_errors():
            await self._attachments.update_many(marked, {"$unset": {"condemned": "", "loose": ""}})


def _any_of(name: str, values: Collection[str]) -> Document:
    return {name: {"$in": list(values)}}


def _bound(attachment_ids: Collection[str]) -> Document:
    return {**_any_of("_id", attachment_ids), "conversationId": {"$exists": True}}


def _reference(attachment_id: str, message_id: str) -> Document:
    return {"_id": f"{attachment_id}:{message_id}", "attachmentId": attachment_id}
