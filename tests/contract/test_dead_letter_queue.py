"""Dead letters are bounded; the queue of version 0.2.0 keeps what it has, beside services of that version."""

import uuid
from collections.abc import AsyncIterator

import pytest
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection

from clients.chat import eventually
from parley.shared import amqp, partitions
from parley.shared.partitions import declare_dead_letters
from parley.stack import Stack


@pytest.fixture
async def broker(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AbstractConnection]:
    """A connection to a broker on which nothing is declared under the names in use."""
    own = f"parley.test.{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(partitions, "DEAD_LETTERS", own)
    monkeypatch.setattr(partitions, "DEAD_LETTER_QUEUE", f"{own}.bounded")
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    yield connection
    channel = await connection.channel()
    await channel.queue_delete(own)
    await channel.queue_delete(f"{own}.bounded")
    await channel.exchange_delete(own)
    await connection.close()


async def declare_as_0_2_0(channel: AbstractChannel) -> None:
    """Declare the exchange and the queue as version 0.2.0 does."""
    name = partitions.DEAD_LETTERS
    exchange = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(exchange)


async def publish(channel: AbstractChannel, *bodies: bytes) -> None:
    exchange = await channel.get_exchange(partitions.DEAD_LETTERS, ensure=False)
    for body in bodies:
        await exchange.publish(Message(body), routing_key="")


async def take_all(channel: AbstractChannel, name: str) -> list[bytes]:
    queue = await channel.get_queue(name, ensure=False)
    bodies = []
    while (letter := await queue.get(no_ack=True, fail=False)) is not None:
        bodies.append(letter.body)
    return bodies


async def test_letters_of_version_0_2_0_stay_where_they_are(broker: AbstractConnection) -> None:
    channel = await broker.channel()
    await declare_as_0_2_0(channel)
    await publish(channel, b"old")

    await declare_dead_letters(channel)
    await publish(channel, b"new")

    assert await take_all(channel, partitions.DEAD_LETTERS) == [b"old"]
    assert await take_all(channel, partitions.DEAD_LETTER_QUEUE) == [b"new"]


async def test_a_service_of_version_0_2_0_beside_newer_ones_loses_no_letter(
    broker: AbstractConnection,
) -> None:
    channel = await broker.channel()
    await declare_dead_letters(channel)
    await declare_as_0_2_0(channel)
    await publish(channel, b"both")
    await declare_dead_letters(channel)
    await publish(channel, b"new")

    assert await take_all(channel, partitions.DEAD_LETTERS) == [b"both"]
    assert await take_all(channel, partitions.DEAD_LETTER_QUEUE) == [b"both", b"new"]


async def test_past_the_limit_the_oldest_letters_are_dropped(
    broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "DEAD_LETTER_LIMIT", 3)
    channel = await broker.channel()
    await declare_dead_letters(channel)
    await publish(channel, *(b"%d" % number for number in range(10)))

    kept: list[bytes] = []

    async def are_kept() -> bool:
        kept.extend(await take_all(channel, partitions.DEAD_LETTER_QUEUE))
        return b"9" in kept

    await eventually(are_kept)
    assert kept == [b"7", b"8", b"9"]
