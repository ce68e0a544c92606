"""Redis: connect so that each command ends within seconds, and name every way in which one can fail."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

FAULTS = (RedisError, OSError, RuntimeError)
"""Exceptions of a command when Redis is away; uvloop raises RuntimeError for a connection that was reset."""


def connect(url: str, *, connections: int = 32, retries: int = 1) -> "Redis":
    """Return a client whose commands wait for a free connection, and fail within seconds without Redis.

    Args:
        url: `redis://` or `rediss://`.
        connections: The most connections to keep open.
        retries: Immediate retries of a command: after a restart of Redis each pooled connection is stale.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), retries),
    )
    return Redis.from_pool(pool)
