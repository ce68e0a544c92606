"""The muster: workers are counted as the consumers of one small queue."""

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from parley.shared.partitions import WORKERS


class WorkerRegistry:
    """Our place in it, as long as a channel lasts."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._place: str | None = None

    async def count(self, *, present: bool) -> int:
        """How many there are, with us if we are `present`."""
        queue = await self._channel.declare_queue(WORKERS, durable=True)
        if present and self._place is None:
            self._place = await queue.consume(_ignore, no_ack=True)
        elif self._place is not None and not present:
            await queue.cancel(self._place)
            self._place = None
        found = await self._channel.declare_queue(WORKERS, durable=True, passive=True)
        return found.declaration_result.consumer_count or 0


async def _ignore(_message: AbstractIncomingMessage) -> None:
    """Nothing is ever sent to it."""
