"""Commands: what a client may wish for."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.model import Kind, MessageType


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    """Say something; `client_message_id` (a UUID) makes a retry harmless."""

    conversation_id: str
    content: str
    type: MessageType = "text"
    client_message_id: str | None = None
    temp_id: str | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage:
    """Give one's own message other content."""

    message_id: str
    content: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMessage:
    """Make a message a tombstone: one's own, or as an admin anyone's."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRead:
    """Move the read mark up to a message."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkConversationRead:
    """Move the read mark to the end."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDelivered:
    """A device holds everything up to `seq`."""

    conversation_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConversation:
    """Start a conversation with `participants`, the creator not among them."""

    kind: Kind
    participants: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddParticipants:
    """Bring people into a group."""

    conversation_id: str
    participants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveParticipant:
    """Put someone out of a group."""

    conversation_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveConversation:
    """Go out of a group for good."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoom:
    """Have this socket hear a conversation's messages."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRoom:
    """Have this socket hear them no more."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTyping:
    """Start or stop typing."""

    conversation_id: str
    typing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOnline:
    """Who of one's contacts is online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """What changed since these revisions, by conversation id."""

    revs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConversation:
    """One conversation."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConversations:
    """One's conversations, the liveliest first: all, those below a cursor, or those above one."""

    limit: int = 20
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMessages:
    """A page of a conversation: the last, the one `before` a number, or the one `after` it."""

    conversation_id: str
    limit: int = 50
    before: int | None = None
    after: int | None = None


Command = (
    SendMessage
    | EditMessage
    | DeleteMessage
    | MarkRead
    | MarkConversationRead
    | MarkDelivered
    | CreateConversation
    | AddParticipants
    | RemoveParticipant
    | LeaveConversation
    | JoinRoom
    | LeaveRoom
    | SetTyping
    | ListOnline
    | Sync
    | GetConversation
    | ListConversations
    | ListMessages
)
