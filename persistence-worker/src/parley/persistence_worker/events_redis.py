"""Publishes events to the gateways over Redis."""

from collections.abc import Mapping, Sequence

import structlog

from parley.shared import cluster_url, events, rooms
from parley.shared.events import Event
from parley.shared.metrics import bus_failures
from parley.shared.pipelined_connection import raise_first
from parley.shared.redis import open_commands

log = structlog.get_logger()


class RedisEventPublisher:
    """`EventPublisher` by one write of commands a batch, to each master of a Redis Cluster one."""

    def __init__(self, url: str) -> None:
        self._commands = open_commands(url)
        self._publish = "SPUBLISH" if cluster_url.is_cluster(url) else "PUBLISH"

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        commands = [
            (self._publish, rooms.channel(room), events.pack(of_room))
            for room, of_room in events_by_room.items()
        ]
        try:
            raise_first(await self._commands.run(commands))
        except Exception as error:
            # The batch is stored, so no error may stop it here: gateways backfill missing events by revision.
            bus_failures.labels("publish").inc()
            log.warning("worker.events.publish_failed", rooms=len(events_by_room), error=str(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._commands.close()
