"""Presence, typing and open conversations of users; none of them is stored."""

from parley.gateway.core.commands import ListOnline, SetTyping
from parley.gateway.core.ports import EventPublisher, Memberships, Presence
from parley.gateway.core.results import Done
from parley.gateway.services.access import Access
from parley.gateway.state.load_monitor import LoadMonitor
from parley.shared import rooms
from parley.shared.events import RoomChanged, TypingChanged
from parley.shared.model import Person, now

MAX_CONTACTS = 1_000
"""Contacts whose presence one socket receives."""


class PresenceService:
    """Publishes presence and typing to the members of the same conversations."""

    def __init__(
        self,
        access: Access,
        memberships: Memberships,
        presence: Presence,
        event_publisher: EventPublisher,
        load_monitor: LoadMonitor,
    ) -> None:
        self._access = access
        self._memberships = memberships
        self._presence = presence
        self._event_publisher = event_publisher
        self._load_monitor = load_monitor

    async def online(self, person: Person, _command: ListOnline) -> list[str]:
        """Return the members of the user's conversations who are online, also those of large groups."""
        mine = await self._memberships.conversations_of(person.id)
        members = await self._memberships.contacts(mine, MAX_CONTACTS)
        return await self._presence.online({person.id, *members})

    async def typing(self, person: Person, command: SetTyping) -> Done:
        """Publish that a user types, unless this node is overloaded; stops are always published.

        Raises:
            NotFound: There is no such conversation for this user.
        """
        await self._access.role(person.id, command.conversation_id)
        if command.typing and self._load_monitor.is_overloaded:
            return Done()
        event = TypingChanged(
            conversation_id=command.conversation_id, user=person, typing=command.typing, at=now()
        )
        self._event_publisher.publish_best_effort(rooms.conversation(command.conversation_id), event)
        return Done()

    def publish_room_changed(self, user_id: str, conversation_id: str, *, joined: bool) -> None:
        """Publish that a user opened or closed a conversation."""
        event = RoomChanged(conversation_id=conversation_id, user_id=user_id, joined=joined, at=now())
        self._event_publisher.publish_best_effort(rooms.conversation(conversation_id), event)
