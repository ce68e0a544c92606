"""The outbox on RabbitMQ: group commit, one batch in flight per partition."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange

from parley.gateway.core.errors import Overloaded, Unavailable
from parley.shared import amqp, records
from parley.shared.cancellation import end, we_are_cancelled
from parley.shared.metrics import batch_records, batch_seconds, broker_connected
from parley.shared.model import now
from parley.shared.partitions import Partitions, declare, fix_count
from parley.shared.records import NewMessage, Record

log = structlog.get_logger()

CONFIRM_SECONDS = 1.8
"""Time in which the broker must confirm a record, counted from when its batch was begun."""
RECONNECT_SECONDS = 0.5
HEARTBEAT_SECONDS = 10
BATCH_RECORDS = 500
BATCH_CHARACTERS = 500_000
AWAY = "Messages cannot be accepted at the moment. Retry later."


@dataclass(slots=True)
class Batch:
    """Records that are published as one AMQP message; `confirmed` is the outcome of all of them."""

    confirmed: "asyncio.Future[None]"
    deadline: float
    records: list[Record] = field(default_factory=list)
    size: int = 0

    def is_full(self) -> bool:
        """Return whether one more record would make the AMQP message too large."""
        return len(self.records) >= BATCH_RECORDS or self.size >= BATCH_CHARACTERS

    def add(self, record: Record) -> None:
        """Append a record."""
        self.records.append(record)
        self.size += len(record.message.content) if isinstance(record, NewMessage) else 0


@dataclass(slots=True)
class PartitionQueue:
    """Batches that wait to be published to one partition, in order."""

    waiting: deque[Batch] = field(default_factory=deque)
    flushing: bool = False

    def open_batch(self) -> Batch:
        """Return the batch that takes the next record."""
        if not self.waiting or self.waiting[-1].is_full():
            self.waiting.append(Batch(_future(), monotonic() + CONFIRM_SECONDS))
        return self.waiting[-1]


class RabbitOutbox:
    """`Outbox`: records that gather while a batch awaits its confirm become the next batch.

    `linger` gives the seconds that a partition's next batch may wait for more records.
    """

    def __init__(
        self,
        url: str,
        partitions: Partitions,
        *,
        limit: int,
        name: str,
        linger: Callable[[int], float] = lambda _partition: 0.0,
    ) -> None:
        self._url = url
        self._partitions = partitions
        self._limit = limit
        self._name = name
        self._queues = [PartitionQueue() for _ in range(partitions.count)]
        self._exchange: AbstractExchange | None = None
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection_task: asyncio.Task[None] | None = None
        self._linger = linger

    @property
    def connected(self) -> bool:
        """Whether the broker can be published to."""
        return self._exchange is not None

    @property
    def waiting(self) -> int:
        """The number of records that the broker has not confirmed yet."""
        return self._waiting

    def fullness(self) -> float:
        """Return the waiting records as a share of the limit."""
        return self._waiting / self._limit

    def start(self) -> None:
        """Connect, and keep connected."""
        self._connection_task = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        """Flush what was accepted, then disconnect."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection_task is not None:
            await end([self._connection_task])

    def put(self, record: Record) -> "asyncio.Future[None]":
        if self._exchange is None:
            raise Unavailable(AWAY)
        if self._waiting >= self._limit:
            raise Overloaded("The server is overloaded: too many messages wait. Retry later.")
        partition = self._partitions.of(record.conversation_id)
        queue = self._queues[partition]
        batch = queue.open_batch()
        batch.add(record)
        self._waiting += 1
        if not queue.flushing:
            queue.flushing = True
            task = asyncio.create_task(self._flush(partition, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return batch.confirmed

    async def _flush(self, partition: int, queue: PartitionQueue) -> None:
        try:
            while queue.waiting:
                batch = queue.waiting.popleft()
                try:
                    await self._publish(partition, batch)
                except (Exception, asyncio.CancelledError) as error:
                    # The driver cancels waiting calls when the broker's heartbeat fails.
                    self._refuse([batch, *queue.waiting], error)
                    queue.waiting.clear()
                    if we_are_cancelled():
                        raise
                else:
                    self._confirm(batch)
                    if queue.waiting and not queue.waiting[0].is_full():
                        await asyncio.sleep(self._linger(partition))
        finally:
            queue.flushing = False

    def _confirm(self, batch: Batch) -> None:
        self._waiting -= len(batch.records)
        if not batch.confirmed.done():
            batch.confirmed.set_result(None)

    def _refuse(self, batches: Sequence[Batch], error: BaseException) -> None:
        """Refuse a batch and those behind it, whose senders have waited about as long."""
        log.warning("gateway.outbox.batch_failed", error=repr(error), batches=len(batches))
        for batch in batches:
            self._waiting -= len(batch.records)
            if not batch.confirmed.done():
                batch.confirmed.set_exception(Unavailable(AWAY))

    async def _publish(self, partition: int, batch: Batch) -> None:
        exchange = self._exchange
        if exchange is None:
            raise ConnectionError("RabbitMQ is away")
        started, count = monotonic(), len(batch.records)
        if started >= batch.deadline:
            raise TimeoutError("the batch has waited past its deadline for the one before it")
        message = Message(
            records.pack(batch.records),
            delivery_mode=DeliveryMode.PERSISTENT,
            headers={"records": count},
            timestamp=now(),
        )
        await exchange.publish(message, str(partition), mandatory=True, timeout=batch.deadline - started)
        batch_records.labels("publish").observe(count)
        batch_seconds.labels("publish").observe(monotonic() - started)

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._session()
            except (Exception, asyncio.CancelledError) as error:
                if we_are_cancelled():
                    raise
                log.warning("gateway.outbox.disconnected", error=repr(error))
            finally:
                self._exchange = None
                broker_connected.set(0)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self) -> None:
        connection = await amqp.connect(self._url, name=f"gateway {self._name}", heartbeat=HEARTBEAT_SECONDS)
        try:
            await fix_count(connection, self._partitions)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            self._exchange = await declare(channel, self._partitions)
            broker_connected.set(1)
            await _until_lost(connection, channel)
        finally:
            self._exchange = None
            await amqp.close(connection)


async def _until_lost(connection: AbstractConnection, channel: AbstractChannel) -> None:
    lost = asyncio.Event()
    connection.close_callbacks.add(lambda *_: lost.set())
    channel.close_callbacks.add(lambda *_: lost.set())
    if connection.is_closed or channel.is_closed:
        return
    await lost.wait()


def _future() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(_retrieve)
    return future


def _retrieve(future: "asyncio.Future[None]") -> None:
    """Retrieve an exception, so that asyncio does not log one that no caller awaits."""
    if not future.cancelled():
        future.exception()
