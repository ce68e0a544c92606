"""Apply edits and deletions to a message, in the order in which the partition held them first.

The order of a message's changes is stored: it names the last few, its `change_count` is the place of the last
one, and the collection `changes` has the places of the earlier ones. A change whose place is not above the
message's was applied, or superseded by one that was. So a record that is delivered again, alone or in another
batch, never undoes a later one.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from parley.shared.model import REMEMBERED_CHANGES, Message
from parley.shared.records import Change, Deletion, Edit


class Outcome(Struct, frozen=True):
    """The result of changes of one message.

    Attributes:
        was: The message as it is stored.
        message: The message with the changes; the same object if it has them all.
        records: The changes, in order.
        too_late: Those of them that are edits behind its deletion. The message has the others, or a later one
            that superseded them.
        dropped: The places of the changes that it names no longer, by record id.
    """

    was: Message
    message: Message
    records: Sequence[Change]
    too_late: Sequence[Change]
    dropped: Mapping[str, int]

    @property
    def is_change(self) -> bool:
        """Whether the message has to be written."""
        return self.message is not self.was

    @property
    def settled(self) -> Sequence[Change]:
        """The changes that are not too late."""
        return [record for record in self.records if record not in self.too_late]


def is_full(message: Message) -> bool:
    """Return whether a message may have had more changes than it names."""
    return len(message.changed_by) >= REMEMBERED_CHANGES


def is_applied(record: Change, message: Message, past: Mapping[str, int]) -> bool:
    """Return whether a change was applied to a message, or superseded by one that was."""
    return record.id in message.changed_by or past.get(record.id, _NEVER) <= message.change_count


def change(
    message: Message, records: Sequence[Change], past: Mapping[str, int], *, rev: int, epoch: int
) -> Outcome:
    """Return what changes of one message make of it, under a new revision.

    Args:
        message: The message as it is stored.
        records: The changes, in the partition's order.
        past: The places of those that were noted in the collection `changes`.
        rev: The revision that the message gets if it changes.
        epoch: The epoch of `rev`.
    """
    fresh = _not_applied(message, records, past)
    applied = _until_deletion(message, fresh)
    rest = fresh[len(applied) :]
    too_late = [record for record in rest if isinstance(record, Edit)]
    if not applied:
        return Outcome(message, message, records, too_late, {})
    named, dropped = _ordered(message, applied)
    changed = replace(
        _changed(message, applied[-1]),
        rev=rev,
        epoch=epoch,
        change_id=applied[-1].id,
        changed_by=named,
        change_count=_count(message) + len(applied),
    )
    return Outcome(message, changed, records, too_late, dropped)


_NEVER = 1 << 62


def _count(message: Message) -> int:
    # 0.2.0 changes messages without counting.
    return max(message.change_count, len(message.changed_by))


def _not_applied(message: Message, records: Sequence[Change], past: Mapping[str, int]) -> Sequence[Change]:
    """Return the changes behind the last one that was applied: those before it are older."""
    known = [at for at, record in enumerate(records) if is_applied(record, message, past)]
    return records[known[-1] + 1 :] if known else records


def _until_deletion(message: Message, records: Sequence[Change]) -> Sequence[Change]:
    """Return the changes up to the first deletion, which is final."""
    if message.deleted_at is not None:
        return ()
    deletion = next((at for at, record in enumerate(records) if isinstance(record, Deletion)), len(records))
    return records[: deletion + 1]


def _ordered(message: Message, applied: Sequence[Change]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the last changes, which the message names, and the places of those that it does not."""
    ids = (*message.changed_by, *(record.id for record in applied))
    first = _count(message) - len(message.changed_by) + 1
    dropped = ids[:-REMEMBERED_CHANGES]
    return ids[-REMEMBERED_CHANGES:], {record_id: first + at for at, record_id in enumerate(dropped)}


def _changed(message: Message, record: Change) -> Message:
    """Return the edited message or its tombstone, which keeps its id, number and sender only."""
    if isinstance(record, Edit):
        return replace(message, content=record.content, edited_at=record.at)
    return replace(message, content="", attachments=(), extra=None, deleted_at=record.at)
