"""Workers count each other, also beside workers of version 0.2.0."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from clients.chat import eventually
from parley.persistence_worker import counting_queue, worker_registry
from parley.persistence_worker.claims import Announcement, Claims
from parley.persistence_worker.other_workers import OtherWorkers
from parley.persistence_worker.worker_registry import WorkerRegistry
from parley.shared import amqp
from parley.shared.partitions import worker_name
from parley.stack import Stack


def new_others() -> OtherWorkers:
    """Return what a new worker knows of the others."""
    return OtherWorkers(worker_name(uuid4().hex))


class Workers:
    """Registries on connections of their own, under a name that no other test uses."""

    def __init__(self, url: str, resources: AsyncExitStack) -> None:
        self._url, self._resources = url, resources

    async def connection(self) -> AbstractConnection:
        connection = await amqp.connect(self._url, name="test", heartbeat=10)
        self._resources.push_async_callback(connection.close)
        return connection

    async def join(self, *, present: bool = True) -> WorkerRegistry:
        _, registry = await self.connect_worker(new_others(), present=present)
        return registry

    async def connect_worker(
        self, others: OtherWorkers, *, present: bool = True
    ) -> tuple[AbstractConnection, WorkerRegistry]:
        """Connect a worker that knows these others."""
        connection = await self.connection()
        registry = WorkerRegistry(connection, others)
        await registry.open(present=present)
        return connection, registry


async def counts(*registries: WorkerRegistry, present: bool = True) -> list[int]:
    return [await registry.count(present=present) for registry in registries]


async def settle(count: int, *registries: WorkerRegistry, deadline: float = 5.0) -> None:
    """Wait until each of these workers, which are present, counts so many."""

    async def agree() -> bool:
        return await counts(*registries) == [count] * len(registries)

    await eventually(agree, deadline)


@pytest.fixture
async def workers(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    own = f"parley.test.{uuid4().hex[:8]}"
    for module in (counting_queue, worker_registry):
        monkeypatch.setattr(module, "WORKERS", own)
    async with AsyncExitStack() as resources:
        connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
        resources.push_async_callback(connection.close)
        yield Workers(stack.rabbitmq_url, resources)
        channel = await connection.channel()
        await channel.queue_delete(own)
        await channel.exchange_delete(own)


async def test_workers_count_each_other(workers: Workers) -> None:
    await settle(3, *[await workers.join() for _ in range(3)])


async def test_a_worker_that_is_not_present_is_not_counted(workers: Workers) -> None:
    first, second, unable = [await workers.join() for _ in range(3)]
    await settle(3, first, second, unable)

    assert await unable.count(present=False) == 2
    await settle(2, first, second)


async def test_a_worker_that_leaves_is_not_counted_though_it_is_connected(workers: Workers) -> None:
    first, second = [await workers.join() for _ in range(2)]
    await settle(2, first, second)
    await second.leave()
    await settle(1, first, deadline=0.5)


async def test_a_worker_whose_connection_is_lost_is_not_counted_at_the_next_check(workers: Workers) -> None:
    first = await workers.join()
    connection, second = await workers.connect_worker(new_others())
    await settle(2, first, second)
    await connection.close()
    assert await counts(first) == [1]


async def test_a_worker_that_is_silent_for_long_is_not_counted(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, frozen = [await workers.join() for _ in range(2)]
    await settle(2, first, frozen)
    monkeypatch.setattr(worker_registry, "SILENT_SECONDS", 0.2)
    await settle(1, first)


async def test_a_worker_that_connects_again_is_counted_once(workers: Workers) -> None:
    first, others = await workers.join(), new_others()
    _, second = await workers.connect_worker(others)
    await settle(2, first, second)

    # The broker keeps the queue of the first connection, as it does when a node is lost.
    _, again = await workers.connect_worker(others)
    await settle(2, first, again)


async def test_a_worker_finds_others_again_without_the_message_to_everyone(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, others = await workers.join(), new_others()
    _, second = await workers.connect_worker(others)
    await settle(2, first, second)
    third = await workers.join()
    await settle(3, first, second, third)

    # The message to everyone is late while the queue of a lost node is among its targets.
    monkeypatch.setattr(worker_registry, "EVERYONE", "nobody")
    _, again = await workers.connect_worker(others)
    of_fourth = new_others()
    assert of_fourth.receive(Announcement(queue=next(iter(others)), present=True))
    _, fourth = await workers.connect_worker(of_fourth)
    await settle(4, first, again, third, fourth)


async def test_workers_know_what_the_others_hold(workers: Workers) -> None:
    first, second = await workers.join(), await workers.join(present=False)
    await counts(first, second)

    second.claim(Claims(frozenset({1, 2}), frozenset({1})))
    await eventually(lambda: first.is_claimed(1) and first.is_claimed(2))
    assert not first.is_claimed(0)
    first.claim(Claims(frozenset({1, 3}), frozenset({3})))
    assert first.outranked() == [1]

    second.claim(Claims())
    await eventually(lambda: not first.is_claimed(1))


async def test_the_claims_of_a_lost_worker_are_void_at_the_next_check(workers: Workers) -> None:
    first = await workers.join()
    connection, second = await workers.connect_worker(new_others())
    second.claim(Claims(frozenset({1})))
    await settle(2, first, second)
    await eventually(lambda: first.is_claimed(1))

    await connection.close()
    await counts(first)
    assert not first.is_claimed(1)


class OldWorker:
    """A worker of version 0.2.0: it counts the consumers of one classic queue."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def join(self) -> None:
        self._channel = await self._connection.channel()
        queue = await self._channel.declare_queue(worker_registry.WORKERS, durable=True)
        await queue.consume(self._ignore, no_ack=True)

    async def count(self) -> int:
        found = await self._channel.declare_queue(worker_registry.WORKERS, durable=True, passive=True)
        return found.declaration_result.consumer_count or 0

    async def _ignore(self, message: AbstractIncomingMessage) -> None:
        raise AssertionError(f"a worker of version 0.2.0 got {message!r}")


async def test_old_and_new_workers_count_each_other(workers: Workers) -> None:
    old = OldWorker(await workers.connection())
    await old.join()
    new = [await workers.join() for _ in range(2)]

    await settle(3, *new)
    assert await old.count() == 3

    assert await new[1].count(present=False) == 2
    await settle(2, new[0])
    assert await old.count() == 2


async def test_an_old_worker_that_comes_later_is_counted(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = await workers.join()
    await settle(1, new)
    monkeypatch.setattr(counting_queue, "ABSENT_SECONDS", 0.0)
    old = OldWorker(await workers.connection())
    await old.join()
    await settle(2, new)
    assert await old.count() == 2


async def test_new_workers_count_each_other_when_the_queue_of_old_ones_is_lost(workers: Workers) -> None:
    connection = await workers.connection()
    old = OldWorker(connection)
    await old.join()
    new = [await workers.join() for _ in range(2)]
    await settle(3, *new)
    await (await connection.channel()).queue_delete(worker_registry.WORKERS)
    await settle(2, *new)
