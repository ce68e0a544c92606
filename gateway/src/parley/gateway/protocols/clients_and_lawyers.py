"""The clients and lawyers guide: namespace `/`, no REST routes; messages may carry extra fields."""

from typing import Any

import orjson
from marshmallow import INCLUDE, ValidationError, fields, post_load, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import BoundedList, InboundSchema, ServerId, UuidAsSent
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    InboundEvent,
    OutboundEvent,
    Payload,
    members_room,
)
from parley.gateway.protocols.serializer import Serializer, constant, flag, ident, one, text, time
from parley.gateway.protocols.standard_events import (
    ATTACHMENTS,
    CHANGED_FIELDS,
    COMMON_INBOUND,
    DELETED,
    DONE,
    PERSON,
    READ,
    REJECTED,
    STORED_FIELDS,
    EditMessageDto,
    MessageRef,
    changed_at,
    failure_events,
    has_last_message,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_EXTRA, Message

TEXTS = ("content", "message", "text")
"""Names under which clients may send a message's text; the first is Parley's own."""

# Inbound.


class SendMessageDto(InboundSchema):
    """A message to send: its text under one of three names, and any extra fields, which are passed on."""

    class Meta:
        unknown = INCLUDE

    # The attributes have the names of the payload's fields, without `data_key`: an extra field with an
    # attribute's name could otherwise overwrite it.
    conversationId = ServerId(required=True)
    content = fields.String()
    message = fields.String()
    text = fields.String()
    attachments = BoundedList(ServerId(), most=MAX_ATTACHMENTS, load_default=list)
    clientMessageId = UuidAsSent(allow_none=True, load_default=None)

    @validates_schema
    def _require_one_text(self, data: Payload, **_: Any) -> None:
        given = [name for name in TEXTS if name in data]
        if not given and not data["attachments"]:
            raise ValidationError("Missing data for required field.", TEXTS[0])
        if len(given) > 1:
            raise ValidationError(f"An alias of {given[0]}: give one of them.", given[1])

    @post_load(pass_original=True)
    def _collect_extra(self, data: Payload, original: Payload, **_: Any) -> Payload:
        alias = next((name for name in TEXTS if name in data), TEXTS[0])
        reserved = {*ACCEPTED_MESSAGE.fields, *TEXTS}
        extra = {name: each for name, each in original.items() if name not in reserved}
        if alias not in ACCEPTED_MESSAGE.fields:
            # The text is also sent back under its alias. It is stored once: of the alias only the name.
            extra[alias] = None
        return {**data, "content": data.get(alias, ""), "extra": _as_json(extra)}


def _as_json(extra: Payload) -> str | None:
    """Encode extra fields; None if there are none.

    Raises:
        ValidationError: a field is nested too deeply, or all together are too long.
    """
    sizes = {name: _size(name, each) for name, each in extra.items()}
    encoded = orjson.dumps(extra).decode()
    if len(encoded) > MAX_EXTRA:
        raise ValidationError(
            f"Extra fields may have at most {MAX_EXTRA} characters of JSON.",
            max(sizes, key=sizes.__getitem__),
        )
    return encoded if extra else None


def _size(name: str, value: Any) -> int:
    try:
        # orjson limits the depth of nesting. Outbound packets nest the value four levels deeper, and encoding
        # them must not fail: the value is tested at that depth.
        return len(orjson.dumps([[[[value]]]]))
    except TypeError:
        raise ValidationError("The value is nested too deeply.", name) from None


def _send(p: Payload) -> c.SendMessage:
    return c.SendMessage(
        conversation_id=p["conversationId"],
        content=p["content"],
        type="file" if p["attachments"] else "text",
        attachments=tuple(p["attachments"]),
        extra=p["extra"],
        client_message_id=p["clientMessageId"],
    )


# Outbound.


def _extra(message: Message) -> Payload:
    extra: Payload = orjson.loads(message.extra) if message.extra else {}
    return {name: message.content if name in TEXTS else each for name, each in extra.items()}


MESSAGE = Serializer(
    "Message",
    {
        "id": ident("message.id"),
        "conversationId": ident("message.conversation_id"),
        "senderId": ident("message.sender_id"),
        "sender": one(PERSON, "sender"),
        "senderName": text("sender.name"),
        "type": text("message.type", "text", "file", "system"),
        "content": text("message.content"),
        "createdAt": time("message.created_at"),
        "updatedAt": time(changed_at),
        **STORED_FIELDS,
        "attachments": ATTACHMENTS,
        **CHANGED_FIELDS,
    },
    extra=lambda view: _extra(view.message),
)
# `sendMessage` does not decide a socket between this protocol and connections: the acknowledgement must fit
# the connections guide too.
ACCEPTED_MESSAGE = Serializer(
    "AcceptedMessage",
    {**MESSAGE.fields, "isRead": flag(lambda _: False)},
    extra=lambda view: _extra(view.message),
)
OK_MESSAGE = Serializer("Accepted", {"success": constant(True), "message": one(ACCEPTED_MESSAGE, "")})

INBOUND = {
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE, message_to="conversationId"),
    "editMessage": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), DONE, message_to="conversationId"
    ),
    "deleteMessage": InboundEvent(
        MessageRef(), lambda p: c.DeleteMessage(**p), DONE, message_to="conversationId"
    ),
    "markAsRead": InboundEvent(MessageRef(), lambda p: c.MarkRead(**p), DONE),
    **COMMON_INBOUND,
}


OUTBOUND = (
    OutboundEvent(event="receiveMessage", trigger=e.MessageStored, payload=MESSAGE, room=members_room),
    OutboundEvent(event="receiveEdit", trigger=e.MessageEdited, payload=MESSAGE, room=members_room),
    OutboundEvent(event="receiveDeletion", trigger=e.MessageDeleted, payload=DELETED, room=members_room),
    OutboundEvent(
        event="receiveRead",
        trigger=e.ConversationRead,
        payload=READ,
        room=members_room,
        when=has_last_message,
    ),
    *failure_events("receiveRejection", "receiveFailure", REJECTED),
)

CLIENTS_AND_LAWYERS = ClientProtocol(
    name="clients-and-lawyers", namespace="/", inbound=INBOUND, outbound=OUTBOUND, refusal=REFUSAL
)
