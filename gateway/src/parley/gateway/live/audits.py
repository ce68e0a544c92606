"""The audits: look for events that the bus has lost, and that no later event reveals.

Conversations and memberships are compared in turn, at a bounded rate: an idle node does not read more the
more members it has. New members are asked for by time, so that none waits for its turn.
"""

from collections.abc import Callable
from time import monotonic

from parley.gateway.live.reconciler import Reconciler
from parley.gateway.live.sessions import Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rotation import Rotation

AUDIT_STEP_SECONDS = 1.0
"""Time between two steps of a rotation."""
HEADS_AT_ONCE = 200
MEMBERSHIPS_AT_ONCE = 500
CLOCK_SECONDS = 15.0
"""The gateways' clocks may differ by this time, with that in which a membership reaches a majority."""


class Audits:
    """Has the reconciler compare conversations and memberships with what is stored, a few at a time.

    Args (besides parts):
        seconds: The time between two rounds, if there are few conversations.
    """

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        streams: Streams,
        sessions: Sessions,
        membership_cache: MembershipCache,
        seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reconciler = reconciler
        self._membership_cache = membership_cache
        self._conversations = Rotation(streams.ids, seconds, clock)
        self._users = Rotation(sessions.live_users, seconds, clock)
        self._clock = clock
        self._joins_checked = clock()

    async def check_some_heads(self) -> None:
        """Compare the next conversations with their stored heads. Raises `Unavailable`."""
        await self._reconciler.check_heads(self._conversations.next(HEADS_AT_ONCE))

    async def check_some_memberships(self) -> None:
        """Compare the memberships of the next users with the stored ones. Raises `Unavailable`."""
        users = self._users.next(MEMBERSHIPS_AT_ONCE, self._weight)
        await self._reconciler.check_memberships(users)

    async def check_joins(self) -> None:
        """Admit the users who have become members since the last check. Raises `Unavailable`."""
        begun = self._clock()
        await self._reconciler.check_joins(begun - self._joins_checked + CLOCK_SECONDS)
        self._joins_checked = begun

    def _weight(self, user_id: str) -> int:
        return len(self._membership_cache.known_conversations_of(user_id))
