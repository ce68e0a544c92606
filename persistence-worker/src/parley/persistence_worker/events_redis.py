"""Publishes events to the gateways over Redis."""

from collections.abc import Mapping, Sequence

import structlog
from redis.asyncio import Redis

from parley.shared import events, rooms
from parley.shared.events import Event
from parley.shared.metrics import bus_failures

log = structlog.get_logger()


class RedisEventPublisher:
    """`Announcer` by one pipeline of PUBLISH a batch."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
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
