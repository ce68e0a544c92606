"""The barrier is passed when all that was accepted before is stored, and not earlier."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import pytest

from clients.chat import eventually
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import Node
from model.worker import Worker
from parley.gateway.core.commands import ListMessages, PutContract, SendMessage, SendToContract
from parley.gateway.core.errors import Unavailable
from parley.shared.model import Person

ANN, BEN, CID = (Person(id=user, name=user) for user in ("ann", "ben", "cid"))
CLERK = Person(id="clerk", role="service")


class Cluster:
    """A node and a worker that stores when it is told to."""

    def __init__(self) -> None:
        tables, pubsub = Tables(), InMemoryPubSub()
        self.partition = Partition()
        self.node = Node("n", tables, self.partition, pubsub, set())
        self.worker = Worker(tables, self.partition, pubsub, [])
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, person: Person, command: Any) -> "asyncio.Task[Any]":
        task = asyncio.create_task(self.node.command_bus.handle(person, command))
        self._tasks.add(task)
        return task

    async def accept(self, person: Person, command: Any) -> Any:
        pending = await self.start(person, command)
        await pending.confirmed
        return pending

    async def store(self) -> None:
        """Store all that waits, and deliver what the worker has published."""
        self.worker.take_batch(1_000)
        await eventually(lambda: not self.partition.deliveries)
        while self.node.bus.waiting:
            self.node.deliver_from_bus(*self.node.bus.waiting.popleft())

    async def put(self, freelancer: Person) -> "asyncio.Task[Any]":
        return self.start(CLERK, PutContract(contract_id="k", client_id=ANN.id, freelancer_id=freelancer.id))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    yield cluster
    await cluster.node.stop()


async def test_a_message_that_was_accepted_before_the_exchange_is_hidden(cluster: Cluster) -> None:
    await (await cluster.put(BEN))
    first = await cluster.accept(ANN, SendToContract(contract_id="k", content="for ben"))
    await cluster.store()
    conversation = first.conversation_id
    await cluster.accept(ANN, SendMessage(conversation_id=conversation, content="for ben too"))

    exchange = await cluster.put(CID)
    await eventually(lambda: len(cluster.partition.deliveries) == 2)
    assert not exchange.done()
    assert await cluster.node.ports.memberships.get(conversation, BEN.id) is None
    await cluster.store()
    await exchange

    await cluster.accept(ANN, SendMessage(conversation_id=conversation, content="for cid"))
    await cluster.store()
    page = await cluster.start(CID, ListMessages(conversation_id=conversation))
    assert [view.message.content for view in page.items] == ["for cid"]


async def test_an_exchange_is_refused_while_nothing_is_stored_and_can_be_repeated(cluster: Cluster) -> None:
    await (await cluster.put(BEN))
    first = await cluster.accept(ANN, SendToContract(contract_id="k", content="for ben"))
    with patch("parley.gateway.live.commit_barrier.BARRIER_SECONDS", 0.05), pytest.raises(Unavailable):
        await (await cluster.put(CID))
    assert await cluster.node.ports.memberships.get(first.conversation_id, CID.id) is None

    again = await cluster.put(CID)
    await eventually(lambda: len(cluster.partition.deliveries) == 3)
    await cluster.store()
    await again
    assert await cluster.node.ports.memberships.get(first.conversation_id, CID.id) is not None
    assert not cluster.node.manager.rooms.get("/chat", {})
