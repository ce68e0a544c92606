"""The clients and lawyers guide's words: namespace `/`, one word each way, and whatever is sent along."""

from typing import Any

import orjson
from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.protocol import ClientProtocol, InboundEvent, OutboundEvent, Payload, members
from parley.gateway.protocols.serializer import Serializer, always, flag, ident, one, text, time
from parley.gateway.protocols.standard_events import (
    CHANGED,
    DELETED,
    DONE,
    EVERYWHERE,
    FILES,
    PERSON,
    READ,
    REJECTED,
    STORED,
    EditMessageDto,
    OfMessage,
    changed_at,
    is_of_a_message,
    not_stored,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_EXTRA, Message

TEXTS = ("content", "message", "text")
"""What clients call the text of a message: the first is what Parley calls it."""

# What comes in.


class SendMessageDto(Schema):
    """A message to send: its text under one of three names, and whatever its clients want of each other."""

    class Meta:
        unknown = INCLUDE

    # Named as in the payload: a client's further field can never pass for one of these.
    conversationId = Id(required=True)
    content = fields.String()
    message = fields.String()
    text = fields.String()
    attachments = fields.List(Id(), load_default=list, validate=validate.Length(max=MAX_ATTACHMENTS))
    clientMessageId = fields.UUID(allow_none=True, load_default=None)

    @validates_schema
    def _one_text(self, data: Payload, **_: Any) -> None:
        given = [name for name in TEXTS if name in data]
        if not given and not data["attachments"]:
            raise ValidationError("Missing data for required field.", TEXTS[0])
        if len(given) > 1:
            raise ValidationError(f"It is another name for {given[0]}: give one.", given[1])

    @post_load(pass_original=True)
    def _gather(self, data: Payload, original: Payload, **_: Any) -> Payload:
        named = next((name for name in TEXTS if name in data), TEXTS[0])
        taken = {*ACCEPTED_MESSAGE.parts, *TEXTS}
        along = {name: each for name, each in original.items() if name not in taken}
        if named not in ACCEPTED_MESSAGE.parts:
            # It goes back by the name that it came by, and is kept once.
            along[named] = None
        return {**data, "content": data.get(named, ""), "extra": _extra(along)}


def _extra(along: Payload) -> str | None:
    """What is sent along, as JSON.

    Raises:
        ValidationError: it is nested too deeply, or too long.
    """
    sizes = {name: _size(name, each) for name, each in along.items()}
    extra = orjson.dumps(along).decode()
    if len(extra) > MAX_EXTRA:
        raise ValidationError(
            f"At most {MAX_EXTRA} characters of JSON can be sent along.", max(sizes, key=sizes.__getitem__)
        )
    return extra if along else None


def _size(name: str, value: Any) -> int:
    try:
        # As deep as it will lie in what goes out, for that must not fail.
        return len(orjson.dumps([[[[value]]]]))
    except TypeError:
        raise ValidationError("It is nested too deeply.", name) from None


def _send(p: Payload) -> c.SendMessage:
    named = p["clientMessageId"]
    return c.SendMessage(
        conversation_id=p["conversationId"],
        content=p["content"],
        type="file" if p["attachments"] else "text",
        attachments=tuple(p["attachments"]),
        extra=p["extra"],
        client_message_id=str(named) if named else None,
    )


# What goes out.


def _sent_along(message: Message) -> Payload:
    sent: Payload = orjson.loads(message.extra) if message.extra else {}
    return {name: message.content if name in TEXTS else each for name, each in sent.items()}


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
        **STORED,
        "attachments": FILES,
        **CHANGED,
    },
    rest=lambda view: _sent_along(view.message),
)
# Of a socket that has not told yet which words it speaks, this must be good for the connections guide too.
ACCEPTED_MESSAGE = Serializer(
    "AcceptedMessage",
    {**MESSAGE.parts, "isRead": flag(lambda _: False)},
    rest=lambda view: _sent_along(view.message),
)
OK_MESSAGE = Serializer("Accepted", {"success": always(True), "message": one(ACCEPTED_MESSAGE, "")})

INBOUND = {
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE),
    "editMessage": InboundEvent(EditMessageDto(), lambda p: c.EditMessage(**p), DONE),
    "deleteMessage": InboundEvent(OfMessage(), lambda p: c.DeleteMessage(**p), DONE),
    "markAsRead": InboundEvent(OfMessage(), lambda p: c.MarkRead(**p), DONE),
    **EVERYWHERE,
}


OUTBOUND = (
    OutboundEvent(event="receiveMessage", of=e.MessageStored, payload=MESSAGE, room=members),
    OutboundEvent(event="receiveEdit", of=e.MessageEdited, payload=MESSAGE, room=members),
    OutboundEvent(event="receiveDeletion", of=e.MessageDeleted, payload=DELETED, room=members),
    OutboundEvent(
        event="receiveRead",
        of=e.ConversationRead,
        payload=READ,
        room=members,
        when=is_of_a_message,
    ),
    *not_stored("receiveRejection", "receiveFailure", REJECTED),
)

CLIENTS_AND_LAWYERS = ClientProtocol(
    name="clients-and-lawyers", namespace="/", inbound=INBOUND, outbound=OUTBOUND, refusal=REFUSAL
)
