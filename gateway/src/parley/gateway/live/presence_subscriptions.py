"""Presence subscriptions: sockets receive the presence changes of their users' contacts."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from weakref import WeakValueDictionary

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Memberships, Presence
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.services.presence import MAX_CONTACTS
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import MembersAdded, PresenceChanged
from parley.shared.model import MEMBERS_SHOWN, now

log = structlog.get_logger()

MAX_PAIRS = 5_000
"""New pairs that one event may make; in a larger group a socket learns of the rest when it reconnects."""
ASK_AT_ONCE = 500


class PresenceSubscriptions:
    """Keeps the sockets' presence rooms as memberships change, and the last state sent for each user."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        memberships: Memberships,
        presence: Presence,
        broadcaster: Broadcaster,
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._memberships = memberships
        self._presence = presence
        self._broadcaster = broadcaster
        self._last_sent: dict[str, bool] = {}
        self._online: dict[Session, tuple[str, ...]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def introduce(self, session: Session, contacts: Iterable[str], online: tuple[str, ...]) -> None:
        """Note the contacts that a new session follows, and which of them are online."""
        if session in self._sessions:
            self._online[session] = online
        self._note(contacts, set(online))

    def online_at_connect(self, session: Session) -> tuple[str, ...]:
        """Return the users who were online when a session connected, its own user included."""
        return self._online.get(session, ())

    def forget(self, session: Session) -> None:
        """Forget a session that has gone."""
        self._online.pop(session, None)

    async def added(self, event: MembersAdded) -> None:
        """Handle that users became members: the local members follow them from now on."""
        async with self._lock(event.conversation_id):
            added = await self._current_members(event.conversation_id, [p.id for p in event.people])
            here = self._membership_cache.members_of(event.conversation_id)
            if len(here) * len(added) <= MAX_PAIRS:
                await self._follow(here, added)

    async def joined(self, conversation_id: str, user_id: str, others: Collection[str]) -> None:
        """Handle that a local user became a member: the user follows the other members from now on."""
        async with self._lock(conversation_id):
            present = await self._current_members(conversation_id, others)
            if self._membership_cache.role(conversation_id, user_id) is not None:
                await self._follow([user_id], present)

    async def _current_members(self, conversation_id: str, user_ids: Collection[str]) -> list[str]:
        """Keep current members only.

        Added and removed events can arrive late and out of order, so the database is asked again.
        """
        try:
            present = await self._memberships.among(conversation_id, user_ids)
        except Unavailable as error:
            log.warning("gateway.presence.load_failed", conversation=conversation_id, error=str(error))
            return []
        return [user_id for user_id in user_ids if user_id in present]

    async def _follow(self, user_ids: Iterable[str], others: Collection[str]) -> None:
        """Subscribe local users' sockets to others' presence; write which of these are online.

        At most `MEMBERS_SHOWN` are written, as many as a new conversation shows; clients ask for more.
        """
        try:
            await self._room_membership.subscribe(map(rooms.presence, others))
            followers: defaultdict[str, list[Session]] = defaultdict(list)
            for session in (s for user_id in user_ids for s in self._sessions.of_user(user_id)):
                for other in self._not_followed(session, others):
                    self._room_membership.enter(session, rooms.presence(other))
                    followers[other].append(session)
            online = await self._presence.online(followers)
            self._note(followers, set(online))
            for other in online[:MEMBERS_SHOWN]:
                came = PresenceChanged(user_id=other, online=True, at=now())
                self._broadcaster.emit_event_to(followers[other], came)
        except Unavailable as error:
            log.warning("gateway.presence.load_failed", error=str(error))

    def _note(self, user_ids: Iterable[str], online: set[str]) -> None:
        for user_id in user_ids:
            self._last_sent.setdefault(user_id, user_id in online)

    def on_change(self, event: PresenceChanged) -> None:
        """Note what the followers of a user are told by this event."""
        if event.user_id in self._last_sent:
            self._last_sent[event.user_id] = event.online

    def on_unsubscribed(self, channel: str) -> None:
        """Forget a user whose presence channel no socket here needs any more."""
        user_id = rooms.presence_id(rooms.of_channel(channel))
        if user_id is not None:
            self._last_sent.pop(user_id, None)

    async def resynchronize(self) -> None:
        """Broadcast the changes that were missed while the bus was away. Raises `Unavailable`."""
        followed = list(self._last_sent)
        for start in range(0, len(followed), ASK_AT_ONCE):
            part = followed[start : start + ASK_AT_ONCE]
            online = set(await self._presence.online(part))
            for user_id in part:
                self._correct(user_id, user_id in online)

    def _correct(self, user_id: str, online: bool) -> None:
        if self._last_sent.get(user_id, online) != online:
            self._last_sent[user_id] = online
            self._broadcaster.broadcast(PresenceChanged(user_id=user_id, online=online, at=now()))

    def _not_followed(self, session: Session, others: Iterable[str]) -> list[str]:
        """Return the users that a session does not follow yet, as many as it may follow more."""
        entered = self._session_rooms.rooms(session)
        followed = sum(rooms.presence_id(room) is not None for room in entered)
        found = [o for o in others if o != session.user_id and rooms.presence(o) not in entered]
        return found[: max(0, MAX_CONTACTS - followed)]

    async def removed(self, conversation_id: str, user_id: str) -> None:
        """Handle that a user is no longer a member: users without a common conversation unfollow each other.

        Raises:
            Unavailable: MongoDB is away; the subscriptions stay until the sockets connect again.
        """
        async with self._lock(conversation_id):
            sharing = await self._sharing_with(user_id)
            for session, room, other in self._followings(user_id):
                if other not in sharing:
                    self._room_membership.leave(session, room)

    async def _sharing_with(self, user_id: str) -> set[str]:
        """Return the users followed by, or following, a user who still share a conversation with them."""
        ids = await self._memberships.conversations_of(user_id)
        contacts = await self._memberships.contacts(ids, MAX_CONTACTS)
        # Contacts are cut at a limit, so ask for the ones that it does not name.
        rest = {other for _, _, other in self._followings(user_id)} - contacts
        theirs = await self._memberships.of_users(rest) if rest else []
        return contacts | {m.user_id for m in theirs if m.conversation_id in ids}

    def _followings(self, user_id: str) -> list[tuple[Session, str, str]]:
        """Return where a user follows or is followed on this node: session, presence room, the other."""
        own = rooms.presence(user_id)
        followers = [(s, own, s.user_id) for s in self._session_rooms.in_room(own)]
        sessions = self._sessions.of_user(user_id)
        entered = [(s, room) for s in sessions for room in self._session_rooms.rooms(s)]
        return followers + [(s, room, other) for s, room in entered if (other := rooms.presence_id(room))]

    def _lock(self, conversation_id: str) -> asyncio.Lock:
        """Serialize a conversation's membership events, so that the last one decides who is followed."""
        return self._locks.setdefault(conversation_id, asyncio.Lock())
