"""Presence of contacts: the state of each, and the local users that a change is written to."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import islice
from weakref import WeakValueDictionary

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Memberships, Presence
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.contact_reads import ContactReads
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.services.presence import MAX_CONTACTS
from parley.gateway.state.contact_index import ContactIndex
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.events import MembersAdded, PresenceChanged
from parley.shared.model import MEMBERS_SHOWN, now

log = structlog.get_logger()

MAX_PAIRS = 5_000
"""New pairs that one event may make; in a larger group a socket learns of the rest when it reconnects."""
ASK_AT_ONCE = 500


class PresenceTracker:
    """Keeps the contacts of local users, and the last state of each that was written to them."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        membership_cache: MembershipCache,
        memberships: Memberships,
        presence: Presence,
        contacts: ContactIndex,
        contact_reads: ContactReads,
        broadcaster: Broadcaster,
    ) -> None:
        self._sessions = sessions
        self._membership_cache = membership_cache
        self._memberships = memberships
        self._presence = presence
        self._contacts = contacts
        self._contact_reads = contact_reads
        self._broadcaster = broadcaster
        self._last_sent: dict[str, bool] = {}
        self._doubted: set[str] = set()
        self._connecting: dict[Session, set[str]] = {}
        """The contacts who are online, of the sessions that changes are not written to yet."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # A socket's own view.

    async def introduce(self, session: Session) -> None:
        """Take the session's lease, and note which of the user's contacts are online.

        Raises:
            Unavailable: Redis is away.
        """
        contacts = self._contacts_of(session.user_id)
        online = set(await self._presence.add_socket(session.user_id, session.sid, contacts))
        if session in self._sessions:
            self._connecting[session] = online
        self._note(contacts, online)

    def online(self, session: Session) -> tuple[str, ...]:
        """Return the contacts of a session's user who are online, and the user.

        A session that goes live gets those, and every change from then on.
        """
        online = self._connecting.pop(session, None)
        if online is None:
            online = {each for each in self._contacts_of(session.user_id) if self._last_sent.get(each)}
        return (session.user_id, *online)

    def forget(self, session: Session) -> None:
        """Forget a session that has gone."""
        self._connecting.pop(session, None)

    def _contacts_of(self, user_id: str) -> list[str]:
        conversations = self._membership_cache.memberships_of(user_id)
        return list(islice(self._contacts.contacts(user_id, conversations), MAX_CONTACTS))

    # The contacts.

    def drop(self, conversation_id: str) -> None:
        """Forget a conversation that has no member here any more."""
        members = list(self._contacts.members(conversation_id))
        self._contacts.drop(conversation_id)
        for user_id in members:
            if user_id not in self._contacts:
                self._last_sent.pop(user_id, None)

    async def added(self, event: MembersAdded) -> None:
        """Handle that users became members: the local members follow them from now on."""
        conversation_id = event.conversation_id
        async with self._lock(conversation_id):
            if self._contacts.announces(conversation_id):
                added = await self._current_members(conversation_id, [p.id for p in event.people])
                self._contacts.add(conversation_id, added)
                here = self._membership_cache.members_of(conversation_id)
                if self._contacts.announces(conversation_id) and len(here) * len(added) <= MAX_PAIRS:
                    await self._write_online(here, added, conversation_id)

    async def joined(self, conversation_id: str, user_id: str) -> None:
        """Handle that a local user became a member: the user follows the others from now on."""
        async with self._lock(conversation_id):
            try:
                if self._contacts.announces(conversation_id):
                    added = await self._current_members(conversation_id, [user_id])
                    self._contacts.add(conversation_id, added)
                else:
                    await self._contact_reads.load([conversation_id])
            except Unavailable as error:
                log.warning("gateway.presence.load_failed", conversation=conversation_id, error=str(error))
                return
            if self._membership_cache.role(conversation_id, user_id) is not None:
                await self._write_online([user_id], self._contacts.members(conversation_id), conversation_id)

    async def removed(self, conversation_id: str, user_id: str) -> None:
        """Handle that a user is no longer a member.

        Added and removed events can arrive late and out of order, so the database is asked.

        Raises:
            Unavailable: MongoDB is away.
        """
        async with self._lock(conversation_id):
            self._contacts.discard(conversation_id, user_id)
            if self._contacts.announces(conversation_id):
                present = await self._memberships.among(conversation_id, [user_id])
                self._contacts.add(conversation_id, present)
            else:
                await self._contact_reads.load([conversation_id])

    def knows(self, conversation_id: str, user_id: str) -> bool:
        """Whether a user is thought to be a member, and announced to the others."""
        return user_id in self._contacts.members(conversation_id)

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

    async def _write_online(
        self, user_ids: Iterable[str], others: Iterable[str], conversation_id: str
    ) -> None:
        """Write to local users which users of a conversation are online that they share no other with.

        At most `MEMBERS_SHOWN` are written, as many as a new conversation shows; clients ask for more.
        """
        followers: defaultdict[str, list[Session]] = defaultdict(list)
        for user_id in user_ids:
            sessions = self._sessions.of_user(user_id)
            for other in others:
                if other != user_id and not self._shares_another(user_id, other, conversation_id):
                    followers[other] += sessions
        try:
            online = await self._presence.online(followers)
        except Unavailable as error:
            log.warning("gateway.presence.load_failed", error=str(error))
            return
        self._note(followers, set(online))
        for other in online[:MEMBERS_SHOWN]:
            came = PresenceChanged(user_id=other, online=True, at=now())
            self._broadcaster.emit_event_to(followers[other], came)

    def _shares_another(self, user_id: str, other: str, conversation_id: str) -> bool:
        role = self._membership_cache.role
        shared = (c for c in self._contacts.conversations_of(other) if role(c, user_id) is not None)
        return any(each != conversation_id for each in shared)

    def _lock(self, conversation_id: str) -> asyncio.Lock:
        """Serialize a conversation's membership events, so that the last one decides."""
        return self._locks.setdefault(conversation_id, asyncio.Lock())

    # Changes.

    def broadcast(self, event: PresenceChanged) -> None:
        """Write a change to the local users who share a conversation with its user, unless they know.

        A state is repeated when Redis has lost it, and when it was read before its event came.
        """
        user_id = event.user_id
        if user_id in self._contacts and self._last_sent.get(user_id) is not event.online:
            self._last_sent[user_id] = event.online
            followers = self._followers(user_id)
            self._broadcaster.broadcast_to_users(event, followers)
            for session, online in self._connecting.items():
                if session.user_id in followers:
                    (online.add if event.online else online.discard)(user_id)

    def is_followed(self, user_id: str) -> bool:
        """Whether a local user may share a conversation with a user."""
        return user_id in self._contacts

    def _followers(self, user_id: str) -> set[str]:
        found: set[str] = set()
        for conversation_id in self._contacts.conversations_of(user_id):
            found.update(self._membership_cache.members_of(conversation_id))
        found.discard(user_id)
        return found

    def _note(self, user_ids: Iterable[str], online: set[str]) -> None:
        for user_id in user_ids:
            is_online = user_id in online
            if user_id in self._contacts and self._last_sent.setdefault(user_id, is_online) is not is_online:
                # Either the event is on its way, or it was lost.
                self._doubted.add(user_id)

    async def check_doubted(self) -> None:
        """Broadcast the states that differ from the last ones still. Raises `Unavailable`."""
        doubted = list(self._doubted)
        await self._correct(doubted)
        self._doubted.difference_update(doubted)

    async def resynchronize(self) -> None:
        """Broadcast the changes that were missed while the bus was away. Raises `Unavailable`."""
        self._contacts.expire()
        followed = list(self._last_sent)
        for start in range(0, len(followed), ASK_AT_ONCE):
            await self._correct(followed[start : start + ASK_AT_ONCE])

    async def _correct(self, user_ids: Collection[str]) -> None:
        online = set(await self._presence.online(user_ids))
        for user_id in user_ids:
            self.broadcast(PresenceChanged(user_id=user_id, online=user_id in online, at=now()))
