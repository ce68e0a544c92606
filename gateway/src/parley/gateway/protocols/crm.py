"""The CRM guide: namespace `/chat`, routes below `/chat-messages`; ids may be sent as numbers."""

import re
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.fields import BoundedList, InboundSchema, NumericServerId, UuidAsSent
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    joined_room,
)
from parley.gateway.protocols.serializer import (
    Serializer,
    constant,
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
    ATTACHMENTS,
    CHANGED_FIELDS,
    COMMON_INBOUND,
    DONE,
    IS_READ,
    MAX_PAGES,
    REJECTION_FIELDS,
    STORED_FIELDS,
    EmptyPayload,
    acting_user,
    changed_at,
    failure_events,
    has_last_message,
    typing_user,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_PAGE

# Inbound.


class ChatRef(InboundSchema):
    """A chat by its id."""

    conversation_id = NumericServerId(required=True, data_key="chatId")


class MessageRef(InboundSchema):
    """A message by its id; its chat may be given too."""

    message_id = NumericServerId(required=True, data_key="messageId")
    conversation_id = NumericServerId(data_key="chatId")


class Content(InboundSchema):
    """A message's content; `message` is an alias of `content`."""

    content = fields.String()
    message = fields.String()

    @validates_schema
    def _require_one_content(self, data: Payload, **_: Any) -> None:
        if "content" in data and "message" in data:
            raise ValidationError("An alias of content: give one of them.", "message")


class SendMessageDto(ChatRef, Content):
    """A message to send; it may name uploads by their ids."""

    attachments = BoundedList(NumericServerId(), most=MAX_ATTACHMENTS)
    client_message_id = UuidAsSent(data_key="clientMessageId")


class UpdateMessageDto(MessageRef, Content):
    """New content for a message."""


class TypingDto(ChatRef):
    """Whether the user is typing in a chat."""

    typing = fields.Boolean(required=True, data_key="isTyping", truthy={True}, falsy={False})


class MarkAsReadDto(ChatRef):
    """The message up to which a chat is read."""

    message_id = NumericServerId(required=True, data_key="messageId")


class PageDto(ChatRef):
    """A page of messages, newest page first; with `before`, a message's id or number, older ones only."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = NumericServerId()


class OneMessageDto(InboundSchema):
    """A message by its id."""

    message_id = NumericServerId(required=True, data_key="messageId")


def _content(p: Payload) -> str:
    return str(p.get("content", p.get("message", "")))


def _send(p: Payload) -> c.SendMessage:
    files = tuple(p.get("attachments", ()))
    return c.SendMessage(
        conversation_id=p["conversation_id"],
        content=_content(p),
        type="file" if files else "text",
        attachments=files,
        client_message_id=p.get("client_message_id"),
    )


def _update(p: Payload) -> c.EditMessage:
    return c.EditMessage(
        message_id=p["message_id"], content=_content(p), conversation_id=p.get("conversation_id")
    )


def _page(p: Payload) -> c.ListMessages:
    before = p.get("before")
    if before is not None and re.fullmatch("[0-9]{1,15}", before):
        return c.ListMessages(**{**p, "before": int(before)}, counted=True)
    return c.ListMessages(**{**p, "before": None}, before_id=before, counted=True)


# Outbound.

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
# An accepted edit has no revision yet, and the gateway does not know then whether the message was read.
ACCEPTED_EDIT = Serializer(
    "AcceptedEdit",
    {
        "id": ident("message.id"),
        "chatId": ident("message.conversation_id"),
        "senderId": ident("message.sender_id"),
        "sender": one(SENDER, "sender"),
        "message": text("message.content"),
        "attachments": ATTACHMENTS,
        "createdAt": time("message.created_at"),
        "updatedAt": time(changed_at),
        "seq": STORED_FIELDS["seq"],
        "clientMessageId": STORED_FIELDS["clientMessageId"],
        "deletedAt": CHANGED_FIELDS["deletedAt"],
    },
)
EDITED = Serializer(
    "EditedMessage",
    {**ACCEPTED_EDIT.fields, "rev": STORED_FIELDS["rev"]},
)
MESSAGE = Serializer(
    "Message",
    {**EDITED.fields, "isRead": IS_READ},
)
OK_AUTHENTICATED = Serializer(
    "Authenticated",
    {
        "success": constant(True),
        "message": constant("Authenticated successfully"),
        "userId": ident("person.id"),
        "socketId": text("socket_id"),
        "user": one(USER, "person"),
    },
)
OK_JOINED = Serializer(
    "Joined", {"success": constant(True), "message": text(lambda room: f"Joined chat {room.conversation_id}")}
)
OK_LEFT = Serializer(
    "Left", {"success": constant(True), "message": text(lambda room: f"Left chat {room.conversation_id}")}
)
OK_MESSAGE = Serializer("Accepted", {"success": constant(True), "data": one(MESSAGE, "")})
OK_EDITED = Serializer("Edited", {"success": constant(True), "data": one(ACCEPTED_EDIT, "")})
OK_DELETED = Serializer("Deleted", {"success": constant(True), "message": constant("Message deleted")})
OK_PAGE = Serializer(
    "Messages",
    {
        "success": constant(True),
        "data": many(MESSAGE, "items"),
        "total": number("total"),
        "page": number("number"),
        "limit": number("limit"),
        "hasMore": flag(lambda page: page.next_cursor is not None),
    },
)
PONG = Serializer("Pong", {"pong": millis("")})
REFUSED = Serializer(
    "Refusal", {"success": constant(False), "message": text("message"), "error": one(ERROR, "")}
)

INBOUND = {
    "authenticate": InboundEvent(EmptyPayload(), lambda _: c.Introduce(), OK_AUTHENTICATED),
    "joinChat": InboundEvent(ChatRef(), lambda p: c.JoinRoom(**p), OK_JOINED),
    "leaveChat": InboundEvent(ChatRef(), lambda p: c.LeaveRoom(**p), OK_LEFT),
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE, message_to="chatId"),
    "updateMessage": InboundEvent(UpdateMessageDto(), _update, OK_EDITED, message_to="chatId"),
    "deleteMessage": InboundEvent(MessageRef(), lambda p: c.DeleteMessage(**p), DONE, message_to="chatId"),
    "typing": InboundEvent(TypingDto(), lambda p: c.SetTyping(**p), DONE),
    "markAsRead": InboundEvent(MarkAsReadDto(), lambda p: c.MarkRead(**p), DONE),
    "ping": InboundEvent(EmptyPayload(), lambda _: c.Ping(), PONG),
    **COMMON_INBOUND,
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
    "MessageRejected", {"chatId": ident("conversation_id"), "message": text("reason"), **REJECTION_FIELDS}
)


OUTBOUND = (
    OutboundEvent(event="newMessage", trigger=e.MessageStored, payload=NEW, room=joined_room),
    OutboundEvent(event="messageUpdated", trigger=e.MessageEdited, payload=UPDATED, room=joined_room),
    OutboundEvent(event="messageDeleted", trigger=e.MessageDeleted, payload=DELETED, room=joined_room),
    OutboundEvent(
        event="userTyping",
        trigger=e.TypingChanged,
        payload=TYPING,
        room=joined_room,
        except_user=typing_user,
    ),
    OutboundEvent(
        event="messageRead",
        trigger=e.ConversationRead,
        payload=READ,
        room=joined_room,
        except_user=acting_user,
        when=has_last_message,
    ),
    OutboundEvent(
        event="userJoined",
        trigger=e.RoomChanged,
        payload=IN_ROOM,
        room=joined_room,
        except_user=acting_user,
        when=lambda room: room.joined,
    ),
    OutboundEvent(
        event="userLeft",
        trigger=e.RoomChanged,
        payload=IN_ROOM,
        room=joined_room,
        except_user=acting_user,
        when=lambda room: not room.joined,
    ),
    OutboundEvent(
        event="userLeft", trigger=e.MemberRemoved, payload=IN_ROOM, room=joined_room, except_user=acting_user
    ),
    *failure_events("messageRejected", "messageFailed", REJECTED),
)


def _updates(method: str) -> Route:
    return Route(
        method=method,
        path="/chat-messages/{messageId}",
        schema=UpdateMessageDto(),
        command=_update,
        response=OK_EDITED,
        body=True,
        doc="Change the content of one's own message.",
    )


ROUTES = (
    Route(
        method="POST",
        path="/chat-messages",
        schema=SendMessageDto(),
        command=_send,
        response=OK_MESSAGE,
        status=201,
        body=True,
        idempotency="clientMessageId",
        doc="Send a message.",
    ),
    Route(
        method="GET",
        path="/chat-messages",
        schema=PageDto(),
        command=_page,
        response=OK_PAGE,
        doc="List a page of a chat's messages, in their order; the first page is the newest.",
    ),
    Route(
        method="GET",
        path="/chat-messages/{messageId}",
        schema=OneMessageDto(),
        command=lambda p: c.GetMessage(**p),
        response=OK_MESSAGE,
        doc="Get a message.",
    ),
    _updates("PATCH"),
    _updates("PUT"),
    Route(
        method="DELETE",
        path="/chat-messages/{messageId}",
        schema=MessageRef(),
        command=lambda p: c.DeleteMessage(**p),
        response=OK_DELETED,
        doc="Delete a message: one's own or, as an admin of the conversation, anyone's.",
    ),
)

CRM = ClientProtocol(
    name="crm", namespace="/chat", inbound=INBOUND, outbound=OUTBOUND, routes=ROUTES, refusal=REFUSED
)
