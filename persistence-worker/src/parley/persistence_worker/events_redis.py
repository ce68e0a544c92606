"""Announces events to the gateways over Redis; the only module of the worker that knows its driver."""

from collections.abc import Mapping, Sequence

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from parley.shared import events, rooms
from parley.shared.events import Event
from parley.shared.metrics import bus_failures

log = structlog.get_logger()


def connect(url: str) -> "Redis":
    """A client whose commands wait for a free connection, and fail within seconds when Redis is away."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


class RedisEventPublisher:
    """`Announcer` by one pipeline of PUBLISH a batch."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def announce(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        if not events_by_room:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for room, told in events_by_room.items():
            pipeline.publish(rooms.channel(room), events.pack(told))
        try:
            await pipeline.execute()
        except Exception as error:
            # What is stored stays stored, whatever this was: the gateways find it by number.
            bus_failures.labels("publish").inc()
            log.warning("announcing failed", rooms=len(events_by_room), error=str(error))
