"""A Socket.IO namespace: from the socket's vocabulary to the core, and the answer back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import structlog
from socketio import AsyncNamespace, AsyncServer
from socketio.exceptions import ConnectionRefusedError as Refused

from parley.gateway import gauges
from parley.gateway.auth import Authenticator
from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Forbidden, Invalid, Overloaded, RateLimited, Unavailable
from parley.gateway.core.results import Introduction, Joined, Left, PendingCommit, Renewed
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.fanout import FanOut
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.dispatch import Resolved, Unresolved, resolve
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.recovery.connection_recovery import ConnectionRecovery
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.command_table import COMMANDS, check_session_handlers, count_command
from parley.gateway.state.rates import Buckets, Rate, Rates
from parley.gateway.transport.packets import MalformedPacket
from parley.gateway.transport.server import DeferredAck, TransientConnectError
from parley.shared.model import now

log = structlog.get_logger()

READ_SECONDS = 2.0
CATCHING_UP = "You are still being told what you missed; try again."
END_OF_TIME = datetime.max.replace(tzinfo=UTC).timestamp() - 1
PATIENCE = Rate(2, 100)
"""Refusals for doing too much that one socket may have; whoever goes on is cut off."""
LOST = (AsyncServer.reason.TRANSPORT_CLOSE, AsyncServer.reason.PING_TIMEOUT)
"""Why a socket is gone whose client did not mean to go; other than when either side has said so."""


class ChatNamespace(AsyncNamespace):  # type: ignore[misc]
    """Lets sockets in, hears their events, sees them out."""

    def __init__(
        self,
        namespace: str,
        protocols: tuple[ClientProtocol, ...],
        *,
        authenticator: Authenticator,
        token_in_query: bool,
        command_bus: CommandBus,
        sessions: Sessions,
        connection_manager: ConnectionManager,
        room_membership: RoomMembership,
        fanout: FanOut,
        rates: Rates,
        max_sockets_of_user: int,
        recovery: ConnectionRecovery,
    ) -> None:
        super().__init__(namespace)
        self._protocols = protocols
        self._authenticator = authenticator
        self._token_in_query = token_in_query
        self._command_bus = command_bus
        self._sessions = sessions
        self._connection_manager = connection_manager
        self._room_membership = room_membership
        self._fanout = fanout
        self._rates = rates
        self._max_sockets_of_user = max_sockets_of_user
        self._recovery = recovery
        self._patience = Buckets(PATIENCE)
        self._session_handlers: dict[type[c.Command], Callable[[Session, Any], Awaitable[Any]]] = {
            c.JoinRoom: self._join,
            c.LeaveRoom: self._leave,
            c.Introduce: self._introduce,
            c.Ping: self._ping,
            c.Reauthenticate: self._renew,
        }
        check_session_handlers(self._session_handlers)

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Find out who it is and make everything ready.

        Raises:
            ConnectionRefusedError: with the error as its data.
            PutOff: what stands in the way will pass.
        """
        try:
            identity = await self._authenticator.identify(self._token(environ, auth))
            # A connection may enter and leave again and again, and all of it reads.
            self._rates.count("reads", identity.person.id)
            recalled = await self._recovery.recall(auth, identity.person.id, self._protocols)
            speaks = recalled.speaks if recalled is not None else self._protocols
            # Last, so that of many at once none slips by before the others are counted.
            if len(self._sessions.of_user(identity.person.id)) >= self._max_sockets_of_user:
                raise Overloaded("You have as many sockets here as one user may have.")
            session = await self._connection_manager.arrive(sid, identity.person, speaks)
        except ChatError as error:
            gauges.count(error)
            if error.retryable:
                raise TransientConnectError(error.message) from error
            raise Refused(error.message, ERROR(error)) from error
        except Exception as error:
            log.exception("could not let a socket in")
            raise TransientConnectError("Something went wrong.") from error
        session.identity = identity
        if recalled is not None:
            await self._recovery.rejoin(session, recalled)

    def private_id(self, sid: str) -> str | None:
        """By what the client of a socket finds it again when it is lost."""
        session = self._sessions.get(sid)
        return session.pid if session is not None else None

    async def on_connected(self, sid: str) -> None:
        """The client knows that it is connected: let it hear its rooms."""
        session = self._sessions.get(sid)
        if session is None or session.connected:
            return
        try:
            await self._recovery.catch_up(session)
        except Exception as error:
            # Its client comes again, and names the same place.
            log.warning("closing a socket that cannot be told what it missed", error=repr(error))
            self.server.close_connection(sid, self.namespace)
            return
        if self._sessions.get(sid) is session:
            self._connection_manager.enter(session)
            self._fanout.greet(session)

    async def on_disconnect(self, sid: str, reason: Any = None) -> None:
        """See a socket out."""
        session = self._sessions.get(sid)
        if session is not None:
            lost = reason in LOST and session.identity is not None
            self._recovery.ended(session, lost=lost)
        await self._connection_manager.depart(sid)

    async def handle_event(self, sid: str, event: Any, args: list[Any]) -> Any:
        """What comes of a client's event: an acknowledgement, or one that comes later."""
        session = self._sessions.get(sid)
        if session is None:
            return None
        if not session.connected:
            return session.speaks[0].refusal(Unavailable(CATCHING_UP))
        try:
            self._rates.count("events", sid)
            return await self._hear(session, event, args)
        except RateLimited as error:
            if not self._patience.try_take(sid):
                log.info("closing a socket that does not slow down", user=session.person.id)
                self._recovery.ended(session, lost=False)
                self.server.close_connection(sid, self.namespace)
            return _refusal(session.speaks[0], error)

    async def _hear(self, session: Session, event: Any, args: list[Any]) -> Any:
        if isinstance(event, MalformedPacket):
            return _refusal(session.speaks[0], Invalid(str(event)))
        try:
            understood = resolve(session.speaks, event, args)
        except Unresolved as no:
            return _refusal(no.protocol, no.error)
        if understood.protocols != session.speaks:
            self._room_membership.decide(session, understood.protocols)
        by = understood.protocols[0]
        try:
            return await self._answer(session, understood)
        except RateLimited:
            raise
        except ChatError as error:
            return _refusal(by, error)
        except Exception:
            log.exception("an event failed", event_name=str(event)[:50])
            return _refusal(by, ChatError("Something went wrong."))

    async def _answer(self, session: Session, understood: Resolved) -> Any:
        inbound = understood.inbound
        result = await self._do(session, inbound.command(understood.payload))
        if isinstance(result, PendingCommit):
            refuse = partial(_refusal, understood.protocols[0])
            return DeferredAck(result.confirmed, partial(inbound.ack, result.result), refuse)
        if inbound.reply is not None:
            self._fanout.tell(session, inbound.reply, result)
        return inbound.ack(result)

    async def _do(self, session: Session, command: c.Command) -> Any:
        count_command(self._rates, session.person.id, command)
        handle = self._session_handlers.get(type(command))
        if handle is not None:
            return await handle(session, command)
        result = self._command_bus.handle(session.person, command)
        return await (self._soon(result) if COMMANDS[type(command)].is_bounded else result)

    async def _join(self, session: Session, command: c.JoinRoom) -> Joined:
        joined = await self._connection_manager.join(session, command.conversation_id)
        await self._recovery.kept(session)
        return joined

    async def _leave(self, session: Session, command: c.LeaveRoom) -> Left:
        return self._connection_manager.leave_room(session, command.conversation_id)

    async def _introduce(self, session: Session, _command: c.Introduce) -> Introduction:
        return Introduction(session.person, session.sid, session.online)

    async def _ping(self, _session: Session, _command: c.Ping) -> datetime:
        return now()

    async def _renew(self, session: Session, command: c.Reauthenticate) -> Renewed:
        identity = await self._authenticator.identify(command.token)
        if identity.person.id != session.person.id:
            raise Forbidden("The token is another user's.")
        session.identity, session.person = identity, identity.person
        return Renewed(datetime.fromtimestamp(min(identity.expires_at, END_OF_TIME), UTC))

    async def _soon(self, answer: Awaitable[Any]) -> Any:
        """What only reads does not hold up what the client says next for long."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await answer
        except TimeoutError as error:
            raise Unavailable("The archive is too slow at the moment; try again.") from error

    def _token(self, environ: dict[str, Any], auth: Any) -> Any:
        """From the auth object, the Authorization header or the query, in this order."""
        if isinstance(auth, dict) and auth.get("token"):
            return auth["token"]
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return bearer.strip()
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return query.get("token", [None])[0] if self._token_in_query else None


def _refusal(by: ClientProtocol, error: ChatError) -> Any:
    """An error in a vocabulary's words, counted."""
    return by.refusal(gauges.count(error))
