"""The bus on a Redis Cluster: masters are killed, frozen and replaced, and slots move, under publications."""

import asyncio
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from clients.chat import eventually
from clients.redis_cluster import RedisCluster, ask
from parley.gateway.core.errors import Unavailable
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.shared.cluster import slot_of

FAILOVER_SECONDS = 15.0
PAUSE = 0.005
CHANNELS = 60


class Node:
    """A bus, the bodies that it has received, and when it has made up for lost ones."""

    def __init__(self, url: str, name: str) -> None:
        self.bus = Bus(url, name)
        self.received: defaultdict[str, list[int]] = defaultdict(list)
        self.resyncs = 0
        self.bus.start(Subscriber(on_message=self._receive, on_reconnect=self._resynchronize))

    def _receive(self, channel: str, body: bytes) -> Iterator[None]:
        self.received[channel].append(int(body))
        yield

    async def _resynchronize(self) -> None:
        self.resyncs += 1


class Traffic:
    """Publishes a number after the other on each channel; notes those that Redis accepted."""

    def __init__(self, bus: Bus, channels: list[str]) -> None:
        self._bus = bus
        self._channels = channels
        self.published: defaultdict[str, list[int]] = defaultdict(list)
        self.number = 0
        self.ends = False

    async def run(self) -> None:
        while not self.ends:
            self.number += 1
            await asyncio.gather(*(self._publish(channel, self.number) for channel in self._channels))
            await asyncio.sleep(PAUSE)

    async def _publish(self, channel: str, number: int) -> None:
        try:
            await self._bus.publish({channel: b"%d" % number})
        except Unavailable:
            return
        self.published[channel].append(number)


@pytest.fixture
async def channels() -> list[str]:
    """Channels that no other test uses, of many slots."""
    return [f"parley:test:{uuid.uuid4()}" for _ in range(CHANNELS)]


@pytest.fixture
async def node(redis_servers: RedisCluster) -> AsyncIterator[Node]:
    node = Node(redis_servers.url, f"n{uuid.uuid4().hex[:8]}")
    await eventually(lambda: not node.bus.stale)
    yield node
    await node.bus.stop()


@asynccontextmanager
async def traffic_on(redis_servers: RedisCluster, channels: list[str]) -> AsyncIterator[Traffic]:
    bus = Bus(redis_servers.url, "publisher")
    traffic = Traffic(bus, channels)
    running = asyncio.create_task(traffic.run())
    try:
        await eventually(lambda: traffic.number > 5)
        yield traffic
        # The publications on their way arrive.
        later = traffic.number + 5
        await eventually(lambda: traffic.number > later)
    finally:
        traffic.ends = True
        await running
        await bus.stop()


def in_order(numbers: list[int]) -> bool:
    return numbers == sorted(set(numbers))


def at_masters(redis_servers: RedisCluster, channels: list[str]) -> dict[int, list[str]]:
    """Return channels by the ports of their masters."""
    found: dict[int, list[str]] = {}
    for channel in channels:
        found.setdefault(redis_servers.master_of(channel).port, []).append(channel)
    return found


async def receives_after(node: Node, traffic: Traffic, channels: list[str]) -> None:
    """Wait until each channel delivers what is published from now on."""
    number = traffic.number + 1
    await eventually(lambda: all(node.received[c] and node.received[c][-1] > number for c in channels))


async def test_each_master_carries_the_channels_of_its_slots(
    redis_servers: RedisCluster, node: Node, channels: list[str]
) -> None:
    await node.bus.subscribe(channels)
    by_master = await asyncio.to_thread(at_masters, redis_servers, channels)
    assert len(by_master) == 3
    for server in redis_servers.masters:
        held = set(await asyncio.to_thread(ask, server, "PUBSUB", "SHARDCHANNELS", "parley:test:*"))
        assert held == set(by_master[server.port])
    node.bus.drop(channels)

    async def are_dropped() -> bool:
        return not any(
            ask(server, "PUBSUB", "SHARDCHANNELS", "parley:test:*") for server in redis_servers.masters
        )

    await eventually(are_dropped)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="frozen", marks=pytest.mark.slow),
    ],
)
async def test_the_channels_of_other_masters_go_on_while_one_is_away(
    redis_servers: RedisCluster, node: Node, channels: list[str], number: signal.Signals
) -> None:
    await node.bus.subscribe(channels)
    victim = redis_servers.master_of(channels[0])
    by_master = await asyncio.to_thread(at_masters, redis_servers, channels)
    away = by_master[victim.port]
    others = [channel for channel in channels if channel not in away]
    async with traffic_on(redis_servers, channels) as traffic:
        await receives_after(node, traffic, channels)
        before, started = node.resyncs, monotonic()

        victim.signal(number)

        await receives_after(node, traffic, others)
        assert monotonic() - started < FAILOVER_SECONDS
        await eventually(lambda: node.resyncs > before, FAILOVER_SECONDS)
        print(f"{number.name}: all subscribed again and made up for after {monotonic() - started:.1f} s")
        await receives_after(node, traffic, channels)
        await eventually(lambda: not node.bus.stale)
    for channel in others:
        assert node.received[channel] == traffic.published[channel][-len(node.received[channel]) :]
    assert all(in_order(node.received[channel]) for channel in channels)


async def test_a_slot_moves_under_publications_and_what_is_lost_is_made_up_for(
    redis_servers: RedisCluster, node: Node, channels: list[str]
) -> None:
    await node.bus.subscribe(channels)
    moved = channels[0]
    source = redis_servers.master_of(moved)
    target = next(server for server in redis_servers.masters if server is not source)
    async with traffic_on(redis_servers, channels) as traffic:
        await receives_after(node, traffic, channels)
        before = node.resyncs

        await asyncio.to_thread(redis_servers.move_slot, moved, target)

        # Events from the move to the new subscription may be lost: later ones never.
        await eventually(lambda: node.resyncs > before)
        await receives_after(node, traffic, channels)
        await asyncio.to_thread(redis_servers.move_slot, moved, source)
        await eventually(lambda: node.resyncs > before + 1)
        await receives_after(node, traffic, channels)
    for channel in channels[1:]:
        if slot_of(channel) != slot_of(moved):
            assert node.received[channel] == traffic.published[channel][-len(node.received[channel]) :]
    assert in_order(node.received[moved])
    assert traffic.published[moved] == list(range(1, len(traffic.published[moved]) + 1)), "some were refused"


async def test_a_replica_that_takes_over_by_command_gets_the_subscriptions(
    redis_servers: RedisCluster, node: Node, channels: list[str]
) -> None:
    await node.bus.subscribe(channels)
    old = redis_servers.master_of(channels[0])
    new = await asyncio.to_thread(redis_servers.replica_of, old)
    async with traffic_on(redis_servers, channels) as traffic:
        await receives_after(node, traffic, channels)
        before = node.resyncs

        await asyncio.to_thread(ask, new, "CLUSTER", "FAILOVER")

        await eventually(lambda: node.resyncs > before, FAILOVER_SECONDS)
        await receives_after(node, traffic, channels)

        def are_at_the_new_one() -> bool:
            return len(ask(new, "PUBSUB", "SHARDCHANNELS", "parley:test:*")) > 0

        await eventually(are_at_the_new_one)


@pytest.mark.slow
async def test_a_subscription_to_a_master_that_is_away_is_refused_and_comes_later(
    redis_servers: RedisCluster, node: Node, channels: list[str]
) -> None:
    victim = redis_servers.master_of(channels[0])
    by_master = await asyncio.to_thread(at_masters, redis_servers, channels)
    others = [channel for channel in channels if channel not in by_master[victim.port]]
    victim.signal(signal.SIGSTOP)

    await node.bus.subscribe(others)
    with pytest.raises(Unavailable):
        await node.bus.subscribe(channels)

    async def is_subscribed() -> bool:
        try:
            await node.bus.subscribe(channels)
        except Unavailable:
            return False
        return True

    await eventually(is_subscribed, FAILOVER_SECONDS)


async def test_a_lost_connection_to_one_master_is_made_again_with_all_its_channels(
    redis_servers: RedisCluster, node: Node
) -> None:
    many = [f"parley:test:{uuid.uuid4()}" for _ in range(6_000)]
    await node.bus.subscribe(many)
    before = node.resyncs

    await asyncio.to_thread(ask, redis_servers.masters[0], "CLIENT", "KILL", "TYPE", "pubsub")

    await eventually(lambda: node.resyncs > before)
    held = [ask(server, "PUBSUB", "SHARDCHANNELS", "parley:test:*") for server in redis_servers.masters]
    assert sorted(channel for each in held for channel in each) == sorted(many)


async def test_a_cluster_that_answers_nothing_leaves_the_bus_stale() -> None:
    bus = Bus("redis+cluster://127.0.0.1:9,127.0.0.1:10", "alone")
    bus.start(Subscriber(on_message=lambda *_: (), on_reconnect=_nothing))
    with pytest.raises(Unavailable):
        await bus.subscribe(["parley:test"])
    with pytest.raises(Unavailable):
        await bus.publish({"parley:test": b"1"})
    assert bus.stale
    await bus.stop()


async def _nothing() -> None:
    """Do nothing."""
