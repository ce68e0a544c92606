"""Access to the exchange of records: publish any bytes, and record what the gateways publish."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage

from clients.stacks import PARTITIONS
from parley.shared.partitions import EXCHANGE
from parley.stack import Stack


class Exchange:
    """A connection to the exchange of records."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.rabbitmq_url
        self._connection: AbstractConnection
        self._exchange: AbstractExchange

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url)
        channel = await self._connection.channel()
        self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def publish(self, conversation_id: str, *bodies: bytes) -> None:
        """Publish bodies to the partition of a conversation, in this order."""
        await self._publish((body, str(PARTITIONS.of(conversation_id))) for body in bodies)

    async def record(self) -> "Copies":
        """Record all messages that are published from now on."""
        queue = await (await self._connection.channel()).declare_queue(exclusive=True)
        for partition in range(PARTITIONS.count):
            await queue.bind(self._exchange, str(partition))
        copies = Copies()
        await queue.consume(copies.take, no_ack=True)
        return copies

    async def republish(self, copies: "Copies") -> int:
        """Publish recorded messages again, unchanged; return their number."""
        again = copies.taken[:]
        await self._publish(again)
        return len(again)

    async def _publish(self, messages: Iterable[tuple[bytes, str]]) -> None:
        for body, partition in messages:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await self._exchange.publish(message, partition, mandatory=True)


class Copies:
    """Bodies and routing keys of published messages, in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []

    async def take(self, message: AbstractIncomingMessage) -> None:
        await asyncio.sleep(0)
        self.taken.append((message.body, str(message.routing_key)))
