"""What is stored, told again: the events that were missed, made up from the messages themselves."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from parley.shared.events import MessageDeleted, MessageEdited, MessageStored, Numbered
from parley.shared.model import Message, Person


class Span(NamedTuple):
    """Revisions: all up to `heard` were told, and up to `known` nothing is missing in what is to be told."""

    heard: int
    known: int


def in_order(
    span: Span, changed: Sequence[Message], new: Sequence[Message], people: Mapping[str, Person]
) -> Iterator[Numbered]:
    """What would have been told of older messages that changed, and of new ones, as they are stored now.

    By their revisions, for a client may be cut off after each, and goes on from the highest that it heard;
    the new ones by their numbers, too. One whose turn by number comes before its turn by revision has
    changed since: it is told under the last revision before, and its change in its turn.
    """
    # Clients know no revision 0; and what still has 1 is the first message, which comes before all others.
    rev, waiting = max(span.heard, 1), deque(new)
    for message in sorted((m for m in (*changed, *new) if m.rev <= span.known), key=lambda m: m.rev):
        while waiting and waiting[0].seq < message.seq:
            yield stored_event(replace(waiting.popleft(), rev=rev), people)
        rev = message.rev
        is_new = bool(waiting) and waiting[0] is message
        if is_new:
            yield stored_event(waiting.popleft(), people)
        if not is_new or message.deleted_at is not None:
            yield changed_event(message, people)
    for message in waiting:
        yield stored_event(replace(message, rev=rev), people)


def stored_event(message: Message, people: Mapping[str, Person]) -> MessageStored:
    """What would have been told of a stored message."""
    return MessageStored(record_id="", message=message, sender=people[message.sender_id])


def has_changed(message: Message) -> bool:
    """Whether it is not as it was when it was stored."""
    return message.edited_at is not None or message.deleted_at is not None


def changed_event(message: Message, people: Mapping[str, Person]) -> Numbered:
    """What would have been told of an edit or a deletion."""
    kind = MessageDeleted if message.deleted_at is not None else MessageEdited
    return kind(message=message, sender=people[message.sender_id])
