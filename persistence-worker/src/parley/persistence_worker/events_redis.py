"""Publishes events to the gateways over Redis."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis

from parley.shared import events, rooms
from parley.shared.events import Event
from parley.shared.metrics import bus_failures

log = structlog.get_logger()

ANSWER_SECONDS = 2.0


class RedisEventPublisher:
    """`EventPublisher` by one write of PUBLISH commands a batch."""

    def __init__(self, redis: "Redis") -> None:
        self._pool: Any = redis.connection_pool

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        if not events_by_room:
            return
        commands = [
            ("PUBLISH", rooms.channel(room), events.pack(of_room)) for room, of_room in events_by_room.items()
        ]
        try:
            await self._run(commands)
        except Exception as error:
            # The batch is stored, so no error may stop it here: gateways backfill missing events by revision.
            bus_failures.labels("publish").inc()
            log.warning("worker.events.publish_failed", rooms=len(events_by_room), error=str(error))

    async def _run(self, commands: Sequence[tuple[str, str, bytes]]) -> None:
        # The driver's pipeline starts a timer for each answer: it takes twice the processor time of this.
        connection = await self._pool.get_connection()
        try:
            await connection.retry.call_with_retry(
                partial(_exchange, connection, commands), lambda _error: connection.disconnect()
            )
        except BaseException:
            # Answers that were not read must not be taken for those of the connection's next commands.
            await connection.disconnect()
            raise
        finally:
            await self._pool.release(connection)


async def _exchange(connection: Any, commands: Sequence[tuple[str, str, bytes]]) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        await connection.send_packed_command(connection.pack_commands(commands))
        for _ in commands:
            await connection.read_response(timeout=math.inf)
