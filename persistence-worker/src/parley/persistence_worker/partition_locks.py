"""The exclusive queues by which one connection holds partitions."""

from collections.abc import Iterable
from time import monotonic

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource, ChannelNotFoundEntity

from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.partitions import owner_name

AGAIN_SECONDS = 5.0
"""Time between two attempts at the locks that a worker holds partitions without."""
GAP_SECONDS = 1.5
"""Time without an attempt after which a refusal is a new one."""


class PartitionLocks:
    """Acquires and releases locks, and knows for how long one has been refused."""

    def __init__(self, connection: AbstractConnection, epoch: int = 1) -> None:
        self._connection = connection
        self._epoch = epoch
        self._channels: dict[int, AbstractChannel] = {}
        self._refused: dict[int, tuple[float, float]] = {}
        """When each lock was refused for the first and the last time in a row."""
        self._again_at = 0.0

    @property
    def locked(self) -> frozenset[int]:
        """The partitions whose lock this connection has."""
        return frozenset(self._channels)

    async def acquire(self, partition: int) -> bool:
        """Declare a partition's exclusive queue; return False if another connection has it.

        Raises:
            TimeoutError: The broker does not answer, because a node that it needs does not. A queue that is
                declared late belongs to this connection all the same.
        """
        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self._name(partition), exclusive=True, timeout=ANSWER_SECONDS)
        except (ChannelLockedResource, ChannelNotFoundEntity):
            # The broker does not find a queue whose node has failed, and up to version 4.1 removes it once
            # the node counts as lost.
            self._note_refusal(partition)
            return False
        self._refused.pop(partition, None)
        self._channels[partition] = channel
        return True

    async def acquire_again(self, held: Iterable[int]) -> None:
        """Try the locks of partitions that are held without: orphaned locks go when their node is back."""
        if monotonic() - self._again_at < AGAIN_SECONDS:
            return
        self._again_at = monotonic()
        for partition in held:
            if partition not in self._channels:
                await self.acquire(partition)

    async def release(self, partition: int) -> None:
        """Delete the exclusive queue, if this connection has it."""
        channel = self._channels.pop(partition, None)
        if channel is not None:
            await channel.queue_delete(self._name(partition), timeout=ANSWER_SECONDS)
            await channel.close()

    def _name(self, partition: int) -> str:
        return owner_name(partition, self._epoch)

    def refused_seconds(self, partition: int) -> float:
        """Return for how long each attempt at a lock has been refused."""
        first, last = self._refused.get(partition, (0.0, 0.0))
        return last - first

    def _note_refusal(self, partition: int) -> None:
        now = monotonic()
        first, last = self._refused.get(partition, (now, now))
        self._refused[partition] = (first if now - last < GAP_SECONDS else now, now)
