"""What commands come to, before a vocabulary puts it into its words."""

from asyncio import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from parley.shared.model import Contract, Conversation, Member, Message, Person


@dataclass(frozen=True, slots=True)
class Done:
    """It is so; there is nothing to show."""


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """`result` holds once `confirmed` does; its exception is a `ChatError`.

    An event with this `record_id` says that it is stored, in the conversation's room, or why it is
    not, in the user's.
    """

    result: Any
    confirmed: "Future[None]"
    record_id: str
    conversation_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message with its sender, and how far others are: `read` and `delivered` are numbers."""

    message: Message
    sender: Person
    read: int = 0
    delivered: int = 0

    @property
    def status(self) -> str:
        """`sent`, `delivered` or `read`: by anyone but its sender."""
        if self.message.seq and self.message.seq <= self.read:
            return "read"
        return "delivered" if self.message.seq and self.message.seq <= self.delivered else "sent"


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as one of its members sees it."""

    conversation: Conversation
    members: tuple[Member, ...]
    unread: int
    archived: bool = False
    contract: Contract | None = None

    def person(self, user_id: str | None) -> Person | None:
        """The member with this id, if they are shown."""
        return next((m.person for m in self.members if m.person.id == user_id), None)


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who the bearer of the token is, by which socket, and who of their contacts is online."""

    person: Person
    socket_id: str
    online: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    """The socket goes on with another token, which ends then."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """The socket hears the conversation from this point on."""

    conversation_id: str
    seq: int
    rev: int


@dataclass(frozen=True, slots=True)
class Left:
    """The socket hears the conversation no more."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of views, and the cursor that the next page begins at, if there is one.

    Of `total` entries, on pages of `limit`, this is page `number`.
    """

    items: tuple[Any, ...]
    next_cursor: str | None
    total: int = 0
    limit: int = 0
    number: int = 1

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-self.total // self.limit) if self.limit else 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in a conversation up to `rev`; `too_far` when it is too much to tell."""

    conversation_id: str
    rev: int
    messages: tuple[MessageView, ...] = ()
    too_far: bool = False
