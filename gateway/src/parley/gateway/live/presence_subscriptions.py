"""Following: each socket hears of the comings and goings of those who share a conversation with its user."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from weakref import WeakValueDictionary

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Memberships, Presence
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.services.presence import MAX_CONTACTS
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import MembersAdded, PresenceChanged
from parley.shared.model import MEMBERS_SHOWN, now

log = structlog.get_logger()

MET_AT_ONCE = 5_000
"""Pairs that one piece of news may make; in a larger crowd one is told when one connects the next time."""
ASKED_AT_ONCE = 500

TellEach = Callable[[Sequence[Session], PresenceChanged], None]
Say = Callable[[PresenceChanged], None]


class PresenceSubscriptions:
    """Who follows whom, as people come into conversations and leave them."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        memberships: Memberships,
        presence: Presence,
        tell: TellEach,
        say: Say,
    ) -> None:
        self._sessions = sessions
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._memberships = memberships
        self._presence = presence
        self._tell = tell
        self._say = say
        self._told: dict[str, bool] = {}
        """Whether those who are followed are there, as their followers were told."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def added(self, event: MembersAdded) -> None:
        """People came into a conversation: those who were there follow them from now on."""
        async with self._turn(event.conversation_id):
            join_backfill = await self._still_in(event.conversation_id, [p.id for p in event.people])
            here = self._membership_cache.members_of(event.conversation_id)
            if len(here) * len(join_backfill) <= MET_AT_ONCE:
                await self.meet(here, join_backfill)

    async def joined(self, conversation_id: str, user_id: str, others: Collection[str]) -> None:
        """A local user came into a conversation: they follow those who were there from now on."""
        async with self._turn(conversation_id):
            there = await self._still_in(conversation_id, others)
            if self._membership_cache.role(conversation_id, user_id) is not None:
                await self.meet([user_id], there)

    async def _still_in(self, conversation_id: str, user_ids: Collection[str]) -> list[str]:
        """Those who are in a conversation now: that they went may have been heard before that they came."""
        try:
            present = await self._memberships.among(conversation_id, user_ids)
        except Unavailable as error:
            log.warning("some are not told who is there", error=str(error))
            return []
        return [user_id for user_id in user_ids if user_id in present]

    async def meet(self, user_ids: Iterable[str], others: Collection[str]) -> None:
        """Have local users follow others whom they did not, and tell their sockets who of these is there.

        Of so many as a new conversation shows; whoever wants to know of more asks.
        """
        try:
            await self._room_membership.subscribe(map(rooms.presence, others))
            told: defaultdict[str, list[Session]] = defaultdict(list)
            for session in (s for user_id in user_ids for s in self._sessions.of_user(user_id)):
                for other in self._strangers(session, others):
                    self._room_membership.enter(session, rooms.presence(other))
                    told[other].append(session)
            online = await self._presence.online(told)
            self.found(told, online)
            for other in online[:MEMBERS_SHOWN]:
                self._tell(told[other], PresenceChanged(user_id=other, online=True, at=now()))
        except Unavailable as error:
            log.warning("some are not told who is there", error=str(error))

    def found(self, user_ids: Iterable[str], online: Collection[str]) -> None:
        """A socket that follows these users is told that of them those are there."""
        there = set(online)
        for user_id in user_ids:
            self._told.setdefault(user_id, user_id in there)

    def heard(self, event: PresenceChanged) -> None:
        """Someone came or went, and their followers are told."""
        if event.user_id in self._told:
            self._told[event.user_id] = event.online

    def unheard(self, channel: str) -> None:
        """Nobody here hears a channel any more."""
        user_id = rooms.presence_id(rooms.of_channel(channel))
        if user_id is not None:
            self._told.pop(user_id, None)

    async def make_up(self) -> None:
        """Tell of those who came or went while the bus was away. Raises `Unavailable`."""
        followed = list(self._told)
        for start in range(0, len(followed), ASKED_AT_ONCE):
            part = followed[start : start + ASKED_AT_ONCE]
            online = set(await self._presence.online(part))
            for user_id in part:
                if self._told.get(user_id, user_id in online) != (user_id in online):
                    self._told[user_id] = user_id in online
                    self._say(PresenceChanged(user_id=user_id, online=user_id in online, at=now()))

    def _strangers(self, session: Session, others: Iterable[str]) -> list[str]:
        """Whom a socket does not follow yet, as far as it may follow more."""
        followed = sum(rooms.presence_id(place) is not None for place in session.places)
        found = [o for o in others if o != session.person.id and rooms.presence(o) not in session.places]
        return found[: max(0, MAX_CONTACTS - followed)]

    async def parted(self, conversation_id: str, user_id: str) -> None:
        """End the presence subscriptions between a user who left a conversation and its members.

        Users that still share another conversation stay subscribed to each other.

        Raises:
            Unavailable: the archive is away; it stays as it was until they connect again.
        """
        async with self._turn(conversation_id):
            shared = await self._who_share(user_id)
            for session, place, other in self._pairs(user_id):
                if other not in shared:
                    self._room_membership.leave(session, place)

    async def _who_share(self, user_id: str) -> set[str]:
        """Of those who follow a user here, or are followed, the ones who still share a conversation."""
        ids = {m.conversation_id for m in await self._memberships.of_users([user_id])}
        contacts = await self._memberships.contacts(ids, MAX_CONTACTS)
        # Of very many it names only some: whoever it does not is asked for.
        rest = {other for _, _, other in self._pairs(user_id)} - contacts
        theirs = await self._memberships.of_users(rest) if rest else []
        return contacts | {m.user_id for m in theirs if m.conversation_id in ids}

    def _pairs(self, user_id: str) -> list[tuple[Session, str, str]]:
        """Where a user's sockets are told of others, and others' of the user: socket, place, the other."""
        name = rooms.presence(user_id)
        of_user = [(s, name, s.person.id) for s in self._sessions.in_place(name)]
        places = [(s, place) for s in self._sessions.of_user(user_id) for place in s.places]
        return of_user + [(s, place, other) for s, place in places if (other := rooms.presence_id(place))]

    def _turn(self, conversation_id: str) -> asyncio.Lock:
        """Whoever comes and goes at once is followed and parted from in this order."""
        return self._turns.setdefault(conversation_id, asyncio.Lock())
