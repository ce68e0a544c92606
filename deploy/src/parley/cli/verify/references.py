"""Checks the references between messages and uploads, in both directions, some hundred at a time."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from parley.cli.verify import repairs
from parley.cli.verify.inconsistency import Inconsistency
from parley.shared.documents import ATTACHMENT_USES, ATTACHMENTS, MESSAGES, Document

AT_ONCE = 500


async def check_messages(database: Any, references: Collection[tuple[str, str]]) -> list[Inconsistency]:
    """Return what is wrong with the references of messages.

    Args:
        database: The database.
        references: The attachment and the message of each.
    """
    ids = [f"{attachment}:{message}" for attachment, message in references]
    stored = await _ids(database[ATTACHMENT_USES], ids)
    uploads = await _uploads(database, {attachment for attachment, _ in references})
    return [
        found
        for (attachment, message), id in zip(references, ids, strict=True)
        for found in _of_message(attachment, message, id in stored, uploads)
    ]


def _of_message(
    attachment: str, message: str, is_stored: bool, uploads: Mapping[str, Document]
) -> Iterator[Inconsistency]:
    where = {"message": message, "attachment": attachment}
    upload = uploads.get(attachment)
    if upload is None:
        text = (
            f"Message {message} refers to the upload {attachment}, which is gone: restore it from a backup."
        )
        yield Inconsistency(kind="upload", where=where, text=text)
    elif not is_stored:
        text = (
            f"The reference of message {message} to the upload {attachment} is not stored, so the upload "
            "could be deleted: --repair adds it."
        )
        yield Inconsistency(
            kind="reference", where=where, text=text, repair=repairs.add_reference(attachment, message)
        )
    elif "condemned" in upload:
        text = f"The upload {attachment} of message {message} is marked to be deleted: --repair keeps it."
        yield Inconsistency(kind="mark", where=where, text=text, repair=repairs.keep_upload(attachment))


async def check_uses(database: Any) -> AsyncIterator[list[Inconsistency]]:
    """Yield, for each some hundred stored references, those whose message is gone."""
    batch: list[Document] = []
    async for use in database[ATTACHMENT_USES].find({}).batch_size(AT_ONCE):
        batch.append(use)
        if len(batch) == AT_ONCE:
            yield await check_stored(database, batch)
            batch = []
    yield await check_stored(database, batch)


async def check_stored(database: Any, stored_uses: Collection[Document]) -> list[Inconsistency]:
    """Return the references whose message is gone, or deleted."""
    messages = {use["_id"]: use["_id"].removeprefix(f"{use['attachmentId']}:") for use in stored_uses}
    present = {"_id": {"$in": list(messages.values())}, "deletedAt": {"$exists": False}}
    stored = {found["_id"] async for found in database[MESSAGES].find(present, {"_id": 1})}
    return [_dangling(use, messages[use["_id"]]) for use in stored_uses if messages[use["_id"]] not in stored]


def _dangling(use: Document, message: str) -> Inconsistency:
    attachment = use["attachmentId"]
    return Inconsistency(
        kind="dangling",
        where={"message": message, "attachment": attachment},
        text=f"The upload {attachment} is kept for message {message}, which is gone: --repair removes that "
        "reference.",
        repair=repairs.remove_reference(use["_id"]),
    )


async def _ids(collection: Any, ids: list[str]) -> set[str]:
    return {found["_id"] async for found in collection.find({"_id": {"$in": ids}}, {"_id": 1})}


async def _uploads(database: Any, ids: Collection[str]) -> dict[str, Document]:
    found = database[ATTACHMENTS].find({"_id": {"$in": list(ids)}}, {"condemned": 1})
    return {upload["_id"]: upload async for upload in found}
