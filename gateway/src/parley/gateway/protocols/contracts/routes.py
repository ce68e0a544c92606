"""REST routes of the contracts guide."""

from parley.gateway.core import commands as c
from parley.gateway.protocols.contracts.payloads import (
    CONTRACT,
    CONVERSATION,
    CONVERSATIONS,
    MESSAGE,
    MESSAGES,
    envelope,
)
from parley.gateway.protocols.contracts.requests import (
    ArchiveDto,
    ContractDto,
    ConversationsDto,
    CreateMessageDto,
    MessagesDto,
    SendMessageDto,
    get_command,
    put_command,
)
from parley.gateway.protocols.protocol import Route
from parley.gateway.protocols.standard_events import ConversationRef, send_arguments

_ALL = "/api/messages/conversations"
_ONE = _ALL + "/{conversationId}"
ROUTES = (
    Route(
        method="PUT",
        path="/api/contracts/{id}",
        schema=ContractDto(),
        command=put_command,
        response=envelope("ContractSaved", "Contract saved successfully", CONTRACT),
        body=True,
        doc="Create or update a contract; for administrators and services.",
    ),
    Route(
        method="POST",
        path="/api/messages",
        schema=CreateMessageDto(),
        command=lambda p: c.SendToContract(**send_arguments(p)),
        response=envelope("MessageCreated", "Message created successfully", MESSAGE),
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
        response=envelope("ConversationsRetrieved", "Conversations retrieved successfully", CONVERSATIONS),
        doc="List the user's conversations, the most recently active first.",
    ),
    Route(
        method="GET",
        path=_ONE,
        schema=ConversationRef(),
        command=get_command,
        response=envelope("ConversationRetrieved", "Conversation retrieved successfully", CONVERSATION),
        doc="Get a conversation.",
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        schema=MessagesDto(),
        command=lambda p: c.ListMessages(**p, counted=True),
        response=envelope("MessagesRetrieved", "Messages retrieved successfully", MESSAGES),
        doc="List a page of a conversation's messages, in their order; the first page is the newest.",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/messages",
        schema=SendMessageDto(),
        command=lambda p: c.SendMessage(**send_arguments(p)),
        response=envelope("MessageSent", "Message sent successfully", MESSAGE),
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
        then=get_command,
        response=envelope("MarkedAsRead", "Messages marked as read successfully", CONVERSATION),
        body=True,
        doc="Mark all messages of a conversation as read.",
    ),
    Route(
        method="PATCH",
        path=f"{_ONE}/archive",
        schema=ArchiveDto(),
        command=lambda p: c.ArchiveConversation(**p),
        then=get_command,
        response=envelope("ConversationArchived", "Conversation updated successfully", CONVERSATION),
        body=True,
        doc="Archive a conversation in the user's own list, or take it out of the archive.",
    ),
)
