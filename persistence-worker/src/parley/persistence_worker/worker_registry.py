"""The registry of live workers: the consumers of one small queue."""

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from parley.shared.partitions import WORKERS


class WorkerRegistry:
    """Registers this worker and counts all, for as long as the channel lasts."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._consumer_tag: str | None = None

    async def count(self, *, present: bool) -> int:
        """Return the number of live workers, this one included only if it is `present`."""
        queue = await self._channel.declare_queue(WORKERS, durable=True)
        if present and self._consumer_tag is None:
            self._consumer_tag = await queue.consume(_ignore, no_ack=True)
        elif self._consumer_tag is not None and not present:
            await queue.cancel(self._consumer_tag)
            self._consumer_tag = None
        found = await self._channel.declare_queue(WORKERS, durable=True, passive=True)
        return found.declaration_result.consumer_count or 0


async def _ignore(_message: AbstractIncomingMessage) -> None:
    """Nothing is published to the queue."""
