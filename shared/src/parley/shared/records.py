"""Records: accepted commands on their way from a gateway to storage."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from parley.shared.model import Message, Person


class NewMessage(Struct, frozen=True, kw_only=True, tag="new", forbid_unknown_fields=True):
    """Store this message under the conversation's next number."""

    id: str
    message: Message
    sender: Person

    @property
    def conversation_id(self) -> str:
        return self.message.conversation_id

    @property
    def user_id(self) -> str:
        return self.sender.id


class Edit(Struct, frozen=True, kw_only=True, tag="edit", forbid_unknown_fields=True):
    """Give a message of the user's other content."""

    id: str
    conversation_id: str
    message_id: str
    user: Person
    content: str
    at: datetime

    @property
    def user_id(self) -> str:
        return self.user.id


class Deletion(Struct, frozen=True, kw_only=True, tag="delete", forbid_unknown_fields=True):
    """Make a message a tombstone that keeps its number."""

    id: str
    conversation_id: str
    message_id: str
    user_id: str
    at: datetime


class ReadMark(Struct, frozen=True, kw_only=True, tag="read", forbid_unknown_fields=True):
    """The user has read up to `seq`; `message_id` when one message was named, not the whole.

    `last_id` is the message at `seq`, named or not.
    """

    id: str
    conversation_id: str
    user_id: str
    seq: int
    message_id: str | None
    last_id: str | None = None
    at: datetime


class DeliveredMark(Struct, frozen=True, kw_only=True, tag="delivered", forbid_unknown_fields=True):
    """A device of the user holds everything up to `seq`."""

    id: str
    conversation_id: str
    user_id: str
    seq: int
    at: datetime


Change = Edit | Deletion
Mark = ReadMark | DeliveredMark
Record = NewMessage | Edit | Deletion | ReadMark | DeliveredMark

_encode = msgspec.msgpack.Encoder().encode
_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode: Callable[[bytes], Record] = msgspec.msgpack.Decoder(Record).decode


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading bytes of somebody else's may come to."""


class Broken(Struct, frozen=True):
    """A record that cannot be read, and why."""

    body: bytes
    reason: str


def pack(records: Sequence[Record]) -> bytes:
    """The body of one AMQP message: records of one partition, in order."""
    return _encode(records)


def unpack(body: bytes) -> list[Record | Broken]:
    """The records of one AMQP message; one that cannot be read does not harm its neighbours."""
    try:
        parts = _split(body)
    except UNREADABLE as error:
        return [Broken(body, str(error))]
    return [_unpack_one(bytes(part)) for part in parts]


def _unpack_one(part: bytes) -> Record | Broken:
    try:
        return _decode(part)
    except UNREADABLE as error:
        return Broken(_encode([msgspec.Raw(part)]), str(error))
