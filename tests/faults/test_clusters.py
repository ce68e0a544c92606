"""A node of a RabbitMQ cluster or the master of Redis fails, or is cut off, under load."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import aio_pika
import aiohttp
import pytest
from redis.asyncio import Redis

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator, longest_stop
from clients.proxy import Proxy
from clients.rabbitmq_cluster import RabbitCluster, RabbitNode
from clients.recording_clients import RecordingClient, RecordingClients
from clients.redis_sentinel import RedisSentinel
from clients.stacks import SETTINGS
from clients.workers import PartitionShares
from parley.shared import rooms
from parley.shared.mongo import Database
from parley.shared.partitions import WORKERS, queue_name
from parley.stack import Stack
from parley.stack.ports import LOOPBACK

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.02
STOP_SECONDS = 15.0
REFUSED_SECONDS = 2.5
TAKEOVER_SECONDS = 20.0


@pytest.fixture(scope="module")
def _breakable(
    rabbitmq_cluster: RabbitCluster,
    redis_sentinel: RedisSentinel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    settings = {
        **SETTINGS,
        "RABBITMQ_URL": rabbitmq_cluster.url,
        "REDIS_URL": redis_sentinel.url,
    }
    with Stack(tmp_path_factory.mktemp("clusters"), gateways=2, workers=2, settings=settings) as stack:
        yield stack


@pytest.fixture
def fragile(
    fragile: Stack, rabbitmq_cluster: RabbitCluster, redis_sentinel: RedisSentinel
) -> Iterator[Stack]:
    """Two gateways and two workers on the clusters, which are repaired before and after the test."""
    rabbitmq_cluster.start()
    redis_sentinel.repair()
    yield fragile
    rabbitmq_cluster.start()
    redis_sentinel.repair()


@pytest.fixture
async def groups(clients: RecordingClients) -> list[str]:
    """A group of all users on each partition."""
    return await clients.create_group_per_partition(*SENDERS, "idler")


def assert_refused_in_time(senders: list[RecordingClient]) -> None:
    """Check that no send was without an answer, and that refusals came soon."""
    refusals = [refusal for sender in senders for refusal in sender.refusals]
    assert {refusal["code"] for refusal in refusals} <= {"UNAVAILABLE", "OVERLOADED"}
    assert [refusal for refusal in refusals if refusal["seconds"] > REFUSED_SECONDS] == []
    assert sum(sender.unanswered for sender in senders) == 0


async def declare_counting_queue(node: RabbitNode) -> None:
    """Declare the queue by which workers of version 0.2.0 count themselves, on this node."""
    async with await aio_pika.connect(node.url) as connection:
        await (await connection.channel()).declare_queue(WORKERS, durable=True)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="frozen", marks=pytest.mark.slow),
    ],
)
async def test_a_rabbitmq_node_that_leads_the_queues_fails_and_nothing_is_lost(
    fragile: Stack,
    rabbitmq_cluster: RabbitCluster,
    users: ChatUsers,
    groups: list[str],
    senders: list[RecordingClient],
    listeners: list[RecordingClient],
    database: Database,
    shares: PartitionShares,
    number: int,
) -> None:
    leader = await asyncio.to_thread(rabbitmq_cluster.leader, queue_name(0))
    await declare_counting_queue(leader)

    try:
        async with LoadGenerator(senders, groups, PAUSE) as load:
            await load.wait_for_accepted(100)
            leader.signal(number)
            await load.wait_for_accepted(200, STOP_SECONDS)
            await shares.wait_until(4, 4, deadline=TAKEOVER_SECONDS)
            await load.wait_for_accepted(100)
    finally:
        # A frozen node would never answer the next test.
        await asyncio.to_thread(leader.kill)

    stop = longest_stop(senders)
    print(f"accepted {len(load.accepted)}, the longest stop was {stop:.1f} s")
    assert stop < STOP_SECONDS
    assert_refused_in_time(senders)
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handling", "held"),
    # Without a pause each side takes the partitions of the other, the slow worker perhaps later.
    [("pause_minority", [[0, 8]]), ("ignore", [[4, 8], [8, 8]])],
    ids=["the-minority-pauses", "two-owners"],
)
async def test_workers_on_both_sides_of_a_cut_store_each_message_once_and_in_order(
    fragile: Stack,
    rabbitmq_cluster: RabbitCluster,
    users: ChatUsers,
    groups: list[str],
    clients: RecordingClients,
    database: Database,
    shares: PartitionShares,
    handling: str,
    held: list[list[int]],
) -> None:
    async def is_taken_over() -> bool:
        return await shares.current() in held

    minority, *majority = rabbitmq_cluster.nodes
    others = {"RABBITMQ_URL": f"{majority[0].url.removesuffix('/')},{majority[1].address}/"}
    with Proxy(fragile.mongo_url) as proxy:
        slow = {"RABBITMQ_URL": minority.url, "MONGO_URL": proxy.url}
        overrides = {"worker-1": slow, **dict.fromkeys(("worker-2", "gateway-1", "gateway-2"), others)}
        await asyncio.to_thread(fragile.set_overrides, overrides)
        try:
            senders = await clients.connect_all(SENDERS, fragile.gateway_urls)
            listeners = await clients.connect_listeners("idler", fragile.gateway_urls)
            for listener in listeners:
                await listener.join_all(groups)
            await shares.wait_until(4, 4)
            async with LoadGenerator(senders, groups, PAUSE) as load:
                await load.wait_for_accepted(100)
                # The worker on the side of the minority is amid its batches when the other one takes over.
                proxy.delay(0.2)
                await load.wait_for_accepted(50)
                async with rabbitmq_cluster.cut_off(minority, handling):
                    await eventually(is_taken_over, TAKEOVER_SECONDS)
                    await load.wait_for_accepted(100)
                    proxy.delay(0.0)
                await load.wait_for_accepted(50)
            assert_refused_in_time(senders)
            for group in groups:
                await assert_consistent(database, users, group, senders=senders, listeners=listeners)
        finally:
            await asyncio.to_thread(fragile.set_overrides, {})


@pytest.mark.slow
async def test_a_gateway_leaves_a_node_that_was_cut_off_and_answers_but_confirms_nothing(
    fragile: Stack,
    rabbitmq_cluster: RabbitCluster,
    users: ChatUsers,
    groups: list[str],
    clients: RecordingClients,
    listeners: list[RecordingClient],
    database: Database,
    shares: PartitionShares,
) -> None:
    senders = await clients.connect_all(SENDERS, fragile.gateway_urls[:1])
    left = await asyncio.to_thread(rabbitmq_cluster.node_of, "g1")

    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(100)
        # It keeps its clients, as nodes of version 4.2 and later do.
        async with rabbitmq_cluster.cut_off(left, "ignore"):
            await load.wait_for_accepted(200, STOP_SECONDS)
            assert await asyncio.to_thread(rabbitmq_cluster.node_of, "g1") is not left
        await load.wait_for_accepted(50)

    assert longest_stop(senders) < STOP_SECONDS
    assert_refused_in_time(senders)
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)


async def ready(stack: Stack) -> list[bool]:
    """Return whether each gateway is ready."""
    async with aiohttp.ClientSession() as http:
        return [(await http.get(f"{url}/readyz")).status == 200 for url in stack.gateway_urls]


async def subscribers(sentinel: RedisSentinel, conversation_id: str) -> int:
    """Return the number of subscribers of a conversation's channel at the present master."""
    async with Redis(host=LOOPBACK, port=sentinel.master.port) as master:
        counts: list[Any] = await master.pubsub_numsub(rooms.channel(rooms.conversation(conversation_id)))
        return int(counts[0][1])


async def test_gateways_follow_a_killed_redis_master_to_its_replica(
    fragile: Stack,
    redis_sentinel: RedisSentinel,
    users: ChatUsers,
    clients: RecordingClients,
    groups: list[str],
    listeners: list[RecordingClient],
    senders: list[RecordingClient],
    database: Database,
) -> None:
    watcher, leaver, comer = listeners[1], senders[0], users.user("sender-1")
    await eventually(lambda: watcher.status.get(leaver.user_id) == "online")

    async with LoadGenerator(senders[1:], groups, PAUSE) as load:
        await load.wait_for_accepted(50)
        old = await asyncio.to_thread(redis_sentinel.kill_master)
        await leaver.close()
        await load.wait_for_accepted(100)

        async def is_subscribed() -> bool:
            return redis_sentinel.master is not old and await subscribers(redis_sentinel, groups[0]) == 2

        await eventually(is_subscribed, STOP_SECONDS)

        async def are_ready() -> bool:
            return await ready(fragile) == [True, True]

        await eventually(are_ready, STOP_SECONDS)
        await load.wait_for_accepted(50)

    assert_refused_in_time(senders[1:])
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)
    await eventually(lambda: watcher.status[leaver.user_id] == "offline", 30.0)
    assert watcher.status[comer.id] == "online"
    await clients.connect("sender-0", fragile.gateway_urls[0])
    await eventually(lambda: watcher.status[leaver.user_id] == "online")
