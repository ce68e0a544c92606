"""Departures: ends the presence of sockets that have gone, in few tasks however many go at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Presence
from parley.gateway.live.sessions import Session

log = structlog.get_logger()

AT_ONCE = 256
"""Sockets whose presence is ended together. A task that waits for Redis takes as much memory as a socket:
those of thousands of sockets that go in the same moment would double the memory of the process."""


class Departures:
    """Tells presence of sockets that have gone, while the parts that close them go on.

    Args:
        presence: is told.
        spawn: runs a coroutine in the background.
    """

    def __init__(self, presence: Presence, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._presence = presence
        self._spawn = spawn
        self._waiting: deque[Session] = deque()
        self._reported = asyncio.Event()
        self._reported.set()

    def add(self, session: Session) -> None:
        """End the presence of a socket soon."""
        self._waiting.append(session)
        if self._reported.is_set():
            self._reported.clear()
            self._spawn(self._report())

    async def wait(self) -> None:
        """Wait until presence was told of all sockets that have gone."""
        await self._reported.wait()

    async def _report(self) -> None:
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                await asyncio.gather(*map(self._remove, some))
        finally:
            self._reported.set()

    async def _remove(self, session: Session) -> None:
        try:
            await self._presence.remove_socket(session.user_id, session.sid)
        except Unavailable:
            log.warning("gateway.presence.leave_failed", user=session.user_id)
