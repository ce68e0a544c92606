"""What the core needs of the world.

Every method of the archive may raise `Unavailable`; so may `Announcer`, `Presence` and `Outbox.put`.
"""

from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley.shared.events import Event
from parley.shared.model import (
    Attachment,
    Contract,
    Conversation,
    Membership,
    Message,
    Person,
    Revocation,
    Role,
)
from parley.shared.records import Record


class Outbox(Protocol):
    """The way to storage."""

    def put(self, record: Record) -> "Future[None]":
        """Send a record after all that were put before it for its conversation.

        The future is done when the broker holds it; it fails with `Unavailable`. Raises `Overloaded`
        when too many wait already.
        """


class EventPublisher(Protocol):
    """The way to other gateways."""

    async def announce(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events by room."""

    def mention(self, room: str, event: Event) -> None:
        """Publish an event that may be lost, without waiting for it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list is wanted: page `number` of `limit`, below one cursor or above another."""

    limit: int
    number: int = 1
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a list of `total`, and the cursor of the next that way."""

    conversations: list[Conversation]
    cursor: str | None
    total: int


class Conversations(Protocol):
    """The stored conversations."""

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        """Store a conversation with its members; a direct one that exists already is given back."""

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        """Those of the conversations that exist, by id."""

    async def liveliest(self, conversation_ids: Collection[str], cut: Cut, contract_id: str | None) -> Slice:
        """A page by last activity, newest first; of one contract if named. Raises `Invalid`."""

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        """All conversations within a contract."""


class Memberships(Protocol):
    """The stored memberships."""

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        """The user's membership, if they are in the conversation now."""

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        """Everything that the users are in now."""

    async def of_conversation(self, conversation_id: str, limit: int) -> list[Membership]:
        """The first `limit` who are in it now, by the time they came."""

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        """Those of the users who are in a conversation now."""

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        """Up to `limit` users who are in these conversations."""


class MembershipChanges(Protocol):
    """Coming and going."""

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        """Let people in, those who had left too; gives back the ids of those who were not in before."""

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        """Let someone out; False when they were not in, or in this role."""

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        """Make someone the owner; False when they are not in."""

    async def archive(self, conversation_id: str, user_id: str, archived: bool) -> bool:
        """Put it away from the user's list, or back; False when they are not in."""


class Contracts(Protocol):
    """The contracts that were made known."""

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        """Those of the contracts that are known, by id."""

    async def put(self, contract: Contract) -> None:
        """Make a contract known, or change it."""


class Messages(Protocol):
    """The stored messages."""

    async def get(self, message_id: str) -> Message | None:
        """One message."""

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> list[Message]:
        """Up to `limit` messages by number, ascending: the last, those below `before` or above `after`."""

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        """Up to `limit` messages that changed after `rev`, by rev."""

    async def furthest(self, conversation_id: str) -> tuple[list[Membership], list[Membership]]:
        """The two members who have read furthest, and the two who have received furthest."""


class People(Protocol):
    """What tokens told of users."""

    async def remember(self, person: Person) -> None:
        """Keep what a token says."""

    async def named(self, user_ids: Collection[str]) -> dict[str, Person]:
        """The users by id; one who never came has only an id."""


class Revocations(Protocol):
    """The stored revocations."""

    async def put(self, revocation: Revocation) -> None:
        """Store a revocation."""

    async def count(self) -> int:
        """How often something was put: another number than before says that there is something new."""

    async def all(self) -> list[Revocation]:
        """Those that are kept."""


class Presence(Protocol):
    """Who has a live socket, on any node."""

    async def arrive(self, user_id: str, socket_id: str) -> None:
        """A socket came: take a lease for it. Tells of the user if they were away."""

    async def leave(self, user_id: str, socket_id: str) -> None:
        """A socket is gone. Tells of the user after a grace, if none comes meanwhile."""

    def forget(self, user_id: str, socket_id: str) -> None:
        """A socket never came: its lease, if there is one, is renewed no more."""

    async def online(self, user_ids: Collection[str]) -> list[str]:
        """Those of the users who are online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that is wholly there: whose it is, and the conversation that it is bound to, if any."""

    attachment: Attachment
    owner_id: str
    conversation_id: str | None = None


class Attachments(Protocol):
    """What is known of uploads. Every method may raise `Unavailable`."""

    async def begin(self, attachment_id: str, owner_id: str) -> None:
        """Note that a file is on its way, so that it is found again should it never arrive."""

    async def finish(self, attachment: Attachment) -> None:
        """The file that was begun under this id is wholly there."""

    async def get(self, attachment_ids: Collection[str]) -> dict[str, Upload]:
        """Those of the uploads that are wholly there, by id."""

    async def bind(self, attachment_id: str, owner_id: str, conversation_id: str, binding: str) -> bool:
        """Bind to a conversation what its owner has bound to none, at most once whoever else tries.

        `binding` is what `unbind` knows it by. False: it is another's, bound already, or gone.
        """

    async def settle(self, attachment_id: str, conversation_id: str) -> bool:
        """Let what a conversation has stay there: it is unbound no more. False: it has it not."""

    async def unbind(self, attachment_id: str, binding: str) -> None:
        """Undo a binding that was not settled since; harmless when it was, or is undone."""


class OrphanedAttachments(Protocol):
    """Uploads that no conversation has, or only in deleted messages. Every method may raise `Unavailable`."""

    async def condemn(self, before: datetime, limit: int) -> list[str]:
        """Up to `limit` ids of those that are so since before a time; from now on nobody gets or binds them.

        Gives the same ones again until they are forgotten.
        """

    async def forget(self, attachment_id: str) -> None:
        """Forget a loose one, whose bytes are gone; harmless when there is none."""


class Files(Protocol):
    """The bytes of uploads. Every method may raise `Unavailable`."""

    async def write(self, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Store what `chunks` gives, as it comes, under a fresh id; the number of its bytes.

        It holds a bounded part of it in memory. The file is there wholly or not at all: when `chunks`
        raises, or the task is cancelled, what was written is removed.
        """

    def read(self, file_id: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, not including, `stop`, read as they are taken.

        Raises `NotFound` before the first byte when there is no such file.
        """

    async def delete(self, file_id: str) -> None:
        """Remove a file, or what an upload that died left of it; harmless when there is none."""


class Sniffer(Protocol):
    """Tells what one file is by its bytes, whatever its name says."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises `Unsupported` as soon as it is clear."""

    def end(self) -> str:
        """The media type, now that all bytes were fed. Raises `Unsupported`."""


class Search(Protocol):
    """Finding stored messages by their words."""

    async def find(
        self, conversation_ids: Collection[str], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        """Up to `limit` messages of these conversations that hold every word, and the cursor to go on from.

        Words are found in any case and inside others; what stands in them is plain text. Deleted messages
        are not found. Newest first: by when they were stored, in a conversation always by number. Each
        conversation may be looked into, so the work grows with their number; beside that it is bounded,
        so fewer may be found while there is a cursor. Following it misses none and repeats none, whatever
        arrives meanwhile. Raises `Invalid`.
        """
