"""The evictor: closes the sockets whose tokens hold no more."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from parley.gateway.auth import Identity
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.sockets import idle_reaper
from parley.gateway.transport.server import ChatServer

log = structlog.get_logger()

SOON_SECONDS = 0.05
FAREWELL_SECONDS = 1.0
"""How long a client has to go by itself once it was told."""


class TokenExpiryReaper:
    """Looks over a node's sessions, again and again and whenever something was revoked."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        room_membership: RoomMembership,
        server: ChatServer,
        holds: Callable[[Identity], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sessions = sessions
        self._room_membership = room_membership
        self._server = server
        self._holds = holds
        self._spawn = spawn
        self._looking: asyncio.Handle | None = None

    def look_soon(self) -> None:
        """Look once for everything that is revoked within a moment, however much that is."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(SOON_SECONDS, self.look)

    def look(self) -> None:
        """See out whoever's token has expired, was revoked, or is by a key that is trusted no more."""
        self._looking = None
        for session in self._sessions:
            if session.identity is None or self._holds(session.identity):
                continue
            log.info("a token holds no more", user=session.person.id)
            session.identity = None
            if session.connected:
                # Their seats are taken at once, for the rest may wait for a server that is away.
                self._room_membership.mute(session)
                self._spawn(self._see_out(session))
            else:
                self._spawn(self._cut_off(session))

    async def _cut_off(self, session: Session) -> None:
        """Close a socket that is still being told what it missed, and tell it no more."""
        socket = self._socket(session)
        if socket is not None:
            await idle_reaper.close(self._server.eio, socket)
        session.places.clear()

    def _socket(self, session: Session) -> Any:
        sid = self._server.manager.eio_sid_from_sid(session.sid, session.namespace)
        return self._server.eio.sockets.get(sid)

    async def _see_out(self, session: Session) -> None:
        """Tell the client, whose library then neither stays nor comes back; close what stays."""
        engine, socket = self._server.eio, self._socket(session)
        leaving = asyncio.create_task(
            self._server.disconnect(session.sid, namespace=session.namespace, ignore_queue=True)
        )
        await asyncio.wait([leaving], timeout=FAREWELL_SECONDS)
        await asyncio.sleep(FAREWELL_SECONDS)
        if socket is not None and not socket.closed and not self._is_elsewhere(socket):
            await idle_reaper.close(engine, socket)
        await leaving

    def _is_elsewhere(self, socket: Any) -> bool:
        """Whether the connection serves another namespace too, or has come again by another token."""
        manager = self._server.manager
        room_membership = (
            (manager.sid_from_eio_sid(socket.sid, n), n) for n in self._server.namespace_handlers
        )
        return any(sid is not None and manager.is_connected(sid, n) for sid, n in room_membership)
