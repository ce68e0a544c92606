"""Connections by Sentinel are connections to the present master, before and after a failover."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.exceptions
from redis.asyncio import Redis

from clients.chat import eventually
from clients.redis_sentinel import RedisSentinel, RedisServer
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.shared import sentinel
from parley.shared.redis import FAULTS, connect
from parley.stack.ports import LOOPBACK

FAILOVER_SECONDS = 15.0
CONNECTIONS = 5


@pytest.fixture
async def servers(redis_sentinel: RedisSentinel) -> AsyncIterator[RedisSentinel]:
    """The servers, which are repaired before and after the test."""
    await asyncio.to_thread(redis_sentinel.repair)
    yield redis_sentinel
    await asyncio.to_thread(redis_sentinel.repair)


@pytest.fixture
async def client(servers: RedisSentinel) -> AsyncIterator["Redis"]:
    """A client as the services have it, with several open connections."""
    client = connect(servers.url)
    await asyncio.gather(*(client.ping() for _ in range(CONNECTIONS)))
    yield client
    await client.aclose()


@asynccontextmanager
async def direct(server: RedisServer) -> AsyncIterator["Redis"]:
    async with Redis(host=LOOPBACK, port=server.port, decode_responses=True) as client:
        yield client


def fixed(server: RedisServer) -> "Redis":
    """Return a client of sentinels that always name this server."""

    class Fixed(sentinel.Master):
        async def address(self) -> sentinel.Address:
            return LOOPBACK, server.port

    pool = sentinel.MasterPool(
        master=Fixed("", []), connection_class=sentinel.MasterConnection, max_connections=2
    )
    return Redis.from_pool(pool)


async def succeeds(client: "Redis") -> bool:
    try:
        return bool(await client.set("parley:test", "x"))
    except FAULTS:
        return False


async def test_a_command_goes_to_the_new_master_after_the_old_one_was_killed(
    servers: RedisSentinel, client: "Redis"
) -> None:
    await client.set("parley:test", "before")
    old = await asyncio.to_thread(servers.kill_master)

    await eventually(lambda: succeeds(client), FAILOVER_SECONDS)

    assert servers.master is not old
    async with direct(servers.master) as master:
        assert await master.get("parley:test") == "x"


async def test_no_event_is_published_to_an_old_master_that_answers_again(
    servers: RedisSentinel, client: "Redis"
) -> None:
    old = await asyncio.to_thread(servers.freeze_master)
    await eventually(lambda: servers.master is not old, FAILOVER_SECONDS)
    async with direct(servers.master) as master, master.pubsub() as subscriber:
        await subscriber.subscribe("parley:test")
        await subscriber.get_message(timeout=5)
        old.signal(signal.SIGCONT)
        async with direct(old) as still:
            # The sentinels demote it some ten seconds later. Until then it believes to be the master.
            assert (await still.role())[0] == "master"

        received = await asyncio.gather(
            *(client.publish("parley:test", "x") for _ in range(CONNECTIONS)), return_exceptions=True
        )

        assert received == [1] * CONNECTIONS


async def test_a_gateway_subscribes_at_the_new_master_though_the_old_one_answers_again(
    servers: RedisSentinel,
) -> None:
    bus, resyncs, received = Bus(servers.url, "sentinel"), 0, 0

    def on_message(channel: str, _body: bytes) -> None:
        nonlocal received
        received += channel == "parley:test"
        bus.heartbeat_received()

    async def on_reconnect() -> None:
        nonlocal resyncs
        resyncs += 1

    bus.start(Subscriber(on_message=on_message, on_reconnect=on_reconnect))
    await eventually(lambda: not bus.stale)
    await bus.subscribe(["parley:test"])
    old = await asyncio.to_thread(servers.freeze_master)
    await eventually(lambda: servers.master is not old, FAILOVER_SECONDS)
    old.signal(signal.SIGCONT)

    await eventually(lambda: resyncs == 1 and not bus.stale)

    async with direct(servers.master) as master:
        assert await master.publish("parley:test", "x") == 1
    await eventually(lambda: received == 1)
    await bus.stop()


async def test_a_replica_that_a_sentinel_names_is_not_connected_to(servers: RedisSentinel) -> None:
    replica = next(server for server in servers.servers if server is not servers.master)
    client = fixed(replica)
    with pytest.raises(redis.exceptions.ConnectionError, match="is not the master"):
        await client.publish("parley:test", "x")
    await client.aclose()


async def test_a_write_that_a_demoted_master_refuses_fails_as_a_lost_connection(
    servers: RedisSentinel,
) -> None:
    old = servers.master
    client = fixed(old)
    await client.ping()
    # The sentinels are not asked for this: they would close the connection.
    await asyncio.to_thread(old.follow, next(server for server in servers.servers if server is not old))

    with pytest.raises(redis.exceptions.ConnectionError):
        await client.set("parley:test", "x")
    await client.aclose()
    async with direct(old) as client_of_old:
        await client_of_old.replicaof("no", "one")


async def test_one_sentinel_of_three_is_enough(servers: RedisSentinel) -> None:
    host = servers.hosts.split(",")[0]
    client = connect(f"redis+sentinel://127.0.0.1:9,{host},127.0.0.1:10/parley")
    assert await client.ping()
    await client.aclose()


async def test_a_master_that_no_sentinel_knows_is_named_in_the_error(servers: RedisSentinel) -> None:
    client = connect(servers.url.replace("/parley", "/other"))
    with pytest.raises(redis.exceptions.ConnectionError, match="no sentinel knows the master other"):
        await client.ping()
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://a,b:1/main", {"db": 0, "username": None, "password": None}),
        ("redis+sentinel://ann:p%40ss@a:1,[::1]:2/main/3", {"db": 3, "username": "ann", "password": "p@ss"}),
    ],
)
def test_user_and_database_of_the_url_are_those_of_redis(url: str, expected: dict[str, Any]) -> None:
    connection = connect(url).connection_pool.make_connection()
    assert {name: getattr(connection, name) for name in expected} == expected


def test_a_url_with_tls_uses_it_for_redis_and_its_sentinels() -> None:
    pool = connect("rediss+sentinel://a,b/main?ssl_ca_certs=/ca.pem&sentinel_password=p").connection_pool
    connection = pool.make_connection()
    assert isinstance(connection, sentinel.TlsMasterConnection)
    assert connection.ca_certs == "/ca.pem"
    of_sentinel = pool.master.sentinels[1].connection_pool.make_connection()
    assert isinstance(of_sentinel, redis.asyncio.SSLConnection)
    assert (of_sentinel.host, of_sentinel.port, of_sentinel.ca_certs) == ("b", 26379, "/ca.pem")
    assert (of_sentinel.password, connection.password) == ("p", None)
