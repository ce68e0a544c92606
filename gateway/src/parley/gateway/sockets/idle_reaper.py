"""Closes sockets that joined no namespace in time, and polling clients that do not read."""

from collections.abc import Callable
from time import monotonic

import structlog

from parley.gateway.transport.engine_server import EngineServer

log = structlog.get_logger()

JOIN_SECONDS = 10.0
"""How long a connection may be in no namespace, because it is new or was refused."""


class IdleReaper:
    """Checks all connections of a node each time that `sweep` is called.

    Args:
        engine: the server that holds the connections.
        has_joined: returns whether the connection with this Engine.IO id is in a namespace.
    """

    def __init__(self, engine: EngineServer, has_joined: Callable[[str], bool]) -> None:
        self._engine = engine
        self._has_joined = has_joined
        self._idle_since: dict[str, float] = {}

    async def sweep(self) -> None:
        """Close polling clients over their limit, and connections that have been idle for too long."""
        idle: dict[str, float] = {}
        for sid, session in list(self._engine.sockets.items()):
            if not self._has_joined(sid):
                idle[sid] = self._idle_since.get(sid, monotonic())
            is_late = sid in idle and monotonic() - idle[sid] > JOIN_SECONDS
            if is_late or session.over_limit:
                # A closed session is listed until the next request or monitoring run.
                if not session.closed:
                    log.info("gateway.socket.reaped", over_limit=session.over_limit)
                await session.terminate()
        self._idle_since = idle
