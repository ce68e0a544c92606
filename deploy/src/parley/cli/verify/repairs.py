"""Repairs: each changes a document only if it still is as it was found, as the workers do.

A worker that writes at the same time makes the repair fail, and the next run finds what is left.
"""

from typing import Any

from parley.cli.verify.inconsistency import Repair
from parley.shared.documents import (
    ATTACHMENT_USES,
    ATTACHMENTS,
    CONVERSATIONS,
    MEMBERSHIPS,
    MESSAGES,
    Document,
    from_document,
    to_document,
)
from parley.shared.model import REMEMBERED_EPOCHS, Message, digest

EPOCH = {"rev": 1, "epoch": 1}


def counters(stored: Document, own_since_read: int, own_seq: int) -> Repair:
    """Correct a member's counters, which are compared with all that was read of them."""

    async def repair(database: Any) -> bool:
        names = ("_id", "readSeq", "joinSeq", "ownSeq", "ownSinceRead")
        update = {"$set": {"ownSinceRead": own_since_read, "ownSeq": own_seq}}
        unchanged = {name: stored[name] for name in names}
        return bool((await database[MEMBERSHIPS].update_one(unchanged, update)).matched_count)

    return repair


def head(stored: Document, last_seq: int, last_rev: int) -> Repair:
    """Move a head forward to the stored messages, with their epochs and the last message."""

    async def repair(database: Any) -> bool:
        messages, of = database[MESSAGES], {"conversationId": stored["_id"]}
        above = messages.find({**of, "rev": {"$gt": stored["rev"], "$lte": last_rev}}, EPOCH).sort("rev", 1)
        epochs = await _epochs(stored.get("epochs", []), above)
        last = await messages.find_one({**of, "seq": last_seq})
        moved: Document = {"lastSeq": last_seq, "rev": last_rev, "epochs": epochs}
        if last is not None:
            moved["lastMessage"] = _digest(from_document(Message, last))
        unchanged = {"_id": stored["_id"], "lastSeq": stored["lastSeq"], "rev": stored["rev"]}
        return bool((await database[CONVERSATIONS].update_one(unchanged, {"$set": moved})).matched_count)

    return repair


def add_reference(attachment_id: str, message_id: str) -> Repair:
    """Add a reference from a message to an upload, and keep the upload."""

    async def repair(database: Any) -> bool:
        reference = {"_id": f"{attachment_id}:{message_id}", "attachmentId": attachment_id}
        await database[ATTACHMENT_USES].replace_one({"_id": reference["_id"]}, reference, upsert=True)
        return await keep_upload(attachment_id)(database)

    return repair


def keep_upload(attachment_id: str) -> Repair:
    """Take back the mark by which an upload would be deleted."""

    async def repair(database: Any) -> bool:
        marked = {"_id": attachment_id, "condemned": {"$exists": True}}
        await database[ATTACHMENTS].update_one(marked, {"$unset": {"condemned": "", "loose": ""}})
        return True

    return repair


def remove_reference(reference_id: str) -> Repair:
    """Remove a reference of a message that is gone; the upload stays until nothing refers to it."""

    async def repair(database: Any) -> bool:
        return bool((await database[ATTACHMENT_USES].delete_one({"_id": reference_id})).deleted_count)

    return repair


async def _epochs(stored: list[Document], changes: Any) -> list[Document]:
    """Return a head's epochs after further changes, as a worker keeps them."""
    epochs = list(stored)
    async for change in changes:
        epoch = change.get("epoch", 0)
        if epoch != (epochs[-1]["id"] if epochs else 0):
            epochs.append({"id": epoch, "since": change["rev"]})
    return epochs[-REMEMBERED_EPOCHS:]


def _digest(message: Message) -> Document:
    fields = to_document(digest(message))
    return {"id": fields.pop("_id"), **fields}
