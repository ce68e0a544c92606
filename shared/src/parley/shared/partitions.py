"""Partitions: the exchange and the queues that carry records, and which conversation goes where."""

from dataclasses import dataclass
from zlib import crc32

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

EXCHANGE = "parley.records"
DEAD_LETTERS = "parley.dead"
WORKERS = "parley.workers"
DELIVERY_LIMIT = 1_000
"""Deliveries of one AMQP message before the broker dead-letters it.

High, for every hand-over gives back all that was fetched: what really stops workers is found by the
attempts that they mark.
"""
MAX_QUEUE_BYTES = 1 << 30
"""Past this a partition refuses what is published to it, instead of forgetting its oldest."""


@dataclass(frozen=True, slots=True)
class Partitions:
    """N partitions; every message of a conversation goes through the same one."""

    count: int

    def of(self, conversation_id: str) -> int:
        """The partition of a conversation, in `range(count)`."""
        return crc32(conversation_id.encode()) % self.count


def queue_name(partition: int) -> str:
    """The queue that holds a partition's records."""
    return f"{EXCHANGE}.{partition}"


def owner_name(partition: int) -> str:
    """The exclusive queue whose holder owns a partition."""
    return f"parley.owner.{partition}"


async def declare(channel: AbstractChannel, partitions: Partitions) -> AbstractExchange:
    """Declare exchange, queues and dead letters; the same from whichever service comes first."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.DIRECT, durable=True)
    await declare_dead_letters(channel)
    for partition in range(partitions.count):
        queue = await channel.declare_queue(
            queue_name(partition),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-overflow": "reject-publish",
                "x-max-length-bytes": MAX_QUEUE_BYTES,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTERS,
            },
        )
        await queue.bind(exchange, routing_key=str(partition))
    return exchange


async def declare_dead_letters(channel: AbstractChannel) -> AbstractQueue:
    """Declare where records go that could not be stored."""
    exchange = await channel.declare_exchange(DEAD_LETTERS, ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue(DEAD_LETTERS, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(exchange)
    return queue
