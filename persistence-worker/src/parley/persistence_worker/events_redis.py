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
        for room, events_of_room in events_by_room.items():
            pipeline.publish(rooms.channel(room), events.pack(events_of_room))
        try:
            await pipeline.execute()
        except Exception as error:
            # The batch is stored, so no error may stop it here: gateways backfill missing events by revision.
            bus_failures.labels("publish").inc()
            log.warning("worker.events.publish_failed", rooms=len(events_by_room), error=str(error))
