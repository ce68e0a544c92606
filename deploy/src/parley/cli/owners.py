"""The owners of the partitions, as the workers tell each other.

Each worker announces to all others, every two seconds, which partitions it holds. This listens to that by a
queue of its own, and so needs no right but the services', and no access to the workers.
"""

import asyncio
import uuid
from dataclasses import dataclass, field

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity

from parley.shared.amqp import ANSWER_SECONDS, close
from parley.shared.partitions import WORKERS, of_epoch

EVERYONE = "all"
LISTEN_SECONDS = 2.6
"""Somewhat longer than the time between two announcements of a worker."""
QUEUE_LIMIT = 1_000


@dataclass(frozen=True)
class Owners:
    """The partitions that each worker claims, by the worker's queue."""

    workers: dict[str, frozenset[int]] = field(default_factory=dict)

    def of(self, partition: int) -> list[str]:
        """Return the workers that claim a partition."""
        return sorted(worker for worker, held in self.workers.items() if partition in held)

    def add(self, message: AbstractIncomingMessage) -> None:
        """Take one announcement; a later one of the same worker replaces it."""
        held = message.headers.get("held")
        if not message.app_id or not isinstance(held, list):
            return
        if message.type == "absent" and not held:
            self.workers.pop(message.app_id, None)
            return
        self.workers[message.app_id] = frozenset(each for each in held if isinstance(each, int))


async def watch_owners(connection: AbstractConnection, epoch: int) -> Owners:
    """Listen for the announcements of all workers, and return what they claim of an epoch's partitions."""
    channel = await connection.channel()
    queue = await channel.declare_queue(
        f"parley.owners.{uuid.uuid4().hex}",
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": QUEUE_LIMIT},
        timeout=ANSWER_SECONDS,
    )
    owners = Owners()

    async def take(message: AbstractIncomingMessage) -> None:
        owners.add(message)

    exchange = await channel.get_exchange(of_epoch(WORKERS, epoch), ensure=False)
    try:
        await queue.bind(exchange, EVERYONE, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return owners  # No worker has ever been here.
    await queue.consume(take, no_ack=True, timeout=ANSWER_SECONDS)
    await asyncio.sleep(LISTEN_SECONDS)
    await close(channel)
    return owners
