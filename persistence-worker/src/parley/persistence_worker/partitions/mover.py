"""Takes the steps of a change of the number of partitions; each can be repeated, by any worker.

The worker that holds the first of the current partitions takes them. Two that believe to hold it do no harm:
a step changes the stored layout only if nobody has changed it since, and its effect on the broker is the one
that the next step needs anyway.
"""

from dataclasses import replace
from time import monotonic
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from parley.persistence_worker.ownership import Connect
from parley.persistence_worker.partitions.barrier import Barrier
from parley.shared import amqp, rooms
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.layouts import CLOSING, DELETING, PREPARING, Layout, Layouts, Retired
from parley.shared.partitions import (
    WORKERS,
    Partitions,
    declare,
    exchange_name,
    of_epoch,
    replace_count,
)
from parley.shared.pubsub import count_subscribers

log = structlog.get_logger()

BRISK_SECONDS = 0.5
"""A change waits while records take longer than this to be stored: none is accepted for about as long."""
BARRIER_SECONDS = 5.0
ANSWERS_SECONDS = 1.0
"""Time for gateways to publish what they have accepted; one that needs longer is cut off."""
LEAVE_SECONDS = 10.0
"""Time for workers to stop consuming former queues; those of earlier versions never do."""
RETIRE_SECONDS = 10.0
"""Time for which workers still consume the former queues, which nothing reaches any more."""


class Mover:
    """Takes one step of a change after the other.

    Args:
        connect: Opens a connection to the broker.
        layouts: The stored layout.
        redis: Redis, by which workers tell of stored records.
        retire_seconds: Time for which workers still consume the former queues.
    """

    def __init__(
        self, connect: Connect, layouts: Layouts, redis: Any, retire_seconds: float = RETIRE_SECONDS
    ) -> None:
        self._connect = connect
        self._layouts = layouts
        self._redis = redis
        self._retire_seconds = retire_seconds
        self._connection: AbstractConnection | None = None
        self._since: dict[object, float] = {}

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await amqp.close(self._connection)
            self._connection = None

    async def step(self, layout: Layout) -> None:
        """Take the next step, if there is one.

        Raises:
            LayoutsUnavailable: MongoDB is away.
            AMQPError, TimeoutError, OSError: The broker is away.
            RedisError: Redis is away.
        """
        if not layout.is_changing:
            await self.close()
            self._since.clear()
        elif layout.phase == PREPARING:
            await self._prepare(layout)
        elif layout.phase == CLOSING:
            await self._move(layout)
        elif layout.retired:
            await self._retire(layout, layout.retired[0])
        else:
            await self._layouts.begin(layout)

    async def _prepare(self, layout: Layout) -> None:
        """Wait until all take part, and nothing would delay the moment in which no records are accepted."""
        assert layout.next is not None
        connection = await self._connected()
        await declare(await connection.channel(), layout.next)
        note = await self._obstacle(layout, connection)
        await self._layouts.note(layout, note)
        if not note:
            log.info("worker.partitions.closing", count=layout.next.count, epoch=layout.next.epoch)
            await self._layouts.close(layout)

    async def _obstacle(self, layout: Layout, connection: AbstractConnection) -> str:
        assert layout.next is not None
        sizes = await _sizes(connection, layout.next)
        if not all(consumers for _, consumers in sizes):
            return "workers have not taken the new partitions yet"
        gateways = await count_subscribers(self._redis, rooms.channel(rooms.everyone()))
        if len(layout.answered) < gateways and not layout.forced:
            return (
                f"{gateways - len(layout.answered)} of {gateways} gateways do not take part: they are of an "
                "earlier version, or hang; --force cuts them off"
            )
        if not await Barrier(connection, self._redis).passes(layout.current, BRISK_SECONDS):
            return f"records take longer than {BRISK_SECONDS:g} s to be stored"
        return ""

    async def _move(self, layout: Layout) -> None:
        """Have all current records stored, while nothing is published, and switch to the next queues."""
        assert layout.next is not None
        missing = layout.gateways - layout.answered
        if missing and self._waited(layout.current, CLOSING) < ANSWERS_SECONDS:
            return
        connection = await self._connected()
        # In this order: a gateway that connects checks the number before it declares the exchange.
        await replace_count(connection, layout.next)
        await _delete_exchange(connection, layout.current)
        if await Barrier(connection, self._redis).passes(layout.current, BARRIER_SECONDS):
            await self._layouts.open_next(layout)
            log.info("worker.partitions.opened", count=layout.next.count, cut_off=sorted(missing))

    async def _retire(self, layout: Layout, retired: Retired) -> None:
        """Delete the queues of an earlier epoch, once nothing can be in them."""
        if retired.is_consumed and self._waited(retired.partitions) < self._retire_seconds:
            return
        connection = await self._connected()
        # A gateway that was frozen while it declared the exchange may have published meanwhile.
        await _delete_exchange(connection, retired.partitions)
        if retired.is_consumed:
            if await Barrier(connection, self._redis).passes(retired.partitions, BARRIER_SECONDS):
                await self._replace_first(layout, replace(retired, is_consumed=False))
        else:
            await self._delete_queues(layout, retired, connection)

    async def _delete_queues(self, layout: Layout, retired: Retired, connection: AbstractConnection) -> None:
        sizes = await _sizes(connection, retired.partitions)
        if any(ready for ready, _ in sizes):
            await self._replace_first(layout, replace(retired, is_consumed=True))
        elif not any(consumers for _, consumers in sizes) or self._waited(retired, DELETING) > LEAVE_SECONDS:
            await _delete(connection, retired.partitions)
            await self._replace_first(layout)
            log.info("worker.partitions.retired", **_named(retired.partitions))

    async def _replace_first(self, layout: Layout, *others: Retired) -> None:
        await self._layouts.retire(layout, [*others, *layout.retired[1:]])

    def _waited(self, *reason: object) -> float:
        """Return for how long this worker has waited for something."""
        return monotonic() - self._since.setdefault(reason, monotonic())

    async def _connected(self) -> AbstractConnection:
        if self._connection is None or self._connection.is_closed:
            self._connection = await self._connect()
        return self._connection


def _named(partitions: Partitions) -> dict[str, int]:
    return {"count": partitions.count, "epoch": partitions.epoch}


async def _sizes(connection: AbstractConnection, partitions: Partitions) -> list[tuple[int, int]]:
    """Return the waiting messages and the consumers of each queue that exists."""
    sizes = []
    channel = await connection.channel()
    for name in partitions.queues:
        try:
            queue = await channel.declare_queue(name, durable=True, passive=True, timeout=ANSWER_SECONDS)
        except ChannelNotFoundEntity:
            channel = await connection.channel()
            continue
        found = queue.declaration_result
        sizes.append((found.message_count or 0, found.consumer_count or 0))
    await channel.close()
    return sizes


async def _delete_exchange(connection: AbstractConnection, partitions: Partitions) -> None:
    channel = await connection.channel()
    await channel.exchange_delete(exchange_name(partitions.epoch), timeout=ANSWER_SECONDS)
    await channel.close()


async def _delete(connection: AbstractConnection, partitions: Partitions) -> None:
    channel = await connection.channel()
    for name in partitions.queues:
        await channel.queue_delete(name, timeout=ANSWER_SECONDS)
    if partitions.epoch > 1:
        await channel.exchange_delete(of_epoch(WORKERS, partitions.epoch), timeout=ANSWER_SECONDS)
    await channel.close()
