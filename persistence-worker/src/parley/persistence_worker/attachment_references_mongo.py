"""Which messages name an upload, in MongoDB: a small document for each that does."""

from collections.abc import Collection, Sequence
from typing import Any

from pymongo import ReplaceOne, UpdateOne

from parley.persistence_worker.store_mongo import translate_errors
from parley.shared.documents import ATTACHMENT_USES, ATTACHMENTS, Document, exactly
from parley.shared.model import Message, now


class MongoAttachmentReferences:
    """`Uses`.

    No lists in the uploads' own documents, for one may be named by any number of messages.
    """

    def __init__(self, database: Any) -> None:
        self._uses = database[ATTACHMENT_USES]
        self._attachments = database[ATTACHMENTS]

    async def begin(self, messages: Sequence[Message]) -> None:
        uses = [_use(attachment.id, m.id) for m in messages for attachment in m.attachments]
        with translate_errors():
            await self._uses.bulk_write([ReplaceOne({"_id": u["_id"]}, u, upsert=True) for u in uses])
        # Whoever took it from a conversation did so before the last message that named it was deleted.
        await self._pardon({u["attachmentId"] for u in uses})

    async def end(self, message: Message) -> None:
        for attachment in message.attachments:
            with translate_errors():
                await self._uses.delete_one({"_id": _use(attachment.id, message.id)["_id"]})
            if not await self._is_used(attachment.id):
                await self._condemn(attachment.id)
                # A worker that was taken for dead may store a message meanwhile.
                if await self._is_used(attachment.id):
                    await self._pardon({attachment.id})

    async def _is_used(self, attachment_id: str) -> bool:
        with translate_errors():
            found = await self._uses.find_one({"attachmentId": exactly(attachment_id)}, {"_id": 1})
        return found is not None

    async def _condemn(self, attachment_id: str) -> None:
        # Loose since now, so that it is a day before it is swept: until then it can be pardoned.
        condemned = {"condemned": True, "loose": int(now().timestamp())}
        with translate_errors():
            await self._attachments.update_one(_bound(attachment_id), {"$set": condemned})

    async def _pardon(self, attachment_ids: Collection[str]) -> None:
        pardoned = {"$unset": {"condemned": "", "loose": ""}}
        updates = [UpdateOne({**_bound(i), "condemned": {"$exists": True}}, pardoned) for i in attachment_ids]
        with translate_errors():
            await self._attachments.bulk_write(updates, ordered=False)


def _bound(attachment_id: str) -> Document:
    return {"_id": attachment_id, "conversationId": {"$exists": True}}


def _use(attachment_id: str, message_id: str) -> Document:
    return {"_id": f"{attachment_id}:{message_id}", "attachmentId": attachment_id}
