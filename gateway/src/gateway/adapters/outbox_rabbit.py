"""The outbox on RabbitMQ: group commit, one flight per partition at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import aio_pika
import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection, AbstractExchange

from gateway.core.errors import Overloaded, Unavailable
from shared import records
from shared.metrics import batch_records, batch_seconds, broker_connected
from shared.partitions import Partitions, declare
from shared.records import NewMessage, Record

log = structlog.get_logger()

CONFIRM_SECONDS = 1.8
RECONNECT_SECONDS = 0.5
HEARTBEAT_SECONDS = 10
FLIGHT_RECORDS = 500
FLIGHT_CHARACTERS = 500_000
AWAY = "Messages cannot be accepted at the moment; try again."


@dataclass(slots=True)
class Lane:
    """What waits for one partition, and the future of the flight that will take it."""

    waiting: list[Record] = field(default_factory=list)
    future: "asyncio.Future[None] | None" = None
    flying: bool = False


class RabbitOutbox:
    """`Outbox`: records that gather while a flight awaits its confirm fly together next."""

    def __init__(self, url: str, partitions: Partitions, *, limit: int, name: str) -> None:
        self._url = url
        self._partitions = partitions
        self._limit = limit
        self._name = name
        self._lanes = [Lane() for _ in range(partitions.count)]
        self._exchange: AbstractExchange | None = None
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker can be published to."""
        return self._exchange is not None

    def start(self) -> None:
        """Connect, and keep connected."""
        self._keeper = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        """Let what was accepted fly, then disconnect."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def put(self, record: Record) -> "asyncio.Future[None]":
        if self._exchange is None:
            raise Unavailable(AWAY)
        if self._waiting >= self._limit:
            raise Overloaded("Too many messages are waiting; try again.")
        partition = self._partitions.of(record.conversation_id)
        lane = self._lanes[partition]
        lane.waiting.append(record)
        self._waiting += 1
        if lane.future is None:
            lane.future = asyncio.get_running_loop().create_future()
            lane.future.add_done_callback(_retrieve)
        if not lane.flying:
            lane.flying = True
            task = asyncio.create_task(self._fly(partition, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return lane.future

    async def _fly(self, partition: int, lane: Lane) -> None:
        try:
            while lane.waiting and lane.future is not None:
                future, lane.future = lane.future, None
                batch, lane.waiting = lane.waiting, []
                try:
                    for part in _parts(batch):
                        await self._publish(partition, part)
                except Exception as error:
                    self._fail(lane, future, error)
                else:
                    future.set_result(None)
                finally:
                    self._waiting -= len(batch)
        finally:
            lane.flying = False

    def _fail(self, lane: Lane, future: "asyncio.Future[None]", error: Exception) -> None:
        """Refuse this flight, and at once what has waited for it: it has waited long enough."""
        log.warning("a flight failed", error=repr(error))
        refused = Unavailable(AWAY)
        future.set_exception(refused)
        if lane.future is not None:
            lane.future.set_exception(refused)
            self._waiting -= len(lane.waiting)
            lane.future, lane.waiting = None, []

    async def _publish(self, partition: int, batch: Sequence[Record]) -> None:
        exchange = self._exchange
        if exchange is None:
            raise ConnectionError("RabbitMQ is away")
        started = monotonic()
        message = Message(
            records.pack(batch), delivery_mode=DeliveryMode.PERSISTENT, headers={"records": len(batch)}
        )
        await exchange.publish(message, str(partition), mandatory=True, timeout=CONFIRM_SECONDS)
        batch_records.labels("publish").observe(len(batch))
        batch_seconds.labels("publish").observe(monotonic() - started)

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._session()
            except Exception as error:
                log.warning("RabbitMQ is away", error=repr(error))
            finally:
                self._exchange = None
                broker_connected.set(0)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self) -> None:
        connection = await asyncio.wait_for(
            aio_pika.connect(
                self._url,
                heartbeat=HEARTBEAT_SECONDS,
                client_properties={"connection_name": f"parley gateway {self._name}"},
            ),
            5,
        )
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            self._exchange = await declare(channel, self._partitions)
            broker_connected.set(1)
            await _until_lost(connection, channel)
        finally:
            self._exchange = None
            await connection.close()


async def _until_lost(connection: AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
    lost = asyncio.Event()
    connection.close_callbacks.add(lambda *_: lost.set())
    channel.close_callbacks.add(lambda *_: lost.set())
    if connection.is_closed or channel.is_closed:
        return
    await lost.wait()


def _parts(batch: Sequence[Record]) -> list[Sequence[Record]]:
    """A batch in bodies of moderate size."""
    parts: list[list[Record]] = [[]]
    size = 0
    for record in batch:
        size += len(record.message.content) + 300 if isinstance(record, NewMessage) else 300
        if parts[-1] and (len(parts[-1]) >= FLIGHT_RECORDS or size > FLIGHT_CHARACTERS):
            parts.append([])
            size = 0
        parts[-1].append(record)
    return list(parts)


def _retrieve(future: "asyncio.Future[None]") -> None:
    """A failure that nobody asked to be told of is not an accident."""
    if not future.cancelled():
        future.exception()
