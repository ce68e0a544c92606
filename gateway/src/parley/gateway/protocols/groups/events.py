"""Events of the groups guide, from clients and to them."""

from parley.gateway.core import commands as c
from parley.gateway.protocols.groups.payloads import (
    CONVERSATION,
    JOINED_AT,
    MESSAGE,
    OK_CONVERSATION,
    OK_MESSAGE,
    ONLINE,
    PERSON,
    SYNCED,
    USERS,
)
from parley.gateway.protocols.groups.requests import (
    CreateConversationDto,
    MarkAsDeliveredDto,
    SendMessageDto,
    SyncDto,
    create_command,
    sync_command,
)
from parley.gateway.protocols.protocol import (
    Admitted,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    UnreadChanged,
    joined_room,
    members_room,
    presence_room,
    user_room,
)
from parley.gateway.protocols.serializer import Serializer, ident, many, nullable, number, one, text, time
from parley.gateway.protocols.standard_events import (
    COMMON_INBOUND,
    DELETED,
    DONE,
    REJECTION_FIELDS,
    ConversationRef,
    EditMessageDto,
    EmptyPayload,
    MessageRef,
    failure_events,
    send_arguments,
    typing_user,
)
from parley.shared import events as e
from parley.shared import rooms

INBOUND = {
    "createConversation": InboundEvent(CreateConversationDto(), create_command, OK_CONVERSATION),
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
    "sync": InboundEvent(SyncDto(), sync_command, SYNCED),
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
