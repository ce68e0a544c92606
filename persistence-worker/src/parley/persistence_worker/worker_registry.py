"""The registry of live workers, which needs no server but the one that a worker is connected to.

Each worker has an exclusive queue on the node that it is connected to; the queue ends with the connection.
Workers write to the queues of the workers that they know, at each check: whether they are present, which
partitions they hold, and which workers they know. The broker returns a message whose queue is gone, and
refuses one whose queue was on a lost node, so that a worker's death is known at once.
"""

import asyncio
import uuid
from time import monotonic

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import AMQPError, DeliveryError

from parley.persistence_worker.claims import Announcement, Claims
from parley.persistence_worker.counting_queue import CountingQueue
from parley.persistence_worker.other_workers import OtherWorkers
from parley.shared.amqp import ANSWER_SECONDS, CLOSE_SECONDS
from parley.shared.cancellation import within
from parley.shared.partitions import WORKERS, of_epoch

log = structlog.get_logger()

ANNOUNCE_SECONDS = 2.0
"""Time between two messages to all workers, unknown ones included: two halves of a cluster may reunite."""
SILENT_SECONDS = 5.0
"""Time after which a worker without a message is forgotten, although its queue exists: it may be frozen."""
RETURN_SECONDS = 0.5
"""Time for the broker to return a message whose queue is gone; the next check does not depend on it."""
QUEUE_LIMIT = 1_000
EVERYONE = "all"
"""The routing key of messages to all workers; the other keys are the names of the workers' queues."""


class WorkerRegistry:
    """Registers this worker, and receives the announcements of all others, on one connection.

    Each epoch of the partitions has a registry of its own: workers that know no epochs are in the first one.
    """

    def __init__(self, connection: AbstractConnection, others: OtherWorkers, epoch: int = 1) -> None:
        self._connection = connection
        self._exchange = of_epoch(WORKERS, epoch)
        self._others = others
        self._queue = f"{others.worker_id}.{uuid.uuid4().hex[:8]}"
        self._present = False
        self._claims = Claims()
        self._announced_at = 0.0
        self._channels: dict[str, AbstractChannel] = {}
        self._due: set[str] = set()
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._old = CountingQueue(connection) if epoch == 1 else None
        self._has_older = False

    async def open(self, *, present: bool) -> None:
        """Register this worker, and ask the others to answer."""
        channel = await self._connection.channel()
        exchange = await channel.declare_exchange(
            self._exchange, ExchangeType.DIRECT, durable=True, timeout=ANSWER_SECONDS
        )
        queue = await channel.declare_queue(
            self._queue, exclusive=True, arguments={"x-max-length": QUEUE_LIMIT}, timeout=ANSWER_SECONDS
        )
        for key in (EVERYONE, self._queue):
            await queue.bind(exchange, key, timeout=ANSWER_SECONDS)
        await queue.consume(self._receive, no_ack=True, timeout=ANSWER_SECONDS)
        self._present = present
        self._announce()

    async def count(self, *, present: bool) -> int:
        """Return the number of live workers, this one included only if it is `present`."""
        if present != self._present or monotonic() - self._announced_at > ANNOUNCE_SECONDS:
            self._present = present
            self._announce()
        await self._write_to_known()
        for silent in self._others.forget_silent(SILENT_SECONDS):
            # The channel is closed after the last message.
            self._write_to(silent)
        newer = self._others.count() + present
        consumers = await self._old.count(present=present) if self._old is not None else 0
        self._has_older = consumers > newer
        return max(newer, consumers)

    def claim(self, claims: Claims) -> None:
        """Tell the other workers which partitions this one holds."""
        if claims != self._claims:
            self._claims = claims
            for other in self._others:
                self._write_to(other)

    def is_claimed(self, partition: int) -> bool:
        """Return whether another worker holds a partition."""
        return self._others.is_claimed(partition)

    def outranked(self) -> list[int]:
        """Return the partitions that this worker claims and has to leave to another one."""
        return self._others.outranking(self._claims)

    def may_be_held_silently(self) -> bool:
        """Return whether a worker of version 0.2.0, which claims nothing, may hold a partition."""
        return self._has_older

    async def leave(self) -> None:
        """Ask the other workers not to count this one any more."""
        self._present = False
        self._announce()
        await self._write_to_known()

    async def _write_to_known(self) -> None:
        for other in self._others:
            self._write_to(other)
        writing = [task for key, task in self._writing.items() if key != EVERYONE]
        if writing:
            await asyncio.wait(writing, timeout=RETURN_SECONDS)

    def _announce(self) -> None:
        self._announced_at = monotonic()
        self._write_to(EVERYONE)

    def _write_to(self, key: str) -> None:
        """Write in a task: a confirm that waits for a node that does not answer may hold nothing up."""
        self._due.add(key)
        if key not in self._writing:
            self._writing[key] = task = asyncio.create_task(self._write_what_is_due(key))
            task.add_done_callback(lambda _: self._writing.pop(key))

    async def _write_what_is_due(self, key: str) -> None:
        while key in self._due:
            self._due.discard(key)
            await self._write(key)
            if key not in {EVERYONE, *self._others}:
                await self._close_channel(key)

    async def _write(self, key: str) -> None:
        """Write by a channel for this key alone.

        The broker keeps the queue of a worker whose node was lost. It tries to reach that node with each
        message to the queue, for seconds, and the channel is blocked meanwhile: also for other queues.
        """
        try:
            channel = self._channels.get(key)
            if channel is None:
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._channels[key] = channel
            exchange = await channel.get_exchange(self._exchange, ensure=False)
            message = self._announcement().to_message()
            await exchange.publish(message, key, mandatory=True, timeout=ANSWER_SECONDS)
        except (AMQPError, TimeoutError, OSError, RuntimeError) as error:
            # A lost connection ends the session elsewhere.
            log.debug("worker.registry.write_failed", error=repr(error))
            if isinstance(error, DeliveryError):
                self._others.forget(key)
            await self._close_channel(key)

    async def _close_channel(self, key: str) -> None:
        channel = self._channels.pop(key, None)
        try:
            if channel is not None:
                await within(CLOSE_SECONDS, channel.close())
        except (AMQPError, TimeoutError, OSError, RuntimeError) as error:
            log.debug("worker.registry.close_failed", error=repr(error))

    def _announcement(self) -> Announcement:
        return Announcement(
            queue=self._queue,
            present=self._present,
            claims=self._claims,
            sent=monotonic(),
            known=frozenset(self._others),
        )

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        announcement = Announcement.from_message(message)
        if announcement is None:
            return
        if self._others.receive(announcement):
            self._write_to(announcement.queue)
        for queue in self._others.unknown(announcement.known):
            self._write_to(queue)
