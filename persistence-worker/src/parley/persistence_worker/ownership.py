"""Which partitions this worker holds: the broker is the only referee.

A partition is owned while the worker's connection holds the exclusive queue `parley.owner.k`; a
second declare of it is refused at once, and it falls free when the connection ends. The fair share
is N divided by the live workers. Who cannot reach the database for long is not counted, and leaves what
it holds to others; when nobody can, all keep what they have, for handing on would help nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from parley.persistence_worker.consume import Consumer
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared import amqp
from parley.shared.cancellation import end, we_are_cancelled
from parley.shared.metrics import broker_connected, lag_seconds, partitions_held
from parley.shared.partitions import Partitions, declare, fix_count, owner_name

log = structlog.get_logger()

LOOK_SECONDS = 0.5
RECONNECT_SECONDS = 0.5
OUTDONE_LOOKS = 10
"""Looks at which others were able to work and we were not, after which they have our partitions."""

Connect = Callable[[], Awaitable[AbstractConnection]]
MakeConsumer = Callable[[int], Consumer]


@dataclass(slots=True)
class Held:
    """A partition that is ours: its lock, and the consumer at work on it."""

    lock: AbstractChannel
    consumer: Consumer
    work: "asyncio.Task[None]"


class Ownership:
    """Takes a fair share of the partitions, and keeps a consumer on each, as long as it is `able` to work."""

    def __init__(
        self,
        connect: Connect,
        partitions: Partitions,
        make_consumer: MakeConsumer,
        able: Callable[[], bool],
    ) -> None:
        self._connect = connect
        self._partitions = partitions
        self._make_consumer = make_consumer
        self._able = able
        self._outdone = 0
        self._held: dict[int, Held] = {}
        self._stopping = asyncio.Event()
        self.settled = False
        partitions_held.set_function(lambda: len(self._held))
        lag_seconds.set_function(self._lag)

    @property
    def held(self) -> list[int]:
        """The partitions that are ours now."""
        return sorted(self._held)

    def _lag(self) -> float:
        return max((held.consumer.lag for held in self._held.values()), default=0.0)

    async def run(self) -> None:
        """Hold partitions until `stop`; when the connection is lost, all are, and it starts again."""
        while not self._stopping.is_set():
            try:
                await self._session()
            except (Exception, asyncio.CancelledError) as error:
                if we_are_cancelled():
                    raise
                log.warning("lost the broker", error=repr(error))
                await self._pause(RECONNECT_SECONDS)

    def stop(self) -> None:
        """Ask `run` to finish what is in flight, give everything up and return."""
        self._stopping.set()

    async def _session(self) -> None:
        connection = await self._connect()
        try:
            await fix_count(connection, self._partitions)
            channel = await connection.channel()
            await declare(channel, self._partitions)
            muster = WorkerRegistry(channel)
            broker_connected.set(1)
            while not self._stopping.is_set():
                await self._share(connection, muster)
                self.settled = True
                await self._pause(LOOK_SECONDS)
                await self._check(connection)
            await self._release(list(self._held))
        finally:
            self.settled = False
            broker_connected.set(0)
            await self._abandon()
            await amqp.close(connection)

    async def _share(self, connection: AbstractConnection, muster: WorkerRegistry) -> None:
        able = self._able()
        alive = await muster.count(present=able)
        self._outdone = self._outdone + 1 if alive and not able else 0
        fair = 0 if self._outdone >= OUTDONE_LOOKS else ceil(self._partitions.count / max(1, alive))
        surplus = self.held[fair:]
        if surplus:
            await self._release(surplus)
        for partition in self._wanted() if able else ():
            if len(self._held) >= fair:
                break
            await self._take(partition, connection)

    def _wanted(self) -> list[int]:
        return [k for k in range(self._partitions.count) if k not in self._held]

    async def _take(self, partition: int, connection: AbstractConnection) -> None:
        lock = await connection.channel()
        try:
            await lock.declare_queue(owner_name(partition), exclusive=True)
        except ChannelLockedResource:
            return
        consumer = self._make_consumer(partition)
        work = asyncio.create_task(consumer.run(connection), name=f"partition-{partition}")
        self._held[partition] = Held(lock, consumer, work)
        log.info("took a partition", partition=partition, held=self.held)

    async def _release(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._held[partition].consumer.stop()
        for partition in partitions:
            held = self._held[partition]
            await held.work
            await held.lock.queue_delete(owner_name(partition))
            await held.lock.close()
            del self._held[partition]
            log.info("gave up a partition", partition=partition, held=self.held)

    async def _check(self, connection: AbstractConnection) -> None:
        """Raise what ended a consumer or the connection, if something did."""
        for held in self._held.values():
            if held.work.done():
                held.work.result()
                raise RuntimeError("a consumer ended by itself")
        if connection.is_closed:
            raise ConnectionError("the connection was closed")

    async def _abandon(self) -> None:
        tasks = [held.work for held in self._held.values()]
        await end(tasks)
        self._held.clear()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not past `stop` or past the end of a consumer."""
        stop = asyncio.create_task(self._stopping.wait())
        work = [held.work for held in self._held.values()]
        await asyncio.wait([stop, *work], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
