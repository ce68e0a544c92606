"""What the batch algorithm needs of the world."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from parley.shared.events import Event
from parley.shared.model import Digest, Membership, Message

MemberKey = tuple[str, str]
"""(conversation id, user id)"""


class StoreUnavailable(Exception):
    """The database cannot be asked now; the same call may succeed later."""


class Head(Struct, frozen=True):
    """The last numbers that a conversation gave: of messages, and of changes."""

    seq: int
    rev: int


class HeadMove(Struct, frozen=True):
    """Move a conversation's head forward to where its messages are."""

    conversation_id: str
    to: Head
    last_message: Digest | None = None


class Messages(Protocol):
    """The stored messages."""

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        """Those of the messages that are stored, by id."""

    async def insert(self, messages: Sequence[Message]) -> int:
        """Insert in order up to the first whose id or number is taken; give back how many went in."""

    async def replace(self, message: Message, rev: int) -> bool:
        """Put a changed message in the place of the one that had `rev`; False when it has another."""

    async def count_own(self, key: MemberKey, above: int, upto: int) -> int:
        """How many of the messages with above < seq <= upto are the user's."""


class AttachmentReferences(Protocol):
    """Which stored messages name an upload; one that none names any more is nobody's to read."""

    async def begin(self, messages: Sequence[Message]) -> None:
        """These messages, about to be stored, name their attachments; to be told again changes nothing."""

    async def end(self, message: Message) -> None:
        """This message, about to be a tombstone, names none any more.

        Those of its attachments that no other message names are condemned: nobody can read them from
        now on, and the gateways sweep them away. To be told again changes nothing.
        """


class Heads(Protocol):
    """The conversations' heads."""

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        """The heads as the conversations hold them; an unknown conversation is left out."""

    async def measure(self, conversation_id: str) -> tuple[Head, Message | None]:
        """The head as the stored messages show it, and the last of them.

        After a crash it may be ahead of what `read` says.
        """

    async def move(self, moves: Sequence[HeadMove]) -> None:
        """Move heads forward, never back: a writer that was overtaken does no harm."""


class Memberships(Protocol):
    """The members' marks and counters."""

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        """Those memberships that exist, left ones too."""

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        """Replace marks and counters (was, becomes), each only if they are still what they were.

        Gives back the keys of those that were not.
        """


class Attempts(Protocol):
    """Marks of records that are being tried, which outlive a worker that they kill."""

    async def begin(self, record_id: str) -> int:
        """Mark a record; how often it was marked since it was last unmarked."""

    async def end(self, record_id: str) -> None:
        """Unmark it: whoever tried it is alive."""


class EventPublisher(Protocol):
    """The way to the gateways."""

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events by room; what cannot be published is counted, for gateways heal themselves."""
