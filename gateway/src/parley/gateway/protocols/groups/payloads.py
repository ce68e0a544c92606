"""Payloads of the groups guide that acknowledgements, events and responses share."""

from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.expressions import unless_empty
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
from parley.gateway.protocols.standard_events import ATTACHMENTS, CHANGED_FIELDS, JOINED, STORED_FIELDS

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
