"""A master of the Redis Cluster is killed, or a slot of it moves, under load: clients lose nothing."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator, Stopwatch, longest_stop
from clients.operators import Operator, finding
from clients.recording_clients import RecordingClient, RecordingClients
from clients.redis_cluster import RedisCluster
from clients.stacks import SETTINGS
from parley.shared import rooms
from parley.shared.mongo import Database
from parley.shared.presence import buckets
from parley.stack import Stack

pytestmark = pytest.mark.slow  # With its stack each test takes half a minute.

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.02
STOP_SECONDS = 15.0
LEASE_SECONDS = 30.0


@pytest.fixture(scope="module")
def _breakable(redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {**SETTINGS, "REDIS_URL": redis_cluster.url}
    directory = tmp_path_factory.mktemp("redis-cluster-stack")
    with Stack(directory, gateways=2, workers=1, settings=settings) as stack:
        yield stack


@pytest.fixture
def fragile(_breakable: Stack, redis_cluster: RedisCluster) -> Iterator[Stack]:
    """Two gateways and a worker on a Redis Cluster, which is repaired before and after the test."""
    redis_cluster.repair()
    yield _breakable
    redis_cluster.repair()


@pytest.fixture
async def groups(clients: RecordingClients) -> list[str]:
    """A group of all users on each partition: they are of several slots."""
    return await clients.create_group_per_partition(*SENDERS, "idler")


def channel_of(conversation_id: str) -> str:
    return rooms.channel(rooms.conversation(conversation_id))


async def are_ready(stack: Stack) -> bool:
    async with aiohttp.ClientSession() as http:
        return all([(await http.get(f"{url}/readyz")).status == 200 for url in stack.gateway_urls])


async def test_a_master_is_killed_and_no_message_is_lost_or_doubled(
    fragile: Stack,
    redis_cluster: RedisCluster,
    users: ChatUsers,
    clients: RecordingClients,
    groups: list[str],
    listeners: list[RecordingClient],
    senders: list[RecordingClient],
    database: Database,
) -> None:
    watcher, leaver = listeners[1], senders[0]
    # The presence of the one who leaves is at the master that dies.
    victim = redis_cluster.master_of(buckets(redis_cluster.url).of(leaver.user_id).leases)
    at_victim = [group for group in groups if redis_cluster.master_of(channel_of(group)) is victim]
    assert len(at_victim) < len(groups)
    await eventually(lambda: watcher.status.get(leaver.user_id) == "online")

    async with LoadGenerator(senders[1:], groups, PAUSE) as load:
        await load.wait_for_accepted(50)
        stopwatch = Stopwatch()
        await asyncio.to_thread(victim.kill)
        await leaver.close()
        others = [group for group in groups if group not in at_victim]
        counts = {group: len(watcher.received[group]) for group in others}
        # Long before the replica takes over.
        took = await stopwatch.until(
            lambda: all(len(watcher.received[group]) > counts[group] + 1 for group in others), STOP_SECONDS
        )
        print(f"the channels of the other masters went on within {took:.1f} s")
        counts = {group: len(watcher.received[group]) for group in at_victim}

        async def are_back() -> bool:
            are_received = all(len(watcher.received[group]) > counts[group] + 1 for group in at_victim)
            return are_received and await are_ready(fragile)

        await eventually(are_back, STOP_SECONDS)
        print(f"the channels of the killed master were back after {stopwatch.seconds:.1f} s")
        await load.wait_for_accepted(100)

    print(f"accepted {len(load.accepted)}, the longest stop was {longest_stop(senders[1:]):.1f} s")
    assert sum(sender.unanswered for sender in senders) == 0
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)
    await eventually(lambda: watcher.status[leaver.user_id] == "offline", LEASE_SECONDS)
    assert all(watcher.status[sender.user_id] == "online" for sender in senders[1:])
    await clients.connect("sender-0", fragile.gateway_urls[0])
    await eventually(lambda: watcher.status[leaver.user_id] == "online")


async def test_a_slot_moves_and_no_message_is_lost_or_doubled(
    fragile: Stack,
    redis_cluster: RedisCluster,
    users: ChatUsers,
    groups: list[str],
    listeners: list[RecordingClient],
    senders: list[RecordingClient],
    database: Database,
) -> None:
    keys = [channel_of(groups[0]), buckets(redis_cluster.url).of(senders[0].user_id).leases]
    async with LoadGenerator(senders, groups, PAUSE) as load:
        for key in keys:
            await load.wait_for_accepted(50)
            source = redis_cluster.master_of(key)
            target = next(server for server in redis_cluster.masters if server is not source)
            await asyncio.to_thread(redis_cluster.move_slot, key, target)
            await load.wait_for_accepted(50)
            await asyncio.to_thread(redis_cluster.move_slot, key, source)
        await load.wait_for_accepted(50)

    assert sum(sender.unanswered for sender in senders) == 0
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)
    assert all(listeners[1].status[sender.user_id] == "online" for sender in senders)


async def test_the_command_sees_users_events_and_servers_of_a_cluster(
    fragile: Stack,
    groups: list[str],
    senders: list[RecordingClient],
    listeners: list[RecordingClient],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    operator = Operator(fragile, tmp_path_factory.mktemp("operator"))

    doctor = await operator.run("doctor", "--json")
    assert doctor.json["ok"], doctor.out
    assert finding(doctor, "redis", "reachable") == "ok: It answers: a cluster of 3 masters."
    assert finding(doctor, "redis", "slots").startswith("ok: All hash slots have a master")
    assert finding(doctor, "redis", "pubsub") == "ok: It delivers to subscribers."

    shown = await operator.run("who", senders[0].user_id, "--json")
    assert shown.json["online"]
    assert len(shown.json["sockets"]) == 1

    sent = await operator.run("send", groups[0], "by an operator", "--as", senders[0].user_id, "--json")
    assert sent.json["sent"]
    assert (await operator.run("status")).code == 0
    assert (await operator.run("config", "check")).code == 0
    assert (await operator.run("rebalance", "--json")).json["ok"]

    tail = asyncio.create_task(operator.run("tail", "--json", "--count", "1"))
    while not tail.done():
        await senders[0].send(groups[1], "more")
        await asyncio.sleep(0.2)
    assert (await tail).code == 0

    closed = await operator.run("disconnect", senders[1].user_id, "--json")
    assert closed.json["closed"] == 1
