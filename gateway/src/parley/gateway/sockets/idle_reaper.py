"""Closes sockets that joined no namespace in time, and polling clients that do not read."""

import asyncio
from collections.abc import Callable, Set
from time import monotonic

import structlog

from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.engine_session import EngineSession

log = structlog.get_logger()

JOIN_SECONDS = 10.0
"""How long a connection may be in no namespace, because it is new or was refused."""
AT_ONCE = 500
"""Connections that are checked in one turn of the event loop, which takes less than a millisecond."""


class IdleReaper:
    """Checks all connections of a node each time that `sweep` is called.

    Args:
        engine: the server that holds the connections.
        joined: returns the Engine.IO ids of the connections that are in a namespace.
        has_joined: returns whether the connection with this Engine.IO id is one of these.
    """

    def __init__(
        self, engine: EngineServer, joined: Callable[[], Set[str]], has_joined: Callable[[str], bool]
    ) -> None:
        self._engine = engine
        self._joined = joined
        self._has_joined = has_joined
        self._idle_since: dict[str, float] = {}

    async def sweep(self) -> None:
        """Close polling clients over their limit, and connections that have been idle for too long."""
        idle: dict[str, float] = {}
        now, joined = monotonic(), self._joined()
        for number, (sid, session) in enumerate(list(self._engine.sockets.items()), start=1):
            is_late = False
            if sid not in joined:
                idle[sid] = self._idle_since.get(sid, now)
                # It may have joined since this sweep began.
                is_late = now - idle[sid] > JOIN_SECONDS and not self._has_joined(sid)
            if is_late or session.over_limit:
                await self._close(session)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._idle_since = idle

    async def _close(self, session: EngineSession) -> None:
        # A session whose handlers wait for a server is listed until they have ended.
        if not session.closing:
            log.info("gateway.socket.reaped", over_limit=session.over_limit)
        await session.terminate()
