"""The groups guide's words, which are home: namespace `/chat`, paths below `/chats`."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Count, Id
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
    joined,
    members,
    user,
)
from parley.gateway.protocols.serializer import (
    Serializer,
    always,
    flag,
    ident,
    many,
    mapping,
    nullable,
    number,
    one,
    optional,
    text,
    time,
)
from parley.gateway.protocols.standard_events import (
    CHANGED,
    DELETED,
    DONE,
    EVERYWHERE,
    FILES,
    JOINED,
    REJECTION,
    STORED,
    EditMessageDto,
    Nothing,
    OfConversation,
    OfMessage,
    Sending,
    not_stored,
    sending,
    typist,
)
from parley.shared import events as e
from parley.shared import rooms
from parley.shared.model import MAX_PAGE, MAX_TITLE

# What comes in.


class SendMessageDto(Sending, OfConversation):
    """A message to send; one of type `file` refers to uploads by their ids."""

    content = fields.String(load_default="")
    type = fields.String(load_default="text", validate=validate.OneOf(["text", "file", "system"]))
    temp_id = Id(data_key="tempId", allow_none=True)
    reply_to = Id(data_key="replyTo", allow_none=True)


class MarkAsDeliveredDto(OfConversation):
    """How far a device has received."""

    seq = Count(required=True, least=1)


class CreateConversationDto(Schema):
    """A conversation to start; `participantIds` is another name for `participants`."""

    participants = fields.List(Id())
    participant_ids = fields.List(Id(), data_key="participantIds")
    kind = fields.String(data_key="type", load_default="direct", validate=validate.OneOf(["direct", "group"]))
    title = fields.String(data_key="name", load_default="", validate=validate.Length(max=MAX_TITLE))

    @validates_schema
    def _one_list(self, data: Payload, **_: Any) -> None:
        if "participants" in data and "participant_ids" in data:
            raise ValidationError("It is another name for participants: give one.", "participantIds")


class AddParticipantsDto(OfConversation):
    """People to bring into a group."""

    participants = fields.List(Id(), required=True)


class RemoveParticipantDto(OfConversation):
    """Someone to put out of a group."""

    user_id = Id(required=True, data_key="userId")


class SyncDto(Schema):
    """The revision that the client holds of each conversation."""

    conversations = fields.Dict(keys=Id(), values=Count(), required=True)


class PageDto(Schema):
    """A page of the list of conversations."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))
    after = fields.String(validate=validate.Length(1, 200))


class MessagesDto(OfConversation):
    """A page of a conversation."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = fields.Integer(validate=validate.Range(0, 2**53))
    after = fields.Integer(validate=validate.Range(0, 2**53))


class SearchDto(Schema):
    """Words to look for, in one conversation or in all."""

    text = fields.String(required=True, data_key="q")
    conversation_id = Id(data_key="conversationId")
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))


def _create(p: Payload) -> c.CreateConversation:
    named = p.get("participants") or p.get("participant_ids") or []
    return c.CreateConversation(kind=p["kind"], participants=tuple(named), title=p["title"])


def _add(p: Payload) -> c.AddParticipants:
    return c.AddParticipants(conversation_id=p["conversation_id"], participants=tuple(p["participants"]))


# What goes out.

PERSON = Serializer("Person", {"_id": ident("id"), "name": text("name"), "username": text("username")})
MEMBER = Serializer("Participant", {**PERSON.of("person"), "role": text("role", "owner", "admin", "member")})
MESSAGE = Serializer(
    "Message",
    {
        "_id": ident("message.id"),
        "conversationId": ident("message.conversation_id"),
        "sender": one(PERSON, "sender"),
        "content": text("message.content"),
        "type": text("message.type", "text", "file", "system"),
        "attachments": FILES,
        "status": text(lambda view: getattr(view, "status", "sent"), "sent", "delivered", "read"),
        "createdAt": time("message.created_at"),
        **STORED,
        "tempId": optional(text("message.temp_id")),
        "replyTo": optional(text("message.reply_to")),
        **CHANGED,
    },
)
LAST_MESSAGE = Serializer(
    "LastMessage",
    {
        "_id": ident("id"),
        "seq": number("seq"),
        "senderId": ident("sender_id"),
        "content": text("content"),
        "type": text("type", "text", "file", "system"),
        "createdAt": time("created_at"),
    },
)
CONVERSATION = Serializer(
    "Conversation",
    {
        "_id": ident("conversation.id"),
        "type": text("conversation.kind", "direct", "group"),
        "name": text("conversation.title"),
        "participants": many(MEMBER, "members"),
        "createdBy": ident("conversation.created_by"),
        "createdAt": time("conversation.created_at"),
        "lastActivityAt": time("conversation.last_activity_at"),
        "lastMessage": nullable(one(LAST_MESSAGE, "conversation.last_message")),
        "lastSeq": number("conversation.last_seq"),
        "rev": number("conversation.rev"),
        "unreadCount": number("unread"),
    },
)
OK_MESSAGE = Serializer("Accepted", {"success": always(True), "message": one(MESSAGE, "")})
OK_CONVERSATION = Serializer("Created", {"success": always(True), "conversation": one(CONVERSATION, "")})
USERS = many(ident(""))
ONLINE = Serializer("Online", {"success": always(True), "users": USERS})
CHANGES = Serializer(
    "Changes",
    {
        "tooFar": optional(flag(lambda each: each.too_far or None)),
        "rev": number("rev"),
        "messages": optional(
            one(many(MESSAGE), lambda each: None if each.too_far else each.messages),
        ),
    },
)
SYNCED = Serializer(
    "Synced",
    {
        "success": always(True),
        "conversations": mapping(CHANGES, lambda found: [(each.conversation_id, each) for each in found]),
    },
)
MESSAGES_PAGE = Serializer(
    "MessagesPage", {"messages": many(MESSAGE, "items"), "nextCursor": nullable(text("next_cursor"))}
)
CONVERSATIONS_PAGE = Serializer(
    "ConversationsPage",
    {"conversations": many(CONVERSATION, "items"), "nextCursor": nullable(text("next_cursor"))},
)

INBOUND = {
    "createConversation": InboundEvent(CreateConversationDto(), _create, OK_CONVERSATION),
    "joinRoom": InboundEvent(OfConversation(), lambda p: c.JoinRoom(**p), JOINED),
    "leaveRoom": InboundEvent(OfConversation(), lambda p: c.LeaveRoom(**p), DONE),
    "sendMessage": InboundEvent(SendMessageDto(), lambda p: c.SendMessage(**sending(p)), OK_MESSAGE),
    "editMessage": InboundEvent(EditMessageDto(), lambda p: c.EditMessage(**p), DONE),
    "deleteMessage": InboundEvent(OfMessage(), lambda p: c.DeleteMessage(**p), DONE),
    "typing": InboundEvent(OfConversation(), lambda p: c.SetTyping(**p, typing=True), DONE),
    "stopTyping": InboundEvent(OfConversation(), lambda p: c.SetTyping(**p, typing=False), DONE),
    "markAsRead": InboundEvent(OfMessage(), lambda p: c.MarkRead(**p), DONE),
    "markConversationAsRead": InboundEvent(OfConversation(), lambda p: c.MarkConversationRead(**p), DONE),
    "markAsDelivered": InboundEvent(MarkAsDeliveredDto(), lambda p: c.MarkDelivered(**p), DONE),
    "getOnlineUsers": InboundEvent(
        Nothing(), lambda _: c.ListOnline(), ONLINE, reply=DirectEvent("onlineUsers", USERS)
    ),
    "sync": InboundEvent(SyncDto(), lambda p: c.Sync(revs=p["conversations"]), SYNCED),
    **EVERYWHERE,
}

ABOUT_MESSAGE = Serializer(
    "MessageOf", {"message": one(MESSAGE, ""), "conversationId": ident("conversation_id")}
)
SENT = Serializer(
    "MessageSent",
    {
        "tempId": nullable(text("message.temp_id")),
        "messageId": ident("message.id"),
        "conversationId": ident("conversation_id"),
        "clientMessageId": nullable(text("message.client_message_id")),
        "seq": number("message.seq"),
        "rev": number("message.rev"),
    },
)
READ = Serializer(
    "ConversationRead",
    {
        "conversationId": ident("conversation_id"),
        "readBy": ident("user_id"),
        "readAt": time("at"),
        "seq": number("seq"),
    },
)
READ_MESSAGE = Serializer("MessageRead", {"messageId": ident("message_id"), **READ.parts})
DELIVERED = Serializer(
    "MessageDelivered",
    {
        "conversationId": ident("conversation_id"),
        "deliveredTo": ident("user_id"),
        "deliveredAt": time("at"),
        "seq": number("seq"),
    },
)
REJECTED = Serializer(
    "MessageRejected",
    {"conversationId": ident("conversation_id"), **REJECTION, "tempId": nullable(text("temp_id"))},
)
STOPPED = Serializer(
    "StoppedTyping", {"userId": ident("user.id"), "conversationId": ident("conversation_id")}
)
TYPING = Serializer("Typing", {**STOPPED.parts, "username": text(lambda t: t.user.username or t.user.name)})
STATUS = Serializer(
    "StatusChanged",
    {
        "userId": ident("user_id"),
        "status": text(lambda p: "online" if p.online else "offline", "online", "offline"),
        "timestamp": time("at"),
    },
)
ADDED = Serializer(
    "ParticipantsAdded",
    {
        "conversationId": ident("conversation_id"),
        "participants": many(PERSON, "people"),
        "addedBy": ident("by"),
    },
)
REMOVED = Serializer(
    "ParticipantRemoved",
    {
        "conversationId": ident("conversation_id"),
        "userId": ident("user_id"),
        "removedBy": ident("by"),
        "newOwner": nullable(text("heir")),
    },
)
UNREAD = Serializer(
    "UnreadCount",
    {"conversationId": ident("conversation_id"), "unread": number("unread"), "total": number("total")},
)


def sender(event: e.MessageStored | e.MessageRepeated) -> str:
    """All sockets of a message's sender."""
    return rooms.user(event.message.sender_id)


OUTBOUND = (
    OutboundEvent(event="newMessage", of=e.MessageStored, payload=ABOUT_MESSAGE, room=joined),
    OutboundEvent(event="messageSent", of=e.MessageStored, payload=SENT, room=sender),
    OutboundEvent(event="messageSent", of=e.MessageRepeated, payload=SENT, room=sender),
    OutboundEvent(event="messageUpdated", of=e.MessageEdited, payload=ABOUT_MESSAGE, room=joined),
    OutboundEvent(event="messageDeleted", of=e.MessageDeleted, payload=DELETED, room=joined),
    OutboundEvent(
        event="messageRead",
        of=e.ConversationRead,
        payload=READ_MESSAGE,
        room=joined,
        when=lambda read: read.message_id is not None,
    ),
    OutboundEvent(
        event="conversationRead",
        of=e.ConversationRead,
        payload=READ,
        room=joined,
        when=lambda read: read.message_id is None,
    ),
    OutboundEvent(event="messageDelivered", of=e.ConversationDelivered, payload=DELIVERED, room=joined),
    *not_stored("messageRejected", "messageFailed", REJECTED),
    OutboundEvent(event="participantsAdded", of=e.MembersAdded, payload=ADDED, room=members),
    OutboundEvent(event="participantRemoved", of=e.MemberRemoved, payload=REMOVED, room=members),
    OutboundEvent(
        event="userTyping",
        of=e.TypingChanged,
        payload=TYPING,
        room=joined,
        except_user=typist,
        when=lambda t: t.typing,
    ),
    OutboundEvent(
        event="userStoppedTyping",
        of=e.TypingChanged,
        payload=STOPPED,
        room=joined,
        except_user=typist,
        when=lambda t: not t.typing,
    ),
    OutboundEvent(event="userStatusChanged", of=e.PresenceChanged, payload=STATUS, room=contacts),
    OutboundEvent(event="unreadCount", of=UnreadChanged, payload=UNREAD, room=user),
    OutboundEvent(event="conversationCreated", of=Admitted, payload=one(CONVERSATION, "view"), room=user),
)

_ONE = "/chats/conversations/{conversationId}"
ROUTES = (
    Route(
        method="POST",
        path="/chats/conversations",
        schema=CreateConversationDto(),
        command=_create,
        answer=CONVERSATION,
        status=201,
        body=True,
        doc="Start a conversation, or find the direct one that there is.",
    ),
    Route(
        method="GET",
        path="/chats/conversations",
        schema=PageDto(),
        command=lambda p: c.ListConversations(**p),
        answer=CONVERSATIONS_PAGE,
        doc="One's conversations, the liveliest first.",
    ),
    Route(
        method="GET",
        path=_ONE,
        schema=OfConversation(),
        command=lambda p: c.GetConversation(**p),
        answer=CONVERSATION,
        doc="One conversation.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p),
        answer=MESSAGES_PAGE,
        doc="A page of a conversation, in its order.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/read",
        schema=OfConversation(),
        command=lambda p: c.MarkConversationRead(**p),
        answer=DONE,
        body=True,
        doc="Mark everything in a conversation as read.",
    ),
    Route(
        method="DELETE",
        path="/chats/messages/{messageId}",
        schema=OfMessage(),
        command=lambda p: c.DeleteMessage(**p),
        answer=DONE,
        doc="Delete a message: one's own, or as an admin anyone's.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/participants",
        schema=AddParticipantsDto(),
        command=_add,
        answer=CONVERSATION,
        body=True,
        doc="Bring people into a group.",
    ),
    Route(
        method="DELETE",
        path=_ONE + "/participants/{userId}",
        schema=RemoveParticipantDto(),
        command=lambda p: c.RemoveParticipant(**p),
        answer=DONE,
        doc="Put someone out of a group.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/leave",
        schema=OfConversation(),
        command=lambda p: c.LeaveConversation(**p),
        answer=DONE,
        body=True,
        doc="Go out of a group for good.",
    ),
    Route(
        method="GET",
        path="/search",
        schema=SearchDto(),
        command=lambda p: c.Search(**p),
        answer=MESSAGES_PAGE,
        doc="Messages with all of these words in one's conversations, the newest first.",
    ),
)

GROUPS = ClientProtocol(
    name="groups",
    namespace="/chat",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("onlineUsers", one(USERS, "online")),),
)
