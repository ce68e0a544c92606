"""Apply edits and deletions to a message."""

from collections.abc import Sequence

import msgspec

from parley.shared.model import REMEMBERED_CHANGES, Message
from parley.shared.records import Change, Deletion, Edit


def decisive(records: Sequence[Change]) -> Change:
    """Return the change that counts of several: the first deletion, else the last edit."""
    return next((record for record in records if isinstance(record, Deletion)), records[-1])


def change(message: Message, records: Sequence[Change], *, rev: int, epoch: int) -> Message:
    """Return the message after these changes, with its new revision; the same object if it knows them all.

    A tombstone keeps its id, number and sender, and nothing of its content.
    """
    fresh = _not_applied(message, records)
    if message.deleted_at is not None or not fresh:
        return message
    record = decisive(fresh)
    changed = msgspec.structs.replace(
        message,
        rev=rev,
        epoch=epoch,
        change_id=record.id,
        changed_by=(*message.changed_by, *(r.id for r in fresh))[-REMEMBERED_CHANGES:],
    )
    if isinstance(record, Edit):
        return msgspec.structs.replace(changed, content=record.content, edited_at=record.at)
    return msgspec.structs.replace(changed, content="", attachments=(), extra=None, deleted_at=record.at)


def _not_applied(message: Message, records: Sequence[Change]) -> Sequence[Change]:
    """Return the changes behind the last one that was applied.

    Redeliveries keep the order, so all changes before that one were applied too, although the message
    remembers only the latest few.
    """
    known = [at for at, record in enumerate(records) if record.id in message.changed_by]
    return records[known[-1] + 1 :] if known else records
