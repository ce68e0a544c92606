"""The token expiry reaper: closes the sockets whose tokens have expired or were revoked."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from parley.gateway.auth import Authenticator
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.services.revocations import RevocationService
from parley.gateway.sockets.identities import Identities
from parley.gateway.transport.server import ChatServer

log = structlog.get_logger()

CHECK_SECONDS = 1.0
GATHER_SECONDS = 0.05
"""The time between two checks at least: revocations can come in large numbers."""
AT_ONCE = 500
"""Sessions that are checked in one turn of the event loop."""
FAREWELL_SECONDS = 1.0
"""How long a client has to close its connection once it was told."""


class TokenExpiryReaper:
    """Checks the identities of a node's sessions."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        identities: Identities,
        authenticator: Authenticator,
        revocations: RevocationService,
        server: ChatServer,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._identities = identities
        self._authenticator = authenticator
        self._revocations = revocations
        self._server = server
        self._spawn = spawn

    async def run(self) -> None:
        """Check all sessions every `CHECK_SECONDS`, and a moment after each revocation."""
        while True:
            await self._revocations.wait_for_change(CHECK_SECONDS)
            await self.check()
            await asyncio.sleep(GATHER_SECONDS)

    async def check(self) -> None:
        """Close each session whose token has expired, was revoked, or has a key no longer trusted."""
        for number, session in enumerate(self._sessions, start=1):
            identity = self._identities.get(session)
            if identity is not None and not self._authenticator.is_valid(identity):
                self._close(session)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _close(self, session: Session) -> None:
        if not self._sessions.transition(session, SessionState.CLOSING):
            return
        log.info("gateway.token.expired", user=session.user_id)
        if self._session_rooms.has_entered(session):
            # Delivery stops at once: the rest may wait for a server that is away.
            self._room_membership.mute(session)
            self._spawn(self._disconnect(session))
        else:
            self._spawn(self._abort(session))

    async def _abort(self, session: Session) -> None:
        """Close a socket that is still being replayed to."""
        socket = self._socket(session)
        if socket is not None:
            await socket.terminate()

    def _socket(self, session: Session) -> Any:
        sid = self._server.manager.eio_sid_from_sid(session.sid, session.namespace)
        return self._server.eio.sockets.get(sid)

    async def _disconnect(self, session: Session) -> None:
        """Send a disconnect packet, after which clients do not reconnect; close what stays."""
        socket = self._socket(session)
        leaving = asyncio.create_task(
            self._server.disconnect(session.sid, namespace=session.namespace, ignore_queue=True)
        )
        await asyncio.wait([leaving], timeout=FAREWELL_SECONDS)
        await asyncio.sleep(FAREWELL_SECONDS)
        if socket is not None and not socket.closed and not self._serves_another(socket):
            await socket.terminate()
        await leaving

    def _serves_another(self, socket: Any) -> bool:
        """Whether the connection serves another namespace too, or has connected again by another token."""
        manager = self._server.manager
        sids = ((manager.sid_from_eio_sid(socket.sid, n), n) for n in self._server.namespace_handlers)
        return any(sid is not None and manager.is_connected(sid, n) for sid, n in sids)
