"""The delays of this node: how long its own work waits, hop by hop, against a target for each."""

from collections.abc import Callable, Mapping

LOOP, INBOX, BUS, OUTBOX = "loop", "inbox", "bus", "outbox"
"""The hops: a ready callback, a client's event or its answer, an event from Redis, a record for RabbitMQ."""
TARGET_SECONDS: Mapping[str, float] = {LOOP: 0.15, INBOX: 0.15, BUS: 0.5, OUTBOX: 0.5}
"""Delays above these, for a while, are an overload. Those of loop, inbox and outbox add up in the time until
an answer, which has to stay below 2 s even when a delay doubles before it is noticed."""
SMOOTHING = 0.3
"""The weight of a new lag of the event loop."""


class DelayGauge:
    """The longest delay since it was last taken."""

    def __init__(self) -> None:
        self._longest = 0.0

    def observe(self, seconds: float) -> None:
        """Record one delay."""
        if seconds > self._longest:
            self._longest = seconds

    def take(self) -> float:
        """Return the longest delay, and begin anew."""
        longest, self._longest = self._longest, 0.0
        return longest


class HopDelays:
    """The delays of the hops that all messages of a node share.

    Args:
        bus: Returns the age of the last event from Redis when it was handled.
    """

    def __init__(self, bus: Callable[[], float] = lambda: 0.0) -> None:
        self.inbox = DelayGauge()
        self.seconds: dict[str, float] = {LOOP: 0.0, INBOX: 0.0, BUS: 0.0}
        self._bus = bus

    def observe_lag(self, seconds: float) -> None:
        """Record how late a timer of the event loop fired, and read the other delays."""
        self.seconds[LOOP] += SMOOTHING * (seconds - self.seconds[LOOP])
        self.seconds[INBOX] += SMOOTHING * (self.inbox.take() - self.seconds[INBOX])
        self.seconds[BUS] = self._bus()

    def ratio(self) -> float:
        """Return the delay that exceeds its target most, as a multiple of it."""
        return max(seconds / TARGET_SECONDS[hop] for hop, seconds in self.seconds.items())

    def slowest(self) -> str:
        """Return the hop whose delay exceeds its target most."""
        return max(self.seconds, key=lambda hop: self.seconds[hop] / TARGET_SECONDS[hop])
