"""Unread counts: broadcast to a user's own sockets, gathered over a moment."""

from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.protocols.protocol import UnreadChanged
from parley.gateway.state.membership_cache import MembershipCache


class UnreadCounts:
    """Sends users the counts that differ from the last ones sent."""

    def __init__(self, membership_cache: MembershipCache, broadcaster: Broadcaster) -> None:
        self._membership_cache = membership_cache
        self._broadcaster = broadcaster

    def broadcast_changed(self) -> None:
        """Broadcast the counts that have changed since the last call."""
        for changed in self._membership_cache.take_changed_counts():
            self._broadcaster.broadcast(UnreadChanged(*changed))
