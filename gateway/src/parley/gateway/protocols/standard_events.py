"""What several guides say alike, so that it is said once; each takes of it what is its own."""

from typing import Any

from marshmallow import Schema, fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.protocol import InboundEvent, OutboundEvent, Payload, user
from parley.gateway.protocols.serializer import (
    Field,
    Serializer,
    ToPayload,
    always,
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

# What comes in.


class Nothing(Schema):
    """No payload, or an empty object."""


class OfConversation(Schema):
    """A conversation by its id."""

    conversation_id = Id(required=True, data_key="conversationId")


class OfMessage(Schema):
    """A message by its id; its conversation may be named too."""

    message_id = Id(required=True, data_key="messageId")
    conversation_id = Id(data_key="conversationId")


class EditMessageDto(OfMessage):
    """Other content for a message."""

    content = fields.String(required=True)


class TypingDto(OfConversation):
    """Whether one is typing."""

    typing = fields.Boolean(required=True, data_key="isTyping", truthy={True}, falsy={False})


class ReauthenticateDto(Schema):
    """Another token of the same user: the socket goes on until that expires."""

    token = fields.String(required=True, validate=validate.Length(1, MAX_TOKEN))


class Sending(Schema):
    """What every way of sending takes besides the text: uploads, and the client's name for the message."""

    attachments = fields.List(Id(), load_default=list, validate=validate.Length(max=MAX_ATTACHMENTS))
    client_message_id = fields.UUID(data_key="clientMessageId", allow_none=True, load_default=None)


def sending(p: Payload) -> Payload:
    """A loaded `Sending` with whatever else was loaded, as the commands for sending take it."""
    named = p["client_message_id"]
    return {**p, "attachments": tuple(p["attachments"]), "client_message_id": str(named) if named else None}


# What goes out.


def changed_at(view: Any) -> Any:
    """When a message was changed last, or else when it was sent."""
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
FILES = optional(one(many(ATTACHMENT), lambda view: view.message.attachments or None))
"""A message's attachments, if it has any."""
STORED: dict[str, Field] = {
    "seq": optional(number(lambda view: view.message.seq or None)),
    "rev": optional(number(lambda view: view.message.rev or None)),
    "clientMessageId": optional(text("message.client_message_id")),
}
"""A message's number and revision, once it has them, and what its client calls it."""
CHANGED: dict[str, Field] = {
    "editedAt": optional(time("message.edited_at")),
    "deletedAt": optional(time("message.deleted_at")),
}
IS_READ = flag(lambda view: getattr(view, "status", "sent") == "read")
"""Whether anyone but its sender has read a message."""
PERSON = Serializer(
    "Person",
    {
        "id": ident("id"),
        "name": text("name"),
        "username": text("username"),
        "avatar": optional(text("avatar")),
    },
)
DONE = Serializer("Done", {"success": always(True)})
JOINED = Serializer(
    "Joined",
    {
        "success": always(True),
        "conversationId": ident("conversation_id"),
        "seq": number("seq"),
        "rev": number("rev"),
    },
)
RENEWED = Serializer("Renewed", {"success": always(True), "expiresAt": time("expires_at")})
EVERYWHERE = {"reauthenticate": InboundEvent(ReauthenticateDto(), lambda p: c.Reauthenticate(**p), RENEWED)}
"""What every vocabulary hears; so it tells of none that a socket speaks it."""
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
REJECTION: dict[str, Field] = {
    "messageId": nullable(text("message_id")),
    "clientMessageId": nullable(text("client_message_id")),
    "error": one(
        Serializer(
            "Rejection", {"code": text("code"), "message": text("reason"), "retryable": always(False)}
        ),
        "",
    ),
}
"""Which message was not stored, and why."""
REJECTED = Serializer("MessageRejected", {"conversationId": ident("conversation_id"), **REJECTION})


def is_of_a_message(read: e.ConversationRead) -> bool:
    """Whether it is known up to which message someone has read."""
    return read.last_id is not None


def not_stored(rejected: str, failed: str, payload: ToPayload) -> tuple[OutboundEvent, OutboundEvent]:
    """The two events for who sent what could not be stored: by the rules, or by its own fault."""
    return (
        OutboundEvent(
            event=rejected,
            of=e.RecordRefused,
            payload=payload,
            room=user,
            when=lambda refused: not refused.failed,
        ),
        OutboundEvent(
            event=failed,
            of=e.RecordRefused,
            payload=payload,
            room=user,
            when=lambda refused: refused.failed,
        ),
    )


def typist(event: e.TypingChanged) -> str:
    """Who is typing, and does not need to be told."""
    return event.user.id


def reader(event: e.ConversationRead) -> str:
    """Who has read, and does not need to be told."""
    return event.user_id
