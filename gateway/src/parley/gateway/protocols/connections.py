"""The connections guide's words: namespace `/`, paths below `/chat`, its tables' columns in camelCase."""

from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Invalid
from parley.gateway.core.results import ConversationView, Introduction
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.protocol import (
    Admitted,
    ClientProtocol,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    UnreadChanged,
    contacts,
    members,
    user,
)
from parley.gateway.protocols.serializer import (
    Serializer,
    always,
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
    CHANGED,
    DELETED,
    DONE,
    EVERYWHERE,
    FILES,
    IS_READ,
    JOINED,
    MAX_PAGES,
    PERSON,
    READ,
    REJECTED,
    STORED,
    EditMessageDto,
    Nothing,
    OfConversation,
    OfMessage,
    Sending,
    TypingDto,
    changed_at,
    is_of_a_message,
    not_stored,
    sending,
    typist,
)
from parley.shared import events as e
from parley.shared.model import MAX_PAGE, Person

DIGITS_OF_NUMBERS = 15
"""Digits of the numbers that messages can have: 2**53 has one more."""

# What comes in.


class SendMessageDto(Sending, OfConversation):
    """A message to send; with attachments, which are uploads by their ids, it may have no content."""

    content = fields.String()

    @validates_schema
    def _something(self, data: Payload, **_: Any) -> None:
        if "content" not in data and not data["attachments"]:
            raise ValidationError("Missing data for required field.", "content")


class CreateConversationDto(Schema):
    """Whom to talk to."""

    participant_id = Id(required=True, data_key="participantId")


class ConversationsDto(Schema):
    """A page of the list of conversations."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))


class MessagesDto(OfConversation):
    """A page of a conversation: the first is the newest, or ends before a message, by number or by id."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))
    before = Id()


class MarkAsReadDto(Schema):
    """The message to mark as read."""

    message_id = Id(required=True, data_key="messageId")


def _send(p: Payload) -> c.SendMessage:
    return c.SendMessage(**{"content": "", "type": "file" if p["attachments"] else "text", **sending(p)})


def _create(p: Payload) -> c.CreateConversation:
    return c.CreateConversation(kind="direct", participants=(p["participant_id"],))


def _list_messages(p: Payload) -> c.ListMessages:
    before = p.get("before", "")
    number = before.isascii() and before.isdecimal() and len(before) <= DIGITS_OF_NUMBERS
    return c.ListMessages(
        conversation_id=p["conversation_id"],
        limit=p["limit"],
        page=p["page"],
        before=int(before) if number else None,
        before_id=None if number else before or None,
    )


def _named(error: ChatError) -> ChatError:
    """An error with this guide's name for the one participant that it knows."""
    if error.details and "participants" in error.details:
        return Invalid.field("participantId", *error.details["participants"])
    return error


# What goes out.


def _first(view: ConversationView) -> Person:
    """The creator; where they have gone, who is shown first of the others."""
    creator = view.person(view.conversation.created_by)
    return creator or next((m.person for m in view.members), Person(id=view.conversation.created_by))


def _second(view: ConversationView) -> Person | None:
    first = _first(view).id
    return next((m.person for m in view.members if m.person.id != first), None)


def _second_id(view: ConversationView) -> str | None:
    second = _second(view)
    return second.id if second else None


PARTICIPANT = Serializer("Participant", {**PERSON.parts, "avatar": nullable(text("avatar"))})
# What does not know how far others have read says nothing of it, rather than what may be wrong.
WITHOUT_READERS = Serializer(
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
        **STORED,
        "attachments": FILES,
        **CHANGED,
    },
)
MESSAGE = Serializer(
    "Message",
    {**WITHOUT_READERS.parts, "isRead": IS_READ},
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
        "participant1Id": ident(lambda view: _first(view).id),
        "participant2Id": nullable(ident(_second_id)),
        "participant1": one(PARTICIPANT, _first),
        "participant2": nullable(one(PARTICIPANT, _second)),
        "lastMessage": nullable(one(LAST_MESSAGE, "conversation.last_message")),
        "lastMessageAt": nullable(
            time(lambda v: v.conversation.last_message.created_at if v.conversation.last_message else None)
        ),
        "createdAt": time("conversation.created_at"),
        "updatedAt": time("conversation.last_activity_at"),
        "unreadCount": number("unread"),
    },
)
OK_MESSAGE = Serializer("Accepted", {"success": always(True), "message": one(MESSAGE, "")})
TOTAL = Serializer("UnreadTotal", {"count": number("")})
REFUSAL = Serializer("Refusal", {"success": always(False), "error": one(ERROR, _named)})

INBOUND = {
    "sendMessage": InboundEvent(SendMessageDto(), _send, OK_MESSAGE),
    "typing": InboundEvent(TypingDto(), lambda p: c.SetTyping(**p), DONE),
    "joinConversation": InboundEvent(OfConversation(), lambda p: c.JoinRoom(**p), JOINED),
    "leaveConversation": InboundEvent(OfConversation(), lambda p: c.LeaveRoom(**p), DONE),
    "markAsRead": InboundEvent(OfMessage(), lambda p: c.MarkRead(**p), DONE),
    "editMessage": InboundEvent(EditMessageDto(), lambda p: c.EditMessage(**p), DONE),
    "deleteMessage": InboundEvent(OfMessage(), lambda p: c.DeleteMessage(**p), DONE),
    **EVERYWHERE,
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
    OutboundEvent(event="message", of=e.MessageStored, payload=MESSAGE, room=members),
    OutboundEvent(event="messageUpdated", of=e.MessageEdited, payload=WITHOUT_READERS, room=members),
    OutboundEvent(event="messageDeleted", of=e.MessageDeleted, payload=DELETED, room=members),
    OutboundEvent(
        event="messageRead",
        of=e.ConversationRead,
        payload=READ,
        room=members,
        when=is_of_a_message,
    ),
    *not_stored("messageRejected", "messageFailed", REJECTED),
    OutboundEvent(
        event="typing",
        of=e.TypingChanged,
        payload=TYPING,
        room=members,
        except_user=typist,
    ),
    OutboundEvent(
        event="userOnline", of=e.PresenceChanged, payload=PRESENCE, room=contacts, when=lambda p: p.online
    ),
    OutboundEvent(
        event="userOffline",
        of=e.PresenceChanged,
        payload=PRESENCE,
        room=contacts,
        when=lambda p: not p.online,
    ),
    OutboundEvent(event="unreadCount", of=UnreadChanged, payload=UNREAD, room=user),
    OutboundEvent(event="conversationCreated", of=Admitted, payload=one(CONVERSATION, "view"), room=user),
)

ROUTES = (
    Route(
        method="POST",
        path="/chat/conversations",
        schema=CreateConversationDto(),
        command=_create,
        answer=CONVERSATION,
        status=201,
        body=True,
        doc="Start the conversation with someone, or find it.",
    ),
    Route(
        method="GET",
        path="/chat/conversations",
        schema=ConversationsDto(),
        command=lambda p: c.ListConversations(**p),
        answer=many(CONVERSATION, "items"),
        doc="One's conversations, the liveliest first: at most `limit`, which is 100 unless it is less. "
        "Fewer are the last; after as many, `page=2` has the next.",
    ),
    Route(
        method="GET",
        path="/chat/conversations/{conversationId}/messages",
        schema=MessagesDto(),
        command=_list_messages,
        answer=many(MESSAGE, "items"),
        doc="The last messages of a conversation, or the last before one of them, in their order: at most "
        "`limit`, which is 100 unless it is less. Fewer are the first there are; after as many, `page=2` "
        "has those before them, as has `before` with the id or number of the first of them.",
    ),
    Route(
        method="GET",
        path="/chat/unread-count",
        schema=Nothing(),
        command=lambda _: c.CountUnread(),
        answer=TOTAL,
        doc="How many messages one has not read, in all conversations.",
    ),
    Route(
        method="PUT",
        path="/chat/messages/{messageId}/read",
        schema=MarkAsReadDto(),
        command=lambda p: c.MarkRead(**p),
        then=lambda p: c.GetMessage(**p, marked=True),
        answer=MESSAGE,
        doc="Mark a message, and all before it, as read.",
    ),
)

CONNECTIONS = ClientProtocol(
    name="connections",
    namespace="/",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("userOnline", CONTACT, each=_online_contacts),),
)
