"""The connections guide's words: namespace `/`, paths below `/chat`, its tables' columns in camelCase."""

from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from gateway.core import commands as c
from gateway.core.errors import ChatError, Invalid
from gateway.core.results import ConversationView, Introduction
from gateway.vocabularies.fields import Id
from gateway.vocabularies.refusal import ERROR
from gateway.vocabularies.shape import (
    Shape,
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
from gateway.vocabularies.vocabulary import (
    Admitted,
    Hears,
    Payload,
    Says,
    Serves,
    Tells,
    UnreadChanged,
    Vocabulary,
    contacts,
    members,
    user,
)
from shared import events as e
from shared.model import MAX_ATTACHMENTS, MAX_PAGE, Person

MAX_PAGES = 1_000_000
DIGITS_OF_NUMBERS = 15
"""Digits of the numbers that messages can have: 2**53 has one more."""

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


class SendMessageDto(OfConversation):
    """A message to send; with attachments, which are uploads by their ids, it may have no content."""

    content = fields.String()
    attachments = fields.List(Id(), load_default=list, validate=validate.Length(max=MAX_ATTACHMENTS))
    client_message_id = fields.UUID(data_key="clientMessageId", allow_none=True, load_default=None)

    @validates_schema
    def _something(self, data: Payload, **_: Any) -> None:
        if "content" not in data and not data["attachments"]:
            raise ValidationError("Missing data for required field.", "content")


class EditMessageDto(OfMessage):
    """Other content for a message."""

    content = fields.String(required=True)


class TypingDto(OfConversation):
    """Whether one is typing."""

    typing = fields.Boolean(required=True, data_key="isTyping", truthy={True}, falsy={False})


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
    named = p["client_message_id"]
    return c.SendMessage(
        conversation_id=p["conversation_id"],
        content=p.get("content", ""),
        type="file" if p["attachments"] else "text",
        attachments=tuple(p["attachments"]),
        client_message_id=str(named) if named else None,
    )


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


def _changed_at(view: Any) -> Any:
    return view.message.deleted_at or view.message.edited_at or view.message.created_at


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


PARTICIPANT = Shape(
    "Participant",
    {
        "id": ident("id"),
        "name": text("name"),
        "username": text("username"),
        "avatar": nullable(text("avatar")),
    },
)
PERSON = Shape("Person", {**PARTICIPANT.parts, "avatar": optional(text("avatar"))})
ATTACHMENT = Shape(
    "Attachment",
    {
        "id": ident("id"),
        "name": text("name"),
        "size": number("size"),
        "type": text("type"),
        "url": text(lambda a: f"/attachments/{a.id}"),
    },
)
# What does not know how far others have read says nothing of it, rather than what may be wrong.
CHANGED = Shape(
    "ChangedMessage",
    {
        "id": ident("message.id"),
        "conversationId": ident("message.conversation_id"),
        "senderId": ident("message.sender_id"),
        "sender": one(PERSON, "sender"),
        "content": text("message.content"),
        "createdAt": time("message.created_at"),
        "updatedAt": time(_changed_at),
        "seq": optional(number(lambda view: view.message.seq or None)),
        "rev": optional(number(lambda view: view.message.rev or None)),
        "clientMessageId": optional(text("message.client_message_id")),
        "attachments": optional(one(many(ATTACHMENT), lambda view: view.message.attachments or None)),
        "editedAt": optional(time("message.edited_at")),
        "deletedAt": optional(time("message.deleted_at")),
    },
)
MESSAGE = Shape(
    "Message",
    {**CHANGED.parts, "isRead": flag(lambda view: getattr(view, "status", "sent") == "read")},
)
LAST_MESSAGE = Shape(
    "LastMessage",
    {
        "id": ident("id"),
        "seq": number("seq"),
        "senderId": ident("sender_id"),
        "content": text("content"),
        "createdAt": time("created_at"),
    },
)
CONVERSATION = Shape(
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
OK = Shape("Done", {"success": always(True)})
OK_MESSAGE = Shape("Accepted", {"success": always(True), "message": one(MESSAGE, "")})
JOINED = Shape(
    "Joined",
    {
        "success": always(True),
        "conversationId": ident("conversation_id"),
        "seq": number("seq"),
        "rev": number("rev"),
    },
)
TOTAL = Shape("UnreadTotal", {"count": number("")})
REFUSAL = Shape("Refusal", {"success": always(False), "error": one(ERROR, _named)})

HEARS = {
    "sendMessage": Hears(SendMessageDto(), _send, OK_MESSAGE),
    "typing": Hears(TypingDto(), lambda p: c.SetTyping(**p), OK),
    "joinConversation": Hears(OfConversation(), lambda p: c.JoinRoom(**p), JOINED),
    "leaveConversation": Hears(OfConversation(), lambda p: c.LeaveRoom(**p), OK),
    "markAsRead": Hears(OfMessage(), lambda p: c.MarkRead(**p), OK),
    "editMessage": Hears(EditMessageDto(), lambda p: c.EditMessage(**p), OK),
    "deleteMessage": Hears(OfMessage(), lambda p: c.DeleteMessage(**p), OK),
}

DELETED = Shape(
    "MessageDeleted",
    {
        "messageId": ident("message.id"),
        "conversationId": ident("conversation_id"),
        "seq": number("message.seq"),
        "rev": number("message.rev"),
        "deletedAt": time("message.deleted_at"),
    },
)
READ = Shape(
    "MessageRead",
    {
        "messageId": ident(lambda read: read.message_id or read.last_id),
        "conversationId": ident("conversation_id"),
        "userId": ident("user_id"),
        "readAt": time("at"),
        "seq": number("seq"),
    },
)
REJECTED = Shape(
    "MessageRejected",
    {
        "conversationId": ident("conversation_id"),
        "messageId": nullable(text("message_id")),
        "clientMessageId": nullable(text("client_message_id")),
        "error": one(
            Shape(
                "Rejection",
                {"code": text("code"), "message": text("reason"), "retryable": always(False)},
            ),
            "",
        ),
    },
)
TYPING = Shape(
    "TypingChanged",
    {
        "userId": ident("user.id"),
        "isTyping": flag("typing"),
        "conversationId": ident("conversation_id"),
    },
)
PRESENCE = Shape("Presence", {"userId": ident("user_id")})
CONTACT = Shape("OnlineContact", {"userId": ident("")})
UNREAD = Shape(
    "UnreadCount",
    {"conversationId": ident("conversation_id"), "unreadCount": number("unread"), "count": number("total")},
)


def _online_contacts(introduction: Introduction) -> Iterable[str]:
    return (contact for contact in introduction.online if contact != introduction.person.id)


SAYS = (
    Says(event="message", of=e.MessageStored, payload=MESSAGE, room=members),
    Says(event="messageUpdated", of=e.MessageEdited, payload=CHANGED, room=members),
    Says(event="messageDeleted", of=e.MessageDeleted, payload=DELETED, room=members),
    Says(
        event="messageRead",
        of=e.ConversationRead,
        payload=READ,
        room=members,
        when=lambda read: (read.message_id or read.last_id) is not None,
    ),
    Says(
        event="messageRejected",
        of=e.RecordRefused,
        payload=REJECTED,
        room=user,
        when=lambda refused: not refused.failed,
    ),
    Says(
        event="messageFailed",
        of=e.RecordRefused,
        payload=REJECTED,
        room=user,
        when=lambda refused: refused.failed,
    ),
    Says(
        event="typing",
        of=e.TypingChanged,
        payload=TYPING,
        room=members,
        except_user=lambda t: t.user.id,
    ),
    Says(event="userOnline", of=e.PresenceChanged, payload=PRESENCE, room=contacts, when=lambda p: p.online),
    Says(
        event="userOffline",
        of=e.PresenceChanged,
        payload=PRESENCE,
        room=contacts,
        when=lambda p: not p.online,
    ),
    Says(event="unreadCount", of=UnreadChanged, payload=UNREAD, room=user),
    Says(event="conversationCreated", of=Admitted, payload=one(CONVERSATION, "view"), room=user),
)

SERVES = (
    Serves(
        method="POST",
        path="/chat/conversations",
        schema=CreateConversationDto(),
        command=_create,
        answer=CONVERSATION,
        status=201,
        body=True,
        doc="Start the conversation with someone, or find it.",
    ),
    Serves(
        method="GET",
        path="/chat/conversations",
        schema=ConversationsDto(),
        command=lambda p: c.ListConversations(**p),
        answer=many(CONVERSATION, "items"),
        doc="One's conversations, the liveliest first.",
    ),
    Serves(
        method="GET",
        path="/chat/conversations/{conversationId}/messages",
        schema=MessagesDto(),
        command=_list_messages,
        answer=many(MESSAGE, "items"),
        doc="The last messages of a conversation, or the last before one of them, in their order.",
    ),
    Serves(
        method="GET",
        path="/chat/unread-count",
        schema=Nothing(),
        command=lambda _: c.CountUnread(),
        answer=TOTAL,
        doc="How many messages one has not read, in all conversations.",
    ),
    Serves(
        method="PUT",
        path="/chat/messages/{messageId}/read",
        schema=MarkAsReadDto(),
        command=lambda p: c.MarkRead(**p),
        then=lambda p: c.GetMessage(**p, marked=True),
        answer=MESSAGE,
        doc="Mark a message, and all before it, as read.",
    ),
)

CONNECTIONS = Vocabulary(
    name="connections",
    namespace="/",
    hears=HEARS,
    says=SAYS,
    serves=SERVES,
    refuses=REFUSAL,
    greets=(Tells("userOnline", CONTACT, each=_online_contacts),),
)
