"""What the core needs of the world.

Every method of the archive may raise `Unavailable`; so may `Announcer`, `Presence` and `Outbox.put`.
"""

from asyncio import Future
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from shared.events import Event
from shared.model import Conversation, Membership, Message, Person
from shared.records import Record


class Outbox(Protocol):
    """The way to storage."""

    def put(self, record: Record) -> "Future[None]":
        """Send a record after all that were put before it for its conversation.

        The future is done when the broker holds it; it fails with `Unavailable`. Raises `Overloaded`
        when too many wait already.
        """


class Announcer(Protocol):
    """The way to other gateways."""

    async def announce(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events by room."""

    def mention(self, room: str, event: Event) -> None:
        """Publish an event that may be lost, without waiting for it."""


class Conversations(Protocol):
    """The stored conversations."""

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        """Store a conversation with its members; a direct one that exists already is given back."""

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        """Those of the conversations that exist, by id."""

    async def liveliest(
        self, conversation_ids: Collection[str], limit: int, before: str | None, after: str | None
    ) -> tuple[list[Conversation], str | None]:
        """A page by last activity, newest first, and the cursor of the next that way. Raises `Invalid`."""


class Memberships(Protocol):
    """The stored memberships."""

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        """The user's membership, if they are in the conversation now."""

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        """Everything that the users are in now."""

    async def of_conversation(self, conversation_id: str, limit: int) -> list[Membership]:
        """The first `limit` who are in it now, by the time they came."""

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        """Up to `limit` users who are in these conversations."""


class MembershipChanges(Protocol):
    """Coming and going."""

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        """Let people in, those who had left too; gives back the ids of those who were not in before."""

    async def remove(self, conversation_id: str, user_id: str) -> bool:
        """Let someone out; False when they were not in."""

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        """Make someone the owner; False when they are not in."""


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
