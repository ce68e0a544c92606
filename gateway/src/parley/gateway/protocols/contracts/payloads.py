"""Payloads of the contracts guide that acknowledgements, events and responses share."""

from parley.gateway.core.results import ConversationView
from parley.gateway.protocols.serializer import (
    Field,
    Serializer,
    ToPayload,
    any_object,
    constant,
    flag,
    ident,
    many,
    nullable,
    number,
    one,
    optional,
    seconds,
    text,
    time,
)
from parley.gateway.protocols.standard_events import ATTACHMENT, CHANGED_FIELDS, IS_READ, STORED_FIELDS
from parley.shared.model import Person


def _names(person: Person) -> tuple[str, str]:
    """Return the first and last name of the token; a single `name` is split at its first space."""
    if person.first_name or person.last_name:
        return person.first_name or "", person.last_name or ""
    first, _, last = person.name.partition(" ")
    return first, last


def _client(view: ConversationView) -> Person | None:
    """Return the contract's client; without a contract, the conversation's creator."""
    return view.person(view.contract.client_id if view.contract else view.conversation.created_by)


def _freelancer(view: ConversationView) -> Person | None:
    """Return the contract's freelancer; without a contract, the first member but the creator."""
    if view.contract:
        return view.person(view.contract.freelancer_id)
    creator = view.conversation.created_by
    return next((member.person for member in view.members if member.person.id != creator), None)


def success(sentence: str) -> Serializer:
    """Make an acknowledgement without data."""
    name = "".join(word.capitalize() for word in sentence.split())
    return Serializer(name, {"success": constant(True), "message": constant(sentence)})


def envelope(name: str, sentence: str, data: ToPayload) -> Serializer:
    """Make a response: a sentence on what was done, and the result as `data`."""
    return Serializer(name, {"success": constant(True), "message": constant(sentence), "data": one(data, "")})


PERSON = Serializer(
    "User",
    {
        "id": ident("id"),
        "firstName": text(lambda person: _names(person)[0]),
        "lastName": text(lambda person: _names(person)[1]),
        "avatar": nullable(text("avatar")),
    },
)
MESSAGE = Serializer(
    "Message",
    {
        "id": ident("message.id"),
        "conversationId": ident("message.conversation_id"),
        "sender": one(PERSON, "sender"),
        "content": text("message.content"),
        "messageType": text("message.type", "text", "file", "system"),
        "attachments": many(ATTACHMENT, "message.attachments"),
        "sentAt": time("message.created_at"),
        "isRead": IS_READ,
        **STORED_FIELDS,
        **CHANGED_FIELDS,
    },
)
LAST_MESSAGE = Serializer(
    "LastMessage",
    {
        "id": ident("id"),
        "seq": number("seq"),
        "senderId": ident("sender_id"),
        "content": text("content"),
        "messageType": text("type", "text", "file", "system"),
        "sentAt": time("created_at"),
    },
)
CONVERSATION = Serializer(
    "Conversation",
    {
        "id": ident("conversation.id"),
        "contractId": nullable(ident("conversation.contract_id")),
        "milestoneId": nullable(ident("conversation.milestone_id")),
        "client": nullable(one(PERSON, _client)),
        "freelancer": nullable(one(PERSON, _freelancer)),
        "participants": many(PERSON, lambda view: [member.person for member in view.members]),
        "lastMessage": nullable(one(LAST_MESSAGE, "conversation.last_message")),
        "unreadCount": number("unread"),
        "isActive": flag(lambda view: not view.archived),
        "createdAt": time("conversation.created_at"),
        "updatedAt": time("conversation.last_activity_at"),
    },
)
CONTRACT = Serializer(
    "Contract",
    {
        "id": ident("id"),
        "clientId": ident("client_id"),
        "freelancerId": ident("freelancer_id"),
        "milestones": many(ident(""), "milestones"),
    },
)
PAGE_FIELDS: dict[str, Field] = {"total": number("total"), "page": number("number"), "limit": number("limit")}
CONVERSATIONS = Serializer(
    "Conversations",
    {"conversations": many(CONVERSATION, "items"), **PAGE_FIELDS, "totalPages": number("pages")},
)
MESSAGES = Serializer(
    "Messages",
    {
        "messages": many(MESSAGE, "items"),
        **PAGE_FIELDS,
        "hasMore": flag(lambda page: page.next_cursor is not None),
    },
)
ERROR_FIELDS: dict[str, Field] = {
    "error": text("message"),
    "message": text("message"),
    "code": text("code"),
    "retryable": flag("retryable"),
}
REFUSAL = Serializer(
    "Refusal",
    {
        "success": constant(False),
        **ERROR_FIELDS,
        "retryAfter": optional(seconds("retry_after")),
        "details": optional(any_object("details")),
    },
)
SENT = Serializer("Sent", {"success": constant(True), "message": one(MESSAGE, ""), "data": one(MESSAGE, "")})
JOINED = Serializer(
    "Joined",
    {**success("Joined conversation successfully").fields, "seq": number("seq"), "rev": number("rev")},
)
