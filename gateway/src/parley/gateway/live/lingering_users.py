"""Lingering users: the memberships of a user are kept for a while after the last socket has gone.

A page that is loaded again, or a client whose network changes, connects again within seconds. Its connect
then reads nothing from MongoDB: events have kept the memberships right meanwhile.
"""

import asyncio
from itertools import islice, takewhile

from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.state.membership_cache import MembershipCache

LINGER_SECONDS = 10.0
"""Less than `UNSUBSCRIBE_SECONDS`: the channels of the user's rooms stay subscribed to for as long."""
ENDED_AT_ONCE, TURN_SECONDS = 50, 0.01
"""Users who are forgotten in one turn, and the time between two turns: thousands may have gone at once."""


class LingeringUsers:
    """Forgets local users some time after their last socket has gone."""

    def __init__(self, membership_cache: MembershipCache, local_conversations: LocalConversations) -> None:
        self._membership_cache = membership_cache
        self._local_conversations = local_conversations
        self._ends: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.forgotten = 0
        """How often all were forgotten, because events were lost."""

    def add(self, user_id: str) -> None:
        """Keep what is known of a user whose last socket has gone."""
        self._ends[user_id] = asyncio.get_running_loop().time() + LINGER_SECONDS
        if self._timer is None:
            self._await_first()

    def take(self, user_id: str) -> bool:
        """Return whether what is known of a user who connects is still right; forget it otherwise."""
        if self._ends.pop(user_id, None) is None:
            return False
        is_right = self._membership_cache.is_complete(user_id) and self._local_conversations.are_open(
            self._membership_cache.memberships_of(user_id)
        )
        if not is_right:
            self._forget(user_id)
        return is_right

    def forget(self, user_id: str) -> None:
        """Forget a user, because an event was lost; does nothing while the user has sockets."""
        if self._ends.pop(user_id, None) is not None:
            self._forget(user_id)

    def forget_all(self) -> None:
        """Forget all users, because events were lost."""
        self.forgotten += 1
        lingering, self._ends = list(self._ends), {}
        for user_id in lingering:
            self._forget(user_id)

    def _await_first(self) -> None:
        """Wait for the user who is forgotten first: the order of insertion is that of the times."""
        self._timer = None
        if self._ends:
            loop = asyncio.get_running_loop()
            at = max(next(iter(self._ends.values())), loop.time() + TURN_SECONDS)
            self._timer = loop.call_at(at, self._end)

    def _end(self) -> None:
        now = asyncio.get_running_loop().time()
        due = takewhile(lambda user_id: self._ends[user_id] <= now, self._ends)
        for user_id in list(islice(due, ENDED_AT_ONCE)):
            del self._ends[user_id]
            self._forget(user_id)
        self._await_first()

    def _forget(self, user_id: str) -> None:
        conversations = list(self._membership_cache.memberships_of(user_id))
        self._membership_cache.remove_user(user_id)
        self._local_conversations.close_unused(conversations)
