"""Ownership of partitions, decided by the broker alone.

A worker owns partition k while its connection holds the exclusive queue `parley.owner.k`. The broker refuses
a second declaration at once, and deletes the queue when the connection ends. A worker's fair share is N
divided by the number of live workers. A worker that cannot reach the database for long does not count as
live, and leaves its partitions to others. When no worker can reach it, all keep theirs: a hand-over would
help nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource, ChannelNotFoundEntity

from parley.persistence_worker.consume import Consumer
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared import amqp
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.cancellation import end, we_are_cancelled
from parley.shared.metrics import broker_connected, lag_seconds, partitions_held
from parley.shared.partitions import Partitions, declare, fix_count, owner_name

log = structlog.get_logger()

CHECK_SECONDS = 0.5
RECONNECT_SECONDS = 0.5
UNREACHABLE_CHECKS = 10
"""Checks in a row without the database, while others are live, after which all partitions are released."""

Connect = Callable[[], Awaitable[AbstractConnection]]
MakeConsumer = Callable[[int], Consumer]


@dataclass(slots=True)
class Held:
    """A partition that this worker owns: the lock, and the consumer with its task."""

    lock: AbstractChannel
    consumer: Consumer
    work: "asyncio.Task[None]"


class Ownership:
    """Takes a fair share of the partitions and runs a consumer on each, while `is_able()` is true."""

    def __init__(
        self,
        connect: Connect,
        partitions: Partitions,
        make_consumer: MakeConsumer,
        is_able: Callable[[], bool],
    ) -> None:
        self._connect = connect
        self._partitions = partitions
        self._make_consumer = make_consumer
        self._is_able = is_able
        self._unable_checks = 0
        self._held: dict[int, Held] = {}
        self._stopping = asyncio.Event()
        self.settled = False
        partitions_held.set_function(lambda: len(self._held))
        lag_seconds.set_function(self._lag)

    @property
    def held(self) -> list[int]:
        """The partitions that this worker owns."""
        return sorted(self._held)

    def _lag(self) -> float:
        return max((held.consumer.lag for held in self._held.values()), default=0.0)

    async def run(self) -> None:
        """Hold partitions until `stop`. Reconnect and take partitions again when the connection is lost."""
        while not self._stopping.is_set():
            try:
                await self._session()
            except (Exception, asyncio.CancelledError) as error:
                if we_are_cancelled():
                    raise
                log.warning("worker.broker.lost", error=repr(error))
                await self._pause(RECONNECT_SECONDS)

    def stop(self) -> None:
        """Ask `run` to finish the batches in flight, release all partitions and return."""
        self._stopping.set()

    async def _session(self) -> None:
        connection = await self._connect()
        try:
            await fix_count(connection, self._partitions)
            channel = await connection.channel()
            workers = WorkerRegistry(connection)
            # The others answer while the queues are declared.
            await workers.open(present=self._is_able())
            await declare(channel, self._partitions)
            broker_connected.set(1)
            while not self._stopping.is_set():
                await self._rebalance(connection, workers)
                self.settled = True
                await self._pause(CHECK_SECONDS)
                await self._check(connection)
            await workers.leave()
            await self._release(list(self._held))
        finally:
            self.settled = False
            broker_connected.set(0)
            await self._abandon()
            await amqp.close(connection)

    async def _rebalance(self, connection: AbstractConnection, workers: WorkerRegistry) -> None:
        able = self._is_able()
        alive = await workers.count(present=able)
        self._unable_checks = self._unable_checks + 1 if alive and not able else 0
        fair = ceil(self._partitions.count / max(1, alive))
        if self._unable_checks >= UNREACHABLE_CHECKS:
            fair = 0
        surplus = self.held[fair:]
        if surplus:
            await self._release(surplus)
        for partition in self._not_held() if able else ():
            if len(self._held) >= fair:
                break
            try:
                await self._take(partition, connection)
            except TimeoutError:
                # Nothing can be declared until the broker has given up a node that does not answer. The next
                # check tries again. A queue that is declared late belongs to this connection all the same.
                break

    def _not_held(self) -> list[int]:
        return [k for k in range(self._partitions.count) if k not in self._held]

    async def _take(self, partition: int, connection: AbstractConnection) -> None:
        lock = await connection.channel()
        try:
            await lock.declare_queue(owner_name(partition), exclusive=True, timeout=ANSWER_SECONDS)
        except (ChannelLockedResource, ChannelNotFoundEntity):
            # The broker does not find a queue whose node has failed, and removes it once it counts as lost.
            return
        consumer = self._make_consumer(partition)
        work = asyncio.create_task(consumer.run(connection), name=f"partition-{partition}")
        self._held[partition] = Held(lock, consumer, work)
        log.info("worker.partition.taken", partition=partition, held=self.held)

    async def _release(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._held[partition].consumer.stop()
        for partition in partitions:
            held = self._held[partition]
            await held.work
            await held.lock.queue_delete(owner_name(partition), timeout=ANSWER_SECONDS)
            await held.lock.close()
            del self._held[partition]
            log.info("worker.partition.released", partition=partition, held=self.held)

    async def _check(self, connection: AbstractConnection) -> None:
        """Raise the error that ended a consumer or the connection, if one has."""
        for held in self._held.values():
            if held.work.done():
                held.work.result()
                raise RuntimeError("a consumer ended without being stopped")
        if connection.is_closed:
            raise ConnectionError("the connection was closed")

    async def _abandon(self) -> None:
        tasks = [held.work for held in self._held.values()]
        await end(tasks)
        self._held.clear()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not past `stop` or the end of a consumer."""
        stop = asyncio.create_task(self._stopping.wait())
        work = [held.work for held in self._held.values()]
        await asyncio.wait([stop, *work], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
