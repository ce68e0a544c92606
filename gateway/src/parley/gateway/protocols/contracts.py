"""The contracts guide's words: namespace `/messages`, paths below `/api/messages` and `/api/contracts`."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, fields, validate

from parley.gateway.core import commands as c
from parley.gateway.core.results import ConversationView
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    joined,
    members,
)
from parley.gateway.protocols.serializer import (
    Field,
    Serializer,
    ToPayload,
    always,
    anything,
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
from parley.gateway.protocols.standard_events import (
    ATTACHMENT,
    CHANGED,
    DELETED,
    EVERYWHERE,
    IS_READ,
    MAX_PAGES,
    STORED,
    EditMessageDto,
    OfConversation,
    OfMessage,
    Sending,
    TypingDto,
    not_stored,
    reader,
    sending,
    typist,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_MILESTONES, MAX_PAGE, MEMBERS_SHOWN, Person

# What comes in.


class Identified(Schema):
    """An object with an id; its other fields are what the server knows anyway."""

    class Meta:
        unknown = INCLUDE

    id = Id(required=True)


class IdOrObject(Id):
    """An id, or an object that has one."""

    also = fields.Nested(Identified)
    """What is taken besides text, for descriptions."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            value = value.get("id")
        return super()._deserialize(value, attr, data, **kwargs)


class ContentDto(Sending):
    """What a message says, with uploads as ids or as objects that have one."""

    content = fields.String(load_default="")
    type = fields.String(
        data_key="messageType", load_default="text", validate=validate.OneOf(["text", "file", "system"])
    )
    attachments = fields.List(IdOrObject(), validate=validate.Length(max=MAX_ATTACHMENTS), load_default=list)


class SendMessageDto(ContentDto, OfConversation):
    """A message for a conversation that there is."""


class CreateMessageDto(ContentDto):
    """A message for the other party of a contract, or of one of its milestones."""

    contract_id = Id(required=True, data_key="contractId")
    milestone_id = Id(data_key="milestoneId", allow_none=True)


class ContractDto(Schema):
    """A contract: its parties, and its milestones by their ids."""

    contract_id = Id(required=True, data_key="id")
    client_id = Id(required=True, data_key="clientId")
    freelancer_id = Id(required=True, data_key="freelancerId")
    milestones = fields.List(Id(), load_default=list, validate=validate.Length(max=MAX_MILESTONES))


class ConversationsDto(Schema):
    """A page of the list of conversations; those put away only if they are asked for."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    contract_id = Id(data_key="contractId")
    archived = fields.Boolean(
        data_key="includeArchived", load_default=False, truthy={"true"}, falsy={"false"}
    )


class MessagesDto(OfConversation):
    """A page of a conversation: the first is the newest, or ends before a message."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before_id = Id(data_key="before")


class ArchiveDto(OfConversation):
    """Whether to put a conversation away, or to take it back."""

    archived = fields.Boolean(load_default=True, truthy={True}, falsy={False})


def _put(p: Payload) -> c.PutContract:
    return c.PutContract(**{**p, "milestones": tuple(p["milestones"])})


def _of_conversation(p: Payload) -> c.GetConversation:
    return c.GetConversation(conversation_id=p["conversation_id"], shown=MEMBERS_SHOWN)


# What goes out.


def _names(person: Person) -> tuple[str, str]:
    """First and last name as the token gives them; where it gives but one name, split at its first space."""
    if person.first_name or person.last_name:
        return person.first_name or "", person.last_name or ""
    first, _, last = person.name.partition(" ")
    return first, last


def _client(view: ConversationView) -> Person | None:
    """The contract's client; where there is no contract, whoever began to talk."""
    return view.person(view.contract.client_id if view.contract else view.conversation.created_by)


def _freelancer(view: ConversationView) -> Person | None:
    """The contract's freelancer; where there is no contract, another member."""
    if view.contract:
        return view.person(view.contract.freelancer_id)
    creator = view.conversation.created_by
    return next((member.person for member in view.members if member.person.id != creator), None)


def _said(sentence: str) -> Serializer:
    """An acknowledgement that has nothing to show."""
    name = "".join(word.capitalize() for word in sentence.split())
    return Serializer(name, {"success": always(True), "message": always(sentence)})


def _envelope(name: str, sentence: str, form: ToPayload) -> Serializer:
    """A response: what was done, and what came of it."""
    return Serializer(name, {"success": always(True), "message": always(sentence), "data": one(form, "")})


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
        **STORED,
        **CHANGED,
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
PAGE: dict[str, Field] = {"total": number("total"), "page": number("number"), "limit": number("limit")}
CONVERSATIONS = Serializer(
    "Conversations",
    {"conversations": many(CONVERSATION, "items"), **PAGE, "totalPages": number("pages")},
)
MESSAGES = Serializer(
    "Messages",
    {"messages": many(MESSAGE, "items"), **PAGE, "hasMore": flag(lambda page: page.next_cursor is not None)},
)
FAULT: dict[str, Field] = {
    "error": text("message"),
    "message": text("message"),
    "code": text("code"),
    "retryable": flag("retryable"),
}
REFUSAL = Serializer(
    "Refusal",
    {
        "success": always(False),
        **FAULT,
        "retryAfter": optional(seconds("retry_after")),
        "details": optional(anything("details")),
    },
)
SENT = Serializer("Sent", {"success": always(True), "message": one(MESSAGE, ""), "data": one(MESSAGE, "")})
JOINED = Serializer(
    "Joined",
    {**_said("Joined conversation successfully").parts, "seq": number("seq"), "rev": number("rev")},
)

INBOUND = {
    "join_conversation": InboundEvent(OfConversation(), lambda p: c.JoinRoom(**p), JOINED),
    "leave_conversation": InboundEvent(
        OfConversation(), lambda p: c.LeaveRoom(**p), _said("Left conversation successfully")
    ),
    "send_message": InboundEvent(SendMessageDto(), lambda p: c.SendMessage(**sending(p)), SENT),
    "create_message": InboundEvent(CreateMessageDto(), lambda p: c.SendToContract(**sending(p)), SENT),
    "update_message": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), _said("Message updated successfully")
    ),
    "delete_message": InboundEvent(
        OfMessage(), lambda p: c.DeleteMessage(**p), _said("Message deleted successfully")
    ),
    "typing": InboundEvent(TypingDto(), lambda p: c.SetTyping(**p), _said("Typing status sent successfully")),
    "mark_as_read": InboundEvent(
        OfConversation(), lambda p: c.MarkConversationRead(**p), _said("Messages marked as read successfully")
    ),
    **EVERYWHERE,
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
        "retryable": always(False),
    },
)

OUTBOUND = (
    OutboundEvent(event="new_message", of=e.MessageStored, payload=MESSAGE, room=joined),
    OutboundEvent(
        event="message_notification",
        of=e.MessageStored,
        payload=ABOUT_MESSAGE,
        room=members,
        except_room=joined,
    ),
    # For members, not only those who joined: a list may show what was notified.
    OutboundEvent(event="message_updated", of=e.MessageEdited, payload=ABOUT_MESSAGE, room=members),
    OutboundEvent(event="message_deleted", of=e.MessageDeleted, payload=DELETED, room=members),
    OutboundEvent(
        event="user_typing",
        of=e.TypingChanged,
        payload=TYPING,
        room=joined,
        except_user=typist,
    ),
    OutboundEvent(
        event="messages_read",
        of=e.ConversationRead,
        payload=READ,
        room=joined,
        except_user=reader,
    ),
    *not_stored("message_rejected", "message_failed", REJECTED),
)

_ALL = "/api/messages/conversations"
_ONE = _ALL + "/{conversationId}"
ROUTES = (
    Route(
        method="PUT",
        path="/api/contracts/{id}",
        schema=ContractDto(),
        command=_put,
        answer=_envelope("ContractSaved", "Contract saved successfully", CONTRACT),
        body=True,
        doc="Make a contract known, or change it: as an admin or a service.",
    ),
    Route(
        method="POST",
        path="/api/messages",
        schema=CreateMessageDto(),
        command=lambda p: c.SendToContract(**sending(p)),
        answer=_envelope("MessageCreated", "Message created successfully", MESSAGE),
        status=201,
        body=True,
        doc="Say something within a contract or a milestone; the first message starts its conversation.",
    ),
    Route(
        method="GET",
        path=_ALL,
        schema=ConversationsDto(),
        command=lambda p: c.ListConversations(**p),
        answer=_envelope("ConversationsRetrieved", "Conversations retrieved successfully", CONVERSATIONS),
        doc="One's conversations, the liveliest first.",
    ),
    Route(
        method="GET",
        path=_ONE,
        schema=OfConversation(),
        command=_of_conversation,
        answer=_envelope("ConversationRetrieved", "Conversation retrieved successfully", CONVERSATION),
        doc="One conversation.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p, counted=True),
        answer=_envelope("MessagesRetrieved", "Messages retrieved successfully", MESSAGES),
        doc="A page of a conversation, in its order; the first page is the newest.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/messages",
        schema=SendMessageDto(),
        command=lambda p: c.SendMessage(**sending(p)),
        answer=_envelope("MessageSent", "Message sent successfully", MESSAGE),
        status=201,
        body=True,
        doc="Say something in a conversation.",
    ),
    Route(
        method="PATCH",
        path=f"{_ONE}/read",
        schema=OfConversation(),
        command=lambda p: c.MarkConversationRead(**p),
        then=_of_conversation,
        answer=_envelope("MarkedAsRead", "Messages marked as read successfully", CONVERSATION),
        body=True,
        doc="Mark everything in a conversation as read.",
    ),
    Route(
        method="PATCH",
        path=f"{_ONE}/archive",
        schema=ArchiveDto(),
        command=lambda p: c.ArchiveConversation(**p),
        then=_of_conversation,
        answer=_envelope("ConversationArchived", "Conversation updated successfully", CONVERSATION),
        body=True,
        doc="Put a conversation away from one's own list, or back.",
    ),
)

CONNECTED = Serializer("Connected", {"userId": ident("person.id"), "socketId": ident("socket_id")})

CONTRACTS = ClientProtocol(
    name="contracts",
    namespace="/messages",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("connected", CONNECTED),),
)
