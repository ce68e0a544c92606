"""Load shedding of a node: one limit for all its messages, and one for each partition's outbox."""

from collections.abc import Callable
from functools import partial
from time import monotonic

import structlog

from parley.gateway.state.hop_delays import OUTBOX, TARGET_SECONDS, HopDelays
from parley.gateway.state.pending_limit import MIN_RETRY_SECONDS, PendingLimit

log = structlog.get_logger()

LONGEST_TURN_SECONDS = 0.3
"""If the timer has not fired for so long, the events of one turn of the event loop are a flood."""
LEAST_OF_NODE, LEAST_OF_PARTITION = 100, 16
"""Pending messages that are never refused for a node's delays, and records for a slow outbox."""


class LoadShedder:
    """Refuses new messages while the node, or a partition's outbox, is slower than its targets.

    Args:
        delays: The delays of the node.
        pending: Returns the node's messages that are admitted and not stored.
        partitions: The number of partitions.
        unconfirmed: Returns the records of a partition that the broker has not confirmed.
        unconfirmed_age: Returns for how many seconds the oldest of them has waited.
        clock: The time in seconds.
    """

    def __init__(
        self,
        delays: HopDelays,
        pending: Callable[[], int],
        partitions: int,
        unconfirmed: Callable[[int], int],
        unconfirmed_age: Callable[[int], float],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.delays = delays
        self._pending = pending
        self._clock = clock
        self._observed_at = clock()
        self._node = PendingLimit(pending, delays.ratio, LEAST_OF_NODE, clock)
        self._unconfirmed, self._unconfirmed_age = unconfirmed, unconfirmed_age
        self.resize(partitions)
        self._was_shedding = False

    def resize(self, partitions: int) -> None:
        """Begin anew with another number of partitions."""
        self._outbox = [
            PendingLimit(
                partial(self._unconfirmed, k),
                partial(_ratio, self._unconfirmed_age, k),
                LEAST_OF_PARTITION,
                self._clock,
            )
            for k in range(partitions)
        ]

    @property
    def is_shedding(self) -> bool:
        """Whether any limit is in force."""
        return self._node.in_force or any(limit.in_force for limit in self._outbox)

    def observe(self, lag: float) -> None:
        """Record how late a timer of the event loop fired, and adjust all limits."""
        self.delays.observe_lag(lag)
        self._observed_at = self._clock()
        for limit in (self._node, *self._outbox):
            limit.observe()
        if self.is_shedding != self._was_shedding:
            self._was_shedding = not self._was_shedding
            self._log()

    def retry_after(self, conversation_id: str, partition: int) -> float | None:
        """Return None if a message may be admitted now, else the seconds after which to retry."""
        for limit in (self._node, self._outbox[partition]):
            if not limit.admits(conversation_id):
                return limit.retry_after
        return MIN_RETRY_SECONDS if self._is_flooded() else None

    def _is_flooded(self) -> bool:
        """Return whether this turn of the event loop has handled events for too long.

        No timer can fire before the turn ends: of thousands of events that are ready at once, each that is
        admitted delays the answers to all others.
        """
        late = self._clock() - self._observed_at > LONGEST_TURN_SECONDS
        return late and self._pending() >= LEAST_OF_NODE

    def add(self, conversation_id: str, partition: int) -> None:
        """Note that a message was admitted."""
        self._node.add(conversation_id)
        self._outbox[partition].add(conversation_id)

    def _log(self) -> None:
        if self._was_shedding:
            hop = self.delays.slowest() if self._node.in_force else OUTBOX
            log.warning("gateway.admission.overloaded", hop=hop, **_rounded(self.delays.seconds))
        else:
            log.info("gateway.admission.recovered")


def _ratio(unconfirmed_age: Callable[[int], float], partition: int) -> float:
    return unconfirmed_age(partition) / TARGET_SECONDS[OUTBOX]


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {hop: round(delay, 3) for hop, delay in seconds.items()}
