"""Admissions: lets the sockets of a user into a conversation that the user has become a member of."""

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from parley.gateway.core.ports import Memberships
from parley.gateway.core.results import ConversationView
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.protocol import Admitted
from parley.gateway.services.profiles import Profiles
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import ConversationCreated
from parley.shared.model import MEMBERS_SHOWN, Member, Membership


class Admissions:
    """Admits users while they are connected."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        local_conversations: LocalConversations,
        memberships: Memberships,
        profiles: Profiles,
        join_backfill: JoinBackfill,
        presence_tracker: PresenceTracker,
        broadcaster: Broadcaster,
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._local_conversations = local_conversations
        self._memberships = memberships
        self._profiles = profiles
        self._join_backfill = join_backfill
        self._presence_tracker = presence_tracker
        self._broadcaster = broadcaster
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def is_admitted(self, conversation_id: str, user_id: str, only: Session | None = None) -> bool:
        """Whether all sockets of a local user, or `only` one, are in a conversation.

        A socket may have connected before the user became a member.
        """
        room = rooms.conversation(conversation_id)
        return self._membership_cache.role(conversation_id, user_id) is not None and all(
            self._session_rooms.is_in(session, room) for session in self._sockets(user_id, only)
        )

    async def admit(
        self,
        user_id: str,
        conversation_id: str,
        created: ConversationCreated | None = None,
        only: Session | None = None,
    ) -> None:
        """Let a local user's sockets into a conversation; does nothing if all of them are in it.

        Args:
            user_id: The user.
            conversation_id: The conversation.
            created: The event that the sockets are to receive.
            only: The only socket to let in, without the event; the others are told by it later.

        Raises:
            Unavailable: Redis or MongoDB is away.
        """
        lock = self._locks.setdefault((user_id, conversation_id), asyncio.Lock())
        async with lock:
            if self.is_admitted(conversation_id, user_id, only):
                return
            try:
                await self._admit(user_id, conversation_id, created, only)
            finally:
                self._local_conversations.drop_expected([conversation_id], user_id)
                self._local_conversations.close_unused([conversation_id])

    async def _admit(
        self, user_id: str, conversation_id: str, created: ConversationCreated | None, only: Session | None
    ) -> None:
        await self._room_membership.subscribe([rooms.conversation(conversation_id)])
        membership = await self._read_membership(user_id, conversation_id)
        if membership is None:
            self._local_conversations.remove_missed(conversation_id, user_id)
            return
        self._membership_cache.put(membership)
        if created is not None:
            self._broadcaster.broadcast(self._admitted(created, membership))
        await self._join_backfill.run(membership, lambda: self._outside(user_id, conversation_id, only))
        if self._membership_cache.role(conversation_id, user_id) is not None:
            for session in self._sockets(user_id, only):
                self._room_membership.enter(session, rooms.conversation(conversation_id))
            await self._presence_tracker.joined(conversation_id, user_id)

    async def _read_membership(self, user_id: str, conversation_id: str) -> Membership | None:
        """Return a local user's membership, as it was at some time after the subscription."""
        loaded: set[int] = set()
        while self._sessions.of_user(user_id):
            self._membership_cache.expect_membership(conversation_id, user_id)
            await self._local_conversations.open_streams([conversation_id])
            # Read last: the user may have been removed meanwhile. If the removal's event came during this
            # read, the cache has lost the entry and the read may predate it, so read once more.
            membership = await self._memberships.get(conversation_id, user_id)
            if membership is None:
                return None
            if conversation_id not in self._membership_cache.memberships_of(user_id):
                continue
            if membership.base in loaded or not self._local_conversations.misses_deleted(membership):
                return membership
            await self._local_conversations.load_deleted([membership])
            loaded.add(membership.base)
        return None

    def _sockets(self, user_id: str, only: Session | None) -> list[Session]:
        return self._sessions.of_user(user_id) if only is None else [only]

    def _outside(self, user_id: str, conversation_id: str, only: Session | None) -> list[Session]:
        """Return a member's live sessions, or `only` one, that are not in the conversation's room yet."""
        if self._membership_cache.role(conversation_id, user_id) is None:
            return []
        room = rooms.conversation(conversation_id)
        sessions = filter(self._sessions.is_live, self._sockets(user_id, only))
        return [s for s in sessions if not self._session_rooms.is_in(s, room)]

    def _admitted(self, created: ConversationCreated, membership: Membership) -> Admitted:
        unread = self._membership_cache.unread(membership.conversation_id, membership.user_id) or 0
        members = self._with_themselves(created.members, membership)
        count = max(created.member_count, len(members))
        conversation = created.conversation.as_seen_from(membership.hidden_seq)
        view = ConversationView(conversation, members, count, unread, read_seq=membership.base)
        return Admitted(membership.user_id, view)

    def _with_themselves(self, members: Sequence[Member], own: Membership) -> tuple[Member, ...]:
        """Return the first members of a conversation, the member who is shown them among them."""
        if any(m.person.id == own.user_id for m in members):
            return tuple(members)
        person = self._profiles.current(self._membership_cache.users[own.user_id].person)
        return (*members[: MEMBERS_SHOWN - 1], Member(person=person, role=own.role))
