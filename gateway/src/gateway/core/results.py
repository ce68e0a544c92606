"""What commands come to, before a vocabulary puts it into its words."""

from asyncio import Future
from dataclasses import dataclass
from typing import Any

from shared.model import Conversation, Member, Message, Person


@dataclass(frozen=True, slots=True)
class Done:
    """It is so; there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """`result` holds once `confirmed` does; its exception is a `ChatError`.

    An event with this `record_id`, in the conversation's room, says that it is stored.
    """

    result: Any
    confirmed: "Future[None]"
    record_id: str
    conversation_id: str


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


@dataclass(frozen=True, slots=True)
class Joined:
    """The socket hears the conversation from this point on."""

    conversation_id: str
    seq: int
    rev: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of views, and the cursor that the next page begins at, if there is one."""

    items: tuple[Any, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in a conversation up to `rev`; `too_far` when it is too much to tell."""

    conversation_id: str
    rev: int
    messages: tuple[MessageView, ...] = ()
    too_far: bool = False
