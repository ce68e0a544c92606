"""Partitions with their owners and what waits in them, and the number of dead letters, by one connection."""

from time import monotonic
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.cli.owners import LISTEN_SECONDS, Owners, follow_owners
from parley.cli.status import WORKER
from parley.shared import amqp
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.layouts import Layout
from parley.shared.partitions import DEAD_LETTER_QUEUE, HEARTBEAT_SECONDS, queue_name

SILENT_SECONDS = 6.0
"""A worker announces its partitions every two seconds: one that misses three is gone."""

Fields = dict[str, Any]


class BrokerLook:
    """Looks at RabbitMQ again and again, until it is closed.

    Attributes:
        found: The last look: `partitions`, `deadLetters`, or an `error`. Empty before the first.
    """

    def __init__(self) -> None:
        self.found: Fields = {}
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._followed: AbstractChannel | None = None
        self._owners = Owners()
        self._epoch = 0
        self._followed_at = 0.0

    async def look(self, env: Environment, layout: Layout | None) -> None:
        """Look once; a fault becomes the `error`, and the next look connects again.

        Args:
            env: Names the broker.
            layout: The partitions in use; None if they are not known.
        """
        try:
            with named("RabbitMQ", "RABBITMQ_URL"):
                self.found = await self._look(env, layout)
        except CommandError as error:
            self.found = {"error": str(error)}
            await self.close()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        self._channel = self._followed = None
        self._epoch = 0
        if connection is not None:
            await amqp.close(connection)

    async def _look(self, env: Environment, layout: Layout | None) -> Fields:
        connection = await self._connected(env)
        letters = await self._count(connection, DEAD_LETTER_QUEUE)
        if layout is None:
            return {"partitions": [], "deadLetters": letters or 0}
        current = layout.current
        await self._follow(connection, current.epoch)
        self._owners.forget_silent(SILENT_SECONDS)
        waiting = [await self._count(connection, queue_name(p, current.epoch)) for p in range(current.count)]
        partitions = [
            {"partition": partition, "waiting": count, "owners": self._owners_of(partition)}
            for partition, count in enumerate(waiting)
        ]
        return {"partitions": partitions, "deadLetters": letters or 0, "isChanging": layout.is_changing}

    def _owners_of(self, partition: int) -> list[str] | None:
        """Return the ids of the workers that claim a partition; None while not all have announced theirs."""
        if monotonic() - self._followed_at < LISTEN_SECONDS:
            return None
        return [worker.removeprefix(WORKER) for worker in self._owners.of(partition)]

    async def _connected(self, env: Environment) -> AbstractConnection:
        if self._connection is None or self._connection.is_closed:
            await self.close()
            url = env.settings.rabbitmq_url
            self._connection = await amqp.connect(url, name="admin", heartbeat=HEARTBEAT_SECONDS)
        return self._connection

    async def _follow(self, connection: AbstractConnection, epoch: int) -> None:
        if self._followed is not None and self._epoch == epoch and not self._followed.is_closed:
            return
        if self._followed is not None:
            await amqp.close(self._followed)
        self._followed, self._owners = await follow_owners(connection, epoch)
        if self._epoch != epoch or self._followed is not None:
            self._epoch, self._followed_at = epoch, monotonic()

    async def _count(self, connection: AbstractConnection, queue: str) -> int | None:
        """Return the messages of a queue; None if there is no such queue."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await connection.channel()
        try:
            declared = await self._channel.declare_queue(queue, passive=True, timeout=ANSWER_SECONDS)
        except ChannelNotFoundEntity:
            self._channel = None
            return None
        return declared.declaration_result.message_count
