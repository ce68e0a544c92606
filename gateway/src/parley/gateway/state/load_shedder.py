"""Load shedding of a node: one limit for all its messages, and one for each partition's outbox."""

from collections.abc import Callable
from time import monotonic

import structlog

from parley.gateway.state.hop_delays import OUTBOX, TARGET_SECONDS, HopDelays
from parley.gateway.state.in_flight_limit import InFlightLimit

log = structlog.get_logger()


class LoadShedder:
    """Refuses new messages while the node, or a partition's outbox, is slower than its targets.

    Args:
        delays: The delays of the node.
        in_flight: Returns the node's messages that are admitted and not stored.
        partitions: The number of partitions.
        unconfirmed: Returns the records of a partition that the broker has not confirmed.
        unconfirmed_age: Returns for how many seconds the oldest of them has waited.
        clock: The time in seconds.
    """

    def __init__(
        self,
        delays: HopDelays,
        in_flight: Callable[[], int],
        partitions: int,
        unconfirmed: Callable[[int], int],
        unconfirmed_age: Callable[[int], float],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.delays = delays
        self._node = InFlightLimit(in_flight, delays.pressure, clock)
        self._outbox = [
            InFlightLimit(
                lambda k=k: unconfirmed(k),  # type: ignore[misc]
                lambda k=k: unconfirmed_age(k) / TARGET_SECONDS[OUTBOX],  # type: ignore[misc]
                clock,
            )
            for k in range(partitions)
        ]
        self._was_shedding = False

    @property
    def is_shedding(self) -> bool:
        """Whether any limit is in force."""
        return self._node.in_force or any(limit.in_force for limit in self._outbox)

    def observe(self, lag: float) -> None:
        """Record how late a timer of the event loop fired, and adjust all limits."""
        self.delays.observe_lag(lag)
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
        return None

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


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {hop: round(delay, 3) for hop, delay in seconds.items()}
