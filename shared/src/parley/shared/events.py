"""Events: what has happened, on its way to the gateways that hold those whom it concerns."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from parley.shared.model import Conversation, Member, Message, Person, Revocation


class MessageStored(Struct, frozen=True, kw_only=True, tag="stored", forbid_unknown_fields=True):
    """A message has its number and is in MongoDB."""

    record_id: str
    message: Message
    sender: Person

    @property
    def conversation_id(self) -> str:
        return self.message.conversation_id


class MessageEdited(Struct, frozen=True, kw_only=True, tag="edited", forbid_unknown_fields=True):
    """A message has other content, under a new `rev`."""

    message: Message
    sender: Person

    @property
    def conversation_id(self) -> str:
        return self.message.conversation_id


class MessageDeleted(Struct, frozen=True, kw_only=True, tag="deleted", forbid_unknown_fields=True):
    """A message is a tombstone, under a new `rev`."""

    message: Message
    sender: Person

    @property
    def conversation_id(self) -> str:
        return self.message.conversation_id


class MessageRepeated(Struct, frozen=True, kw_only=True, tag="repeated", forbid_unknown_fields=True):
    """A send came again; this is the message that it made the first time."""

    record_id: str
    message: Message
    sender: Person

    @property
    def conversation_id(self) -> str:
        return self.message.conversation_id


class ConversationRead(Struct, frozen=True, kw_only=True, tag="read", forbid_unknown_fields=True):
    """A user's read mark stands at `seq`; `own_since_read` own messages, counted to `own_seq`, lie above.

    `message_id` is what the user named, `last_id` the last message that they had seen then.
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


class ConversationDelivered(Struct, frozen=True, kw_only=True, tag="delivered", forbid_unknown_fields=True):
    """A device of the user holds everything up to `seq`."""

    record_id: str
    conversation_id: str
    user_id: str
    seq: int
    at: datetime


class RecordRefused(Struct, frozen=True, kw_only=True, tag="refused", forbid_unknown_fields=True):
    """An accepted record could not be stored: `failed` by its own fault, else by the rules."""

    record_id: str
    conversation_id: str
    user_id: str
    failed: bool
    code: str
    reason: str
    message_id: str | None = None
    client_message_id: str | None = None
    temp_id: str | None = None


class ConversationCreated(Struct, frozen=True, kw_only=True, tag="created", forbid_unknown_fields=True):
    """Told to a user: you are now in this conversation, be it new or one you were added to."""

    conversation: Conversation
    members: tuple[Member, ...]
    by: str


class MembersAdded(Struct, frozen=True, kw_only=True, tag="joined", forbid_unknown_fields=True):
    """People came into a conversation; told to those who were there."""

    conversation_id: str
    people: tuple[Person, ...]
    by: str
    at: datetime


class MemberRemoved(Struct, frozen=True, kw_only=True, tag="left", forbid_unknown_fields=True):
    """Someone left a conversation or was removed from it; `heir` is its owner from now on."""

    conversation_id: str
    heir: str | None = None
    user_id: str
    by: str
    at: datetime


class TypingChanged(Struct, frozen=True, kw_only=True, tag="typing", forbid_unknown_fields=True):
    """Someone started or stopped typing; a start lapses by itself."""

    conversation_id: str
    user: Person
    typing: bool
    at: datetime


class RoomChanged(Struct, frozen=True, kw_only=True, tag="room", forbid_unknown_fields=True):
    """Someone opened a conversation, their first socket on a node joining it, or closed it."""

    conversation_id: str
    user_id: str
    joined: bool
    at: datetime


class PresenceChanged(Struct, frozen=True, kw_only=True, tag="presence", forbid_unknown_fields=True):
    """Someone's first socket came, or their last one has gone."""

    user_id: str
    online: bool
    at: datetime


class TokensRevoked(Struct, frozen=True, kw_only=True, tag="revoked", forbid_unknown_fields=True):
    """Told to all nodes: some tokens are refused from now on."""

    revocation: Revocation


class Heartbeat(Struct, frozen=True, kw_only=True, tag="heartbeat", forbid_unknown_fields=True):
    """A node says to itself, through the bus, that the bus can be heard."""

    count: int


class Emit(Struct, frozen=True, kw_only=True, tag="emit", forbid_unknown_fields=True):
    """A bare Socket.IO event for a room, as `sio.emit` sends it."""

    namespace: str
    room: str | None
    event: str
    args: list[Any]
    skip: tuple[str, ...] = ()


class Control(Struct, frozen=True, kw_only=True, tag="control", forbid_unknown_fields=True):
    """A Socket.IO room operation on a socket that another node holds."""

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
    | Heartbeat
    | Emit
    | Control
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode


def pack(events: Sequence[Event]) -> bytes:
    """What one PUBLISH carries: events of one room, in order."""
    return _encode(events)


def unpack(body: bytes) -> list[Event]:
    """The events of one PUBLISH.

    Raises:
        msgspec.DecodeError: the body is not what `pack` makes.
    """
    try:
        return _decode(body)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
