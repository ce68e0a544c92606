"""Replay: the events that a receiver missed, rebuilt from the messages as they are stored now."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from parley.shared.events import MessageDeleted, MessageEdited, MessageStored, Numbered
from parley.shared.model import Message, Person


class Span(NamedTuple):
    """A range of revisions to replay.

    Attributes:
        received: The receiver has everything up to this revision.
        known: The messages given to the replay are complete up to this revision.
        epoch: The epoch of `received`.
    """

    received: int
    known: int
    epoch: int = 0


def in_order(
    span: Span, changed: Sequence[Message], new: Sequence[Message], people: Mapping[str, Person]
) -> Iterator[Numbered]:
    """Yield the events of changed and new messages, in the order of revisions and of numbers.

    A client may lose its connection after any event, and resumes from the highest revision it received, so
    revisions must not decrease; new messages must keep the order of their numbers as well. A new message
    whose number comes before its revision was changed later: it is yielded under the last revision before
    it, and its change in its own turn.

    Args:
        span: The revisions to replay.
        changed: Messages that the receiver has, and that were changed since, as they are now.
        new: Messages that the receiver does not have, by number.
        people: The senders by id.
    """
    # Clients know no revision 0, and revision 1 is the first message's, which comes before all others.
    rev, epoch, waiting = max(span.received, 1), span.epoch, deque(new)
    for message in sorted((m for m in (*changed, *new) if m.rev <= span.known), key=lambda m: m.rev):
        while waiting and waiting[0].seq < message.seq:
            yield stored_event(replace(waiting.popleft(), rev=rev, epoch=epoch), people)
        rev, epoch = message.rev, message.epoch
        is_new = bool(waiting) and waiting[0] is message
        if is_new:
            yield stored_event(waiting.popleft(), people)
        if not is_new or message.deleted_at is not None:
            yield changed_event(message, people)
    for message in waiting:
        yield stored_event(replace(message, rev=rev, epoch=epoch), people)


def stored_event(message: Message, people: Mapping[str, Person]) -> MessageStored:
    """Return the event of a stored message."""
    return MessageStored(record_id="", message=message, sender=people[message.sender_id])


def has_changed(message: Message) -> bool:
    """Whether a message was edited or deleted."""
    return message.edited_at is not None or message.deleted_at is not None


def changed_event(message: Message, people: Mapping[str, Person]) -> Numbered:
    """Return the event of a message's edit or deletion."""
    kind = MessageDeleted if message.deleted_at is not None else MessageEdited
    return kind(message=message, sender=people[message.sender_id])
