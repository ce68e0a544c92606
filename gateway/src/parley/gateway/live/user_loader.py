"""Loads the state that the sockets of a user share: rooms, memberships, streams and contacts."""

import asyncio
from collections.abc import Collection, Sequence

from parley.gateway.core.ports import ConnectReads
from parley.gateway.core.spans import Span, in_spans
from parley.gateway.live.contact_reads import ContactReads
from parley.gateway.live.lingering_users import LingeringUsers
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.live.turns import in_turns
from parley.gateway.services.profiles import Profiles
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.cancellation import together
from parley.shared.model import Membership, Person

PART = 500
"""Conversations that are subscribed to and read together; with two members each they have `MAX_CONTACTS`."""


class UserLoader:
    """Prepares sessions. Data that another socket of the user has loaded is not read again."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        local_conversations: LocalConversations,
        lingering_users: LingeringUsers,
        reads: ConnectReads,
        profiles: Profiles,
        contact_reads: ContactReads,
    ) -> None:
        self._sessions = sessions
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._local_conversations = local_conversations
        self._lingering_users = lingering_users
        self._reads = reads
        self._profiles = profiles
        self._contact_reads = contact_reads

    async def load(
        self, session: Session, person: Person, issued_at: float | None, *, is_known: bool
    ) -> None:
        """Enter the rooms of a user and of all the user's conversations.

        Args:
            session: A socket of the user.
            person: The user as the socket's token describes them.
            issued_at: When the token was issued.
            is_known: Whether the memberships of an earlier socket were kept.

        Raises:
            Unavailable: Redis or MongoDB is away.
        """
        lost = self._lingering_users.forgotten
        is_loaded = is_known or self._is_loaded(session)
        if is_loaded:
            await self._enter_known(session)
        # Of a user without a live socket, nobody else makes up for events that were lost meanwhile.
        if not is_loaded or (is_known and lost != self._lingering_users.forgotten):
            await self._load_memberships(session)
        is_new = not is_loaded and not self._profiles.is_known(person.id)
        await self._profiles.present(person, issued_at, is_new=is_new)

    def _is_loaded(self, session: Session) -> bool:
        """Whether another socket of the user has connected: events keep the memberships right since."""
        others = (s for s in self._sessions.of_user(session.user_id) if s is not session)
        return any(self._sessions.state(s) in (SessionState.REPLAYING, SessionState.LIVE) for s in others)

    async def _enter_known(self, session: Session) -> None:
        user_id, role = session.user_id, self._membership_cache.role
        known = self._membership_cache.known_conversations_of(user_id)
        # Redis has confirmed these channels, unless the connection to it is lost just now.
        await self._room_membership.subscribe([rooms.user(user_id), *map(rooms.conversation, known)])
        self._room_membership.enter(session, rooms.user(user_id))
        async for some in in_turns(known):
            # The user may have been removed meanwhile.
            still = [rooms.conversation(each) for each in some if role(each, user_id) is not None]
            self._room_membership.enter_all(session, still)

    async def _load_memberships(self, session: Session) -> None:
        """Enter the rooms of all the user's conversations.

        A membership can be added between reading the list and subscribing to the rooms, the user's own
        included, so the list is read again until it names nothing that is not subscribed to.
        """
        user_id, cache = session.user_id, self._membership_cache
        known = set(cache.known_conversations_of(user_id))
        fresh, profile = await self._reads.begin(user_id)
        if profile is not None:
            self._profiles.take(profile)
        subscribed: set[str] = set()
        while True:
            memberships = await self._load_parts(session, fresh)
            subscribed |= fresh
            ids = {m.conversation_id for m in memberships}
            await self._local_conversations.load_deleted(
                [m for m in memberships if m.conversation_id in fresh]
            )
            # An entry that has vanished from the cache was removed by an event that this read may predate.
            fresh = ids - (subscribed & cache.memberships_of(user_id).keys())
            if not fresh or session not in self._sessions:
                break
        for gone in subscribed - ids:
            # A member who was admitted since may have returned after their part was read.
            if gone in known or cache.role(gone, user_id) is None:
                self._local_conversations.remove_missed(gone, user_id)
        await self._put(session, memberships)
        # Another socket of the user may have failed meanwhile and closed a stream.
        if closed := self._local_conversations.closed_streams(ids):
            await self._local_conversations.open_streams(closed)

    async def _load_parts(self, session: Session, conversation_ids: Collection[str]) -> list[Membership]:
        """Subscribe to conversations, then read the user's memberships and what else is not known here.

        Many are taken in parts: while the servers work on some, others are prepared.
        """
        self._room_membership.enter(session, rooms.user(session.user_id))
        turn = asyncio.Lock()
        parts = in_spans(conversation_ids, PART)
        loaded = await together(self._load_part(session, some, among, turn) for some, among in parts)
        return [membership for memberships in loaded for membership in memberships]

    async def _load_part(
        self, session: Session, conversation_ids: Sequence[str], among: Span, turn: asyncio.Lock
    ) -> Sequence[Membership]:
        names = [rooms.user(session.user_id), *map(rooms.conversation, conversation_ids)]
        async with turn:
            # Other clients have their turns between two parts.
            await asyncio.sleep(0)
            self._membership_cache.expect_memberships(conversation_ids, session.user_id)
            # A room that is entered though an event has removed the membership is left later.
            self._room_membership.enter_all(session, names)
        await self._room_membership.subscribe(names)
        return await self._read(session.user_id, conversation_ids, among)

    async def _read(self, user_id: str, conversation_ids: Sequence[str], among: Span) -> Sequence[Membership]:
        """Read the memberships, and what the conversations need that have no other member here."""
        closed = self._local_conversations.closed_streams(conversation_ids)
        # A user with more conversations learns of the first contacts only.
        members_of = conversation_ids if among.first is None else ()
        with self._contact_reads.reading(members_of) as reading:
            loaded = await self._reads.load(user_id, closed, reading.wanted, reading.limit, among)
            self._local_conversations.start_streams(conversation_ids, loaded.heads)
            is_complete = self._contact_reads.put(reading, loaded.pairs)
        if not is_complete:
            await self._contact_reads.load(members_of)
        return loaded.memberships

    async def _put(self, session: Session, memberships: Sequence[Membership]) -> None:
        cache = self._membership_cache
        async for some in in_turns(memberships):
            if session not in self._sessions:
                return
            # One that vanished from the cache meanwhile was removed by an event, and may be back by another.
            known = cache.memberships_of(session.user_id)
            for membership in some:
                cached = known.get(membership.conversation_id)
                if cached is not None and not cached.is_later_than(membership):
                    cache.put(membership)
