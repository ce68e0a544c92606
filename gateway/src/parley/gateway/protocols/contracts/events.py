"""Events of the contracts guide, from clients and to them."""

from parley.gateway.core import commands as c
from parley.gateway.protocols.contracts.payloads import JOINED, MESSAGE, SENT, success
from parley.gateway.protocols.contracts.requests import CreateMessageDto, SendMessageDto
from parley.gateway.protocols.protocol import InboundEvent, OutboundEvent, joined_room, members_room
from parley.gateway.protocols.serializer import (
    Serializer,
    constant,
    flag,
    ident,
    nullable,
    number,
    one,
    text,
    time,
)
from parley.gateway.protocols.standard_events import (
    COMMON_INBOUND,
    DELETED,
    ConversationRef,
    EditMessageDto,
    MessageRef,
    TypingDto,
    acting_user,
    failure_events,
    send_arguments,
    typing_user,
)
from parley.shared import events as e

INBOUND = {
    "join_conversation": InboundEvent(ConversationRef(), lambda p: c.JoinRoom(**p), JOINED),
    "leave_conversation": InboundEvent(
        ConversationRef(), lambda p: c.LeaveRoom(**p), success("Left conversation successfully")
    ),
    "send_message": InboundEvent(
        SendMessageDto(), lambda p: c.SendMessage(**send_arguments(p)), SENT, message_to="conversationId"
    ),
    "create_message": InboundEvent(CreateMessageDto(), lambda p: c.SendToContract(**send_arguments(p)), SENT),
    "update_message": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), success("Message updated successfully")
    ),
    "delete_message": InboundEvent(
        MessageRef(), lambda p: c.DeleteMessage(**p), success("Message deleted successfully")
    ),
    "typing": InboundEvent(
        TypingDto(), lambda p: c.SetTyping(**p), success("Typing status sent successfully")
    ),
    "mark_as_read": InboundEvent(
        ConversationRef(),
        lambda p: c.MarkConversationRead(**p),
        success("Messages marked as read successfully"),
    ),
    **COMMON_INBOUND,
}

ABOUT_MESSAGE = Serializer(
    "MessageOf", {"conversationId": ident("conversation_id"), "message": one(MESSAGE, "")}
)
TYPING = Serializer(
    "UserTyping",
    {"conversationId": ident("conversation_id"), "userId": ident("user.id"), "isTyping": flag("typing")},
)
READ = Serializer(
    "MessagesRead",
    {
        "conversationId": ident("conversation_id"),
        "userId": ident("user_id"),
        "readAt": time("at"),
        "seq": number("seq"),
    },
)
REJECTED = Serializer(
    "MessageRejected",
    {
        "conversationId": ident("conversation_id"),
        "messageId": nullable(text("message_id")),
        "clientMessageId": nullable(text("client_message_id")),
        "error": text("reason"),
        "message": text("reason"),
        "code": text("code"),
        "retryable": constant(False),
    },
)

OUTBOUND = (
    OutboundEvent(event="new_message", trigger=e.MessageStored, payload=MESSAGE, room=joined_room),
    OutboundEvent(
        event="message_notification",
        trigger=e.MessageStored,
        payload=ABOUT_MESSAGE,
        room=members_room,
        except_room=joined_room,
    ),
    # To all members, as `message_notification`: a list that shows a notified message must see its edit.
    OutboundEvent(event="message_updated", trigger=e.MessageEdited, payload=ABOUT_MESSAGE, room=members_room),
    OutboundEvent(event="message_deleted", trigger=e.MessageDeleted, payload=DELETED, room=members_room),
    OutboundEvent(
        event="user_typing",
        trigger=e.TypingChanged,
        payload=TYPING,
        room=joined_room,
        except_user=typing_user,
    ),
    OutboundEvent(
        event="messages_read",
        trigger=e.ConversationRead,
        payload=READ,
        room=joined_room,
        except_user=acting_user,
    ),
    *failure_events("message_rejected", "message_failed", REJECTED),
)
