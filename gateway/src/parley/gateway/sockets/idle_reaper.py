"""Closes sockets that nothing good will come of."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog

log = structlog.get_logger()

JOIN_SECONDS = 10.0
"""How long a socket may be in no namespace: new, or refused."""


class IdleReaper:
    """Looks over a node's sockets, again and again."""

    def __init__(self, engine: Any, has_joined: Callable[[str], bool]) -> None:
        self._engine = engine
        self._has_joined = has_joined
        self._idle_since: dict[str, float] = {}

    async def sweep(self) -> None:
        """Close polling clients that do not read, and sockets that have been nowhere for too long."""
        idle: dict[str, float] = {}
        for sid, socket in list(self._engine.sockets.items()):
            if not self._has_joined(sid):
                idle[sid] = self._idle_since.get(sid, monotonic())
            lost = sid in idle and monotonic() - idle[sid] > JOIN_SECONDS
            if lost or socket.queue.overflown:
                # One that is closed stays among them for some seconds more.
                if not socket.closed:
                    log.info("closing a socket", unread=socket.queue.overflown)
                await close(self._engine, socket)
        self._idle_since = idle


async def close(engine: Any, socket: Any) -> None:
    """Close an Engine.IO socket, whatever its client makes of that."""
    await socket.close(wait=False, abort=True, reason=engine.reason.SERVER_DISCONNECT)
    if socket.queue.wire is not None:
        socket.queue.wire.close()
