"""Schemas, serializers and table entries that several protocols share."""

from typing import Any

from marshmallow import fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.expressions import unless_empty
from parley.gateway.protocols.fields import BoundedList, InboundSchema, ServerId, UuidAsSent
from parley.gateway.protocols.protocol import InboundEvent, OutboundEvent, Payload, user_room
from parley.gateway.protocols.serializer import (
    Field,
    Serializer,
    ToPayload,
    constant,
    flag,
    ident,
    many,
    nullable,
    number,
    one,
    optional,
    text,
    time,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS

MAX_PAGES = 1_000_000
MAX_TOKEN = 16_384
"""Characters of a token."""

# Inbound.


class EmptyPayload(InboundSchema):
    """No payload, or an empty object."""


class ConversationRef(InboundSchema):
    """A conversation by its id."""

    conversation_id = ServerId(required=True, data_key="conversationId")


class MessageRef(InboundSchema):
    """A message by its id; its conversation may be given too."""

    message_id = ServerId(required=True, data_key="messageId")
    conversation_id = ServerId(data_key="conversationId")


class EditMessageDto(MessageRef):
    """New content for a message."""

    content = fields.String(required=True)


class TypingDto(ConversationRef):
    """Whether the user is typing in a conversation."""

    typing = fields.Boolean(required=True, data_key="isTyping", truthy={True}, falsy={False})


class ReauthenticateDto(InboundSchema):
    """A newer token of the same user: the socket stays connected until that one expires."""

    token = fields.String(required=True, validate=validate.Length(1, MAX_TOKEN))


class SendOptions(InboundSchema):
    """Options that every event and route for sending has: uploads, and the client's id for the message."""

    attachments = BoundedList(ServerId(), most=MAX_ATTACHMENTS, load_default=list)
    client_message_id = UuidAsSent(data_key="clientMessageId", load_default=None)


def send_arguments(p: Payload) -> Payload:
    """Convert a loaded payload with `SendOptions` to the arguments of the commands that send."""
    return {**p, "attachments": tuple(p["attachments"])}


# Outbound.


def changed_at(view: Any) -> Any:
    """Return when a message was last changed; if never, when it was sent."""
    return view.message.deleted_at or view.message.edited_at or view.message.created_at


ATTACHMENT = Serializer(
    "Attachment",
    {
        "id": ident("id"),
        "name": text("name"),
        "size": number("size"),
        "type": text("type"),
        "url": text(lambda file: f"/attachments/{file.id}"),
    },
)
ATTACHMENTS = optional(one(many(ATTACHMENT), unless_empty("message.attachments")))
"""A message's attachments; left out if there are none."""
STORED_FIELDS: dict[str, Field] = {
    "seq": optional(number(unless_empty("message.seq"))),
    "rev": optional(number(unless_empty("message.rev"))),
    "clientMessageId": optional(text("message.client_message_id")),
}
"""A message's number and revision, once it is stored, and its client's id for it."""
CHANGED_FIELDS: dict[str, Field] = {
    "editedAt": optional(time("message.edited_at")),
    "deletedAt": optional(time("message.deleted_at")),
}
IS_READ = flag(lambda view: getattr(view, "status", "sent") == "read")
"""Whether a member other than the sender has read the message."""
PERSON = Serializer(
    "Person",
    {
        "id": ident("id"),
        "name": text("name"),
        "username": text("username"),
        "avatar": optional(text("avatar")),
    },
)
DONE = Serializer("Done", {"success": constant(True)})
JOINED = Serializer(
    "Joined",
    {
        "success": constant(True),
        "conversationId": ident("conversation_id"),
        "seq": number("seq"),
        "rev": number("rev"),
    },
)
RENEWED = Serializer("Renewed", {"success": constant(True), "expiresAt": time("expires_at")})
COMMON_INBOUND = {
    "reauthenticate": InboundEvent(ReauthenticateDto(), lambda p: c.Reauthenticate(**p), RENEWED)
}
"""Events of every protocol; they never decide which protocol a socket uses."""
DELETED = Serializer(
    "MessageDeleted",
    {
        "messageId": ident("message.id"),
        "conversationId": ident("conversation_id"),
        "seq": number("message.seq"),
        "rev": number("message.rev"),
        "deletedAt": time("message.deleted_at"),
    },
)
READ = Serializer(
    "MessageRead",
    {
        "messageId": ident("last_id"),
        "conversationId": ident("conversation_id"),
        "userId": ident("user_id"),
        "readAt": time("at"),
        "seq": number("seq"),
    },
)
REJECTION_FIELDS: dict[str, Field] = {
    "messageId": nullable(text("message_id")),
    "clientMessageId": nullable(text("client_message_id")),
    "error": one(
        Serializer(
            "Rejection", {"code": text("code"), "message": text("reason"), "retryable": constant(False)}
        ),
        "",
    ),
}
"""The accepted message that was not stored, and the reason."""
REJECTED = Serializer("MessageRejected", {"conversationId": ident("conversation_id"), **REJECTION_FIELDS})


def has_last_message(read: e.ConversationRead) -> bool:
    """Tell whether the event names the last message read."""
    return read.last_id is not None


def failure_events(rejected: str, failed: str, payload: ToPayload) -> tuple[OutboundEvent, OutboundEvent]:
    """Make the two events for the sender of an accepted message that was not stored.

    Args:
        rejected: The event's name when a rule forbids the message, such as that its sender has left.
        failed: The event's name when the message itself could not be stored.
        payload: Makes the payload of both from a `RecordRefused`.
    """
    return (
        OutboundEvent(
            event=rejected,
            trigger=e.RecordRefused,
            payload=payload,
            room=user_room,
            when=lambda refused: not refused.failed,
        ),
        OutboundEvent(
            event=failed,
            trigger=e.RecordRefused,
            payload=payload,
            room=user_room,
            when=lambda refused: refused.failed,
        ),
    )


def typing_user(event: e.TypingChanged) -> str:
    """Return the user who is typing."""
    return event.user.id


def acting_user(event: e.ConversationRead | e.RoomChanged | e.MemberRemoved) -> str:
    """Return the user whose reading, joining or leaving caused the event."""
    return event.user_id
