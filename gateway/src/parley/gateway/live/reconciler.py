"""The reconciler: compares what this node has delivered with what MongoDB holds, and repairs the difference.

Pub/sub can lose events without a later one that reveals the gap; after a lost connection, any number.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Conversations, Memberships, Messages
from parley.gateway.live.admissions import Admissions
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.lingering_users import LingeringUsers
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.services.member_summaries import MemberSummaries
from parley.gateway.state.membership_cache import LocalConversation, MembershipCache
from parley.shared.events import ConversationCreated, ConversationDelivered, ConversationRead
from parley.shared.model import MEMBERS_SHOWN, Membership, now

log = structlog.get_logger()

HEADS_AT_ONCE = 500
USERS_AT_ONCE = 100
MARKS_AT_ONCE = 100
GRACE_SECONDS = 1.0
"""A stored event is usually on its way: a stream is behind only if it still is after this time."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Reconciler:
    """Repairs streams by stored heads, memberships by stored memberships, and marks after an outage.

    Args (besides parts):
        presence_seconds: within this time every node has renewed its leases in a Redis that lost them.
        spawn: runs a coroutine in the background.
    """

    def __init__(
        self,
        *,
        admissions: Admissions,
        local_conversations: LocalConversations,
        lingering_users: LingeringUsers,
        presence_tracker: PresenceTracker,
        sessions: Sessions,
        session_rooms: SessionRooms,
        membership_cache: MembershipCache,
        streams: Streams,
        conversations: Conversations,
        memberships: Memberships,
        messages: Messages,
        summaries: MemberSummaries,
        broadcaster: Broadcaster,
        presence_seconds: float,
        spawn: Spawn,
    ) -> None:
        self._admissions = admissions
        self._local_conversations = local_conversations
        self._lingering_users = lingering_users
        self._presence_tracker = presence_tracker
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._membership_cache = membership_cache
        self._streams = streams
        self._conversations = conversations
        self._memberships = memberships
        self._messages = messages
        self._summaries = summaries
        self._broadcaster = broadcaster
        self._presence_seconds = presence_seconds
        self._spawn = spawn

    async def resynchronize(self) -> None:
        """Make up for all events that were lost while the bus was away. Raises `Unavailable`."""
        self._lingering_users.forget_all()
        # Memberships first: the changes that are backfilled next go to whoever is in the rooms by then.
        await self.check_memberships(self._sessions.live_users())
        await self.check_heads(self._streams.ids(), grace=0)
        await self._check_marks()
        self._spawn(self._resynchronize_presence())

    async def check_heads(self, conversation_ids: Sequence[str], grace: float = GRACE_SECONDS) -> None:
        """Compare stored heads with the streams `grace` seconds later; backfill those behind."""
        for start in range(0, len(conversation_ids), HEADS_AT_ONCE):
            some = conversation_ids[start : start + HEADS_AT_ONCE]
            before = {each: self._streams.head(each) for each in some}
            revisions = await self._conversations.revisions(some)
            await asyncio.sleep(grace)
            behind = self._streams.backfill_behind(revisions, before)
            if behind:
                log.warning("gateway.reconciler.events_lost", conversations=behind)

    async def check_memberships(self, user_ids: Sequence[str]) -> None:
        """Compare users' stored memberships with the cache; admit and remove those whose event was lost."""
        for start in range(0, len(user_ids), USERS_AT_ONCE):
            await self._check_users(user_ids[start : start + USERS_AT_ONCE])

    async def check_joins(self, seconds: float) -> None:
        """Admit local users who became members in the last seconds, and whose event was lost."""
        for m in await self._memberships.joined(seconds, GRACE_SECONDS):
            if self._sessions.of_user(m.user_id):
                await self._admit_if_missed(m.user_id, m.conversation_id)
            elif self._membership_cache.role(m.conversation_id, m.user_id) is None:
                self._lingering_users.forget(m.user_id)

    async def _check_users(self, user_ids: Sequence[str]) -> None:
        cache = self._membership_cache
        known = {(u, c) for u in user_ids for c in cache.known_conversations_of(u)}
        memberships = await self._memberships.of_users(user_ids)
        stored = {(m.user_id, m.conversation_id): m for m in memberships}
        # A socket that connected while its user was removed does not know that the user has come back.
        gone = [key for key in known if key not in stored or cache.has_rejoined(stored[key])]
        for user_id, conversation_id in gone:
            log.warning("gateway.reconciler.removal_lost", user=user_id, conversation=conversation_id)
            self._local_conversations.remove_missed(conversation_id, user_id)
        for user_id, conversation_id in gone:
            await self._presence_tracker.removed(conversation_id, user_id)
        for user_id, conversation_id in known & stored.keys():
            # A removal that came while the memberships were read must not be undone by them.
            if cache.role(conversation_id, user_id) is not None:
                cache.put(stored[user_id, conversation_id])
        # Checked per socket, not per user: an older socket may be missing from a room that a later one is in.
        for user_id, conversation_id in stored:
            await self._admit_if_missed(user_id, conversation_id)

    async def _admit_if_missed(self, user_id: str, conversation_id: str) -> None:
        if self._admissions.is_admitted(conversation_id, user_id):
            return
        found = (await self._conversations.get([conversation_id])).get(conversation_id)
        if found is not None:
            summary = (await self._summaries.of({conversation_id: None}, MEMBERS_SHOWN))[conversation_id]
            created = ConversationCreated(
                conversation=found, members=summary.members, member_count=summary.total, by=found.created_by
            )
            await self._admissions.admit(user_id, conversation_id, created)

    async def _check_marks(self) -> None:
        """Broadcast the furthest stored read and delivered marks that are beyond those broadcast."""
        joined = list(self._session_rooms.all_joined())
        for start in range(0, len(joined), MARKS_AT_ONCE):
            furthest = await self._messages.furthest_of(joined[start : start + MARKS_AT_ONCE])
            for conversation_id, (readers, receivers) in furthest.items():
                local = self._membership_cache.conversations.get(conversation_id)
                if local is not None:
                    await self._apply_marks(local, readers, receivers)

    async def _apply_marks(
        self, local: LocalConversation, readers: Sequence[Membership], receivers: Sequence[Membership]
    ) -> None:
        read, received = local.read, local.received
        for m in (m for m in readers if m.read_seq > read):
            event = _read(m, await self._last_read(m))
            self._membership_cache.apply_read(event)
            self._broadcaster.broadcast(event)
        for m in (m for m in receivers if m.delivered_seq > received):
            delivered = _delivered(m)
            self._membership_cache.apply_delivered(delivered)
            self._broadcaster.broadcast(delivered)

    async def _last_read(self, m: Membership) -> str | None:
        found = await self._messages.page(m.conversation_id, 1, m.read_seq + 1, None)
        return found[0].id if found else None

    async def _resynchronize_presence(self) -> None:
        await asyncio.sleep(self._presence_seconds)
        try:
            await self._presence_tracker.resynchronize()
        except Unavailable as error:
            log.warning("gateway.presence.resync_failed", error=str(error))


def _read(m: Membership, last_id: str | None) -> ConversationRead:
    return ConversationRead(
        record_id="",
        conversation_id=m.conversation_id,
        user_id=m.user_id,
        seq=m.read_seq,
        message_id=None,
        last_id=last_id,
        own_since_read=m.own_since_read,
        own_seq=m.own_seq,
        at=now(),
    )


def _delivered(m: Membership) -> ConversationDelivered:
    return ConversationDelivered(
        record_id="",
        conversation_id=m.conversation_id,
        user_id=m.user_id,
        seq=m.delivered_seq,
        at=now(),
    )
