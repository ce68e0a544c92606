"""A worker that may crash or freeze at every step of the batch algorithm."""

import asyncio

from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Delivery, Partition
from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages, MemoryWholeBatches, Tables
from model.fault_injector import (
    FaultInjector,
    FaultyAnnouncer,
    FaultyHeads,
    FaultyMemberships,
    FaultyMessages,
    FaultyPort,
)
from parley.persistence_worker.persist import Persister
from parley.shared.events import Event


class Crash(Exception):
    """The simulated kill of a worker."""


class Worker:
    """Stores batches of a partition; a frozen worker goes on later, when the partition has a new owner."""

    def __init__(
        self, tables: Tables, partition: Partition, pubsub: InMemoryPubSub, announced: list[Event]
    ) -> None:
        self._partition = partition
        self.injector = FaultInjector(Crash)
        self._persister = Persister(
            FaultyMessages(MemoryMessages(tables), self.injector),
            FaultyHeads(MemoryHeads(tables), self.injector),
            FaultyMemberships(MemoryMemberships(tables), self.injector),
            FaultyAnnouncer(pubsub, self.injector, announced),
            FaultyPort(MemoryWholeBatches(tables), self.injector),
        )
        self._batch: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is being stored."""
        return self._batch is not None and not self._batch.done()

    def take_batch(self, size: int) -> None:
        """Take a batch of up to `size` deliveries, also from the present owner."""
        if not self.busy:
            deliveries = self._partition.take(self, size)
            if deliveries:
                self._batch = asyncio.get_running_loop().create_task(self._store(deliveries))

    async def _store(self, deliveries: list[Delivery]) -> None:
        batch = [record for delivery in deliveries for record in delivery.records()]
        again = any(delivery.redelivered for delivery in deliveries)
        try:
            await self._persister.persist(batch, redelivered=again)
        except Crash:
            if self._partition.owner is self:
                self._partition.give_back()
            return
        self._partition.acknowledge(self)
