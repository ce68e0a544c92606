"""Redis: connect so that each command ends within seconds, and name every way in which one can fail."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from parley.shared import cluster, cluster_url, sentinel
from parley.shared.cluster_commands import ClusterCommands
from parley.shared.pipelined_connection import Command, PipelinedConnection
from parley.shared.settings import SettingsError

FAULTS = (RedisError, RedisClusterException, OSError, RuntimeError)
"""Exceptions of a command when Redis is away; uvloop raises RuntimeError for a connection that was reset."""


class Commands(Protocol):
    """Runs commands of many callers, on a Redis or on a cluster of them."""

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; return their replies, errors of single commands among them.

        Raises:
            RedisError, OSError, RuntimeError: Redis is away, as is every master of a cluster.
        """

    async def close(self) -> None:
        """Close the connections."""


def connect(url: str, *, connections: int = 32, retries: int = 1) -> Any:
    """Return a client whose commands wait for a free connection, and fail within seconds without Redis.

    Args:
        url: `redis://` or `rediss://`; with `redis+sentinel://` or `rediss+sentinel://` each connection is
            one to the present master; with `redis+cluster://` or `rediss+cluster://` a command goes to the
            master of its key, and has no free connection to wait for: it fails if all are taken.
        connections: The most connections to keep open.
        retries: Immediate retries of a command: after a restart of Redis each pooled connection is stale.

    Raises:
        SettingsError: An option in the URL is unknown, or has an invalid value.
    """
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": 2,
        "socket_timeout": 2,
        "socket_connect_timeout": 1,
        "retry": Retry(NoBackoff(), retries),
    }
    try:
        if cluster_url.is_cluster(url):
            del options["timeout"]
            return cluster.client(url, **options)
        return Redis.from_pool(_checked(_pool(url, options)))
    except (TypeError, ValueError):
        # The value may contain a password, so the error does not quote it.
        raise SettingsError("REDIS_URL has an unknown option, or one with an invalid value.") from None


def open_commands(url: str) -> Commands:
    """Return the commands of a URL. Raises `SettingsError` as `connect` does."""
    if cluster_url.is_cluster(url):
        return ClusterCommands(open_cluster(url))
    return PipelinedConnection(connect(url))


def open_cluster(url: str) -> cluster.Cluster:
    """Return the masters of a cluster. Raises `SettingsError` as `connect` does."""
    # Its nodes are connected to later, but an option that is wrong has to be reported now.
    connect(cluster_url.node_url(url, cluster_url.addresses(url)[0]))
    return cluster.Cluster(url, partial(connect, retries=0))


def _pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    if sentinel.is_url(url):
        return sentinel.master_pool(url, **options)
    return BlockingConnectionPool.from_url(url, **options)


def _checked(pool: ConnectionPool) -> ConnectionPool:
    """Return a pool whose options the driver accepts: it would check them at the first command only."""
    pool.make_connection()  # type: ignore[no-untyped-call]
    return pool
