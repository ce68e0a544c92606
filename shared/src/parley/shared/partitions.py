"""Partitions: the exchange and the queues that carry records, and which conversation goes where.

Each change of their number begins an *epoch*, with an exchange and queues of its own. Those of the first
epoch have the names of earlier versions.
"""

import re
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed

from parley.shared import amqp
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.settings import StartupError

log = structlog.get_logger()

HEARTBEAT_SECONDS = 10
EXCHANGE = "parley.records"
COUNT = "parley.partitions"
"""An exchange that carries nothing. The number of partitions is in its argument `alternate-exchange`, for
AMQP has no other value that the first of two services sets and the second finds changed."""
DRAIN = "parley.drain"
"""The exchange by which a worker reaches the queues of an epoch whose own exchange is gone."""
FIRST_COUNT = 2
"""The number of a new system whose setting leaves it open: of more, each record costs the broker more."""
DEAD_LETTERS = "parley.dead"
"""The exchange of dead letters; up to version 0.2.0 also an unbounded queue."""
DEAD_LETTER_QUEUE = "parley.dead_letters"
DEAD_LETTER_LIMIT = 100_000
"""Dead letters that are kept, at most; the oldest are dropped, so that a full queue stops no partition."""
DEAD_LETTER_BYTES = 1 << 30
QUORUM = 3
"""Replicas of a queue, where the cluster has as many nodes; the broker's default for those of records."""
WORKERS = "parley.workers"
"""The exchange by which workers find each other; up to version 0.2.0 a queue that they consumed."""
DELIVERY_LIMIT = 1_000
"""Deliveries of one AMQP message before the broker dead-letters it.

High, because each hand-over of a partition returns everything that was fetched. A record that kills its
worker is found by the attempts that workers mark in the database.
"""
MAX_QUEUE_BYTES = 1 << 30
"""Size at which a partition refuses new messages instead of dropping its oldest."""


@dataclass(frozen=True, slots=True)
class Partitions:
    """N partitions of an epoch; all messages of a conversation go through the same one."""

    count: int
    epoch: int = 1

    @classmethod
    def first(cls, setting: int | None) -> "Partitions":
        """Return those of a new system with this number in the setting PARTITIONS, which may be empty."""
        return cls(setting or FIRST_COUNT)

    def of(self, conversation_id: str) -> int:
        """Return the partition of a conversation, in `range(count)`."""
        return crc32(conversation_id.encode()) % self.count

    @property
    def queues(self) -> list[str]:
        """The names of the queues of all partitions."""
        return [queue_name(partition, self.epoch) for partition in range(self.count)]

    @property
    def mark(self) -> str:
        """The text by which the broker keeps the number.

        Versions that know no epochs never find their own number in that of a later epoch.
        """
        return f"{COUNT}.{self.count}" + (f".epoch-{self.epoch}" if self.epoch > 1 else "")


def of_epoch(name: str, epoch: int) -> str:
    """Return the name that something has in an epoch; in the first one it is that of earlier versions."""
    return name if epoch == 1 else f"{name}-{epoch}"


def exchange_name(epoch: int = 1) -> str:
    """Return the name of the exchange to which gateways publish records."""
    return of_epoch(EXCHANGE, epoch)


def queue_name(partition: int, epoch: int = 1) -> str:
    """Return the name of the queue that holds a partition's records."""
    return f"{exchange_name(epoch)}.{partition}"


def owner_name(partition: int, epoch: int = 1) -> str:
    """Return the name of the exclusive queue whose holder owns a partition."""
    return f"{of_epoch('parley.owner', epoch)}.{partition}"


def worker_name(worker_id: str) -> str:
    """Return the name of the exclusive queue that exists while a worker is connected."""
    return f"parley.worker.{worker_id}"


class PartitionsDiffer(StartupError):
    """The broker's queues are for other partitions than a service's.

    Attributes:
        found: Those of the broker, if it tells.
    """

    def __init__(self, partitions: Partitions, found: Partitions | None) -> None:
        number = found.count if found else "another number"
        super().__init__(
            f"PARTITIONS is {partitions.count}, but the queues in RabbitMQ are for {number}: set PARTITIONS "
            f"to their number; to change it, run make partitions N={partitions.count} while the services run."
        )
        self.found = found


async def check_count(url: str, partitions: Partitions, *others: Partitions, name: str) -> bool:
    """Check the number of partitions before a service starts.

    A broker that cannot be reached is no error: the number is checked again with each connection, before
    anything is declared or published.

    Args:
        url: The broker's URL.
        partitions: The partitions that the service is set to.
        others: Partitions that the queues may be for instead, while their number is being changed.
        name: The connection's name in the broker's own lists.

    Returns:
        Whether the broker has answered.

    Raises:
        PartitionsDiffer: The broker's queues are for another number.
    """
    try:
        connection = await amqp.connect(url, name=name, heartbeat=HEARTBEAT_SECONDS)
    except (TimeoutError, AMQPError, OSError) as error:
        log.warning("shared.partitions.unchecked", error=repr(error))
        return False
    try:
        await fix_count(connection, partitions, *others)
    except (AMQPError, OSError) as error:
        log.warning("shared.partitions.unchecked", error=repr(error))
        return False
    finally:
        await amqp.close(connection)
    return True


async def fix_count(connection: AbstractConnection, partitions: Partitions, *others: Partitions) -> None:
    """Fix the number of partitions in the broker, or check it against the number fixed before.

    A gateway that counts otherwise would publish to queues that no worker reads, or reorder conversations.

    Args:
        connection: A connection to the broker.
        partitions: The partitions to fix.
        others: Partitions that may be fixed instead, while their number is being changed.

    Raises:
        PartitionsDiffer: The broker's queues are for another number.
    """
    # Queues without a count are of version 0.1.0, unless another service fixes the count just now and
    # declares its queues: it does so in this order, so the count is there when it is asked for again.
    if partitions.epoch == 1 and not await amqp.has_exchange(connection, COUNT):
        declared = await _declared_queues(connection)
        if declared not in (0, partitions.count) and not await amqp.has_exchange(connection, COUNT):
            raise PartitionsDiffer(partitions, Partitions(declared))
    channel = await connection.channel()
    fixed: dict[str, Any] = {"alternate-exchange": partitions.mark}
    try:
        await channel.declare_exchange(
            COUNT, ExchangeType.FANOUT, durable=True, arguments=fixed, timeout=ANSWER_SECONDS
        )
    except ChannelPreconditionFailed as error:
        found = _found(str(error))
        if found not in others:
            raise PartitionsDiffer(partitions, found) from None
        return
    await channel.close()


async def count_in_use(connection: AbstractConnection, partitions: Partitions) -> Partitions:
    """Return the partitions that the broker keeps; these if it keeps none."""
    if await amqp.has_exchange(connection, COUNT):
        try:
            await fix_count(connection, partitions)
        except PartitionsDiffer as error:
            return error.found or partitions
    return partitions


def _found(refusal: str) -> Partitions | None:
    """Read the partitions from RabbitMQ's "inequivalent arg … received 'a' but current is 'b'"."""
    found = re.search(r"current is '[^']*?\.(\d+)(?:\.epoch-(\d+))?'", refusal)
    return Partitions(int(found[1]), int(found[2] or 1)) if found else None


async def replace_count(connection: AbstractConnection, partitions: Partitions) -> None:
    """Fix another number in the broker, in place of the one fixed before. A repetition changes nothing."""
    while True:
        try:
            await fix_count(connection, partitions)
            return
        except PartitionsDiffer:
            # A service of the epoch before may fix its number again between the two calls.
            await (await connection.channel()).exchange_delete(COUNT, timeout=ANSWER_SECONDS)


async def _declared_queues(connection: AbstractConnection) -> int:
    """Return how many queues of the first epoch there are."""
    found = 0
    while await _has_queue(connection, found):
        found += 1
    return found


async def _has_queue(connection: AbstractConnection, partition: int) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_queue(queue_name(partition), durable=True, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def declare(channel: AbstractChannel, partitions: Partitions) -> AbstractExchange:
    """Declare exchange, queues and dead letters; each service does, and a repetition changes nothing.

    Raises:
        TimeoutError: The broker does not answer, because a node that it needs does not.
    """
    exchange = await channel.declare_exchange(
        exchange_name(partitions.epoch), ExchangeType.DIRECT, durable=True, timeout=ANSWER_SECONDS
    )
    await declare_dead_letters(channel)
    for partition, name in enumerate(partitions.queues):
        queue = await channel.declare_queue(
            name,
            durable=True,
            timeout=ANSWER_SECONDS,
            # The arguments of version 0.1.0: with others, or with one more, the broker would refuse the
            # declaration, and services of two versions could not run side by side.
            arguments={
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-overflow": "reject-publish",
                "x-max-length-bytes": MAX_QUEUE_BYTES,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTERS,
            },
        )
        await queue.bind(exchange, routing_key=str(partition), timeout=ANSWER_SECONDS)
    return exchange


async def declare_dead_letters(channel: AbstractChannel) -> AbstractQueue:
    """Declare the exchange and the queue of records that could not be stored."""
    exchange = await channel.declare_exchange(
        DEAD_LETTERS, ExchangeType.FANOUT, durable=True, timeout=ANSWER_SECONDS
    )
    queue = await channel.declare_queue(
        DEAD_LETTER_QUEUE,
        durable=True,
        timeout=ANSWER_SECONDS,
        arguments={
            "x-queue-type": "quorum",
            "x-quorum-initial-group-size": QUORUM,
            "x-max-length": DEAD_LETTER_LIMIT,
            "x-max-length-bytes": DEAD_LETTER_BYTES,
            "x-overflow": "drop-head",
        },
    )
    await queue.bind(exchange, timeout=ANSWER_SECONDS)
    # The queue of version 0.2.0 has no bound. It keeps its letters, and gets no further ones once all
    # services are newer; an older service binds it again.
    underlay = await channel.get_underlay_channel()
    await underlay.queue_unbind(
        queue=DEAD_LETTERS, exchange=DEAD_LETTERS, routing_key=DEAD_LETTERS, timeout=ANSWER_SECONDS
    )
    return queue
