"""Commit waiters: a REST request that was accepted waits a moment for its event, to read its own write."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from parley.gateway.core.errors import ChatError, Conflict, NotFound, Unavailable
from parley.gateway.core.results import MessageView, PendingCommit
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.shared import rooms
from parley.shared.events import Event, RecordRefused, records_of

log = structlog.get_logger()

WAIT_SECONDS = 0.5
REFUSALS: dict[str, type[ChatError]] = {kind.code: kind for kind in (NotFound, Conflict)}
"""The errors that a worker's refusals become for a waiting request."""


class CommitWaiters:
    """Futures of records whose events are awaited on this node, by record id."""

    def __init__(self, manager: RedisManager) -> None:
        self._manager = manager
        self._waiting: dict[str, asyncio.Future[Event]] = {}

    def resolve(self, event: Event) -> None:
        """Resolve the futures of the records that an event is the outcome of, if they are awaited."""
        if not self._waiting:
            return
        for record_id in records_of(event):
            waiter = self._waiting.get(record_id)
            if waiter is not None and not waiter.done():
                waiter.set_result(event)

    async def wait(self, pending: PendingCommit) -> None:
        """Wait for the event of an accepted record, `WAIT_SECONDS` at most.

        Raises:
            NotFound, Conflict, ChatError: the worker has refused the record.
        """
        with self.expected(pending.record_id) as committed:
            try:
                names = [rooms.conversation(pending.conversation_id), rooms.user(pending.user_id)]
                await self._manager.subscribe(names)
                event = await asyncio.wait_for(asyncio.shield(committed), WAIT_SECONDS)
            except (Unavailable, TimeoutError):
                message = pending.result.message.id if isinstance(pending.result, MessageView) else None
                log.debug("gateway.commit.wait_abandoned", record=pending.record_id, message_id=message)
                return
        if isinstance(event, RecordRefused):
            raise REFUSALS.get(event.code, ChatError)(event.reason)

    @contextmanager
    def expected(self, record_id: str) -> "Iterator[asyncio.Future[Event]]":
        """Expect the event of a record within the context; its channel must be subscribed to."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[record_id] = future
        try:
            yield future
        finally:
            del self._waiting[record_id]
