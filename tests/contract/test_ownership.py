"""Workers share partitions by locks, and pass over a lock that the broker keeps for a lost connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelLockedResource

from clients.chat import eventually
from parley.persistence_worker import counting_queue, ownership, partition_locks, worker_registry
from parley.persistence_worker.ownership import Ownership
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared import amqp
from parley.shared.partitions import Partitions
from parley.stack import Stack

PARTITIONS = Partitions(4)


async def ignore(_message: AbstractIncomingMessage) -> None:
    """Nothing is published to the older workers' queue."""


class IdleConsumer:
    """A consumer whose queue is empty."""

    lag = 0.0

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def run(self, _connection: AbstractConnection) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class Workers:
    """Workers with locks and a registry that no other test uses."""

    def __init__(self, url: str, name: str, resources: AsyncExitStack) -> None:
        self._url, self._name, self._resources = url, name, resources
        self.all: list[Ownership] = []

    async def connect(self) -> AbstractConnection:
        connection = await amqp.connect(self._url, name="test", heartbeat=10)
        self._resources.push_async_callback(connection.close)
        return connection

    async def start(self) -> Ownership:
        make_consumer: Any = lambda _partition: IdleConsumer()  # noqa: E731
        worker = Ownership(self.connect, PARTITIONS, make_consumer, lambda: True)
        work = asyncio.create_task(worker.run())
        self._resources.push_async_callback(self.stop, worker, work)
        self.all.append(worker)
        return worker

    async def stop(self, worker: Ownership, work: "asyncio.Task[None]") -> None:
        worker.stop()
        await work

    def lock_name(self, partition: int, _epoch: int = 1) -> str:
        return f"{self._name}.{partition}"

    async def lock(self, *partitions: int) -> AbstractConnection:
        """Lock partitions by a connection that is no worker's, as the broker does for a lost one."""
        connection = await self.connect()
        channel = await connection.channel()
        for partition in partitions:
            await channel.declare_queue(self.lock_name(partition), exclusive=True)
        return connection

    async def join_as_older(self) -> AbstractConnection:
        """Count as a worker of version 0.2.0."""
        connection = await self.connect()
        channel = await connection.channel()
        queue = await channel.declare_queue(worker_registry.WORKERS, durable=True)
        await queue.consume(ignore, no_ack=True)
        return connection

    async def settle(self) -> None:
        """Wait until each partition is held once, and the shares are equal."""
        share = PARTITIONS.count // len(self.all)

        def are_shared() -> bool:
            held = sorted(partition for worker in self.all for partition in worker.held)
            return held == list(range(PARTITIONS.count)) and {len(w.held) for w in self.all} == {share}

        await eventually(are_shared, 15.0)


@pytest.fixture
async def workers(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    async def nothing(*_: object) -> None:
        """Declare no queues: these consumers use none."""

    own = f"parley.test.{uuid4().hex[:8]}"
    for module in (counting_queue, worker_registry):
        monkeypatch.setattr(module, "WORKERS", own)
    monkeypatch.setattr(ownership, "declare", nothing)
    monkeypatch.setattr(ownership, "fix_count", nothing)
    async with AsyncExitStack() as resources:
        connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
        resources.push_async_callback(connection.close)
        async with AsyncExitStack() as theirs:
            workers = Workers(stack.rabbitmq_url, own, theirs)
            monkeypatch.setattr(partition_locks, "owner_name", workers.lock_name)
            yield workers
        channel = await connection.channel()
        await channel.queue_delete(own)
        await channel.exchange_delete(own)


async def test_workers_share_the_partitions_equally(workers: Workers) -> None:
    for _ in range(2):
        await workers.start()
    await workers.settle()


async def test_partitions_with_an_orphaned_lock_are_held_by_one_worker_each(workers: Workers) -> None:
    await workers.lock(0, 1, 3)
    for _ in range(2):
        await workers.start()
    await workers.settle()


async def test_partitions_of_a_worker_that_held_them_without_a_lock_are_taken(workers: Workers) -> None:
    await workers.lock(0, 1, 2, 3)
    for _ in range(2):
        await workers.start()
    await workers.settle()
    leaver = workers.all.pop()
    leaver.stop()
    await workers.settle()


async def test_an_orphaned_lock_is_acquired_once_it_is_gone(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_locks, "AGAIN_SECONDS", 0.5)
    lost = await workers.lock(1)
    await workers.start()
    await workers.settle()
    await lost.close()

    async def is_locked_again() -> bool:
        try:
            await (await workers.lock(1)).close()
        except ChannelLockedResource:
            return True
        return False

    await eventually(is_locked_again)
    await workers.settle()


async def test_a_lock_that_an_older_worker_may_hold_is_respected(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    ask = WorkerRegistry.may_be_held_silently

    def asked(registry: WorkerRegistry) -> bool:
        answers.append(ask(registry))
        return answers[-1]

    monkeypatch.setattr(WorkerRegistry, "may_be_held_silently", asked)
    older = await workers.join_as_older()
    lost = await workers.lock(0, 1, 2)
    worker = await workers.start()

    await eventually(lambda: len(answers) > 3, 10.0)
    assert worker.held == [3]
    assert all(answers)

    # Without its connection the older worker holds nothing; the lock of the other connection is orphaned.
    await older.close()
    await workers.settle()
    assert not lost.is_closed
