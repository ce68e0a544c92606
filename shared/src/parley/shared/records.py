"""Records: accepted commands on their way from a gateway to a worker.

The record of a sampled message has a `traceparent`, whose span is the parent of what the worker does with it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET, Struct, UnsetType

from parley.shared.envelope import UNREADABLE, Envelope, kind_of, kinds_of, seal, split
from parley.shared.model import Message, Person


class NewMessage(Struct, frozen=True, kw_only=True, tag="new"):
    """Store a message under its conversation's next number."""

    id: str
    message: Message
    sender: Person
    traceparent: str | UnsetType = UNSET

    @property
    def message_id(self) -> str:
        """The id of the message."""
        return self.message.id

    @property
    def conversation_id(self) -> str:
        """The conversation of the message."""
        return self.message.conversation_id

    @property
    def user_id(self) -> str:
        """The author of the record."""
        return self.sender.id


class Edit(Struct, frozen=True, kw_only=True, tag="edit"):
    """Replace the content of a message."""

    id: str
    conversation_id: str
    message_id: str
    user: Person
    content: str
    at: datetime
    traceparent: str | UnsetType = UNSET

    @property
    def user_id(self) -> str:
        """The author of the record."""
        return self.user.id


class Deletion(Struct, frozen=True, kw_only=True, tag="delete"):
    """Turn a message into a tombstone that keeps its number."""

    id: str
    conversation_id: str
    message_id: str
    user_id: str
    at: datetime
    traceparent: str | UnsetType = UNSET


class ReadMark(Struct, frozen=True, kw_only=True, tag="read"):
    """Move the user's read mark up to `seq`.

    `message_id` is the message that the client named, None if it marked the whole conversation.
    `last_id` is the message at `seq` in both cases.
    """

    id: str
    conversation_id: str
    user_id: str
    seq: int
    message_id: str | None
    last_id: str | None = None
    at: datetime


class DeliveredMark(Struct, frozen=True, kw_only=True, tag="delivered"):
    """Move the user's delivered mark: a device holds every message up to `seq`."""

    id: str
    conversation_id: str
    user_id: str
    seq: int
    at: datetime


Change = Edit | Deletion
Mark = ReadMark | DeliveredMark
Record = NewMessage | Edit | Deletion | ReadMark | DeliveredMark

KINDS = kinds_of(Record)
"""The tags of the kinds that this version knows."""

_open = msgspec.msgpack.Decoder(Envelope[Record]).decode
_decode: Callable[[bytes], Record] = msgspec.msgpack.Decoder(Record).decode


class UnreadableRecord(Struct, frozen=True):
    """A record that cannot be decoded, and why.

    `item` is the record's own bytes, `body` an AMQP body that holds it alone.
    `kind` is set if the record is of a kind that this version does not know.
    """

    item: bytes
    body: bytes
    reason: str
    kind: str | None = None


def pack(records: Sequence[Record]) -> bytes:
    """Encode records of one partition, in order, into the body of one AMQP message."""
    return seal(records)


def unpack(body: bytes) -> Sequence[Record | UnreadableRecord]:
    """Decode the body of one AMQP message; an undecodable record does not affect its neighbours."""
    try:
        return _open(body).items
    except UNREADABLE:
        return _unpack_singly(body)


def _unpack_singly(body: bytes) -> list[Record | UnreadableRecord]:
    try:
        return [_unpack_one(item, alone) for item, alone in split(body)]
    except UNREADABLE as error:
        return [UnreadableRecord(body, body, str(error))]


def _unpack_one(item: bytes, alone: bytes) -> Record | UnreadableRecord:
    try:
        return _decode(item)
    except UNREADABLE as error:
        kind = kind_of(item)
        if kind is None or kind in KINDS:
            return UnreadableRecord(item, alone, str(error))
        return UnreadableRecord(item, alone, f"unknown kind {kind!r}: a newer version wrote it", kind)
