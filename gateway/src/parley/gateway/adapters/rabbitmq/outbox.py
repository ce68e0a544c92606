"""The outbox on RabbitMQ: group commit, one flight per partition at a time."""

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
RECONNECT_SECONDS = 0.5
HEARTBEAT_SECONDS = 10
FLIGHT_RECORDS = 500
FLIGHT_CHARACTERS = 500_000
AWAY = "Messages cannot be accepted at the moment; try again."


@dataclass(slots=True)
class Batch:
    """Records that fly together, and the future of all of them."""

    landed: "asyncio.Future[None]"
    due: float
    records: list[Record] = field(default_factory=list)
    size: int = 0

    def is_full(self) -> bool:
        """Whether one more would make the AMQP message too large."""
        return len(self.records) >= FLIGHT_RECORDS or self.size >= FLIGHT_CHARACTERS

    def add(self, record: Record) -> None:
        """Take a record along."""
        self.records.append(record)
        self.size += len(record.message.content) if isinstance(record, NewMessage) else 0


@dataclass(slots=True)
class Lane:
    """The flights that wait for one partition, in order."""

    waiting: deque[Batch] = field(default_factory=deque)
    flying: bool = False


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
        self._lanes = [Lane() for _ in range(partitions.count)]
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
        """How many records the broker has not confirmed yet."""
        return self._waiting

    def fullness(self) -> float:
        """What waits, as a share of what may."""
        return self._waiting / self._limit

    def start(self) -> None:
        """Connect, and keep connected."""
        self._connection_task = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        """Let what was accepted fly, then disconnect."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection_task is not None:
            await end([self._connection_task])

    def put(self, record: Record) -> "asyncio.Future[None]":
        if self._exchange is None:
            raise Unavailable(AWAY)
        if self._waiting >= self._limit:
            raise Overloaded("Too many messages are waiting; try again.")
        partition = self._partitions.of(record.conversation_id)
        lane = self._lanes[partition]
        if not lane.waiting or lane.waiting[-1].is_full():
            lane.waiting.append(Batch(_future(), monotonic() + CONFIRM_SECONDS))
        flight = lane.waiting[-1]
        flight.add(record)
        self._waiting += 1
        if not lane.flying:
            lane.flying = True
            task = asyncio.create_task(self._fly(partition, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return flight.landed

    async def _fly(self, partition: int, lane: Lane) -> None:
        try:
            while lane.waiting:
                flight = lane.waiting.popleft()
                try:
                    await self._publish(partition, flight)
                except (Exception, asyncio.CancelledError) as error:
                    # The driver cancels what waits when the broker's heartbeat fails.
                    self._refuse([flight, *lane.waiting], error)
                    lane.waiting.clear()
                    if we_are_cancelled():
                        raise
                else:
                    self._land(flight)
                    if lane.waiting and not lane.waiting[0].is_full():
                        await asyncio.sleep(self._linger(partition))
        finally:
            lane.flying = False

    def _land(self, flight: Batch) -> None:
        self._waiting -= len(flight.records)
        if not flight.landed.done():
            flight.landed.set_result(None)

    def _refuse(self, flights: Sequence[Batch], error: BaseException) -> None:
        """Refuse a flight, and at once what has waited for it: it has waited long enough."""
        log.warning("a flight failed", error=repr(error), flights=len(flights))
        for flight in flights:
            self._waiting -= len(flight.records)
            if not flight.landed.done():
                flight.landed.set_exception(Unavailable(AWAY))

    async def _publish(self, partition: int, flight: Batch) -> None:
        exchange = self._exchange
        if exchange is None:
            raise ConnectionError("RabbitMQ is away")
        started, count = monotonic(), len(flight.records)
        if started >= flight.due:
            raise TimeoutError("it has waited too long for the flight before it")
        message = Message(
            records.pack(flight.records),
            delivery_mode=DeliveryMode.PERSISTENT,
            headers={"records": count},
            timestamp=now(),
        )
        await exchange.publish(message, str(partition), mandatory=True, timeout=flight.due - started)
        batch_records.labels("publish").observe(count)
        batch_seconds.labels("publish").observe(monotonic() - started)

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._session()
            except (Exception, asyncio.CancelledError) as error:
                if we_are_cancelled():
                    raise
                log.warning("RabbitMQ is away", error=repr(error))
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
    """A failure that nobody asked to be told of is not an accident."""
    if not future.cancelled():
        future.exception()
