"""The state of a batch: the records that are written together, and the events that result."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import structlog
from msgspec import UNSET

from parley.persistence_worker.ports import Head, MemberKey
from parley.shared import rooms
from parley.shared.events import Event, MessageStored, RecordRefused
from parley.shared.model import Message, now
from parley.shared.records import DeliveredMark, NewMessage, ReadMark, Record

log = structlog.get_logger()


@dataclass(slots=True)
class Batch:
    """The heads and messages that a batch has read, and the events that it will publish."""

    redelivered: bool
    heads: dict[str, Head]
    found: dict[str, Message]
    """Messages that were stored before: of retries, and those to be changed."""
    epoch: int = 0
    renumbered: dict[str, Message] = field(default_factory=dict)
    """Messages that got another revision, because they had one below the head."""
    last: dict[str, Message] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    uncounted: set[MemberKey] = field(default_factory=set)
    """Senders of messages that another worker stored, and perhaps did not count."""

    def emit(self, room: str, event: Event) -> None:
        """Add an event to those that are published after the batch is stored."""
        self.events[room].append(event)

    def outgoing(self) -> dict[str, list[Event]]:
        """Return the events by room, with the messages' revisions as they are now."""
        if not self.renumbered:
            return self.events
        return {room: [self._renumbered(event) for event in events] for room, events in self.events.items()}

    def _renumbered(self, event: Event) -> Event:
        if isinstance(event, MessageStored) and event.message.id in self.renumbered:
            return msgspec.structs.replace(event, message=self.renumbered[event.message.id])
        return event

    def offer_last(self, message: Message) -> None:
        """Make a message its conversation's last, unless a later one is known."""
        known = self.last.get(message.conversation_id)
        if known is None or message.seq >= known.seq:
            self.last[message.conversation_id] = message

    def refuse(self, record: Record, code: str, reason: str) -> None:
        """Add a refusal for the author of a record."""
        log.debug(
            "worker.record.refused",
            record=record.id,
            message_id=message_id_of(record),
            conversation=record.conversation_id,
            code=code,
        )
        self.emit(rooms.user(record.user_id), refusal(record, code, reason, failed=False))


def number(
    messages: Iterable[Message], heads: dict[str, Head], epoch: int
) -> tuple[list[Message], dict[str, Head]]:
    """Return the messages with the next numbers of their conversations, and the heads that result."""
    moved: dict[str, Head] = {}
    numbered = []
    stored_at = now()
    for message in messages:
        head = moved.get(message.conversation_id) or heads[message.conversation_id]
        head = moved[message.conversation_id] = head.at(head.seq + 1, head.rev + 1, epoch)
        fields = {"seq": head.seq, "rev": head.rev, "epoch": epoch, "stored_at": stored_at}
        numbered.append(msgspec.structs.replace(message, **fields))
    return numbered, moved


def refusal(record: Record, code: str, reason: str, *, failed: bool) -> RecordRefused:
    """Return the event for the author of a record that is not stored."""
    message = record.message if isinstance(record, NewMessage) else None
    return RecordRefused(
        record_id=record.id,
        conversation_id=record.conversation_id,
        user_id=record.user_id,
        failed=failed,
        code=code,
        reason=reason,
        message_id=message_id_of(record),
        client_message_id=message.client_message_id if message else None,
        temp_id=message.temp_id if message else None,
        traceparent=UNSET if isinstance(record, ReadMark | DeliveredMark) else record.traceparent,
    )


def message_id_of(record: Record) -> str | None:
    """Return the id of the message that a record names, if it names one."""
    if isinstance(record, NewMessage):
        return record.message.id
    return None if isinstance(record, DeliveredMark) else record.message_id
