"""Heartbeats through Redis: how long one takes, and for how long none has come back."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

STALE_SECONDS, BEHIND_SECONDS = 4.0, 15.0
"""A node is stale when its own heartbeat has not come back for so long: the longer time holds while other
events come, because a new subscription would add a backfill to the work that the node is behind with."""
FLOWING_SECONDS = 0.5
"""Redis is not away if something came from it in this time."""
UNRETURNED_HEARTBEATS = 64


class Heartbeats:
    """The heartbeats of one connection, which is new whenever `restart` is called."""

    def __init__(self) -> None:
        self._count = 0
        self._sent: deque[tuple[int, float]] = deque(maxlen=UNRETURNED_HEARTBEATS)
        self._received_at = 0.0
        self._flowed_at = 0.0
        self._delay = 0.0

    def restart(self) -> None:
        """Note a new connection."""
        self._received_at = monotonic()
        # Heartbeats that were sent without a connection never come back: they would count as a delay.
        self._sent.clear()

    @contextmanager
    def sending(self) -> Iterator[int]:
        """Give a heartbeat its number; it is forgotten if it cannot be sent."""
        self._count += 1
        sent = (self._count, monotonic())
        self._sent.append(sent)
        try:
            yield sent[0]
        except BaseException:
            with suppress(ValueError):  # It was removed with others since.
                self._sent.remove(sent)
            raise

    def received(self, count: int) -> None:
        """Note that the heartbeat of this number came back."""
        self._received_at = monotonic()
        while self._sent and self._sent[0][0] <= count:
            number, sent_at = self._sent.popleft()
            if number == count:
                self._delay = self._received_at - sent_at

    def flowed(self) -> None:
        """Note that something came from Redis."""
        self._flowed_at = monotonic()

    @property
    def stale(self) -> bool:
        """Whether no heartbeat has come back for too long."""
        now = monotonic()
        flows = now - self._flowed_at < FLOWING_SECONDS
        return now - self._received_at > (BEHIND_SECONDS if flows else STALE_SECONDS)

    @property
    def delay(self) -> float:
        """Seconds from a heartbeat to its return; 0 while stale.

        One that is not back counts only while other events come: otherwise Redis is away, which is no
        overload.
        """
        if self.stale:
            return 0.0
        now = monotonic()
        if not self._sent or now - self._flowed_at > FLOWING_SECONDS:
            return self._delay
        return max(self._delay, now - self._sent[0][1])
