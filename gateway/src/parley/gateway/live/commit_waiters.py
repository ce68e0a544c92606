"""Settling: whoever asked by REST waits a moment for what comes of it, and so sees it when they ask next."""

import asyncio

import structlog

from parley.gateway.core.errors import ChatError, Conflict, NotFound, Unavailable
from parley.gateway.core.results import PendingCommit
from parley.gateway.live.fanout import FanOut
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.shared import rooms
from parley.shared.events import RecordRefused

log = structlog.get_logger()

SETTLE_SECONDS = 0.5
REFUSALS: dict[str, type[ChatError]] = {kind.code: kind for kind in (NotFound, Conflict)}
"""What a worker's refusals are to whoever waits for one."""


class CommitWaiters:
    """Waits for the events of records that were accepted."""

    def __init__(self, fanout: FanOut, manager: RedisManager) -> None:
        self._fanout = fanout
        self._manager = manager

    async def settle(self, deferred: PendingCommit) -> None:
        """Wait for the event, not for long. Raises what a worker has refused it with."""
        with self._fanout.awaiting(deferred.record_id) as heard:
            try:
                places = [rooms.conversation(deferred.conversation_id), rooms.user(deferred.user_id)]
                await self._manager.subscribe(places)
                event = await asyncio.wait_for(asyncio.shield(heard), SETTLE_SECONDS)
            except (Unavailable, TimeoutError):
                log.debug("cannot wait for what was accepted")
                return
        if isinstance(event, RecordRefused):
            raise REFUSALS.get(event.code, ChatError)(event.reason)
