"""Unread counts: broadcast to a user's own sockets, gathered over a moment."""

import asyncio

from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.protocols.protocol import UnreadChanged
from parley.gateway.state.membership_cache import MembershipCache

CONVERSATIONS_AT_ONCE = 250
"""Conversations whose counts are broadcast in one turn of the event loop."""


class UnreadCounts:
    """Sends users the counts that differ from the last ones sent."""

    def __init__(self, membership_cache: MembershipCache, broadcaster: Broadcaster) -> None:
        self._membership_cache = membership_cache
        self._broadcaster = broadcaster

    def broadcast_changed(self) -> None:
        """Broadcast the counts that have changed since the last call."""
        self._broadcast(None)

    async def broadcast_in_turns(self) -> None:
        """Broadcast the counts that have changed, in turns: a new socket needs all of its user."""
        while self._membership_cache.has_changed_counts():
            self._broadcast(CONVERSATIONS_AT_ONCE)
            await asyncio.sleep(0)

    def _broadcast(self, most: int | None) -> None:
        for changed in self._membership_cache.take_changed_counts(most):
            self._broadcaster.broadcast(UnreadChanged(*changed))
