"""Who of one's contacts is there, and who is typing."""

from parley.gateway.core.commands import ListOnline, SetTyping
from parley.gateway.core.ports import EventPublisher, Memberships, Presence
from parley.gateway.core.results import Done
from parley.gateway.services.access import Access
from parley.gateway.state.load_monitor import LoadMonitor
from parley.shared import rooms
from parley.shared.events import RoomChanged, TypingChanged
from parley.shared.model import Person, now

MAX_CONTACTS = 1_000
"""Contacts whose presence one socket follows."""


class PresenceService:
    """Presence and typing: told to those who share a conversation, and never stored."""

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

    async def contacts(self, person: Person, conversation_ids: list[str]) -> set[str]:
        """Whose comings and goings the user is told of."""
        found = await self._memberships.contacts(conversation_ids, MAX_CONTACTS)
        return found - {person.id}

    async def online(self, person: Person, _command: ListOnline) -> list[str]:
        """The user's contacts who are online, the user included."""
        mine = [m.conversation_id for m in await self._memberships.of_users([person.id])]
        return await self._presence.online({person.id, *await self.contacts(person, mine)})

    async def typing(self, person: Person, command: SetTyping) -> Done:
        """Tell the conversation, unless there is more important to do. Raises `NotFound`."""
        await self._access.role(person.id, command.conversation_id)
        if command.typing and self._load_monitor.high:
            return Done()
        event = TypingChanged(
            conversation_id=command.conversation_id, user=person, typing=command.typing, at=now()
        )
        self._event_publisher.mention(rooms.conversation(command.conversation_id), event)
        return Done()

    def room_changed(self, person: Person, conversation_id: str, *, joined: bool) -> None:
        """Tell the conversation that someone opened or closed it."""
        event = RoomChanged(conversation_id=conversation_id, user_id=person.id, joined=joined, at=now())
        self._event_publisher.mention(rooms.conversation(conversation_id), event)
