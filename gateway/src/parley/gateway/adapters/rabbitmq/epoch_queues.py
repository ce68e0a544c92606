"""The partitions of one epoch in the outbox: their queues, and whether they may be published to."""

import asyncio
from contextlib import suppress
from time import monotonic

from parley.gateway.adapters.rabbitmq.partition_queue import PartitionQueue
from parley.shared.cancellation import within
from parley.shared.partitions import Partitions


class EpochQueues:
    """A queue for each partition of an epoch."""

    def __init__(self, partitions: Partitions, *, is_open: bool = True) -> None:
        self.partitions = partitions
        self.queues = [PartitionQueue() for _ in range(partitions.count)]
        self.is_declared = False
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()

    @property
    def unconfirmed(self) -> int:
        """The number of records that the broker has not confirmed."""
        return sum(queue.unconfirmed for queue in self.queues)

    async def wait_until_open(self, deadline: float) -> None:
        """Wait until records may be published, but not past a time."""
        if not self.opened.is_set():
            with suppress(TimeoutError):
                await within(max(0.0, deadline - monotonic()), self.opened.wait())

    def forget_channels(self) -> None:
        """Forget the channels of a connection that is closed."""
        for queue in self.queues:
            queue.channel = queue.publisher = None
