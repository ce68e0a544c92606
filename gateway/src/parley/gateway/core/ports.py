"""Ports: the services' interfaces to databases, brokers and other gateways.

Every method of the stored collections may raise `Unavailable`; so may those of `Presence`.
"""

from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley.gateway.core.pagination import Page, PageRequest, SortKey
from parley.gateway.core.positions import Position, Tombstone
from parley.gateway.core.results import SlowClient
from parley.gateway.core.spans import ALL, Span
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
    """Sends records to the workers, in order for each conversation."""

    def put(self, record: Record) -> "Future[None]":
        """Queue a record behind all earlier records of its conversation.

        Returns:
            A future that is done when the broker has confirmed the record, and fails with `Unavailable`.

        Raises:
            Overloaded: Too many records are waiting.
        """


class CommitBarrier(Protocol):
    """Separates what was accepted before a moment from what is accepted later."""

    async def wait(self, conversation_id: str) -> None:
        """Wait until all messages of a conversation that any gateway has accepted by now are stored.

        Raises:
            Unavailable: It takes too long, or a server is away.
            Overloaded: Too many records are waiting.
        """


class EventPublisher(Protocol):
    """Publishes events to all gateways. A failure is counted, not raised."""

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events, by room, and wait until they are published."""

    def publish_best_effort(self, room: str, event: Event) -> None:
        """Publish an event soon, without waiting; it may be lost."""


class Conversations(Protocol):
    """The stored conversations."""

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        """Store a conversation with its members.

        Returns:
            The stored conversation. It is another one if the direct one exists already, or if one of this
            id was created from another request; then nothing has changed.
        """

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        """Return the existing conversations of these ids, by id."""

    async def revisions(self, conversation_ids: Collection[str]) -> dict[str, int]:
        """Return the revisions of the heads of these conversations, by id."""

    async def latest(self, conversation_id: str) -> Conversation | None:
        """Return a conversation, never older than others have announced before.

        It costs a write. The result of `get` can be older just after another server has taken over.
        """

    async def most_recent(
        self, conversation_ids: Collection[str], request: PageRequest, contract_id: str | None
    ) -> Page[Conversation]:
        """Return a page of these conversations by last activity, most recent first.

        Args:
            conversation_ids: The conversations to choose from.
            request: The page to return.
            contract_id: Keep only the conversations of this contract.

        Raises:
            Invalid: The cursor of the request is malformed.
        """

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        """Return all conversations of a contract."""


class Memberships(Protocol):
    """The stored memberships. Former members are left out everywhere but in `removed`."""

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        """Return a user's membership of a conversation."""

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        """Return all memberships of these users."""

    async def of_user(self, user_id: str, conversation_ids: Collection[str]) -> dict[str, Membership]:
        """Return a user's memberships of these conversations, by conversation."""

    async def conversations_of(self, user_id: str, *, archived: bool = True) -> set[str]:
        """Return the conversations of a user: the same as by `of_users`, for a part of its cost.

        Args:
            user_id: The user.
            archived: Whether those that the user has archived are among them.
        """

    async def hidden_of(self, user_id: str) -> dict[str, int]:
        """Return the user's conversations, and the number up to which the messages of each are hidden."""

    async def of_conversation(
        self, conversation_id: str, limit: int, after: SortKey | None = None
    ) -> list[Membership]:
        """Return the first `limit` memberships of a conversation, by the time of joining and the user's id.

        Args:
            conversation_id: The conversation.
            limit: The number of memberships, at most.
            after: The time of joining and the user's id that they come after.
        """

    async def first_of(self, conversation_ids: Collection[str], limit: int) -> dict[str, list[Membership]]:
        """Return the first `limit` memberships of each conversation, each as by `of_conversation`."""

    async def count(self, conversation_id: str) -> int:
        """Return the number of members of a conversation."""

    async def removed(self, within: float, until: float) -> list[Membership]:
        """Return the memberships that ended between `within` and `until` seconds ago.

        The database's clock decides. The work grows with the number of such memberships only.
        """

    async def joined(self, within: float, until: float) -> list[Membership]:
        """Return the memberships that began between `within` and `until` seconds ago.

        The clock of the gateway that added the member decides, and the database's is the present. The work
        grows with the number of such memberships only.
        """

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        """Return the users of these who are members of a conversation."""

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        """Return up to `limit` users who are members of any of these conversations."""

    async def pairs(self, conversation_ids: Collection[str], limit: int) -> list[tuple[str, str]]:
        """Return the first `limit` pairs of conversation and member, ordered by the conversations' ids."""


class MembershipChanges(Protocol):
    """Changes of the stored memberships."""

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        """Add members, former members included. Returns the ids of the users who were not members before."""

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        """Remove a member. Returns False if the user is no member, or has the role `unless`."""

    async def reveal(self, conversation_id: str, user_ids: Collection[str]) -> None:
        """Let members read what was said before they came."""

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        """Make a member the owner. Returns False if the user is no member."""

    async def archive(self, conversation_id: str, user_id: str, archived: bool) -> bool:
        """Archive a conversation for one member, or undo it. Returns False if the user is no member."""


class Contracts(Protocol):
    """The stored contracts."""

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        """Return the known contracts of these ids, by id."""

    async def put(self, contract: Contract) -> None:
        """Store a contract, or replace it."""


class Messages(Protocol):
    """The stored messages."""

    async def get(self, message_id: str) -> Message | None:
        """Return a message by its id."""

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None, hidden: int = 0
    ) -> list[Message]:
        """Return up to `limit` messages, ascending: the last, those below `before` or above `after`.

        Messages up to the number `hidden` are left out.
        """

    async def refer_to(self, conversation_id: str, attachment_id: str, above: int) -> bool:
        """Return whether a message whose number is above the given one refers to an attachment."""

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        """Return up to `limit` messages that changed after revision `rev`, by revision."""

    async def deleted(self, above: Mapping[str, int]) -> dict[str, list[Tombstone]]:
        """Return the deleted messages of these conversations whose number is above the given one.

        Conversations without any are left out. The work grows with the number of such messages only.
        """

    async def furthest_of(
        self, conversation_ids: Collection[str]
    ) -> dict[str, tuple[list[Membership], list[Membership]]]:
        """Return the two members with the highest read marks, and with the highest delivered, of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedProfile:
    """A user's profile as it is stored, and when the token that states it was issued (Unix time).

    `is_renamed` tells whether another name was stored before.
    """

    person: Person
    issued_at: float
    is_renamed: bool


class People(Protocol):
    """The stored profiles of users, as their newest tokens stated them."""

    async def save(self, person: Person, issued_at: float = 0.0) -> SavedProfile:
        """Store a user's profile, unless a token issued later has stated one; return the stored one."""

    async def add(self, person: Person, issued_at: float = 0.0) -> bool:
        """Store the profile of a user who has none, and return True; return False if there is one."""

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        """Return all of these users by id; a user who never connected has nothing but an id."""

    async def note_tokens(self, issued_at: Mapping[str, float]) -> None:
        """Note that later tokens state the same profiles: when they were issued, by user."""


@dataclass(frozen=True, slots=True)
class UserConversations:
    """The conversations of a user, as far as connecting needs them.

    Attributes:
        heads: The stored heads.
        memberships: The user's memberships, without what unread counts do not need.
        pairs: Conversation and member, in the order of the conversations' ids.
    """

    heads: dict[str, Position]
    memberships: list[Membership]
    pairs: list[tuple[str, str]]


class ConnectReads(Protocol):
    """The reads of a connecting user, each in one call."""

    async def begin(self, user_id: str) -> tuple[set[str], SavedProfile | None]:
        """Return the ids of the user's conversations, and the stored profile if there is one."""

    async def load(
        self,
        user_id: str,
        conversation_ids: Collection[str],
        members_of: Collection[str],
        limit: int,
        among: Span = ALL,
    ) -> UserConversations:
        """Return the heads of conversations, then the memberships of the user, then members.

        The heads are read first: a reader of counters behind them sees none that are older than the head.

        Args:
            user_id: The user.
            conversation_ids: The conversations whose heads are read.
            among: The conversations, by their ids, in which the memberships are read.
            members_of: The conversations whose members are read.
            limit: Pairs of conversation and member, at most.
        """


class Revocations(Protocol):
    """The stored revocations."""

    async def put(self, revocation: Revocation) -> None:
        """Store a revocation."""

    async def count(self) -> int:
        """Return how often `put` was called; a different number than before means a new revocation."""

    async def all(self) -> list[Revocation]:
        """Return the stored revocations that have not lapsed."""


class Presence(Protocol):
    """The users who have a live socket on any node."""

    async def add_socket(self, user_id: str, socket_id: str, contacts: Collection[str]) -> list[str]:
        """Take a lease for a connected socket; return the contacts who are online then.

        Publishes soon that the user is online if they were offline.
        """

    async def remove_socket(self, user_id: str, socket_id: str) -> None:
        """End a socket's lease. Publishes that the user is offline after a grace period without a socket."""

    def forget_socket(self, user_id: str, socket_id: str) -> None:
        """Stop renewing the lease of a socket that failed to connect, if it has one."""

    async def online(self, user_ids: Collection[str]) -> list[str]:
        """Return the users of these who are online."""


class ClientBuffers(Protocol):
    """The bytes that wait for the clients of this node."""

    def fullest(self, count: int) -> list[SlowClient]:
        """Return the clients with the most unread bytes, the most first, of those that are slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A complete file, its owner, and the conversation that it is bound to, if any."""

    attachment: Attachment
    owner_id: str
    conversation_id: str | None = None


class Attachments(Protocol):
    """The stored metadata of uploads. Every method may raise `Unavailable`."""

    async def begin(self, attachment_id: str, owner_id: str) -> None:
        """Note that an upload has started, so that the garbage collection finds it if it never completes."""

    async def finish(self, attachment: Attachment) -> None:
        """Note that the upload that was started with this id is complete."""

    async def get(self, attachment_ids: Collection[str]) -> dict[str, Upload]:
        """Return the complete uploads of these ids, by id."""

    async def bind(self, attachment_id: str, owner_id: str, conversation_id: str, binding: str) -> bool:
        """Bind an unbound upload of an owner to a conversation; one of several concurrent calls succeeds.

        Args:
            attachment_id: The upload.
            owner_id: The user who must own it.
            conversation_id: The conversation to bind it to.
            binding: An id by which `unbind` recognises this binding.

        Returns:
            False if it has another owner, is bound already, or is gone.
        """

    async def confirm_binding(self, attachment_id: str, conversation_id: str) -> bool:
        """Make a binding permanent, so that `unbind` has no effect. Returns False if there is none."""

    async def unbind(self, attachment_id: str, binding: str) -> None:
        """Undo a binding, unless it was made permanent or is undone already."""


class OrphanedAttachments(Protocol):
    """Uploads of no conversation, or only of deleted messages. Every method may raise `Unavailable`."""

    async def mark(self, before: datetime, limit: int) -> list[str]:
        """Mark uploads for deletion: from now on they can neither be read nor bound.

        Args:
            before: The uploads have been orphaned since before this time.
            limit: The number of uploads, at most.

        Returns:
            Their ids. An upload is returned again until it is forgotten.
        """

    async def forget(self, attachment_id: str) -> None:
        """Delete the metadata of an orphaned upload, whose bytes are deleted; a no-op if there is none."""


class UploadQuotas(Protocol):
    """The bytes of each user's uploads of a day. Every method may raise `Unavailable`."""

    async def reserve(self, user_id: str, day: str, size: int, quota: int) -> bool:
        """Count bytes, unless they would exceed the quota; of concurrent calls each counts the others.

        Returns:
            Whether they were counted.
        """

    async def settle(self, user_id: str, day: str, change: int) -> None:
        """Add to a count that was reserved, or take off it."""


class StorageSpace(Protocol):
    """The space of the storage of uploads. Every method may raise `Unavailable`."""

    async def free_share(self) -> float | None:
        """Return the share that is free, from 0 to 1; None if it is not known."""


class Files(Protocol):
    """The bytes of uploads. Every method may raise `Unavailable`."""

    async def write(self, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Store the chunks as they arrive, with bounded memory, under an unused id.

        The file is stored completely or not at all: if `chunks` raises, or the task is cancelled, the
        bytes that were written are deleted.

        Returns:
            The number of bytes.
        """

    def read(self, file_id: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Read the bytes from `start` up to, not including, `stop`, as they are consumed.

        Raises:
            NotFound: There is no such file. Raised before the first byte.
        """

    async def delete(self, file_id: str) -> None:
        """Delete a file, or the remains of a failed upload; a no-op if there is none."""


class Sniffer(Protocol):
    """Detects the media type of one file from its bytes; its name does not matter."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises `Unsupported` as soon as that is certain."""

    def end(self) -> str:
        """Return the media type, after the last byte. Raises `Unsupported`."""


class Search(Protocol):
    """Full-text search in the stored messages."""

    async def find(
        self, hidden: Mapping[str, int], words: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[Message], str | None]:
        """Find the messages of some conversations that contain every word, newest first.

        A word is found in the content or in the name of a file. It matches in any case and as a part of a
        longer word; its characters are literal. Deleted messages do not match. The order is by storage time,
        and within a conversation by number. A message is found from the moment when it is stored. Following
        the cursor misses no message and repeats none, whatever is stored meanwhile.

        Args:
            hidden: The conversations to search, and the number up to which the messages of each are left out.
            words: The words, at least one.
            limit: The number of messages, at most.
            before: The cursor of the previous page.

        Returns:
            Up to `limit` messages, and the cursor of the next page. There may be fewer messages, or none,
            although there is a cursor: then the bound of the work was reached.

        Raises:
            Invalid: The cursor is malformed.
        """
