"""What an edit or a deletion makes of a message."""

from collections.abc import Sequence

import msgspec

from parley.shared.model import REMEMBERED_CHANGES, Message
from parley.shared.records import Change, Deletion, Edit


def decisive(records: Sequence[Change]) -> Change:
    """The one of several changes of a message that counts: the first deletion, else the last edit."""
    return next((record for record in records if isinstance(record, Deletion)), records[-1])


def change(message: Message, records: Sequence[Change], *, rev: int) -> Message:
    """The message under `rev` as these changes leave it, or the same object when none is news to it.

    A tombstone keeps its id, number and sender, and nothing of what was said.
    """
    news = _news(message, records)
    if message.deleted_at is not None or not news:
        return message
    record = decisive(news)
    changed = msgspec.structs.replace(
        message,
        rev=rev,
        change_id=record.id,
        changed_by=(*message.changed_by, *(r.id for r in news))[-REMEMBERED_CHANGES:],
    )
    if isinstance(record, Edit):
        return msgspec.structs.replace(changed, content=record.content, edited_at=record.at)
    return msgspec.structs.replace(changed, content="", attachments=(), extra=None, deleted_at=record.at)


def _news(message: Message, records: Sequence[Change]) -> Sequence[Change]:
    """What follows the last of these changes that the message knows.

    They come in the same order every time, so that those before it were made too, though the message
    remembers only a few.
    """
    known = [at for at, record in enumerate(records) if record.id in message.changed_by]
    return records[known[-1] + 1 :] if known else records
