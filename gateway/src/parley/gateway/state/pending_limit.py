"""Load shedding: a limit on pending messages, which exists only while something is too slow."""

from collections.abc import Callable
from time import monotonic

INTERVAL_SECONDS = 0.2
"""A delay above its target for so long is an overload, not a burst."""
ROUND_SECONDS = 3.0
"""A round trip ends after this time at the latest: an event that is lost would never end it."""
CALM_RATIO = 0.6
"""Below this the limit grows; from here to 1 it stays."""
REDUCTION_MIN, REDUCTION_MAX = 0.5, 0.9
"""A reduction divides the limit by the ratio of the delay to its target, within these shares of it."""
GROWTH_PER_SECOND, ACCELERATION = 0.5, 3.0
"""The limit grows by this share of itself a second; `ACCELERATION` times as fast for each calm second."""
FAIR_SECONDS = 0.5
"""A conversation without a message for so long may use the reserve."""
RESERVE = 0.25
"""The share of the limit that is kept, beyond it, for conversations that had no message lately."""
RELEASE_SECONDS = 5.0
"""A limit that refused nothing for so long ends."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 10.0


class PendingLimit:
    """Limits pending messages while a delay is above its target.

    The detection is CoDel's (RFC 8289): a delay matters when it stays above its target for an interval. The
    limit is adjusted as a congestion window is: work that is done makes room for new work, so the rate
    follows the slowest part by itself, and the window decides only how long the work waits.

    Args:
        pending: Returns the number of pending messages.
        delay_ratio: Returns the present delay as a multiple of its target.
        least: The limit's minimum: less would leave the next hop without work.
        clock: The time in seconds.
    """

    def __init__(
        self,
        pending: Callable[[], int],
        delay_ratio: Callable[[], float],
        least: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._pending = pending
        self._delay_ratio = delay_ratio
        self._least = least
        self._clock = clock
        self._limit = 0.0
        self._slow_since: float | None = None
        self._added = 0
        self._round_ends = (0, 0.0)
        self._calm_since = self._observed_at = self._refused_at = clock()
        self._recent = RecentConversations()
        self._counts = RefusalCounts()
        self.in_force = False

    @property
    def retry_after(self) -> float:
        """The seconds after which a refused sender should retry: longer, the more are refused."""
        return self._counts.retry_after

    def observe(self) -> None:
        """Read the delay, and adjust the limit. It is to be called about 20 times a second."""
        now, ratio = self._clock(), self._delay_ratio()
        passed, self._observed_at = now - self._observed_at, now
        if ratio >= 1:
            self._on_slow(now, ratio)
        else:
            self._slow_since = None
        if ratio >= CALM_RATIO:
            self._calm_since = now
        elif self.in_force:
            self._on_calm(now, passed)
        if self.in_force:
            self._recent.rotate(now)
            self._counts.rotate(now)

    def _on_slow(self, now: float, ratio: float) -> None:
        if self._slow_since is None:
            self._slow_since = now
        pending = self._pending()
        if now - self._slow_since < INTERVAL_SECONDS or not self._is_round_over(pending, now):
            return
        limit = min(self._limit, pending) if self.in_force else pending
        share = min(max(1 / ratio, REDUCTION_MIN), REDUCTION_MAX)
        self._limit = max(share * limit, self._least)
        self._round_ends = self._added, now + ROUND_SECONDS
        if not self.in_force:
            self.in_force, self._refused_at = True, now

    def _is_round_over(self, pending: int, now: float) -> bool:
        """Return whether all messages that were pending at the last reduction are done.

        Until then the delay is that of messages that were admitted before, and a second reduction would
        answer the same overload twice.
        """
        added, latest = self._round_ends
        return self._added - pending >= added or now >= latest

    def _on_calm(self, now: float, passed: float) -> None:
        if now - self._refused_at > RELEASE_SECONDS:
            self.in_force = False
        elif self._pending() > self._limit / 2:
            calm = 1 + ACCELERATION * (now - self._calm_since)
            self._limit += passed * (1 + self._limit) * GROWTH_PER_SECOND * calm

    def admits(self, conversation_id: str) -> bool:
        """Return whether one more message may be admitted.

        Without the reserve, conversations that send much would leave no room for one that sends little.
        """
        if not self.in_force:
            return True
        pending = self._pending()
        if pending < self._limit:
            return True
        reserve = pending < (1 + RESERVE) * self._limit
        if reserve and conversation_id not in self._recent:
            return True
        self._refused_at = self._clock()
        self._counts.refused += 1
        return False

    def add(self, conversation_id: str) -> None:
        """Note that a message of a conversation was admitted."""
        self._added += 1
        if self.in_force:
            self._recent.add(conversation_id)
            self._counts.admitted += 1


class RecentConversations:
    """The conversations with a message in the last `FAIR_SECONDS`, or in up to twice that."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._until = 0.0

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._now or conversation_id in self._before

    def add(self, conversation_id: str) -> None:
        """Note a message of a conversation."""
        self._now.add(conversation_id)

    def rotate(self, now: float) -> None:
        """Forget conversations whose last message is long ago."""
        if now >= self._until:
            self._before, self._now = self._now, set()
            self._until = now + FAIR_SECONDS


class RefusalCounts:
    """Refused messages for each admitted one, over about a second, and the retry time that follows.

    If every refused sender waits for as many seconds as messages are refused for one that is admitted, the
    retries alone are about as many as can be admitted.
    """

    def __init__(self) -> None:
        self.refused = self.admitted = 0
        self.retry_after = MIN_RETRY_SECONDS
        self._until = 0.0

    def rotate(self, now: float) -> None:
        """Begin to count anew if the second is over."""
        if now < self._until:
            return
        share = self.refused / max(self.admitted, 1)
        self.retry_after = round(min(max(share, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS), 1)
        self.refused = self.admitted = 0
        self._until = now + 1.0
