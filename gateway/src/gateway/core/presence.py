"""Who of one's contacts is there, and who is typing."""

from gateway.core.access import Access
from gateway.core.commands import ListOnline, SetTyping
from gateway.core.ports import Announcer, Memberships, Presence
from gateway.core.pressure import Pressure
from gateway.core.results import Done
from shared import rooms
from shared.events import RoomChanged, TypingChanged
from shared.model import Person, now

MAX_CONTACTS = 1_000
"""Contacts whose presence one socket follows."""


class PresenceService:
    """Presence and typing: told to those who share a conversation, and never stored."""

    def __init__(
        self,
        access: Access,
        memberships: Memberships,
        presence: Presence,
        announcer: Announcer,
        pressure: Pressure,
    ) -> None:
        self._access = access
        self._memberships = memberships
        self._presence = presence
        self._announcer = announcer
        self._pressure = pressure

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
        if command.typing and self._pressure.high:
            return Done()
        event = TypingChanged(
            conversation_id=command.conversation_id, user=person, typing=command.typing, at=now()
        )
        self._announcer.mention(rooms.conversation(command.conversation_id), event)
        return Done()

    def room_changed(self, person: Person, conversation_id: str, *, joined: bool) -> None:
        """Tell the conversation that someone opened or closed it."""
        event = RoomChanged(conversation_id=conversation_id, user_id=person.id, joined=joined, at=now())
        self._announcer.mention(rooms.conversation(conversation_id), event)
