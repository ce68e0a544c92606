"""The follower: whose comings and goings a socket is told of, as people come into conversations and go."""

from gateway.core.ports import Memberships
from gateway.core.presence import MAX_CONTACTS
from gateway.core.roster import Roster
from gateway.sockets.seats import Seats
from gateway.sockets.sessions import Session, Sessions
from shared import rooms
from shared.events import MembersAdded

MAX_FOLLOWED = 5_000
"""Places that one piece of news may give; in a larger crowd one is told when one connects the next time."""


class Follower:
    """Keeps the presence rooms of this node's sockets to those who share a conversation."""

    def __init__(self, *, sessions: Sessions, seats: Seats, roster: Roster, memberships: Memberships) -> None:
        self._sessions = sessions
        self._seats = seats
        self._roster = roster
        self._memberships = memberships

    async def follow(self, added: MembersAdded) -> None:
        """People have come into a conversation: the sockets of those who were there are told of them.

        Raises:
            Unavailable: it stays as it was until they connect again.
        """
        newcomers = {person.id for person in added.people}
        await self._seats.subscribe(map(rooms.presence, newcomers))
        memberships = await self._memberships.of_users(newcomers)
        # Read last, for they may have gone again meanwhile.
        present = {m.user_id for m in memberships if m.conversation_id == added.conversation_id}
        here = [s for u in self._roster.members(added.conversation_id) for s in self._sessions.of_user(u)]
        if len(here) * len(present) > MAX_FOLLOWED:
            return
        for session in here:
            for user_id in present - {session.person.id}:
                self._seats.enter(session, rooms.presence(user_id))

    async def part(self, user_id: str) -> None:
        """A user has left a conversation: those who share none with them any more are told no more
        of each other's comings and goings.

        Raises:
            Unavailable: the archive is away; it stays as it was until they connect again.
        """
        ids = {m.conversation_id for m in await self._memberships.of_users([user_id])}
        contacts = await self._memberships.contacts(ids, MAX_CONTACTS)
        # Of very many it names only some: whoever it does not is asked for.
        rest = {other for _, _, other in self._told(user_id)} - contacts
        theirs = await self._memberships.of_users(rest) if rest else []
        contacts |= {m.user_id for m in theirs if m.conversation_id in ids}
        for session, place, other in self._told(user_id):
            if other not in contacts:
                self._seats.leave(session, place)

    def _told(self, user_id: str) -> list[tuple[Session, str, str]]:
        """Where a user's sockets are told of others, and others' of the user: socket, place, the other."""
        name = rooms.presence(user_id)
        of_user = [(s, name, s.person.id) for s in self._sessions.in_place(name)]
        places = [(s, place) for s in self._sessions.of_user(user_id) for place in s.places]
        return of_user + [(s, place, other) for s, place in places if (other := rooms.presence_id(place))]
