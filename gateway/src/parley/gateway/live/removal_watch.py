"""The removal watch: takes users out whose removal the bus has lost, long before the reconciler comes by."""

from collections.abc import Callable
from time import monotonic

import structlog

from parley.gateway.core.ports import Memberships
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Membership

log = structlog.get_logger()

WATCH_SECONDS = 0.75
"""Time between two checks: a removal is noticed within 1.25 s, plus the time to read it."""
GRACE_SECONDS = 0.5
"""The event of a removal is usually on its way: the watch leaves it this time."""
OVERLAP_SECONDS = 10.0
"""Removals of an earlier check that are read again: a write may take this time to reach a majority."""


class RemovalWatch:
    """Asks for the latest removals of the cluster: one indexed query, whatever the number of members."""

    def __init__(
        self,
        *,
        memberships: Memberships,
        membership_cache: MembershipCache,
        local_conversations: LocalConversations,
        presence_tracker: PresenceTracker,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._memberships = memberships
        self._membership_cache = membership_cache
        self._local_conversations = local_conversations
        self._presence_tracker = presence_tracker
        self._clock = clock
        self._checked = clock()

    async def check(self) -> None:
        """Remove the users who are members no longer, local ones and their contacts. Raises `Unavailable`."""
        begun = self._clock()
        since = begun - self._checked + OVERLAP_SECONDS
        for membership in await self._memberships.removed(since, GRACE_SECONDS):
            if self._is_here(membership):
                await self._remove(membership)
            elif self._presence_tracker.knows(membership.conversation_id, membership.user_id):
                await self._presence_tracker.removed(membership.conversation_id, membership.user_id)
        self._checked = begun

    def _is_here(self, m: Membership) -> bool:
        return self._membership_cache.role(m.conversation_id, m.user_id) is not None

    async def _remove(self, m: Membership) -> None:
        # The user may have been added again since the removals were read.
        if await self._memberships.get(m.conversation_id, m.user_id) is not None or not self._is_here(m):
            return
        log.warning("gateway.removal_watch.removal_lost", user=m.user_id, conversation=m.conversation_id)
        self._local_conversations.remove_missed(m.conversation_id, m.user_id)
        await self._presence_tracker.removed(m.conversation_id, m.user_id)
