"""The groups guide, Parley's home protocol: namespace `/chat`, routes below `/chats`."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from parley.gateway.core import commands as c
from parley.gateway.core.positions import Revision
from parley.gateway.protocols.error_payloads import ERROR, REFUSAL
from parley.gateway.protocols.expressions import unless_empty
from parley.gateway.protocols.fields import (
    BoundedDict,
    BoundedList,
    Count,
    Id,
    InboundSchema,
    Uuid,
    check_length,
)
from parley.gateway.protocols.protocol import (
    Admitted,
    ClientProtocol,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    UnreadChanged,
    joined_room,
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
    mapping,
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
    DELETED,
    DONE,
    JOINED,
    REJECTION_FIELDS,
    STORED_FIELDS,
    ConversationRef,
    EditMessageDto,
    EmptyPayload,
    MessageRef,
    SendOptions,
    failure_events,
    send_arguments,
    typing_user,
)
from parley.shared import events as e
from parley.shared import rooms
from parley.shared.model import MAX_PAGE, MAX_PARTICIPANTS, MAX_SYNCED, MAX_TITLE

# Inbound.


class SendMessageDto(SendOptions, ConversationRef):
    """A message to send; one of type `file` names uploads by their ids."""

    content = fields.String(load_default="")
    type = fields.String(load_default="text", validate=validate.OneOf(["text", "file", "system"]))
    temp_id = Id(data_key="tempId")
    reply_to = Id(data_key="replyTo")


class MarkAsDeliveredDto(ConversationRef):
    """The number up to which a device has received messages."""

    seq = Count(required=True, least=1)


class CreateConversationDto(InboundSchema):
    """A conversation to create; `participantIds` is an alias of `participants`."""

    participants = BoundedList(Id(), most=MAX_PARTICIPANTS)
    participant_ids = BoundedList(Id(), most=MAX_PARTICIPANTS, data_key="participantIds")
    kind = fields.String(data_key="type", load_default="direct", validate=validate.OneOf(["direct", "group"]))
    title = fields.String(data_key="name", load_default="", validate=validate.Length(max=MAX_TITLE))
    client_conversation_id = Uuid(data_key="clientConversationId", allow_none=True, load_default=None)

    @validates_schema
    def _require_one_list(self, data: Payload, **_: Any) -> None:
        if "participants" in data and "participant_ids" in data:
            raise ValidationError("An alias of participants: give one of them.", "participantIds")


class AddParticipantsDto(ConversationRef):
    """Users to add to a group."""

    participants = BoundedList(Id(), most=MAX_PARTICIPANTS, required=True)


class RemoveParticipantDto(ConversationRef):
    """A user to remove from a group."""

    user_id = Id(required=True, data_key="userId")


class RevisionDto(InboundSchema):
    """A revision and its epoch, as they stood in the message, answer or event that was received last."""

    rev = Count(required=True)
    epoch = Count()


class HeldRevision(Count):
    """A revision, with its epoch or without."""

    also = fields.Nested(RevisionDto)
    """The second accepted type, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict):
            check_length(value, len(self.also.schema.fields))
            held = self.also.deserialize(value, attr, data)
            return Revision(held["rev"], held.get("epoch"))
        return super()._deserialize(value, attr, data, **kwargs)

    def _validate(self, value: Any) -> None:
        if not isinstance(value, Revision):
            super()._validate(value)


class SyncDto(InboundSchema):
    """The newest revision that the client has of each conversation."""

    conversations = BoundedDict(keys=Id(), values=HeldRevision(), most=MAX_SYNCED, required=True)


class PageDto(InboundSchema):
    """A page of the list of conversations."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))
    after = fields.String(validate=validate.Length(1, 200))


class MessagesDto(ConversationRef):
    """A page of a conversation's messages."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = fields.Integer(validate=validate.Range(0, 2**53))
    after = fields.Integer(validate=validate.Range(0, 2**53))


class ParticipantsDto(ConversationRef):
    """A page of a conversation's participants."""

    limit = fields.Integer(load_default=MAX_PAGE, validate=validate.Range(1, MAX_PAGE))
    after = fields.String(validate=validate.Length(1, 200))


class ReceiptsDto(ConversationRef):
    """A page of the participants' marks."""

    limit = fields.Integer(
        load_default=MAX_PARTICIPANTS + 1, validate=validate.Range(1, MAX_PARTICIPANTS + 1)
    )
    after = fields.String(validate=validate.Length(1, 200))


class SearchDto(InboundSchema):
    """Words to search for, in one conversation or in all of the user's."""

    text = fields.String(required=True, data_key="q")
    conversation_id = Id(data_key="conversationId")
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    before = fields.String(validate=validate.Length(1, 200))


def _create(p: Payload) -> c.CreateConversation:
    participants = p.get("participants") or p.get("participant_ids") or []
    return c.CreateConversation(
        kind=p["kind"],
        participants=tuple(participants),
        title=p["title"],
        client_conversation_id=p["client_conversation_id"],
    )


def _add(p: Payload) -> c.AddParticipants:
    return c.AddParticipants(conversation_id=p["conversation_id"], participants=tuple(p["participants"]))


def _sync(p: Payload) -> c.Sync:
    held = p["conversations"].items()
    return c.Sync(
        revs={each: rev if isinstance(rev, Revision) else Revision(rev, None) for each, rev in held}
    )


# Outbound.

PERSON = Serializer("Person", {"_id": ident("id"), "name": text("name"), "username": text("username")})
MEMBER = Serializer(
    "Participant", {**PERSON.fields_from("person"), "role": text("role", "owner", "admin", "member")}
)
MESSAGE = Serializer(
    "Message",
    {
        "_id": ident("message.id"),
        "conversationId": ident("message.conversation_id"),
        "sender": one(PERSON, "sender"),
        "content": text("message.content"),
        "type": text("message.type", "text", "file", "system"),
        "attachments": ATTACHMENTS,
        "status": text(lambda view: getattr(view, "status", "sent"), "sent", "delivered", "read"),
        "createdAt": time("message.created_at"),
        **STORED_FIELDS,
        "epoch": optional(number(unless_empty("message.epoch"))),
        "tempId": optional(text("message.temp_id")),
        "replyTo": optional(text("message.reply_to")),
        **CHANGED_FIELDS,
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
        "deletedAt": optional(time("deleted_at")),
    },
)
CONVERSATION = Serializer(
    "Conversation",
    {
        "_id": ident("conversation.id"),
        "type": text("conversation.kind", "direct", "group"),
        "name": text("conversation.title"),
        "participants": many(MEMBER, "members"),
        "participantCount": number("member_count"),
        "createdBy": ident("conversation.created_by"),
        "createdAt": time("conversation.created_at"),
        "lastActivityAt": time("conversation.last_activity_at"),
        "lastMessage": nullable(one(LAST_MESSAGE, "conversation.last_message")),
        "lastSeq": number("conversation.last_seq"),
        "rev": number("conversation.rev"),
        "unreadCount": number("unread"),
        "readSeq": number("read_seq"),
    },
)
JOINED_AT = Serializer("Joined", {**JOINED.fields, "epoch": number("epoch")})
OK_MESSAGE = Serializer("Accepted", {"success": constant(True), "message": one(MESSAGE, "")})
OK_CONVERSATION = Serializer("Created", {"success": constant(True), "conversation": one(CONVERSATION, "")})
USERS = many(ident(""))
ONLINE = Serializer("Online", {"success": constant(True), "users": USERS})
CHANGES = Serializer(
    "Changes",
    {
        "error": optional(one(ERROR, "error")),
        "tooFar": optional(flag(lambda each: each.too_far or None)),
        "more": optional(flag(lambda each: each.more or None)),
        "rev": number("rev"),
        "epoch": number("epoch"),
        "messages": optional(
            one(many(MESSAGE), lambda each: None if each.too_far or each.error else each.messages),
        ),
    },
)
SYNCED = Serializer(
    "Synced",
    {
        "success": constant(True),
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

RECEIPT = Serializer(
    "Receipt",
    {"userId": ident("user_id"), "readSeq": number("read_seq"), "deliveredSeq": number("delivered_seq")},
)
RECEIPTS = Serializer(
    "Receipts", {"receipts": many(RECEIPT, "items"), "nextCursor": nullable(text("next_cursor"))}
)
PARTICIPANTS = Serializer(
    "Participants", {"participants": many(MEMBER, "items"), "nextCursor": nullable(text("next_cursor"))}
)

INBOUND = {
    "createConversation": InboundEvent(CreateConversationDto(), _create, OK_CONVERSATION),
    "joinRoom": InboundEvent(ConversationRef(), lambda p: c.JoinRoom(**p), JOINED_AT),
    "leaveRoom": InboundEvent(ConversationRef(), lambda p: c.LeaveRoom(**p), DONE),
    "sendMessage": InboundEvent(
        SendMessageDto(),
        lambda p: c.SendMessage(**send_arguments(p)),
        OK_MESSAGE,
        message_to="conversationId",
    ),
    "editMessage": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), DONE, message_to="conversationId"
    ),
    "deleteMessage": InboundEvent(
        MessageRef(), lambda p: c.DeleteMessage(**p), DONE, message_to="conversationId"
    ),
    "typing": InboundEvent(ConversationRef(), lambda p: c.SetTyping(**p, typing=True), DONE),
    "stopTyping": InboundEvent(ConversationRef(), lambda p: c.SetTyping(**p, typing=False), DONE),
    "markAsRead": InboundEvent(MessageRef(), lambda p: c.MarkRead(**p), DONE),
    "markConversationAsRead": InboundEvent(ConversationRef(), lambda p: c.MarkConversationRead(**p), DONE),
    "markAsDelivered": InboundEvent(MarkAsDeliveredDto(), lambda p: c.MarkDelivered(**p), DONE),
    "getOnlineUsers": InboundEvent(
        EmptyPayload(), lambda _: c.ListOnline(), ONLINE, reply=DirectEvent("onlineUsers", USERS)
    ),
    "sync": InboundEvent(SyncDto(), _sync, SYNCED),
    **COMMON_INBOUND,
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
        "epoch": number("message.epoch"),
    },
)
GONE = Serializer("MessageDeleted", {**DELETED.fields, "epoch": number("message.epoch")})
READ = Serializer(
    "ConversationRead",
    {
        "conversationId": ident("conversation_id"),
        "readBy": ident("user_id"),
        "readAt": time("at"),
        "seq": number("seq"),
    },
)
READ_MESSAGE = Serializer("MessageRead", {"messageId": ident("message_id"), **READ.fields})
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
    {"conversationId": ident("conversation_id"), **REJECTION_FIELDS, "tempId": nullable(text("temp_id"))},
)
STOPPED = Serializer(
    "StoppedTyping", {"userId": ident("user.id"), "conversationId": ident("conversation_id")}
)
TYPING = Serializer("Typing", {**STOPPED.fields, "username": text(lambda t: t.user.username or t.user.name)})
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
        "newOwner": nullable(text("new_owner")),
    },
)
UNREAD = Serializer(
    "UnreadCount",
    {"conversationId": ident("conversation_id"), "unread": number("unread"), "total": number("total")},
)


def sender_room(event: e.MessageStored | e.MessageRepeated) -> str:
    """Return the room of all sockets of the message's sender."""
    return rooms.user(event.message.sender_id)


OUTBOUND = (
    OutboundEvent(event="newMessage", trigger=e.MessageStored, payload=ABOUT_MESSAGE, room=joined_room),
    OutboundEvent(event="messageSent", trigger=e.MessageStored, payload=SENT, room=sender_room),
    OutboundEvent(event="messageSent", trigger=e.MessageRepeated, payload=SENT, room=sender_room),
    OutboundEvent(event="messageUpdated", trigger=e.MessageEdited, payload=ABOUT_MESSAGE, room=joined_room),
    OutboundEvent(event="messageDeleted", trigger=e.MessageDeleted, payload=GONE, room=joined_room),
    OutboundEvent(
        event="messageRead",
        trigger=e.ConversationRead,
        payload=READ_MESSAGE,
        room=joined_room,
        when=lambda read: read.message_id is not None,
    ),
    OutboundEvent(
        event="conversationRead",
        trigger=e.ConversationRead,
        payload=READ,
        room=joined_room,
        when=lambda read: read.message_id is None,
    ),
    OutboundEvent(
        event="messageDelivered", trigger=e.ConversationDelivered, payload=DELIVERED, room=joined_room
    ),
    *failure_events("messageRejected", "messageFailed", REJECTED),
    OutboundEvent(event="participantsAdded", trigger=e.MembersAdded, payload=ADDED, room=members_room),
    OutboundEvent(event="participantRemoved", trigger=e.MemberRemoved, payload=REMOVED, room=members_room),
    OutboundEvent(
        event="userTyping",
        trigger=e.TypingChanged,
        payload=TYPING,
        room=joined_room,
        except_user=typing_user,
        when=lambda t: t.typing,
    ),
    OutboundEvent(
        event="userStoppedTyping",
        trigger=e.TypingChanged,
        payload=STOPPED,
        room=joined_room,
        except_user=typing_user,
        when=lambda t: not t.typing,
    ),
    OutboundEvent(event="userStatusChanged", trigger=e.PresenceChanged, payload=STATUS, room=presence_room),
    OutboundEvent(event="unreadCount", trigger=UnreadChanged, payload=UNREAD, room=user_room),
    OutboundEvent(
        event="conversationCreated", trigger=Admitted, payload=one(CONVERSATION, "view"), room=user_room
    ),
)

_ONE = "/chats/conversations/{conversationId}"
ROUTES = (
    Route(
        method="POST",
        path="/chats/conversations",
        schema=CreateConversationDto(),
        command=_create,
        response=CONVERSATION,
        status=201,
        body=True,
        idempotency="clientConversationId",
        doc="Create a conversation, or return the existing one.",
    ),
    Route(
        method="GET",
        path="/chats/conversations",
        schema=PageDto(),
        command=lambda p: c.ListConversations(**p),
        response=CONVERSATIONS_PAGE,
        doc="List the user's conversations, the most recently active first.",
    ),
    Route(
        method="GET",
        path=_ONE,
        schema=ConversationRef(),
        command=lambda p: c.GetConversation(**p),
        response=CONVERSATION,
        doc="Get a conversation.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p, cut=True),
        response=MESSAGES_PAGE,
        doc="List a page of a conversation's messages, in their order.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/receipts",
        schema=ReceiptsDto(),
        command=lambda p: c.ListReceipts(**p),
        response=RECEIPTS,
        doc="List how far each participant has read and received a conversation.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/read",
        schema=ConversationRef(),
        command=lambda p: c.MarkConversationRead(**p),
        response=DONE,
        body=True,
        doc="Mark all messages of a conversation as read.",
    ),
    Route(
        method="DELETE",
        path="/chats/messages/{messageId}",
        schema=MessageRef(),
        command=lambda p: c.DeleteMessage(**p),
        response=DONE,
        doc="Delete a message: one's own or, as an admin of the conversation, anyone's.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/participants",
        schema=ParticipantsDto(),
        command=lambda p: c.ListParticipants(**p),
        response=PARTICIPANTS,
        doc="List the participants of a conversation by the time of joining.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/participants",
        schema=AddParticipantsDto(),
        command=_add,
        response=CONVERSATION,
        body=True,
        doc="Add users to a group.",
    ),
    Route(
        method="DELETE",
        path=_ONE + "/participants/{userId}",
        schema=RemoveParticipantDto(),
        command=lambda p: c.RemoveParticipant(**p),
        response=DONE,
        doc="Remove a user from a group.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/leave",
        schema=ConversationRef(),
        command=lambda p: c.LeaveConversation(**p),
        response=DONE,
        body=True,
        doc="Leave a group.",
    ),
    Route(
        method="GET",
        path="/search",
        schema=SearchDto(),
        command=lambda p: c.Search(**p),
        response=MESSAGES_PAGE,
        doc="Search the user's conversations for messages with all of these words, the newest first.",
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
