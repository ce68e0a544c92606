"""The auditor: compares what this node believes with what is stored, and mends the difference.

Events may be lost without a later one that reveals it; and after the bus was away, all may be.
"""

import asyncio
from collections.abc import Sequence

import structlog

from parley.gateway.core.ports import Conversations, Memberships, Messages
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.fanout import FanOut
from parley.gateway.live.presence_subscriptions import PresenceSubscriptions
from parley.gateway.live.sessions import Sessions
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.streams import Streams
from parley.shared.events import ConversationCreated, ConversationDelivered, ConversationRead
from parley.shared.model import Membership, now

log = structlog.get_logger()

HEADS_AT_ONCE = 500
USERS_AT_ONCE = 100
PATIENCE_SECONDS = 1.0
"""What is stored is usually on its way."""


class Reconciler:
    """Audits streams by their heads, and the roster by memberships."""

    def __init__(
        self,
        *,
        connection_manager: ConnectionManager,
        presence_subscriptions: PresenceSubscriptions,
        sessions: Sessions,
        membership_cache: MembershipCache,
        streams: Streams,
        conversations: Conversations,
        memberships: Memberships,
        messages: Messages,
        fanout: FanOut,
    ) -> None:
        self._connection_manager = connection_manager
        self._presence_subscriptions = presence_subscriptions
        self._sessions = sessions
        self._membership_cache = membership_cache
        self._streams = streams
        self._conversations = conversations
        self._memberships = memberships
        self._messages = messages
        self._fanout = fanout

    async def restore(self) -> None:
        """After the bus was lost: take memberships, heads and marks from MongoDB."""
        # Members first: what is read now is told to who is in the rooms by then.
        await self.audit_members()
        await self.audit_heads(patience=0)
        await self._audit_marks()

    async def audit_heads(self, patience: float = PATIENCE_SECONDS) -> None:
        """Compare all heads with what was passed on `patience` seconds later, and read what is missing."""
        ids = self._streams.ids()
        for start in range(0, len(ids), HEADS_AT_ONCE):
            heads = await self._conversations.get(ids[start : start + HEADS_AT_ONCE])
            await asyncio.sleep(patience)
            late = self._streams.behind(heads)
            if late:
                log.warning("the bus had lost events", conversations=late)

    async def audit_members(self) -> None:
        """Compare who is in what with the roster, let in and out who was missed, and correct counts."""
        ids = self._sessions.connected_users()
        for start in range(0, len(ids), USERS_AT_ONCE):
            await self._audit_users(ids[start : start + USERS_AT_ONCE])

    async def _audit_marks(self) -> None:
        """Tell those who joined of marks further than they were told of: of the furthest, for a status."""
        for conversation_id in self._sessions.joined():
            readers, receivers = await self._messages.furthest(conversation_id)
            told = self._membership_cache.conversations.get(conversation_id)
            if told is None:
                continue
            read, received = told.read, told.received
            for m in (m for m in readers if m.read_seq > read):
                self._fanout.make_up(_read(m, await self._last_read(m)))
            for m in (m for m in receivers if m.delivered_seq > received):
                self._fanout.make_up(_received(m))

    async def _last_read(self, m: Membership) -> str | None:
        found = await self._messages.page(m.conversation_id, 1, m.read_seq + 1, None)
        return found[0].id if found else None

    async def _audit_users(self, user_ids: Sequence[str]) -> None:
        known = {(u, c) for u in user_ids for c in self._membership_cache.known_conversations_of(u)}
        memberships = await self._memberships.of_users(user_ids)
        stored = {(m.user_id, m.conversation_id): m for m in memberships}
        for user_id, conversation_id in known - stored.keys():
            log.warning("a removal was missed", user=user_id, conversation=conversation_id)
            self._connection_manager.expel_missed(conversation_id, user_id)
        for user_id, conversation_id in known - stored.keys():
            await self._presence_subscriptions.parted(conversation_id, user_id)
        for user_id, conversation_id in known & stored.keys():
            # Who was put out while that was read is not let in by it again.
            if self._membership_cache.role(conversation_id, user_id) is not None:
                self._membership_cache.put(stored[user_id, conversation_id])
        # Not only whom the roster does not know: a socket that came since knows, and an older one does not.
        for user_id, conversation_id in stored:
            if not self._connection_manager.knows(conversation_id, user_id):
                await self._admit_missed(user_id, conversation_id)

    async def _admit_missed(self, user_id: str, conversation_id: str) -> None:
        found = (await self._conversations.get([conversation_id])).get(conversation_id)
        if found is not None:
            created = ConversationCreated(conversation=found, members=(), by=found.created_by)
            await self._connection_manager.admit(user_id, created)


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


def _received(m: Membership) -> ConversationDelivered:
    return ConversationDelivered(
        record_id="",
        conversation_id=m.conversation_id,
        user_id=m.user_id,
        seq=m.delivered_seq,
        at=now(),
    )
