"""Changes of presence: those that come together share a publication."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from parley.gateway.core.ports import EventPublisher
from parley.shared import rooms
from parley.shared.events import PresenceChanged
from parley.shared.model import now

CHANGES_AT_ONCE = 500
GATHER_SECONDS = 0.1

Spawn = Callable[[Coroutine[Any, Any, None]], None]


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
