"""The outbox on RabbitMQ: group commit, one batch in flight per partition."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from time import monotonic, time

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from parley.gateway.adapters.rabbitmq.confirm_watch import ConfirmWatch
from parley.gateway.adapters.rabbitmq.epoch_queues import EpochQueues
from parley.gateway.adapters.rabbitmq.partition_queue import Batch, PartitionQueue
from parley.gateway.core.errors import ChatError, Overloaded, Unavailable
from parley.shared import amqp, records
from parley.shared.amqp_publisher import NotConfirmed, Publisher, Unroutable
from parley.shared.cancellation import end, we_are_cancelled, within
from parley.shared.metrics import batch_records, batch_seconds, broker_connected
from parley.shared.partitions import Partitions, declare, exchange_name, fix_count
from parley.shared.records import Change, NewMessage, Record

log = structlog.get_logger()

published_records, published_seconds = batch_records.of["publish"], batch_seconds.of["publish"]

RECONNECT_SECONDS = 0.5
HEARTBEAT_SECONDS = 4
"""After about two of these a node that was cut off is given up, and another one of the cluster is used."""
RETRY_SECONDS = 1.0
LOGGED_IDS = 20
"""Messages that a line names; a batch has up to 500."""
TOO_LATE = "The server is overloaded. Retry later."
TOO_MANY = "The server is overloaded: too many messages wait. Retry later."
AWAY = "Messages cannot be accepted at the moment. Retry later."
UNCERTAIN = "The server does not know yet whether this was accepted. Retry; a message is stored once."


class RabbitOutbox:
    """`Outbox`: records that gather while a batch awaits its confirm become the next batch.

    While the number of partitions is being changed, records wait in the queues of the next epoch: nothing is
    published there before `open`.

    Args:
        url: The broker's URL.
        partitions: The partitions, unless `begin_with` gives others.
        limit: The most records that may wait for the broker.
        name: The connection's name in the broker's own lists.
        linger: Returns the seconds that a partition's next batch may wait for more records.
        on_partitions: Called with other partitions than those before, before the first record is put there.
    """

    def __init__(
        self,
        url: str,
        partitions: Partitions,
        *,
        limit: int,
        name: str,
        linger: Callable[[int], float] = lambda _partition: 0.0,
        on_partitions: Callable[[Partitions], None] = lambda _partitions: None,
    ) -> None:
        self._url = url
        self._present = EpochQueues(partitions)
        self._former: EpochQueues | None = None
        self._on_partitions = on_partitions
        self.confirm_partitions: Callable[[], Awaitable[None]] | None = None
        self._limit = limit
        self._name = name
        self._connection: AbstractConnection | None = None
        self._watch = ConfirmWatch()
        self._given_up: str | None = None
        self._has_other_nodes = len(amqp.node_urls(url)) > 1
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection_task: asyncio.Task[None] | None = None
        self._linger = linger
        self._away = Unavailable(AWAY)

    @property
    def connected(self) -> bool:
        """Whether the broker can be published to."""
        return self._connection is not None

    @property
    def waiting(self) -> int:
        """The number of records that the broker has not confirmed yet."""
        return self._waiting

    @property
    def partitions(self) -> Partitions:
        """The partitions that are published to now."""
        return self._present.partitions

    def partition_of(self, conversation_id: str) -> int:
        """Return the partition of a conversation now."""
        return self._present.partitions.of(conversation_id)

    def unconfirmed(self, partition: int) -> int:
        """Return the number of a partition's records that the broker has not confirmed."""
        return self._present.queues[partition].unconfirmed

    def unconfirmed_age(self, partition: int) -> float:
        """Return for how many seconds the oldest of a partition's unconfirmed records has waited."""
        return self._present.queues[partition].age()

    def refusal(self, partition: int) -> ChatError | None:
        """Return the error with which records are refused while the broker is away, else None."""
        is_away = self._connection is None or self._present.queues[partition].refuses()
        return self._away if is_away else None

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest unconfirmed record of all partitions has waited."""
        return max(queue.age() for queue in self._present.queues)

    def fullness(self) -> float:
        """Return the waiting records as a share of the limit."""
        return self._waiting / self._limit

    def begin_with(self, partitions: Partitions) -> None:
        """Publish to these partitions from the start on: nothing was put yet."""
        self._present = EpochQueues(partitions)
        self._on_partitions(partitions)

    def close(self, successor: Partitions) -> bool:
        """Publish what was put so far, and hold what is put from now on for the partitions of the next epoch.

        Returns:
            Whether all that was put before is confirmed, or refused.
        """
        if successor.epoch > self._present.partitions.epoch:
            self._switch_to(EpochQueues(successor, is_open=False))
        return self._former is None or not self._former.unconfirmed

    def open(self, partitions: Partitions) -> None:
        """Publish to these partitions, unless they are of an earlier epoch than the present ones."""
        if partitions.epoch > self._present.partitions.epoch:
            self._switch_to(EpochQueues(partitions))
        elif partitions == self._present.partitions:
            self._present.opened.set()

    def _switch_to(self, epoch: EpochQueues) -> None:
        self._former, self._present = self._present, epoch
        # One that was never opened will not be: its records are refused when their time is over.
        self._on_partitions(epoch.partitions)

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
        if self._connection is None:
            raise Unavailable(AWAY)
        if self._waiting >= self._limit:
            raise Overloaded(TOO_MANY, retry_after=RETRY_SECONDS)
        epoch = self._present
        partition = epoch.partitions.of(record.conversation_id)
        queue = epoch.queues[partition]
        if queue.refuses():
            raise Unavailable(AWAY)
        batch = queue.add(record)
        self._waiting += 1
        if not queue.flushing:
            queue.flushing = True
            self._keep(asyncio.create_task(self._flush(epoch, partition, queue)))
        return batch.confirmed

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self, epoch: EpochQueues, partition: int, queue: PartitionQueue) -> None:
        try:
            while queue.waiting:
                await epoch.wait_until_open(queue.waiting[0].deadline)
                batch = queue.published = queue.waiting.popleft()
                if monotonic() >= batch.deadline:
                    # The broker confirms, but too slowly, or this process has no time: it is not away.
                    self._finish(queue, batch, Overloaded(TOO_LATE, retry_after=RETRY_SECONDS))
                    continue
                try:
                    await self._publish(epoch, partition, queue, batch)
                except (Exception, asyncio.CancelledError) as error:
                    # The driver cancels waiting calls when the broker's heartbeat fails.
                    self._refuse(queue, error)
                    if we_are_cancelled():
                        raise
                    await self._after(error, epoch, queue)
                else:
                    self._finish(queue, batch)
                    queue.is_stalled = False
                    self._watch.confirmed()
                    if epoch is self._present and queue.waiting and not queue.waiting[0].is_full():
                        await asyncio.sleep(self._linger(partition))
        finally:
            queue.flushing = False

    def _finish(self, queue: PartitionQueue, batch: Batch, error: ChatError | None = None) -> None:
        """Set the outcome of a batch."""
        queue.unconfirmed -= len(batch.records)
        self._waiting -= len(batch.records)
        if batch is queue.published:
            queue.published = None
        if batch.confirmed.done():
            return
        if error is None:
            batch.confirmed.set_result(None)
        else:
            batch.confirmed.set_exception(error)

    def _refuse(self, queue: PartitionQueue, error: BaseException) -> None:
        """Refuse the published batch, and those behind it, whose senders have waited about as long.

        The broker may have taken the published batch, although no confirm came: its senders are told so. It
        knows nothing of the others.
        """
        batches = [each for each in (queue.published, *queue.waiting) if each is not None]
        refused = [record for batch in batches for record in batch.records]
        log.warning(
            "gateway.outbox.batch_failed",
            error=repr(error),
            batches=len(batches),
            records=len(refused),
            message_ids=_message_ids(refused),
        )
        for batch in batches:
            self._finish(queue, batch, Unavailable(UNCERTAIN if batch.is_published else AWAY))
        queue.waiting.clear()
        queue.is_stalled = True
        if isinstance(error, TimeoutError) and self._has_other_nodes:
            self._watch.timed_out()

    async def _publish(self, epoch: EpochQueues, partition: int, queue: PartitionQueue, batch: Batch) -> None:
        started, count = monotonic(), len(batch.records)
        publisher = queue.publisher
        if publisher is None or publisher.is_closed:
            publisher = await within(batch.deadline - started, self._open_again(epoch, partition))
        body = records.pack(batch.records)
        batch.is_published = True
        await publisher.publish(body, count, int(time()), seconds=batch.deadline - monotonic())
        published_records.add(count)
        published_seconds.add(monotonic() - started)

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._session()
            except (Exception, asyncio.CancelledError) as error:
                if we_are_cancelled():
                    raise
                log.warning("gateway.outbox.disconnected", error=repr(error))
            finally:
                broker_connected.set(0)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self) -> None:
        connection = await amqp.connect(
            self._url, name=f"gateway {self._name}", heartbeat=HEARTBEAT_SECONDS, avoided=self._given_up
        )
        self._given_up = None
        try:
            epoch = self._present
            await fix_count(connection, epoch.partitions)
            await self._declare(connection, epoch)
            for partition, queue in enumerate(epoch.queues):
                queue.channel, queue.publisher = await _open_channel(connection, epoch, partition)
            self._watch, self._connection = ConfirmWatch(), connection
            broker_connected.set(1)
            await self._until_lost(connection)
        finally:
            self._connection = None
            for epoch in filter(None, (self._former, self._present)):
                epoch.forget_channels()
            await amqp.close(connection)

    async def _until_lost(self, connection: AbstractConnection) -> None:
        lost = self._watch.lost
        connection.close_callbacks.add(lambda *_: lost.set())
        if connection.is_closed:
            return
        await lost.wait()
        if self._watch.has_given_up:
            self._given_up = amqp.node_of(connection)
            log.warning("gateway.outbox.node_given_up", node=self._given_up)

    async def _declare(self, connection: AbstractConnection, epoch: EpochQueues) -> None:
        """Declare the queues, once: with each connection, one whose node does not answer would delay it."""
        if not epoch.is_declared:
            await declare(await connection.channel(), epoch.partitions)
            epoch.is_declared = True
            if self.confirm_partitions is not None:
                # The exchange may have been deleted, for good, between the check of the number and this.
                await self.confirm_partitions()
                if epoch is not self._present:
                    raise ConnectionError("the number of partitions is being changed")

    async def _open_again(self, epoch: EpochQueues, partition: int) -> Publisher:
        if self._connection is None:
            raise ConnectionError("RabbitMQ is away")
        queue = epoch.queues[partition]
        queue.channel, queue.publisher = await _open_channel(self._connection, epoch, partition)
        return queue.publisher

    async def _after(self, error: BaseException, epoch: EpochQueues, queue: PartitionQueue) -> None:
        """Make sure that the next batch does not fail for what the broker's channel remembers."""
        if isinstance(error, Unroutable | ChannelNotFoundEntity):  # The queue or the exchange is gone.
            epoch.is_declared = False
            if self._connection is not None:
                await amqp.close(self._connection)
        elif queue.channel is not None and _asks_former_leader(error, queue):
            channel, queue.channel, queue.publisher = queue.channel, None, None
            # A channel that waits for a node that does not answer is closed when it has given that up.
            self._keep(asyncio.create_task(amqp.close(channel)))


def _asks_former_leader(error: BaseException, queue: PartitionQueue) -> bool:
    """Return whether the channel may ask the queue's former leader for ever, because it was opened too early.

    One that has confirmed before is told of the new leader. After a time-out it stays, for it may publish the
    batch yet, which must not come after later ones.
    """
    has_confirmed = queue.publisher is not None and queue.publisher.has_confirmed
    return isinstance(error, NotConfirmed) or (isinstance(error, TimeoutError) and not has_confirmed)


def _message_ids(unconfirmed: Sequence[Record]) -> list[str]:
    named = (record.message_id for record in unconfirmed if isinstance(record, NewMessage | Change))
    return list(islice(named, LOGGED_IDS))


async def _open_channel(
    connection: AbstractConnection, epoch: EpochQueues, partition: int
) -> tuple[AbstractChannel, Publisher]:
    channel = await connection.channel(publisher_confirms=True)
    underlay = await channel.get_underlay_channel()
    exchange = exchange_name(epoch.partitions.epoch)
    return channel, Publisher(underlay, amqp.frames_of(connection), exchange, str(partition))
