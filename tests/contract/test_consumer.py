"""A partition's consumer ends when the broker cancels it, so that its worker consumes anew."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractConnection

from clients.chat import eventually
from parley.persistence_worker.consume import Consumer
from parley.shared import amqp, partitions, records
from parley.shared.model import now
from parley.shared.records import DeliveredMark, Record
from parley.stack import Stack

END_SECONDS = 5.0
MARK = DeliveredMark(id="mark", conversation_id="conversation", user_id="user", seq=1, at=now())


class SlowPersister:
    """A persister that waits until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.begun = 0

    async def persist(self, batch: Sequence[Record], *, redelivered: bool = False) -> None:
        self.begun += 1
        await self.may_go_on.wait()


@pytest.fixture
async def broker(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AbstractConnection]:
    """A connection to a broker with one partition, under names that no other test uses."""
    monkeypatch.setattr(partitions, "EXCHANGE", f"parley.test.{uuid.uuid4().hex[:8]}")
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    channel = await connection.channel()
    await channel.declare_queue(
        partitions.queue_name(0),
        durable=True,
        arguments={"x-queue-type": "quorum", "x-single-active-consumer": True},
    )
    yield connection
    await connection.close()


def consumer(persister: SlowPersister) -> Consumer:
    unused: Any = None
    return Consumer(0, persister, unused, unused)


async def test_an_idle_consumer_ends_when_its_queue_is_lost(broker: AbstractConnection) -> None:
    work = asyncio.create_task(consumer(SlowPersister()).run(broker))
    await eventually(lambda: is_consumed(broker))

    await (await broker.channel()).queue_delete(partitions.queue_name(0))

    await asyncio.wait_for(work, END_SECONDS)


async def test_a_consumer_amid_a_batch_ends_after_it_when_its_queue_is_lost(
    broker: AbstractConnection,
) -> None:
    persister = SlowPersister()
    work = asyncio.create_task(consumer(persister).run(broker))
    channel = await broker.channel()
    await channel.default_exchange.publish(Message(records.pack([MARK])), partitions.queue_name(0))
    await eventually(lambda: persister.begun)

    await channel.queue_delete(partitions.queue_name(0))
    assert not work.done()
    persister.may_go_on.set()

    await asyncio.wait_for(work, END_SECONDS)


async def is_consumed(broker: AbstractConnection) -> bool:
    channel = await broker.channel()
    queue = await channel.declare_queue(partitions.queue_name(0), durable=True, passive=True)
    return bool(queue.declaration_result.consumer_count)
