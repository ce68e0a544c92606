"""The CRM guide's words: namespace `/chat`, paths below `/chat-messages`; ids may be given as numbers."""

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.fields import NumericId
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    joined,
)
from parley.gateway.protocols.serializer import (
    Serializer,
    always,
    flag,
    ident,
    many,
    millis,
    nullable,
    number,
    one,
    optional,
    text,
    time,
)
from parley.gateway.protocols.standard_events import (
    CHANGED,
    DONE,
    EVERYWHERE,
    FILES,
    IS_READ,
    MAX_PAGES,
    REJECTION,
    STORED,
    Nothing,
    changed_at,
    is_of_a_message,
    not_stored,
    typist,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_PAGE

# What comes in.


class OfChat(Schema):
    """A chat by its id."""

    conversation_id = NumericId(required=True, data_key="chatId")


class OfMessage(Schema):
    """A message by its id; its chat may be named too."""

    message_id = NumericId(required=True, data_key="messageId")
    conversation_id = NumericId(data_key="chatId")


class Content(Schema):
    """What is said; `message` is another name for it."""

    content = fields.String()
    message = fields.String()

    @validates_schema
    def _one_content(self, data: Payload, **_: Any) -> None:
        if "content" in data and "message" in data:
            raise ValidationError("It is another name for content: give one.", "message")


class SendMessageDto(OfChat, Content):
    """A message to send; it may refer to uploads by their ids."""

    attachments = fields.List(NumericId(), validate=validate.Length(max=MAX_ATTACHMENTS))
    client_message_id = fields.UUID(data_key="clientMessageId", allow_none=True)


class UpdateMessageDto(OfMessage, Content):
    """Other content for a message."""


class TypingDto(OfChat):
    """Whether one types in a chat."""

    typing = fields.Boolean(required=True, data_key="isTyping", truthy={True}, falsy={False})


class MarkAsReadDto(OfChat):
    """The message up to which a chat is read."""

    message_id = NumericId(required=True, data_key="messageId")


class PageDto(OfChat):
    """A page of a chat: the last, or one further back; before a message, by its id or its number."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = NumericId()


class OneMessageDto(Schema):
    """A message by its id."""

    message_id = NumericId(required=True, data_key="messageId")


def _content(p: Payload) -> str:
    return str(p.get("content", p.get("message", "")))


def _send(p: Payload) -> c.SendMessage:
    named, files = p.get("client_message_id"), tuple(p.get("attachments", ()))
    return c.SendMessage(
        conversation_id=p["conversation_id"],
        content=_content(p),
        type="file" if files else "text",
        attachments=files,
        client_message_id=str(named) if named else None,
    )


def _update(p: Payload) -> c.EditMessage:
    return c.EditMessage(
        message_id=p["message_id"], content=_content(p), conversation_id=p.get("conversation_id")
    )


def _page(p: Payload) -> c.ListMessages:
    named = p.get("before")
    if named is not None and re.fullmatch("[0-9]{1,15}", named):
        return c.ListMessages(**{**p, "before": int(named)}, counted=True)
    return c.ListMessages(**{**p, "before": None}, before_id=named, counted=True)


# What goes out.

USER = Serializer(
    "User",
    {
        "id": ident("id"),
        "role": nullable(text("role")),
        "type": nullable(text("type")),
        "department": nullable(text("department")),
        "permissions": many(text(""), "permissions"),
    },
)
SENDER = Serializer(
    "Sender",
    {
        "id": ident("id"),
        "name": text("name"),
        "username": text("username"),
        "role": optional(text("role")),
        "type": optional(text("type")),
        "department": optional(text("department")),
    },
)
# An edit that is accepted has no revision yet, and none knows who has read the message.
ACCEPTED_EDIT = Serializer(
    "AcceptedEdit",
    {
        "id": ident("message.id"),
        "chatId": ident("message.conversation_id"),
        "senderId": ident("message.sender_id"),
        "sender": one(SENDER, "sender"),
        "message": text("message.content"),
        "attachments": FILES,
        "createdAt": time("message.created_at"),
        "updatedAt": time(changed_at),
        "seq": STORED["seq"],
        "clientMessageId": STORED["clientMessageId"],
        "deletedAt": CHANGED["deletedAt"],
    },
)
EDITED = Serializer(
    "EditedMessage",
    {**ACCEPTED_EDIT.parts, "rev": STORED["rev"]},
)
MESSAGE = Serializer(
    "Message",
    {**EDITED.parts, "isRead": IS_READ},
)
OK_AUTHENTICATED = Serializer(
    "Authenticated",
    {
        "success": always(True),
        "message": always("Authenticated successfully"),
        "userId": ident("person.id"),
        "socketId": text("socket_id"),
        "user": one(USER, "person"),
    },
)
OK_JOINED = Serializer(
    "Joined", {"success": always(True), "message": text(lambda room: f"Joined chat {room.conversation_id}")}
)
OK_LEFT = Serializer(
    "Left", {"success": always(True), "message": text(lambda room: f"Left chat {room.conversation_id}")}
)
OK_MESSAGE = Serializer("Accepted", {"success": always(True), "data": one(MESSAGE, "")})
OK_EDITED = Serializer("Edited", {"success": always(True), "data": one(ACCEPTED_EDIT, "")})
OK_DELETED = Serializer("Deleted", {"success": always(True), "message": always("Message deleted")})
OK_PAGE = Serializer(
    "Messages",
    {
        "success": always(True),
        "data": many(MESSAGE, "items"),
        "total": number("total"),
        "page": number("number"),
        "limit": number("limit"),
        "hasMore": flag(lambda page: page.next_cursor is not None),
    },
)
PONG = Serializer("Pong", {"pong": millis("")})
REFUSED = Serializer(
    "Refusal", {"success": always(False), "message": text("message"), "error": one(ERROR, "")}
)

INBOUND = {
    "authenticate": InboundEvent(Nothing(), lambda _: c.Introduce(), OK_AUTHENTICATED),
    "joinChat": InboundEvent(OfChat(), lambda p: c.JoinRoom(**p), OK_JOINED),
    "leaveChat": InboundEvent(OfChat(), lambda p: c.LeaveRoom(**p), OK_LEFT),
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE),
    "updateMessage": InboundEvent(UpdateMessageDto(), _update, OK_EDITED),
    "deleteMessage": InboundEvent(OfMessage(), lambda p: c.DeleteMessage(**p), DONE),
    "typing": InboundEvent(TypingDto(), lambda p: c.SetTyping(**p), DONE),
    "markAsRead": InboundEvent(MarkAsReadDto(), lambda p: c.MarkRead(**p), DONE),
    "ping": InboundEvent(Nothing(), lambda _: c.Ping(), PONG),
    **EVERYWHERE,
}

NEW = Serializer(
    "NewMessage",
    {
        "message": one(MESSAGE, ""),
        "chatId": ident("conversation_id"),
        "timestamp": time("message.created_at"),
    },
)
UPDATED = Serializer(
    "MessageUpdated",
    {
        "message": one(EDITED, ""),
        "chatId": ident("conversation_id"),
        "timestamp": time("message.edited_at"),
    },
)
DELETED = Serializer(
    "MessageDeleted",
    {
        "messageId": ident("message.id"),
        "chatId": ident("conversation_id"),
        "timestamp": time("message.deleted_at"),
    },
)
TYPING = Serializer(
    "UserTyping",
    {
        "chatId": ident("conversation_id"),
        "userId": ident("user.id"),
        "isTyping": flag("typing"),
        "timestamp": time("at"),
    },
)
READ = Serializer(
    "MessageRead",
    {
        "chatId": ident("conversation_id"),
        "messageId": ident("last_id"),
        "userId": ident("user_id"),
        "timestamp": time("at"),
    },
)
IN_ROOM = Serializer(
    "UserInRoom", {"chatId": ident("conversation_id"), "userId": ident("user_id"), "timestamp": time("at")}
)
REJECTED = Serializer(
    "MessageRejected", {"chatId": ident("conversation_id"), "message": text("reason"), **REJECTION}
)


def _themselves(event: e.ConversationRead | e.RoomChanged | e.MemberRemoved) -> str:
    return event.user_id


OUTBOUND = (
    OutboundEvent(event="newMessage", of=e.MessageStored, payload=NEW, room=joined),
    OutboundEvent(event="messageUpdated", of=e.MessageEdited, payload=UPDATED, room=joined),
    OutboundEvent(event="messageDeleted", of=e.MessageDeleted, payload=DELETED, room=joined),
    OutboundEvent(
        event="userTyping",
        of=e.TypingChanged,
        payload=TYPING,
        room=joined,
        except_user=typist,
    ),
    OutboundEvent(
        event="messageRead",
        of=e.ConversationRead,
        payload=READ,
        room=joined,
        except_user=_themselves,
        when=is_of_a_message,
    ),
    OutboundEvent(
        event="userJoined",
        of=e.RoomChanged,
        payload=IN_ROOM,
        room=joined,
        except_user=_themselves,
        when=lambda room: room.joined,
    ),
    OutboundEvent(
        event="userLeft",
        of=e.RoomChanged,
        payload=IN_ROOM,
        room=joined,
        except_user=_themselves,
        when=lambda room: not room.joined,
    ),
    OutboundEvent(
        event="userLeft", of=e.MemberRemoved, payload=IN_ROOM, room=joined, except_user=_themselves
    ),
    *not_stored("messageRejected", "messageFailed", REJECTED),
)


def _updates(method: str) -> Route:
    return Route(
        method=method,
        path="/chat-messages/{messageId}",
        schema=UpdateMessageDto(),
        command=_update,
        answer=OK_EDITED,
        body=True,
        doc="Give one's own message other content.",
    )


ROUTES = (
    Route(
        method="POST",
        path="/chat-messages",
        schema=SendMessageDto(),
        command=_send,
        answer=OK_MESSAGE,
        status=201,
        body=True,
        doc="Send a message.",
    ),
    Route(
        method="GET",
        path="/chat-messages",
        schema=PageDto(),
        command=_page,
        answer=OK_PAGE,
        doc="A page of a chat in its order; the first page is the last messages.",
    ),
    Route(
        method="GET",
        path="/chat-messages/{messageId}",
        schema=OneMessageDto(),
        command=lambda p: c.GetMessage(**p),
        answer=OK_MESSAGE,
        doc="One message.",
    ),
    _updates("PATCH"),
    _updates("PUT"),
    Route(
        method="DELETE",
        path="/chat-messages/{messageId}",
        schema=OfMessage(),
        command=lambda p: c.DeleteMessage(**p),
        answer=OK_DELETED,
        doc="Delete a message: one's own, or as an admin anyone's.",
    ),
)

CRM = ClientProtocol(
    name="crm", namespace="/chat", inbound=INBOUND, outbound=OUTBOUND, routes=ROUTES, refusal=REFUSED
)
