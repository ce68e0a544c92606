"""Puts the records of dead letters back to their partitions."""

from time import time
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection, AbstractExchange
from aiormq.exceptions import DeliveryError

from parley.cli.dead_letters.letter import Letter
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.shared import amqp
from parley.shared.partitions import HEARTBEAT_SECONDS, Partitions, exchange_name, fix_count
from parley.shared.settings import StartupError

CONFIRM_SECONDS = 10.0


class Replayer:
    """Publishes records to their partitions, on a connection of its own.

    Args:
        url: The broker's URL.
        partitions: The partitions that the services are set to.
    """

    def __init__(self, url: str, partitions: Partitions) -> None:
        self._url = url
        self._partitions = partitions
        self._connection: AbstractConnection
        self._exchange: AbstractExchange

    async def __aenter__(self) -> "Replayer":
        with named("RabbitMQ", "RABBITMQ_URL"):
            self._connection = await amqp.connect(self._url, name="replay", heartbeat=HEARTBEAT_SECONDS)
            try:
                await fix_count(self._connection, self._partitions)
            except StartupError as error:
                await amqp.close(self._connection)
                raise CommandError(str(error)) from error
            channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            self._exchange = await channel.get_exchange(exchange_name(self._partitions.epoch), ensure=False)
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await amqp.close(self._connection)

    async def replay(self, letter: Letter) -> bool:
        """Publish a letter's records, and return when the broker has confirmed all of them.

        Returns:
            Whether they were published; False if the partition of one is unknown.

        Raises:
            CommandError: The broker did not take one.
        """
        if not letter.is_replayable(self._partitions):
            return False
        for partition, body in letter.bodies(self._partitions):
            await self._publish(partition, body, len(letter.records))
        return True

    async def _publish(self, partition: int, body: bytes, records: int) -> None:
        headers: dict[str, Any] = {"records": records}
        message = Message(body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT, timestamp=int(time()))
        try:
            await self._exchange.publish(message, str(partition), mandatory=True, timeout=CONFIRM_SECONDS)
        except DeliveryError as error:
            raise CommandError(
                f"The partition {partition} does not take the record ({error}): it is full, or has no queue; "
                "see parley doctor."
            ) from error
