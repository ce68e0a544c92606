"""Batches of presence: sockets that come or go together share a round trip, changes a publication."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Generic, TypeVar

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import EventPublisher
from parley.shared import rooms
from parley.shared.events import PresenceChanged
from parley.shared.model import now

CALLS_AT_ONCE = 100
CHANGES_AT_ONCE = 500
GATHER_SECONDS = 0.1

Spawn = Callable[[Coroutine[Any, Any, None]], None]
T = TypeVar("T")
R = TypeVar("R")


class CallBatches(Generic[T, R]):
    """Runs calls in batches: one batch at a time, of all calls that have gathered meanwhile.

    Args:
        run: Runs a batch; returns a result for each call.
        spawn: Runs a coroutine in the background.
    """

    def __init__(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], spawn: Spawn) -> None:
        self._run = run
        self._spawn = spawn
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._is_running = False

    async def call(self, value: T) -> R:
        """Return the result of one call. Raises the error of its batch."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((value, result))
        if not self._is_running:
            self._is_running = True
            self._spawn(self._run_batches())
        return await result

    async def _run_batches(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:CALLS_AT_ONCE]
                del self._waiting[:CALLS_AT_ONCE]
                await self._run_batch([(value, result) for value, result in batch if not result.done()])
        finally:
            self._is_running = False

    async def _run_batch(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            found = await self._run([value for value, _ in batch])
        except BaseException as error:
            # The cancellation of a batch must not pass for that of its callers.
            reason = error if isinstance(error, Exception) else Unavailable("The gateway is stopping.")
            for _, result in batch:
                if not result.done():
                    result.set_exception(reason)
            if reason is not error:
                raise
            return
        for (_, result), answer in zip(batch, found, strict=True):
            if not result.done():
                result.set_result(answer)


class PresenceChanges:
    """Publishes who came and went, the last change of each user within `GATHER_SECONDS`.

    All gateways hear of all changes, in one publication: a channel for each user would cost a gateway a
    subscription for each contact of its users.
    """

    def __init__(self, event_publisher: EventPublisher, spawn: Spawn) -> None:
        self._event_publisher = event_publisher
        self._spawn = spawn
        self._changes: dict[str, PresenceChanged] = {}
        self._is_gathering = False

    def add(self, user_ids: Iterable[str], *, online: bool) -> None:
        """Publish soon that users are online, or offline."""
        at = now()
        for user_id in user_ids:
            # Deleted first: the order is that of the last changes.
            self._changes.pop(user_id, None)
            self._changes[user_id] = PresenceChanged(user_id=user_id, online=online, at=at)
        if self._changes and not self._is_gathering:
            self._is_gathering = True
            self._spawn(self._publish_soon())

    async def _publish_soon(self) -> None:
        try:
            await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._is_gathering = False
        await self.publish()

    async def publish(self) -> None:
        """Publish what has gathered."""
        changes, self._changes = list(self._changes.values()), {}
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            part = changes[start : start + CHANGES_AT_ONCE]
            await self._event_publisher.publish_events({rooms.everyone(): part})
