"""The connections guide: namespace `/`, routes below `/chat`; direct conversations between two users."""

from collections.abc import Iterable
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Invalid
from parley.gateway.core.results import ConversationView, Introduction
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.fields import InboundSchema, NumericId, ServerId
from parley.gateway.protocols.protocol import (
    Admitted,
    ClientProtocol,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    UnreadChanged,
    members_room,
    presence_room,
    user_room,
)
from parley.gateway.protocols.serializer import (
    Serializer,
    constant,
    flag,
    ident,
    many,
    nullable,
    number,
    one,
    text,
    time,
)
from parley.gateway.protocols.standard_events import (
    ATTACHMENTS,
    CHANGED_FIELDS,
    COMMON_INBOUND,
    DELETED,
    DONE,
    IS_READ,
    JOINED,
    MAX_PAGES,
    PERSON,
    READ,
    REJECTED,
    STORED_FIELDS,
    ConversationRef,
    EditMessageDto,
    EmptyPayload,
    MessageRef,
    SendOptions,
    TypingDto,
    changed_at,
    failure_events,
    has_last_message,
    send_arguments,
    typing_user,
)
from parley.shared import events as e
from parley.shared.model import MAX_PAGE, Person

MAX_DIGITS = 15
"""The longest message number, in digits; 2**53 has one more."""

# Inbound.


class SendMessageDto(SendOptions, ConversationRef):
    """A message to send; with attachments (ids of uploads) the content is optional."""

    content = fields.String()

    @validates_schema
    def _require_content(self, data: Payload, **_: Any) -> None:
        if "content" not in data and not data["attachments"]:
            raise ValidationError("Missing data for required field.", "content")


class CreateConversationDto(InboundSchema):
    """The other participant of a direct conversation."""

    participant_id = NumericId(required=True, data_key="participantId")


class ConversationsDto(InboundSchema):
    """A page of the list of conversations."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))


class MessagesDto(ConversationRef):
    """A page of messages, newest page first; with `before`, a message's number or id, older ones only."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))
    before = ServerId()


class MarkAsReadDto(InboundSchema):
    """The message to mark as read."""

    message_id = ServerId(required=True, data_key="messageId")


def _send(p: Payload) -> c.SendMessage:
    return c.SendMessage(
        **{"content": "", "type": "file" if p["attachments"] else "text", **send_arguments(p)}
    )


def _create(p: Payload) -> c.CreateConversation:
    return c.CreateConversation(kind="direct", participants=(p["participant_id"],))


def _list_messages(p: Payload) -> c.ListMessages:
    before = p.get("before", "")
    is_number = before.isascii() and before.isdecimal() and len(before) <= MAX_DIGITS
    return c.ListMessages(
        conversation_id=p["conversation_id"],
        limit=p["limit"],
        page=p["page"],
        before=int(before) if is_number else None,
        before_id=None if is_number else before or None,
    )


def _rename_participants(error: ChatError) -> ChatError:
    """Report an error of the field `participants` under this guide's name, `participantId`."""
    if error.details and "participants" in error.details:
        return Invalid.field("participantId", *error.details["participants"])
    return error


# Outbound.


def _participant1(view: ConversationView) -> Person:
    """Return the creator or, after the creator has left, the first member shown."""
    creator = view.person(view.conversation.created_by)
    return creator or next((m.person for m in view.members), Person(id=view.conversation.created_by))


def _participant2(view: ConversationView) -> Person | None:
    first = _participant1(view).id
    return next((m.person for m in view.members if m.person.id != first), None)


def _participant2_id(view: ConversationView) -> str | None:
    second = _participant2(view)
    return second.id if second else None


PARTICIPANT = Serializer("Participant", {**PERSON.fields, "avatar": nullable(text("avatar"))})
# An edit event does not know how far others have read: it leaves `isRead` out rather than guess.
CHANGED_MESSAGE = Serializer(
    "ChangedMessage",
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
)
MESSAGE = Serializer(
    "Message",
    {**CHANGED_MESSAGE.fields, "isRead": IS_READ},
)
LAST_MESSAGE = Serializer(
    "LastMessage",
    {
        "id": ident("id"),
        "seq": number("seq"),
        "senderId": ident("sender_id"),
        "content": text("content"),
        "createdAt": time("created_at"),
    },
)
CONVERSATION = Serializer(
    "Conversation",
    {
        "id": ident("conversation.id"),
        "participant1Id": ident(lambda view: _participant1(view).id),
        "participant2Id": nullable(ident(_participant2_id)),
        "participant1": one(PARTICIPANT, _participant1),
        "participant2": nullable(one(PARTICIPANT, _participant2)),
        "lastMessage": nullable(one(LAST_MESSAGE, "conversation.last_message")),
        "lastMessageAt": nullable(
            time(lambda v: v.conversation.last_message.created_at if v.conversation.last_message else None)
        ),
        "createdAt": time("conversation.created_at"),
        "updatedAt": time("conversation.last_activity_at"),
        "unreadCount": number("unread"),
    },
)
OK_MESSAGE = Serializer("Accepted", {"success": constant(True), "message": one(MESSAGE, "")})
TOTAL = Serializer("UnreadTotal", {"count": number("count")})
REFUSAL = Serializer("Refusal", {"success": constant(False), "error": one(ERROR, _rename_participants)})

INBOUND = {
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE, message_to="conversationId"),
    "typing": InboundEvent(TypingDto(), lambda p: c.SetTyping(**p), DONE),
    "joinConversation": InboundEvent(ConversationRef(), lambda p: c.JoinRoom(**p), JOINED),
    "leaveConversation": InboundEvent(ConversationRef(), lambda p: c.LeaveRoom(**p), DONE),
    "markAsRead": InboundEvent(MessageRef(), lambda p: c.MarkRead(**p), DONE),
    "editMessage": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), DONE, message_to="conversationId"
    ),
    "deleteMessage": InboundEvent(
        MessageRef(), lambda p: c.DeleteMessage(**p), DONE, message_to="conversationId"
    ),
    **COMMON_INBOUND,
}

TYPING = Serializer(
    "TypingChanged",
    {
        "userId": ident("user.id"),
        "isTyping": flag("typing"),
        "conversationId": ident("conversation_id"),
    },
)
PRESENCE = Serializer("Presence", {"userId": ident("user_id")})
CONTACT = Serializer("OnlineContact", {"userId": ident("")})
UNREAD = Serializer(
    "UnreadCount",
    {"conversationId": ident("conversation_id"), "unreadCount": number("unread"), "count": number("total")},
)


def _online_contacts(introduction: Introduction) -> Iterable[str]:
    return (contact for contact in introduction.online if contact != introduction.person.id)


OUTBOUND = (
    OutboundEvent(event="message", trigger=e.MessageStored, payload=MESSAGE, room=members_room),
    OutboundEvent(
        event="messageUpdated", trigger=e.MessageEdited, payload=CHANGED_MESSAGE, room=members_room
    ),
    OutboundEvent(event="messageDeleted", trigger=e.MessageDeleted, payload=DELETED, room=members_room),
    OutboundEvent(
        event="messageRead",
        trigger=e.ConversationRead,
        payload=READ,
        room=members_room,
        when=has_last_message,
    ),
    *failure_events("messageRejected", "messageFailed", REJECTED),
    OutboundEvent(
        event="typing",
        trigger=e.TypingChanged,
        payload=TYPING,
        room=members_room,
        except_user=typing_user,
    ),
    OutboundEvent(
        event="userOnline",
        trigger=e.PresenceChanged,
        payload=PRESENCE,
        room=presence_room,
        when=lambda p: p.online,
    ),
    OutboundEvent(
        event="userOffline",
        trigger=e.PresenceChanged,
        payload=PRESENCE,
        room=presence_room,
        when=lambda p: not p.online,
    ),
    OutboundEvent(event="unreadCount", trigger=UnreadChanged, payload=UNREAD, room=user_room),
    OutboundEvent(
        event="conversationCreated", trigger=Admitted, payload=one(CONVERSATION, "view"), room=user_room
    ),
)

ROUTES = (
    Route(
        method="POST",
        path="/chat/conversations",
        schema=CreateConversationDto(),
        command=_create,
        response=CONVERSATION,
        status=201,
        body=True,
        doc="Create the direct conversation with a user, or return the existing one.",
    ),
    Route(
        method="GET",
        path="/chat/conversations",
        schema=ConversationsDto(),
        command=lambda p: c.ListConversations(**p),
        response=many(CONVERSATION, "items"),
        doc="List the user's conversations, the most recently active first: at most `limit`, 100 by default. "
        "A shorter page is the last; after a full one, ask for `page=2`.",
    ),
    Route(
        method="GET",
        path="/chat/conversations/{conversationId}/messages",
        schema=MessagesDto(),
        command=_list_messages,
        response=many(MESSAGE, "items"),
        doc="List a conversation's last messages, or the last before a message, in their order: at most "
        "`limit`, 100 by default. A shorter page reaches the first message; after a full one, ask for "
        "`page=2`, or for `before` with the id or number of the page's first message.",
    ),
    Route(
        method="GET",
        path="/chat/unread-count",
        schema=EmptyPayload(),
        command=lambda _: c.CountUnread(),
        response=TOTAL,
        doc="Count the user's unread messages in all conversations.",
    ),
    Route(
        method="PUT",
        path="/chat/messages/{messageId}/read",
        schema=MarkAsReadDto(),
        command=lambda p: c.MarkRead(**p),
        then=lambda p: c.GetMessage(**p, marked=True),
        response=MESSAGE,
        doc="Mark a message and all before it as read.",
    ),
)

CONNECTIONS = ClientProtocol(
    name="connections",
    namespace="/",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("userOnline", CONTACT, split=_online_contacts),),
)
