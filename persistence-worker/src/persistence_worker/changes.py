"""What an edit or a deletion makes of a message."""

import msgspec

from shared.model import Message
from shared.records import Change, Edit


def change(message: Message, record: Change, *, rev: int) -> Message:
    """The changed message under `rev`, or the same object when there is nothing (more) to change.

    A tombstone keeps its id, number and sender, and nothing of what was said.
    """
    if message.deleted_at is not None or message.change_id == record.id:
        return message
    if isinstance(record, Edit):
        return msgspec.structs.replace(
            message, content=record.content, rev=rev, edited_at=record.at, change_id=record.id
        )
    return msgspec.structs.replace(
        message,
        content="",
        attachments=(),
        extra=None,
        rev=rev,
        deleted_at=record.at,
        change_id=record.id,
    )
