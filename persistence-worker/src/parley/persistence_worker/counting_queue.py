"""The queue by which workers up to version 0.2.0 count themselves, for as long as one of them may run."""

from time import monotonic

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError

from parley.shared.partitions import WORKERS

ABSENT_SECONDS = 5.0
"""Time between two looks for the queue, where there is none."""
ANSWER_SECONDS = 1.0


class CountingQueue:
    """Registers this worker with older ones, and counts their queue's consumers.

    The queue is never created here. It is a classic queue, which is lost with its node: older workers then
    store nothing until the node is back, newer ones do not need it.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None
        self._consumer_tag: str | None = None
        self._absent_at = -ABSENT_SECONDS

    async def count(self, *, present: bool) -> int:
        """Return the number of consumers, this worker among them if it is `present`; 0 without a queue."""
        if monotonic() - self._absent_at < ABSENT_SECONDS:
            return 0
        try:
            queue = await self._find()
            if present and self._consumer_tag is None:
                self._consumer_tag = await queue.consume(_ignore, no_ack=True, timeout=ANSWER_SECONDS)
                queue = await self._find()
            elif self._consumer_tag is not None and not present:
                await queue.cancel(self._consumer_tag, timeout=ANSWER_SECONDS)
                self._consumer_tag = None
                queue = await self._find()
        except (AMQPError, TimeoutError, RuntimeError):
            self._channel, self._consumer_tag = None, None
            self._absent_at = monotonic()
            return 0
        return queue.declaration_result.consumer_count or 0

    async def _find(self) -> AbstractQueue:
        """Return the queue as it is now."""
        if self._channel is None:
            self._channel = await self._connection.channel()
            underlay = await self._channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(self._on_cancelled)
        return await self._channel.declare_queue(WORKERS, passive=True, timeout=ANSWER_SECONDS)

    def _on_cancelled(self, _frame: object) -> None:
        self._consumer_tag = None


async def _ignore(_message: AbstractIncomingMessage) -> None:
    """Nothing is published to the queue."""
