"""Commands: the requests of clients, parsed."""

from collections.abc import Mapping
from dataclasses import dataclass

from parley.shared.model import MAX_PARTICIPANTS, Kind, MessageType


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    """Say something; `client_message_id` (a UUID) makes a retry harmless."""

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
    """Say something to the other party of a contract, or of a milestone; the first one starts it."""

    contract_id: str
    content: str
    milestone_id: str | None = None
    type: MessageType = "text"
    attachments: tuple[str, ...] = ()
    client_message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutContract:
    """Make a contract known, or change it: its parties, and its milestones by their ids."""

    contract_id: str
    client_id: str
    freelancer_id: str
    milestones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Have tokens refused from now on: all that a user has, the one of an id, or both."""

    user_id: str | None = None
    token_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reauthenticate:
    """Go on with another token of the same user."""

    token: str


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
class ArchiveConversation:
    """Put a conversation away from one's own list, or back."""

    conversation_id: str
    archived: bool = True


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
    """List the user's contacts who are online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduce:
    """Return the user and the socket id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Return the server's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Return the changes since these revisions, by conversation id."""

    revs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConversation:
    """One conversation, with so many of its members."""

    conversation_id: str
    shown: int = MAX_PARTICIPANTS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConversations:
    """One's conversations, the liveliest first: a page by number, below a cursor, or above one.

    Only those of a contract when it is named, and without those put away unless `archived`.
    """

    limit: int = 20
    page: int = 1
    before: str | None = None
    after: str | None = None
    contract_id: str | None = None
    archived: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMessages:
    """A page of a conversation: the last, the one `before` a number, or the one `after` it.

    `before_id` names the message instead of its number; `page` counts pages back from there.
    """

    conversation_id: str
    limit: int = 50
    page: int = 1
    before: int | None = None
    before_id: str | None = None
    after: int | None = None
    counted: bool = False
    """Whether the page shall know how many messages there are in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetMessage:
    """One message; `marked` shows it as it is once the asker's read mark, accepted before, is stored."""

    message_id: str
    marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CountUnread:
    """How many messages one has not read, in all conversations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One's messages with all of these words, the newest first: of one conversation, or of all."""

    text: str
    conversation_id: str | None = None
    limit: int = 20
    before: str | None = None


Command = (
    SendMessage
    | SendToContract
    | PutContract
    | Revoke
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
    | ListConversations
    | ListMessages
    | GetMessage
    | CountUnread
    | Search
)
