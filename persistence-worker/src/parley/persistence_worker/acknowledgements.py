"""Acknowledgements of a channel's deliveries, several at a time: each one costs the broker a write."""

from collections.abc import Sequence
from time import monotonic

from aiormq.abc import AbstractChannel

from parley.shared.amqp_frames import Delivery

ACK_SECONDS = 0.05
"""Time for which stored deliveries may stay unacknowledged. They come again if the worker dies meanwhile."""
SHARE = 0.25
"""The share of the prefetched deliveries that may stay unacknowledged."""


class Acknowledgements:
    """Acknowledges what was stored, in order, a little later."""

    def __init__(self, channel: AbstractChannel, prefetch: int) -> None:
        self._channel = channel
        self._most = prefetch * SHARE
        self._pending = 0
        self._last_tag = 0
        self._since = 0.0

    @property
    def pending(self) -> int:
        """The number of stored deliveries that are not acknowledged yet."""
        return self._pending

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries that are stored; acknowledge all if the first has waited long, or many do."""
        if not self._pending:
            self._since = monotonic()
        self._pending += len(deliveries)
        self._last_tag = deliveries[-1].tag
        if self._pending >= self._most or monotonic() - self._since >= ACK_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        """Acknowledge all that was added."""
        if self._pending and not self._channel.is_closed:
            await self._channel.basic_ack(self._last_tag, multiple=True, wait=False)
        self._pending = 0
