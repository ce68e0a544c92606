"""Results: the return values of services, before a protocol serializes them.

Those of each message are structs, which are made in a sixth of a dataclass's time.
"""

from asyncio import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct

from parley.gateway.core.errors import ChatError
from parley.shared.model import Contract, Conversation, Member, Message, Person


@dataclass(frozen=True, slots=True)
class Done:
    """The command succeeded and returns nothing."""


@dataclass(frozen=True, slots=True)
class SlowClient:
    """A client that has not read all that was written to it.

    Attributes:
        user_id: Its user; None while it connects.
        transport: `websocket` or `polling`.
        unread_bytes: The bytes that wait for it.
        unread_limit: The bytes past which its connection is closed.
    """

    user_id: str | None
    transport: str
    unread_bytes: int
    unread_limit: int


class PendingCommit(Struct, frozen=True):
    """A result that holds once the broker has confirmed its record.

    A later event with this `record_id` reports whether the record was stored: in the room of the
    conversation if it was, in the room of the user if it was refused.

    Attributes:
        result: The result to return once `confirmed` is done.
        confirmed: Done when the broker has confirmed the record; its exception is a `ChatError`.
        record_id: The id of the record.
        conversation_id: The conversation that the record changes.
        user_id: The user who sent the command.
    """

    result: Any
    confirmed: "Future[None]"
    record_id: str
    conversation_id: str
    user_id: str


class MessageView(Struct, frozen=True):
    """A message with its sender, and the highest read and delivered marks of the other members."""

    message: Message
    sender: Person
    read: int = 0
    delivered: int = 0

    @property
    def status(self) -> str:
        """`sent`, `delivered` or `read`: by any member but the sender."""
        if self.message.seq and self.message.seq <= self.read:
            return "read"
        return "delivered" if self.message.seq and self.message.seq <= self.delivered else "sent"


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as one of its members sees it."""

    conversation: Conversation
    members: tuple[Member, ...]
    """The first members by the time of joining, and the member whose view it is."""
    member_count: int
    unread: int
    archived: bool = False
    contract: Contract | None = None
    read_seq: int = 0
    """The number up to which no message counts as unread."""

    def person(self, user_id: str | None) -> Person | None:
        """Return the member with this id, if the view includes them."""
        return next((m.person for m in self.members if m.person.id == user_id), None)


@dataclass(frozen=True, slots=True)
class UnreadTotal:
    """A user's unread messages, and the number of conversations that they were counted in."""

    count: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Introduction:
    """The user of a socket, the id of the socket, and the user's contacts who are online."""

    person: Person
    socket_id: str
    online: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    """The socket continues with another token, which expires at `expires_at`."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """The socket receives the messages of a conversation from this head on."""

    conversation_id: str
    seq: int
    rev: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """The socket no longer receives the messages of a conversation."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a conversation up to `rev`, whose epoch is `epoch`.

    Attributes:
        too_far: Whether there are too many to return, or the given revision belongs to another history.
        more: Whether there are changes above `rev` that another request has to ask for.
        error: The reason for which the user gets none.
    """

    conversation_id: str
    rev: int
    epoch: int = 0
    messages: tuple[MessageView, ...] = ()
    too_far: bool = False
    more: bool = False
    error: ChatError | None = None
