"""Redis: connect so that each command ends within seconds, and name every way in which one can fail."""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from parley.shared import sentinel
from parley.shared.settings import SettingsError

FAULTS = (RedisError, OSError, RuntimeError)
"""Exceptions of a command when Redis is away; uvloop raises RuntimeError for a connection that was reset."""


def connect(url: str, *, connections: int = 32, retries: int = 1) -> "Redis":
    """Return a client whose commands wait for a free connection, and fail within seconds without Redis.

    Args:
        url: `redis://` or `rediss://`; with `redis+sentinel://` or `rediss+sentinel://` each connection is
            one to the present master.
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
        return Redis.from_pool(_checked(_pool(url, options)))
    except (TypeError, ValueError):
        # The value may contain a password, so the error does not quote it.
        raise SettingsError("REDIS_URL has an unknown option, or one with an invalid value.") from None


def _pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    if sentinel.is_url(url):
        return sentinel.master_pool(url, **options)
    return BlockingConnectionPool.from_url(url, **options)


def _checked(pool: ConnectionPool) -> ConnectionPool:
    """Return a pool whose options the driver accepts: it would check them at the first command only."""
    pool.make_connection()  # type: ignore[no-untyped-call]
    return pool
