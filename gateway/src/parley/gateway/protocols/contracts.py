"""The contracts guide: namespace `/messages`, routes below `/api/messages` and `/api/contracts`."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, fields, validate

from parley.gateway.core import commands as c
from parley.gateway.core.results import ConversationView
from parley.gateway.protocols.fields import BoundedList, Id, InboundSchema, NumericId
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    DirectEvent,
    InboundEvent,
    OutboundEvent,
    Payload,
    Route,
    joined_room,
    members_room,
)
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
from parley.gateway.protocols.standard_events import (
    ATTACHMENT,
    CHANGED_FIELDS,
    COMMON_INBOUND,
    DELETED,
    IS_READ,
    MAX_PAGES,
    STORED_FIELDS,
    ConversationRef,
    EditMessageDto,
    MessageRef,
    SendOptions,
    TypingDto,
    acting_user,
    failure_events,
    send_arguments,
    typing_user,
)
from parley.shared import events as e
from parley.shared.model import MAX_ATTACHMENTS, MAX_MILESTONES, MAX_PAGE, MEMBERS_SHOWN, Person

# Inbound.


class Identified(InboundSchema):
    """An object with an id; its other fields are ignored, the server has them."""

    class Meta:
        unknown = INCLUDE

    id = Id(required=True)


class IdOrObject(Id):
    """An id, or an object with an id."""

    also = fields.Nested(Identified)
    """The second accepted type, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            value = value.get("id")
        return super()._deserialize(value, attr, data, **kwargs)


class Milestone(InboundSchema):
    """A milestone with its id; its other fields are ignored."""

    class Meta:
        unknown = INCLUDE

    id = NumericId(required=True)


class MilestoneDocument(InboundSchema):
    """A milestone whose id has the name that MongoDB gives it; its other fields are ignored."""

    class Meta:
        unknown = INCLUDE

    id = NumericId(required=True, data_key="_id")


class MilestoneId(NumericId):
    """A milestone's id, or the milestone with an `id` or an `_id`."""

    also = (NumericId.also, fields.Nested(Milestone), fields.Nested(MilestoneDocument))
    """The other accepted types, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            value = value.get("_id") if value.get("id") in (None, "") else value["id"]
        return super()._deserialize(value, attr, data, **kwargs)


class ContentDto(SendOptions):
    """A message's content; attachments are ids of uploads, or objects with one."""

    content = fields.String(load_default="")
    type = fields.String(
        data_key="messageType", load_default="text", validate=validate.OneOf(["text", "file", "system"])
    )
    attachments = BoundedList(IdOrObject(), most=MAX_ATTACHMENTS, load_default=list)


class SendMessageDto(ContentDto, ConversationRef):
    """A message for an existing conversation."""


class CreateMessageDto(ContentDto):
    """A message to the other party of a contract or of one of its milestones."""

    contract_id = NumericId(required=True, data_key="contractId")
    milestone_id = NumericId(data_key="milestoneId")


class ContractDto(InboundSchema):
    """A contract: its two parties, and its milestones, which are ids or objects with one."""

    contract_id = Id(required=True, data_key="id")
    client_id = NumericId(required=True, data_key="clientId")
    freelancer_id = NumericId(required=True, data_key="freelancerId")
    milestones = BoundedList(MilestoneId(), most=MAX_MILESTONES, load_default=list)
    share_history = fields.Boolean(data_key="shareHistory", load_default=False, truthy={True}, falsy={False})


class ConversationsDto(InboundSchema):
    """A page of the list of conversations; archived ones only with `includeArchived=true`."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_PAGE))
    contract_id = Id(data_key="contractId")
    archived = fields.Boolean(
        data_key="includeArchived", load_default=False, truthy={"true"}, falsy={"false"}
    )


class MessagesDto(ConversationRef):
    """A page of messages, newest page first; with `before`, a message's id, older ones only."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, MAX_PAGES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before_id = Id(data_key="before")


class ArchiveDto(ConversationRef):
    """Whether to archive a conversation or to take it out of the archive."""

    archived = fields.Boolean(load_default=True, truthy={True}, falsy={False})


def _put_contract(p: Payload) -> c.PutContract:
    return c.PutContract(**{**p, "milestones": tuple(p["milestones"])})


def _get_conversation(p: Payload) -> c.GetConversation:
    return c.GetConversation(conversation_id=p["conversation_id"], shown=MEMBERS_SHOWN)


# Outbound.


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


def _success(sentence: str) -> Serializer:
    """Make an acknowledgement without data."""
    name = "".join(word.capitalize() for word in sentence.split())
    return Serializer(name, {"success": constant(True), "message": constant(sentence)})


def _envelope(name: str, sentence: str, data: ToPayload) -> Serializer:
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
    {**_success("Joined conversation successfully").fields, "seq": number("seq"), "rev": number("rev")},
)

INBOUND = {
    "join_conversation": InboundEvent(ConversationRef(), lambda p: c.JoinRoom(**p), JOINED),
    "leave_conversation": InboundEvent(
        ConversationRef(), lambda p: c.LeaveRoom(**p), _success("Left conversation successfully")
    ),
    "send_message": InboundEvent(
        SendMessageDto(), lambda p: c.SendMessage(**send_arguments(p)), SENT, message_to="conversationId"
    ),
    "create_message": InboundEvent(CreateMessageDto(), lambda p: c.SendToContract(**send_arguments(p)), SENT),
    "update_message": InboundEvent(
        EditMessageDto(), lambda p: c.EditMessage(**p), _success("Message updated successfully")
    ),
    "delete_message": InboundEvent(
        MessageRef(), lambda p: c.DeleteMessage(**p), _success("Message deleted successfully")
    ),
    "typing": InboundEvent(
        TypingDto(), lambda p: c.SetTyping(**p), _success("Typing status sent successfully")
    ),
    "mark_as_read": InboundEvent(
        ConversationRef(),
        lambda p: c.MarkConversationRead(**p),
        _success("Messages marked as read successfully"),
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

_ALL = "/api/messages/conversations"
_ONE = _ALL + "/{conversationId}"
ROUTES = (
    Route(
        method="PUT",
        path="/api/contracts/{id}",
        schema=ContractDto(),
        command=_put_contract,
        response=_envelope("ContractSaved", "Contract saved successfully", CONTRACT),
        body=True,
        doc="Create or update a contract; for administrators and services.",
    ),
    Route(
        method="POST",
        path="/api/messages",
        schema=CreateMessageDto(),
        command=lambda p: c.SendToContract(**send_arguments(p)),
        response=_envelope("MessageCreated", "Message created successfully", MESSAGE),
        status=201,
        body=True,
        idempotency="clientMessageId",
        doc="Send a message within a contract or a milestone; the first one creates its conversation.",
    ),
    Route(
        method="GET",
        path=_ALL,
        schema=ConversationsDto(),
        command=lambda p: c.ListConversations(**p),
        response=_envelope("ConversationsRetrieved", "Conversations retrieved successfully", CONVERSATIONS),
        doc="List the user's conversations, the most recently active first.",
    ),
    Route(
        method="GET",
        path=_ONE,
        schema=ConversationRef(),
        command=_get_conversation,
        response=_envelope("ConversationRetrieved", "Conversation retrieved successfully", CONVERSATION),
        doc="Get a conversation.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p, counted=True),
        response=_envelope("MessagesRetrieved", "Messages retrieved successfully", MESSAGES),
        doc="List a page of a conversation's messages, in their order; the first page is the newest.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/messages",
        schema=SendMessageDto(),
        command=lambda p: c.SendMessage(**send_arguments(p)),
        response=_envelope("MessageSent", "Message sent successfully", MESSAGE),
        status=201,
        body=True,
        idempotency="clientMessageId",
        doc="Send a message.",
    ),
    Route(
        method="PATCH",
        path=f"{_ONE}/read",
        schema=ConversationRef(),
        command=lambda p: c.MarkConversationRead(**p),
        then=_get_conversation,
        response=_envelope("MarkedAsRead", "Messages marked as read successfully", CONVERSATION),
        body=True,
        doc="Mark all messages of a conversation as read.",
    ),
    Route(
        method="PATCH",
        path=f"{_ONE}/archive",
        schema=ArchiveDto(),
        command=lambda p: c.ArchiveConversation(**p),
        then=_get_conversation,
        response=_envelope("ConversationArchived", "Conversation updated successfully", CONVERSATION),
        body=True,
        doc="Archive a conversation in the user's own list, or take it out of the archive.",
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
