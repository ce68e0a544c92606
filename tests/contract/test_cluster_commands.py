"""Commands to a Redis Cluster follow their keys, and one master that is away fails only its own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.exceptions import RedisError, TryAgainError

from clients.chat import eventually
from clients.redis_cluster import RedisCluster, ask
from fakes.memory_revocations import RecordingEventPublisher
from parley.gateway.adapters.redis.presence import RedisPresence
from parley.gateway.adapters.redis.presence_store import PresenceStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.shared.cluster import slot_of
from parley.shared.presence import buckets
from parley.shared.pubsub import count_subscribers, publish, subscribed_channels, subscription
from parley.shared.redis import FAULTS, Commands, connect, open_commands

FAILOVER_SECONDS = 15.0
KEYS = 30
RIGHTS = ["~parley:*", "&parley:*", "+@all", "-@admin", "-@dangerous", "+cluster|info", "+cluster|slots"]


@pytest.fixture
async def commands(redis_servers: RedisCluster) -> AsyncIterator[Commands]:
    commands = open_commands(redis_servers.url)
    yield commands
    await commands.close()


@pytest.fixture
def keys() -> list[str]:
    """Keys that no other test uses, of many slots."""
    return [f"parley:test:{uuid.uuid4()}" for _ in range(KEYS)]


async def read(commands: Commands, keys: Sequence[str]) -> list[Any]:
    return await commands.run([("GET", key) for key in keys])


async def test_replies_come_in_the_order_of_the_commands(commands: Commands, keys: list[str]) -> None:
    assert await commands.run([]) == []
    await commands.run([("SET", key, n) for n, key in enumerate(keys)])
    assert await read(commands, keys) == [b"%d" % n for n in range(KEYS)]
    replies = await commands.run([("GET", keys[0]), ("INCR", keys[1], "too", "many"), ("GET", keys[2])])
    assert (replies[0], replies[2]) == (b"0", b"2")
    assert isinstance(replies[1], RedisError)


async def test_commands_follow_a_slot_that_moves(
    redis_servers: RedisCluster, commands: Commands, keys: list[str]
) -> None:
    await commands.run([("SET", key, "before") for key in keys])
    source = redis_servers.master_of(keys[0])
    target = next(server for server in redis_servers.masters if server is not source)

    await asyncio.to_thread(redis_servers.move_slot, keys[0], target)

    assert await read(commands, keys) == [b"before"] * KEYS
    await asyncio.to_thread(redis_servers.move_slot, keys[0], source)
    assert await read(commands, keys) == [b"before"] * KEYS


async def test_a_key_that_has_left_a_slot_on_its_way_is_found_at_the_next_master(
    redis_servers: RedisCluster, commands: Commands
) -> None:
    tag = uuid.uuid4().hex
    left, kept = f"parley:{{{tag}}}:left", f"parley:{{{tag}}}:kept"
    await commands.run([("SET", left, "1"), ("SET", kept, "2")])
    source = redis_servers.master_of(left)
    target = next(server for server in redis_servers.masters if server is not source)
    ids = [ask(server, "CLUSTER", "MYID") for server in (source, target)]
    ask(target, "CLUSTER", "SETSLOT", slot_of(left), "IMPORTING", ids[0])
    ask(source, "CLUSTER", "SETSLOT", slot_of(left), "MIGRATING", ids[1])
    ask(source, "MIGRATE", "127.0.0.1", target.port, left, 0, 5_000)

    assert await read(commands, [left, kept]) == [b"1", b"2"]
    (both,) = await commands.run([("EVAL", "return redis.call('MGET', unpack(KEYS))", 2, left, kept)])
    assert isinstance(both, TryAgainError)

    await asyncio.to_thread(redis_servers.move_slot, left, target)
    assert await read(commands, [left, kept]) == [b"1", b"2"]
    await asyncio.to_thread(redis_servers.move_slot, left, source)


async def test_a_killed_master_fails_only_its_own_commands_until_its_replica_takes_over(
    redis_servers: RedisCluster, commands: Commands, keys: list[str]
) -> None:
    await commands.run([("SET", key, "before") for key in keys])
    victim = redis_servers.master_of(keys[0])
    lost = [key for key in keys if redis_servers.master_of(key) is victim]
    await asyncio.to_thread(victim.kill)

    replies = dict(zip(keys, await read(commands, keys), strict=True))

    assert all(isinstance(replies[key], FAULTS) for key in lost)
    assert all(replies[key] == b"before" for key in keys if key not in lost)

    async def is_back() -> bool:
        return await read(commands, keys) == [b"before"] * KEYS

    await eventually(is_back, FAILOVER_SECONDS)


@pytest.mark.slow
async def test_presence_outlives_a_killed_master(redis_servers: RedisCluster) -> None:
    presence = RedisPresence(
        PresenceStore(open_commands(redis_servers.url), buckets(redis_servers.url)), RecordingEventPublisher()
    )
    ids = [f"{uuid.uuid4()}" for _ in range(60)]
    presence.start()
    await asyncio.gather(*(presence.add_socket(user, "1", []) for user in ids))
    victim = redis_servers.master_of(buckets(redis_servers.url).of(ids[0]).leases)
    await asyncio.to_thread(victim.kill)

    leaving = await asyncio.gather(
        *(presence.remove_socket(user, "1") for user in ids[:30]), return_exceptions=True
    )

    assert {type(error) for error in leaving} <= {type(None), Unavailable}

    async def are_right() -> bool:
        try:
            return set(await presence.online(ids)) == set(ids[30:])
        except Unavailable:
            return False

    await eventually(are_right, FAILOVER_SECONDS)
    await presence.stop()


async def test_rare_publications_reach_a_subscription(redis_url: str) -> None:
    channels = [f"parley:test:{uuid.uuid4()}" for _ in range(9)]
    async with connect(redis_url, connections=4) as client, subscription(client, *channels[:5]) as subscribed:
        await subscribed.add(channels[5:])
        assert await count_subscribers(client, channels[3]) == 1
        assert set(channels) <= set(await subscribed_channels(client, "parley:test:*"))
        for channel in channels:
            await publish(client, channel, channel.encode())
        received = [await subscribed.next(5) for _ in channels]
        assert {(each.channel, each.body) for each in received if each} == {
            (channel, channel.encode()) for channel in channels
        }
        assert await subscribed.next(0.05) is None


async def test_the_rights_that_security_md_names_are_enough(
    redis_servers: RedisCluster, keys: list[str]
) -> None:
    for server in redis_servers.servers:
        ask(server, "ACL", "SETUSER", "parley", "on", ">least", *RIGHTS)
    url = redis_servers.url.replace("//", "//parley:least@")
    commands = open_commands(url)
    assert await commands.run([("SET", key, "1") for key in keys]) == [b"OK"] * KEYS
    await commands.close()
    bus = Bus(url, f"n{uuid.uuid4().hex}")
    bus.start(Subscriber(on_message=lambda *_: (), on_reconnect=_nothing))
    await eventually(lambda: not bus.stale)
    await bus.subscribe(keys)
    async with connect(url, connections=4) as client, subscription(client, keys[0]) as subscribed:
        await bus.publish({keys[0]: b"by the bus"})
        assert await subscribed.next(5) == (keys[0], b"by the bus")
        assert await count_subscribers(client, keys[0]) == 2
    await bus.stop()


async def _nothing() -> None:
    """Do nothing."""
