"""Commands: all requests of clients, whatever the protocol and the transport.

The most frequent one is a struct, which is made in a sixth of a dataclass's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from parley.gateway.core.positions import Revision
from parley.shared.model import MAX_PAGE, MAX_PARTICIPANTS, Kind, MessageType, message_id


class SendMessage(Struct, frozen=True, kw_only=True):
    """Send a message. With a `client_message_id` (a UUID) a retry is stored once."""

    conversation_id: str
    content: str
    type: MessageType = "text"
    attachments: tuple[str, ...] = ()
    extra: str | None = None
    client_message_id: str | None = None
    temp_id: str | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToContract:
    """Send a message to the other party of a contract or milestone; the first creates the conversation."""

    contract_id: str
    content: str
    milestone_id: str | None = None
    type: MessageType = "text"
    attachments: tuple[str, ...] = ()
    client_message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutContract:
    """Store or replace a contract: its parties, and its milestones by their ids.

    A new party does not read the earlier messages, unless `share_history`.
    """

    contract_id: str
    client_id: str
    freelancer_id: str
    milestones: tuple[str, ...] = ()
    share_history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Revoke tokens: all of a user, the one with an id, or both."""

    user_id: str | None = None
    token_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAdministrator:
    """Return the user, who must be an administrator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSlowClients:
    """Return the clients of this gateway that read slowly, those with the most unread bytes first."""

    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reauthenticate:
    """Continue the connection with another token of the same user."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage:
    """Change the content of the user's own message."""

    message_id: str
    content: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMessage:
    """Replace a message by a tombstone: the user's own, or any for an admin."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRead:
    """Move the user's read mark to a message."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkConversationRead:
    """Move the user's read mark to the end of a conversation."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDelivered:
    """Move the user's delivered mark: a device has received all messages up to `seq`."""

    conversation_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConversation:
    """Create a conversation with `participants`, which must not include the creator.

    With a `client_conversation_id` (a UUID) a retry creates nothing. A direct conversation needs none.
    """

    kind: Kind
    participants: tuple[str, ...]
    title: str = ""
    client_conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddParticipants:
    """Add members to a group."""

    conversation_id: str
    participants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveParticipant:
    """Remove a member from a group."""

    conversation_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveConversation:
    """Leave a group."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConversation:
    """Archive a conversation for the user only, or undo it."""

    conversation_id: str
    archived: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoom:
    """Deliver a conversation's messages to this socket."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRoom:
    """Stop delivering a conversation's messages to this socket."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTyping:
    """Start or stop typing."""

    conversation_id: str
    typing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOnline:
    """Return the user's contacts who are online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduce:
    """Return the user of the token, the socket's id and the contacts who are online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Return the server's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Return the changes since these revisions, by conversation id."""

    revs: Mapping[str, Revision]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConversation:
    """Return a conversation, with up to `shown` of its members, the user among them."""

    conversation_id: str
    shown: int = MAX_PARTICIPANTS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ListParticipants:
    """Return a page of the members of a conversation, by the time of joining."""

    conversation_id: str
    limit: int = MAX_PAGE
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReceipts:
    """Return how far a page of the members has read and received a conversation."""

    conversation_id: str
    limit: int = MAX_PARTICIPANTS + 1
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConversations:
    """Return a page of the user's conversations, most recent first: by number, below or above a cursor.

    Attributes:
        limit: Conversations of one page.
        page: The number of the page, counted from the cursor.
        before: A cursor; the page lies below it.
        after: A cursor; the page lies above it.
        contract_id: Return only the conversations of this contract.
        archived: Whether archived conversations are included.
    """

    limit: int = 20
    page: int = 1
    before: str | None = None
    after: str | None = None
    contract_id: str | None = None
    archived: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMessages:
    """Return a page of a conversation: the last one, the one before a message, or the one after it.

    Attributes:
        conversation_id: The conversation.
        limit: Messages of one page.
        page: The number of the page, counted back from its end.
        before: The number of the message that the page ends before.
        before_id: The id of that message, instead of its number.
        after: The number of the message that the page starts after.
        counted: Whether the page includes the total number of messages.
        cut: Whether a page of large messages may end before `limit`; its cursor continues from there.
    """

    conversation_id: str
    limit: int = 50
    page: int = 1
    before: int | None = None
    before_id: str | None = None
    after: int | None = None
    counted: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetMessage:
    """Return a message; `marked` shows it as read, because the user's read mark was accepted just before."""

    message_id: str
    marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CountUnread:
    """Return the number of the user's unread messages in all conversations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Find the user's messages that contain all words, newest first, in one conversation or in all."""

    text: str
    conversation_id: str | None = None
    limit: int = 20
    before: str | None = None


Command = (
    SendMessage
    | SendToContract
    | PutContract
    | Revoke
    | CheckAdministrator
    | ListSlowClients
    | Reauthenticate
    | EditMessage
    | DeleteMessage
    | MarkRead
    | MarkConversationRead
    | MarkDelivered
    | CreateConversation
    | AddParticipants
    | RemoveParticipant
    | LeaveConversation
    | ArchiveConversation
    | JoinRoom
    | LeaveRoom
    | SetTyping
    | ListOnline
    | Introduce
    | Ping
    | Sync
    | GetConversation
    | ListParticipants
    | ListReceipts
    | ListConversations
    | ListMessages
    | GetMessage
    | CountUnread
    | Search
)


def message_named_by(command: object, user_id: str) -> str | None:
    """Return the id of the message that a user's command names, None if it names none.

    A send without a `client_message_id` names none: its message gets a random id when it is accepted.
    """
    if isinstance(command, SendMessage):
        client_id = command.client_message_id
        return message_id(user_id, command.conversation_id, client_id) if client_id else None
    named: str | None = getattr(command, "message_id", None)
    return named
