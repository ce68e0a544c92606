"""Replay: the events that a receiver missed, rebuilt from the messages as they are stored now."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from msgspec.structs import replace

from parley.gateway.core.positions import Position
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


class Read(NamedTuple):
    """The messages that were read after a position, at most `at_once` of either kind.

    Attributes:
        changes: Messages with a higher revision, by revision.
        new: Messages with a higher number, by number.
        at_once: How many were asked for.
    """

    changes: Sequence[Message]
    new: Sequence[Message]
    at_once: int


class Slice(NamedTuple):
    """A part of a replay: its events, and the position that its receiver has reached with them."""

    events: Sequence[Numbered]
    reached: Position


def next_slice(received: Position, head: Position, read: Read, people: Mapping[str, Person]) -> Slice:
    """Return the next part of a replay, which brings the receiver nearer to the head, or there.

    Args:
        received: The receiver has everything up to this position.
        head: The end of the replay.
        read: The stored messages after `received`.
        people: The senders by id.
    """
    new = [m for m in read.new if m.seq <= head.seq]
    seq = new[-1].seq if len(new) == read.at_once else max(head.seq, received.seq)
    known = [m for m in read.changes if m.rev <= head.rev]
    usable = list(takewhile(lambda m: m.seq <= seq, known))
    has_more = len(read.changes) == len(known) == read.at_once
    if len(usable) == len(known) and not has_more:
        rev, epoch = max(head[1:], received[1:], key=lambda each: each[0])
    else:
        rev, epoch = (usable[-1].rev, usable[-1].epoch) if usable else received[1:]
        new = _due(new, rev) if usable else new
        seq = new[-1].seq if new else received.seq
    changed = [m for m in usable if m.seq <= received.seq and has_changed(m)]
    span = Span(received.rev, rev, received.epoch)
    return Slice(list(in_order(span, changed, new, people)), Position(seq, rev, epoch))


def _due(new: Sequence[Message], rev: int) -> list[Message]:
    """Return new messages up to the last one that a revision includes; later revisions bring the others."""
    last = max((place for place, m in enumerate(new) if m.rev <= rev), default=-1)
    return list(new[: last + 1])


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
