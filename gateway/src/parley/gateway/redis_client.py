"""How the gateway speaks to Redis: in bounded time, and with every way to fail known."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

FAULTS = (RedisError, OSError, RuntimeError)
"""What a call may raise when Redis is away; uvloop says RuntimeError of a connection that was reset."""


def connect(url: str, *, retries: int = 1) -> "Redis":
    """A client whose commands wait for a free connection, and fail within seconds when Redis is away.

    One retry at once, for after a restart of Redis every pooled connection is stale.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=32,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), retries),
    )
    return Redis.from_pool(pool)
