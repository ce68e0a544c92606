"""Events: facts on their way from a worker or a gateway to the gateways whose clients they concern.

The event of a sampled message has a `traceparent`, whose span is the parent of what the gateways do with it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from parley.shared.envelope import UNREADABLE, Envelope, kind_of, kinds_of, seal, split
from parley.shared.model import Conversation, Member, Message, Person, Revocation


class MessageStored(Struct, frozen=True, kw_only=True, tag="stored"):
    """A message has its number and is stored in MongoDB."""

    record_id: str
    message: Message
    sender: Person
    traceparent: str | UnsetType = UNSET

    @property
    def conversation_id(self) -> str:
        """The conversation of the message."""
        return self.message.conversation_id


class MessageEdited(Struct, frozen=True, kw_only=True, tag="edited"):
    """A message's content was replaced, under a new `rev`.

    `record_ids` are the edits that it has now, of a batch: the last one, and those that it superseded.
    """

    message: Message
    sender: Person
    record_ids: tuple[str, ...] = ()
    traceparent: str | UnsetType = UNSET

    @property
    def conversation_id(self) -> str:
        """The conversation of the message."""
        return self.message.conversation_id


class MessageDeleted(Struct, frozen=True, kw_only=True, tag="deleted"):
    """A message was turned into a tombstone, under a new `rev`, by the last of `record_ids`."""

    message: Message
    sender: Person
    record_ids: tuple[str, ...] = ()
    traceparent: str | UnsetType = UNSET

    @property
    def conversation_id(self) -> str:
        """The conversation of the message."""
        return self.message.conversation_id


class MessageRepeated(Struct, frozen=True, kw_only=True, tag="repeated"):
    """A send was retried; `message` is the one that the first attempt stored."""

    record_id: str
    message: Message
    sender: Person
    traceparent: str | UnsetType = UNSET

    @property
    def conversation_id(self) -> str:
        """The conversation of the message."""
        return self.message.conversation_id


class ConversationRead(Struct, frozen=True, kw_only=True, tag="read"):
    """A user's read mark is at `seq`.

    `message_id` is the message that the user named, `last_id` the last one that they had seen.
    `own_since_read` is the number of the user's own messages above `seq`, counted up to `own_seq`.
    """

    record_id: str
    conversation_id: str
    user_id: str
    seq: int
    message_id: str | None
    last_id: str | None = None
    own_since_read: int
    own_seq: int
    at: datetime


class ConversationDelivered(Struct, frozen=True, kw_only=True, tag="delivered"):
    """A device of the user holds every message up to `seq`."""

    record_id: str
    conversation_id: str
    user_id: str
    seq: int
    at: datetime


class RecordRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """An accepted record was not stored: `failed` if an error prevented it, otherwise a rule forbids it."""

    record_id: str
    conversation_id: str
    user_id: str
    failed: bool
    code: str
    reason: str
    message_id: str | None = None
    client_message_id: str | None = None
    temp_id: str | None = None
    traceparent: str | UnsetType = UNSET


class ConversationCreated(Struct, frozen=True, kw_only=True, tag="created"):
    """A user is now a member of this conversation: a new one, or one that they were added to."""

    conversation: Conversation
    members: tuple[Member, ...]
    """The first members; all of them would be too many in a large group."""
    member_count: int = 0
    """The number of all members; 0 if version 0.2.0 or older has published the event."""
    by: str


class MembersAdded(Struct, frozen=True, kw_only=True, tag="joined"):
    """Users were added to a conversation; sent to its members. Many users are in several events."""

    conversation_id: str
    people: tuple[Person, ...]
    by: str
    at: datetime


class MemberRemoved(Struct, frozen=True, kw_only=True, tag="left"):
    """A user left a conversation or was removed from it; `new_owner` is set if its owner changed."""

    conversation_id: str
    new_owner: str | None = field(default=None, name="heir")
    user_id: str
    by: str
    at: datetime


class TypingChanged(Struct, frozen=True, kw_only=True, tag="typing"):
    """A user started or stopped typing; a start expires by itself."""

    conversation_id: str
    user: Person
    typing: bool
    at: datetime


class RoomChanged(Struct, frozen=True, kw_only=True, tag="room"):
    """A user's first socket on a node joined a conversation's room, or the last one left it."""

    conversation_id: str
    user_id: str
    joined: bool
    at: datetime


class PresenceChanged(Struct, frozen=True, kw_only=True, tag="presence"):
    """A user's first socket connected, or the last one disconnected."""

    user_id: str
    online: bool
    at: datetime


class TokensRevoked(Struct, frozen=True, kw_only=True, tag="revoked"):
    """Tokens were revoked; sent to all nodes."""

    revocation: Revocation


class ProfileChanged(Struct, frozen=True, kw_only=True, tag="profile"):
    """A token issued at `issued_at` (Unix time) states another name of a user; sent to all nodes."""

    person: Person
    issued_at: float


class Heartbeat(Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """A node publishes this to itself, to find out whether its subscriber receives anything."""

    count: int


class Emit(Struct, frozen=True, kw_only=True, tag="emit"):
    """A plain Socket.IO event for a room, as `sio.emit` sends it."""

    namespace: str
    room: str | None
    event: str
    args: list[Any]
    skip: tuple[str, ...] = ()


RECONNECT = "reconnect"
"""The method of a `Control` that closes a socket's connection as a stopping gateway does: its client connects
again. Gateways of version 0.5.0 ignore it."""


class Control(Struct, frozen=True, kw_only=True, tag="control"):
    """A Socket.IO operation on a room, or on a socket that another node holds."""

    method: str
    namespace: str
    sid: str | None = None
    room: str | None = None


Numbered = MessageStored | MessageEdited | MessageDeleted
Event = (
    MessageStored
    | MessageEdited
    | MessageDeleted
    | MessageRepeated
    | ConversationRead
    | ConversationDelivered
    | RecordRefused
    | ConversationCreated
    | MembersAdded
    | MemberRemoved
    | TypingChanged
    | RoomChanged
    | PresenceChanged
    | TokensRevoked
    | ProfileChanged
    | Heartbeat
    | Emit
    | Control
)


def records_of(event: Event) -> tuple[str, ...]:
    """Return the ids of the records that an event is the outcome of, in their order; it may be of none."""
    if type(event) is MessageStored:
        return (event.record_id,)
    if isinstance(event, MessageEdited | MessageDeleted):
        # Workers of 0.2.0 name the last change only.
        return event.record_ids or ((event.message.change_id,) if event.message.change_id else ())
    record_id = getattr(event, "record_id", "")
    return (record_id,) if record_id else ()


KINDS = kinds_of(Event)
"""The tags of the kinds that this version knows."""

_open = msgspec.msgpack.Decoder(Envelope[Event]).decode
_decode: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode


class UnknownEvent(Struct, frozen=True):
    """An event of a kind that this version does not know; a newer one wrote it."""

    kind: str


class UnreadableEvent(Struct, frozen=True):
    """Bytes that are no event, and why."""

    reason: str


def pack(events: Sequence[Event]) -> bytes:
    """Encode events of one room, in order, into the body of one PUBLISH."""
    return seal(events)


def unpack(body: bytes) -> Sequence[Event | UnknownEvent | UnreadableEvent]:
    """Decode the body of one PUBLISH; an undecodable event does not affect its neighbours."""
    try:
        return _open(body).items
    except UNREADABLE:
        return _unpack_singly(body)


def _unpack_singly(body: bytes) -> list[Event | UnknownEvent | UnreadableEvent]:
    try:
        return [_unpack_one(item) for item, _ in split(body)]
    except UNREADABLE as error:
        return [UnreadableEvent(str(error))]


def _unpack_one(item: bytes) -> Event | UnknownEvent | UnreadableEvent:
    try:
        return _decode(item)
    except UNREADABLE as error:
        kind = kind_of(item)
        return UnreadableEvent(str(error)) if kind is None or kind in KINDS else UnknownEvent(kind)
