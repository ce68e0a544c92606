"""Ports: the batch algorithm's interfaces to the database and the gateways."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from parley.shared.events import Event
from parley.shared.model import REMEMBERED_EPOCHS, Digest, Epoch, Membership, Message

MemberKey = tuple[str, str]
"""(conversation id, user id)"""
Term = Any
"""The time during which one server is the database's primary; None if the database has no such terms."""


class StoreUnavailable(Exception):
    """The database is away; the same call may succeed later."""


class Head(Struct, frozen=True):
    """The last numbers assigned in a conversation, of messages and of changes, and the last epochs."""

    seq: int
    rev: int
    epochs: tuple[Epoch, ...] = ()

    def at(self, seq: int, rev: int, epoch: int) -> "Head":
        """Return the head after the next revision, which has this epoch."""
        if epoch == (self.epochs[-1].id if self.epochs else 0):
            return Head(seq, rev, self.epochs)
        return Head(seq, rev, (*self.epochs, Epoch(epoch, rev))[-REMEMBERED_EPOCHS:])


class HeadMove(Struct, frozen=True):
    """The advance of a conversation's head to its last stored message and change.

    `is_still` says that the head is where the batch has read it.
    """

    conversation_id: str
    to: Head
    last_message: Digest | None = None
    is_still: bool = False


class Names(Struct, frozen=True):
    """The conversations, messages and members that a batch names."""

    conversations: Sequence[str]
    messages: Sequence[str]
    members: Sequence[MemberKey]


class Snapshot(Struct, frozen=True):
    """The beginning of a batch: the present term, and the stored values that the batch names."""

    term: Term
    heads: dict[str, Head]
    messages: dict[str, Message]
    members: dict[MemberKey, Membership]


class WholeBatch(Struct, frozen=True):
    """All that a batch of new messages writes, and the values that it expects to find.

    Attributes:
        term: The term in which the expected values were stored.
        messages: The new messages, with their numbers.
        counters: Pairs of the expected and the new membership of each sender, who must be a member.
        moves: Pairs of the expected head and its advance.
    """

    term: Term
    messages: Sequence[Message]
    counters: Sequence[tuple[Membership, Membership]]
    moves: Sequence[tuple[Head, HeadMove]]


class WholeBatches(Protocol):
    """Stores a batch of new messages as one atomic write."""

    async def store(self, batch: WholeBatch) -> bool:
        """Store all of a batch, and wait until a majority has it; or nothing, if anything is not as expected.

        Returns:
            Whether the batch is stored. If not, nothing of it is.

        Raises:
            StoreUnavailable: It is unknown whether the batch is stored.
        """


class Messages(Protocol):
    """The stored messages."""

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        """Return the stored messages of these ids, by id."""

    async def insert(self, messages: Sequence[Message]) -> int:
        """Insert in order, up to the first whose id or number is taken; return the number inserted."""

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        """Replace messages in order, up to the first that has another revision or whose new one is taken.

        Args:
            changes: Pairs of a changed message and the revision that it must still have.

        Returns:
            The number replaced.
        """

    async def past_changes(self, record_ids: Sequence[str]) -> dict[str, int]:
        """Return the places of the changes that were noted, by record id."""

    async def note_changes(self, places: Mapping[str, int]) -> None:
        """Note the places of changes that their messages are about to name no longer, by record id.

        A change that was noted before keeps its place.
        """

    async def count_own(self, key: MemberKey, above: int, upto: int) -> int:
        """Return how many of the messages with above < seq <= upto are the user's own."""

    async def senders(self, conversation_id: str, above: int, upto: int) -> set[str]:
        """Return the senders of the messages with above < seq <= upto."""


class AttachmentReferences(Protocol):
    """References from stored messages to uploads; an upload without any cannot be read."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Add the references of messages that are about to be stored; a repetition changes nothing."""

    async def remove(self, messages: Sequence[Message]) -> None:
        """Remove the references of messages that are about to become tombstones.

        Attachments that no other message refers to are marked for deletion: they cannot be read from now
        on, and a gateway deletes them later. A repetition changes nothing.
        """


class Heads(Protocol):
    """The conversations' heads."""

    async def begin(self, names: Names) -> Snapshot:
        """Begin a batch: return the present term, and all that is read in it for sure.

        A later read or write of the batch fails, if the writes before it in the batch may be lost.
        """

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        """Return the heads that the conversations hold; unknown conversations are left out."""

    async def measure(self, conversation_id: str, known: Head) -> tuple[Head, Message | None]:
        """Return the head by the stored messages, never behind the known one, and the last message.

        After a crash the head may be ahead of the result of `read`.
        """

    async def overtaken(self, conversation_id: str, known: Head) -> list[Message]:
        """Return the messages above the known number whose revision is not above the known one, by number.

        A worker that was overtaken inserted them, under a revision that a changed message had left.
        """

    async def note_epochs(self, conversation_id: str, known: Head, measured: Head) -> None:
        """Store the epochs of a measured head, before a change of a message above the head hides one.

        Nothing else of the head moves: counters must be stored first. Another writer may have moved it.
        """

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        """Advance heads, and wait until a majority has all that the batch has read and written.

        A head is never moved back, so a writer that was overtaken does no harm. The wait takes place also
        if no head moves: the writes of an earlier attempt may have reached no majority yet.

        Args:
            moves: The heads of the batch's conversations.
            term: The term in which the batch began.

        Raises:
            StoreUnavailable: The wait has failed; or another term has begun, so that data read or written
                before may be lost; or the revision of a new message is not above the stored head.
        """


class Memberships(Protocol):
    """The members' marks and counters."""

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        """Return the existing memberships, those of former members included."""

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        """Compare and set marks and counters.

        Args:
            changes: Pairs of the expected and the new membership.

        Returns:
            The keys of the memberships that were not as expected.
        """


class Attempts(Protocol):
    """Marks of records that are being persisted; they outlive a worker that a record kills."""

    async def begin(self, record_id: str) -> int:
        """Mark a record; return how often it was marked since it was last unmarked."""

    async def end(self, record_id: str) -> None:
        """Unmark a record, because the worker that persisted it is alive."""


class EventPublisher(Protocol):
    """Publishes events to the gateways."""

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events, by room. A failure is counted, not raised: gateways backfill gaps by revision."""
