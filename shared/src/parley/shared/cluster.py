"""A Redis Cluster: the master of each hash slot, by the answers of its nodes, and a client for each node.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, RedisError

from parley.shared.cluster_url import addresses, node_url
from parley.shared.host_lists import Address
from parley.shared.majority import latest_answer

ANSWER_SECONDS = 1.0
SLOTS = REDIS_CLUSTER_HASH_SLOTS

Connect = Callable[[str], "Redis"]


def slot_of(key: str) -> int:
    """Return the hash slot of a key or a channel; of the part in braces, if it has one."""
    return int(key_slot(key.encode()))


def client(url: str, **options: Any) -> "RedisCluster":
    """Return redis-py's client of a cluster, which suits commands that are rare.

    Args:
        url: `redis+cluster://user:password@a:6379,b,c`; the hosts are some of the nodes. User, password and
            options hold for all nodes, TLS included.
        options: Further options of the client.

    Raises:
        TypeError, ValueError, RedisError: An option in the URL is unknown, or has an invalid value.
    """
    found: dict[str, Any] = {**parse_url(node_url(url, addresses(url)[0]))}
    is_tls = found.pop("connection_class", None) is SSLConnection
    for name in ("host", "port", "db"):
        found.pop(name, None)
    nodes = [ClusterNode(*address) for address in addresses(url)]
    # A failover takes its time: an answer of a part of the cluster is better than none.
    return RedisCluster(startup_nodes=nodes, ssl=is_tls, require_full_coverage=False, **{**options, **found})


class Cluster:
    """The masters of a cluster.

    Args:
        url: As of `client`.
        connect: Returns a client of the node that a URL names.
    """

    def __init__(self, url: str, connect: Connect) -> None:
        self._url = url
        self._connect = connect
        self._seeds = addresses(url)
        self._owners: list[Address | None] = [None] * SLOTS
        self._known: set[Address] = set()
        self._replicas: dict[Address, list[Address]] = {}
        self._clients: dict[Address, Redis] = {}
        self._askers: dict[Address, Redis] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self.version = 0
        """Counts the changes of the slots' masters."""

    def owner(self, slot: int) -> Address | None:
        """Return the master of a slot; None if no node has answered yet, or the slot has no master."""
        return self._owners[slot]

    def owners(self) -> Sequence[Address | None]:
        """Return the master of each slot."""
        return self._owners

    def masters(self) -> list[Address]:
        """Return the masters that have slots."""
        return list(dict.fromkeys(owner for owner in self._owners if owner is not None))

    def replicas(self, master: Address) -> list[Address]:
        """Return the replicas of a master."""
        return self._replicas.get(master, [])

    def client(self, address: Address) -> "Redis":
        """Return the client of a node."""
        found = self._clients.get(address)
        if found is None:
            found = self._clients[address] = self._connect(node_url(self._url, address))
        return found

    async def load(self) -> None:
        """Ask the nodes, unless they have answered before. Raises `redis.exceptions.ConnectionError`."""
        if not self._known:
            await self.refresh()

    async def refresh(self) -> None:
        """Ask the nodes which master serves which slots; callers at the same time share one answer.

        Raises:
            redis.exceptions.ConnectionError: No node answers.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    def moved(self, error: MovedError) -> Address:
        """Note the master that a node names for a slot; return its address."""
        address = (error.host, error.port)
        if self._owners[error.slot_id] != address:
            self._owners[error.slot_id] = address
            self._known.add(address)
            self.version += 1
        return address

    async def close(self) -> None:
        """Close all connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        for each in [*self._clients.values(), *self._askers.values()]:
            await each.aclose()

    async def _refresh(self) -> None:
        questions = map(self._ask, {*self._known, *self._seeds})
        ranges = await latest_answer(questions, "no node of the Redis Cluster answers")
        owners: list[Address | None] = [None] * SLOTS
        known = set()
        followers = {}
        for first, last, master, *replicas in ranges:
            owners[first : last + 1] = [master] * (last - first + 1)
            known.update([master, *replicas])
            followers[master] = replicas
        if not known:
            raise RedisConnectionError("the Redis Cluster has no slots: create it with redis-cli --cluster")
        self._known, self._replicas = known, followers
        if owners != self._owners:
            self._owners = owners
            self.version += 1
        await self._forget_strangers()

    async def _forget_strangers(self) -> None:
        for clients in (self._askers, self._clients):
            for address in clients.keys() - self._known - set(self._seeds):
                await clients.pop(address).aclose()

    async def _ask(self, address: Address) -> tuple[int, list[Any]]:
        """Return the epoch that a node knows, and the ranges of slots, each with its nodes."""
        async with asyncio.timeout(ANSWER_SECONDS):
            pipeline = self._asker(address).pipeline(transaction=False)
            pipeline.execute_command("CLUSTER INFO")
            pipeline.execute_command("CLUSTER SLOTS")
            info, slots = await pipeline.execute()
        # A node that has not learnt its own address names none.
        return int(info["cluster_current_epoch"]), [
            [first, last, *((host or address[0], port) for host, port, *_ in nodes)]
            for first, last, *nodes in slots
        ]

    def _asker(self, address: Address) -> "Redis":
        found = self._askers.get(address)
        if found is None:
            pool = BlockingConnectionPool.from_url(
                node_url(self._url, address),
                max_connections=2,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                decode_responses=True,
                retry=Retry(NoBackoff(), 1),
            )
            found = self._askers[address] = Redis.from_pool(pool)
        return found


async def refresh_quietly(cluster: Cluster) -> None:
    """Ask the nodes again; if none answers, the last answer holds."""
    with suppress(RedisError, OSError):
        await cluster.refresh()
