"""The owners of the partitions, as the workers tell each other.

Each worker announces to all others, every two seconds, which partitions it holds. This listens to that by a
queue of its own, and so needs no right but the services', and no access to the workers.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from time import monotonic

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from parley.shared.amqp import ANSWER_SECONDS, close, has_exchange
from parley.shared.partitions import WORKERS, of_epoch

EVERYONE = "all"
LISTEN_SECONDS = 2.6
"""Somewhat longer than the time between two announcements of a worker."""
QUEUE_LIMIT = 1_000


@dataclass(frozen=True)
class Owners:
    """The partitions that each worker claims, by the worker's queue."""

    workers: dict[str, frozenset[int]] = field(default_factory=dict)
    announced_at: dict[str, float] = field(default_factory=dict)
    """The time of each worker's last announcement, by the monotonic clock."""

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
        self.announced_at[message.app_id] = monotonic()

    def forget_silent(self, seconds: float) -> None:
        """Forget the workers that have announced nothing for so long, as killed ones do."""
        oldest = monotonic() - seconds
        for worker in [worker for worker in self.workers if self.announced_at[worker] < oldest]:
            del self.workers[worker]


async def watch_owners(connection: AbstractConnection, epoch: int) -> Owners:
    """Listen for the announcements of all workers, and return what they claim of an epoch's partitions."""
    channel, owners = await follow_owners(connection, epoch)
    if channel is not None:
        await asyncio.sleep(LISTEN_SECONDS)
        await close(channel)
    return owners


async def follow_owners(connection: AbstractConnection, epoch: int) -> tuple[AbstractChannel | None, Owners]:
    """Begin to listen for the announcements of all workers.

    Returns:
        The channel, which the caller closes, and the owners, which each announcement changes. No channel
        where no worker has ever been.
    """
    owners = Owners()
    if not await has_exchange(connection, of_epoch(WORKERS, epoch)):
        return None, owners
    channel = await connection.channel()
    queue = await channel.declare_queue(
        f"parley.owners.{uuid.uuid4().hex}",
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": QUEUE_LIMIT},
        timeout=ANSWER_SECONDS,
    )

    async def take(message: AbstractIncomingMessage) -> None:
        owners.add(message)

    exchange = await channel.get_exchange(of_epoch(WORKERS, epoch), ensure=False)
    await queue.bind(exchange, EVERYONE, timeout=ANSWER_SECONDS)
    await queue.consume(take, no_ack=True, timeout=ANSWER_SECONDS)
    return channel, owners
