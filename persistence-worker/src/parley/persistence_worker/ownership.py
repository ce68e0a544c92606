"""Ownership of partitions, decided by the broker alone.

A worker owns partition k while its connection holds the exclusive queue `parley.owner.k`. The broker refuses
a second declaration at once, and deletes the queue when the connection ends. If the queue's node is lost, it
may stay there, until the node is back: a partition whose queue is refused, and that no live worker claims,
is held without it. The record queue has a single active consumer, so two such holders only wait in line.

A worker's fair share is N divided by the number of live workers. A worker that cannot reach the database for
long does not count as live, and leaves its partitions to others. When no worker can reach it, all keep
theirs: a hand-over would help nobody.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity
from prometheus_client import Info

from parley.persistence_worker.claims import Claims
from parley.persistence_worker.consume import Consumer
from parley.persistence_worker.other_workers import OtherWorkers
from parley.persistence_worker.partition_locks import PartitionLocks
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared import amqp
from parley.shared.cancellation import end, we_are_cancelled
from parley.shared.partitions import Partitions, declare, fix_count, worker_name

log = structlog.get_logger()

worker_info = Info("parley_worker", "The id by which other workers, and operators, know this one.")

CHECK_SECONDS = 0.5
RECONNECT_SECONDS = 0.5
UNREACHABLE_CHECKS = 10
"""Checks in a row without the database, while others are live, after which all partitions are released."""
ORPHANED_SECONDS = 2.0
"""Time for which a lock was refused and claimed by nobody, after which its connection counts as lost."""

Connect = Callable[[], Awaitable[AbstractConnection]]
Fix = Callable[[AbstractConnection], Awaitable[None]]
MakeConsumer = Callable[[int], Consumer]


@dataclass(slots=True)
class Held:
    """A partition that this worker owns: the consumer with its task."""

    consumer: Consumer
    work: "asyncio.Task[None]"


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, the locks that it has, and the workers that it knows."""

    connection: AbstractConnection
    locks: PartitionLocks
    workers: WorkerRegistry


class Ownership:
    """Takes a fair share of the partitions and runs a consumer on each, while `is_able()` is true.

    Args:
        connect: Opens a connection to the broker.
        partitions: The partitions.
        make_consumer: Returns a consumer of a partition.
        is_able: Whether this worker can store anything.
        fix: Checks the number of partitions at each connection; by default that these are the broker's.
    """

    def __init__(
        self,
        connect: Connect,
        partitions: Partitions,
        make_consumer: MakeConsumer,
        is_able: Callable[[], bool],
        fix: Fix | None = None,
    ) -> None:
        self._connect = connect
        self.partitions = partitions
        self._make_consumer = make_consumer
        self._is_able = is_able
        self._fix = fix or self._fix_own
        self._unable_checks = 0
        worker_id = uuid.uuid4().hex
        worker_info.info({"id": worker_id})
        self._others = OtherWorkers(worker_name(worker_id))
        self._held: dict[int, Held] = {}
        self._stopping = asyncio.Event()
        self._is_declared = False
        self.settled = self.is_connected = False

    @property
    def held(self) -> list[int]:
        """The partitions that this worker owns."""
        return sorted(self._held)

    @property
    def lag(self) -> float:
        """Age in seconds of the oldest AMQP message that is being written; 0 if none is."""
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
                if isinstance(error, ChannelNotFoundEntity):
                    self._is_declared = False
                await self._pause(RECONNECT_SECONDS)

    def stop(self) -> None:
        """Ask `run` to finish the batches in flight, release all partitions and return."""
        self._stopping.set()

    async def _session(self) -> None:
        connection = await self._connect()
        try:
            await self._fix(connection)
            workers = WorkerRegistry(connection, self._others, self.partitions.epoch)
            # The others answer while the queues are declared.
            await workers.open(present=self._is_able())
            await self._declare(connection)
            self.is_connected = True
            locks = PartitionLocks(connection, self.partitions.epoch)
            session = Session(connection, locks, workers)
            while not self._stopping.is_set():
                await self._rebalance(session)
                self.settled = True
                await self._pause(CHECK_SECONDS)
                await self._check(connection)
            await workers.leave()
            await self._release(list(self._held), session)
        finally:
            self.settled = False
            self.is_connected = False
            await self._abandon()
            await amqp.close(connection)

    async def _fix_own(self, connection: AbstractConnection) -> None:
        await fix_count(connection, self.partitions)

    async def _declare(self, connection: AbstractConnection) -> None:
        """Declare the queues, once: with each connection, one whose node does not answer would delay it."""
        if not self._is_declared:
            await declare(await connection.channel(), self.partitions)
            self._is_declared = True

    async def _rebalance(self, session: Session) -> None:
        able = self._is_able()
        fair = await self._fair_share(session.workers, able)
        outranked = session.workers.outranked()
        surplus = outranked + [k for k in self.held if k not in outranked][fair:]
        if surplus:
            await self._release(surplus, session)
        try:
            await session.locks.acquire_again(self.held)
            if able:
                await self._take_up_to(fair, session)
        except TimeoutError:
            # Nothing can be declared until the broker has given up a node that does not answer.
            log.debug("worker.partition.lock_unanswered")
        finally:
            self._claim(session)

    async def _fair_share(self, workers: WorkerRegistry, able: bool) -> int:
        alive = await workers.count(present=able)
        self._unable_checks = self._unable_checks + 1 if alive and not able else 0
        if self._unable_checks >= UNREACHABLE_CHECKS:
            return 0
        return ceil(self.partitions.count / max(1, alive))

    async def _take_up_to(self, fair: int, session: Session) -> None:
        for partition in range(self.partitions.count):
            if len(self._held) >= fair:
                break
            # A partition can be held without its lock, so a free lock is not enough.
            if partition in self._held or session.workers.is_claimed(partition):
                continue
            if await session.locks.acquire(partition) or self._is_orphaned(partition, session):
                self._take(partition, session)

    def _is_orphaned(self, partition: int, session: Session) -> bool:
        """Return whether a lock's connection was lost with its node: no worker claims the partition."""
        if (
            session.locks.refused_seconds(partition) < ORPHANED_SECONDS
            or session.workers.may_be_held_silently()
        ):
            return False
        log.warning("worker.partition.lock_orphaned", partition=partition)
        return True

    def _take(self, partition: int, session: Session) -> None:
        consumer = self._make_consumer(partition)
        work = asyncio.create_task(consumer.run(session.connection), name=f"partition-{partition}")
        self._held[partition] = Held(consumer, work)
        log.info("worker.partition.taken", partition=partition, held=self.held)

    async def _release(self, partitions: list[int], session: Session) -> None:
        for partition in partitions:
            self._held[partition].consumer.stop()
        for partition in partitions:
            await self._held[partition].work
            await session.locks.release(partition)
            del self._held[partition]
            log.info("worker.partition.released", partition=partition, held=self.held)
        self._claim(session)

    def _claim(self, session: Session) -> None:
        session.workers.claim(Claims(frozenset(self._held), session.locks.locked))

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
