"""A Socket.IO namespace: authenticates and connects sockets, passes their events on, sees their end."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

import structlog
from socketio import AsyncNamespace, AsyncServer
from socketio.exceptions import ConnectionRefusedError as Refused

from parley.gateway import gauges
from parley.gateway.auth import Authenticator, Identity
from parley.gateway.core.errors import ChatError, Overloaded, RateLimited, Unauthorized, Unavailable
from parley.gateway.core.eventual import Eventual, is_awaitable
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.session_rooms import Protocols, SessionRooms
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.protocols.error_payloads import ERROR
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.recovery.connection_recovery import ConnectionRecovery, RestoredSession
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.sockets.event_dispatcher import EventDispatcher, refusal
from parley.gateway.sockets.identities import Identities
from parley.gateway.state.bulkhead import Bulkhead
from parley.gateway.state.rates import Buckets, Rate, Rates, size_cost
from parley.gateway.transport.answers import Refusal
from parley.gateway.transport.server import TransientConnectError

log = structlog.get_logger()

REPLAYING = "The events that you have missed are still being sent; try again."
CLOSING = "The token is no longer valid; the connection is being closed."
CONNECTS_AT_ONCE, CONNECTS_TOGETHER, CONNECT_WAIT_SECONDS = 24, 12, 15.0
"""A client of JavaScript waits for 20 seconds."""
FAILED_ROOMS = 100
"""Rooms that a failed connect counts as."""
MANY_ROOMS = 200
"""Entering more rooms takes longer than writing the answer to the connect by itself."""
RATE_REFUSALS = Rate(2, 100)
"""Refusals by rate that one socket may cause; past that its connection is closed."""
CONNECTED, FAILED = "connected", "FAILED"
REASONS, OTHER = {v for k, v in vars(AsyncServer.reason).items() if k.isupper()}, "other"
"""The reasons of the library, and the label for any other one."""
LOST = (AsyncServer.reason.TRANSPORT_CLOSE, AsyncServer.reason.PING_TIMEOUT)
"""The reasons for an end that neither side has asked for: the client is expected back."""


def connects_bulkhead() -> Bulkhead:
    """Return the bulkhead of the connects to all namespaces of a node."""

    def refusal() -> ChatError:
        return Unavailable("Too many clients connect at the moment; try again.")

    return Bulkhead(CONNECTS_AT_ONCE, CONNECT_WAIT_SECONDS, refusal, CONNECTS_TOGETHER)


class ChatNamespace(AsyncNamespace):  # type: ignore[misc]
    """The sockets of one namespace, which may speak any of its protocols."""

    def __init__(
        self,
        namespace: str,
        protocols: Protocols,
        *,
        authenticator: Authenticator,
        token_in_query: bool,
        identities: Identities,
        dispatcher: EventDispatcher,
        sessions: Sessions,
        session_rooms: SessionRooms,
        connection_manager: ConnectionManager,
        broadcaster: Broadcaster,
        recovery: ConnectionRecovery,
        snapshots: SessionSnapshots,
        rates: Rates,
        audience_costs: AudienceCosts,
        connects: Bulkhead,
        max_sockets_of_user: int,
    ) -> None:
        super().__init__(namespace)
        self._protocols = protocols
        self._authenticator = authenticator
        self._token_in_query = token_in_query
        self._identities = identities
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._connection_manager = connection_manager
        self._broadcaster = broadcaster
        self._recovery = recovery
        self._snapshots = snapshots
        self._rates = rates
        self._audience_costs = audience_costs
        self._max_sockets_of_user = max_sockets_of_user
        self._connects = connects
        self._rate_refusals = Buckets(RATE_REFUSALS)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the handler of a connect at once; python-socketio looks for it each time."""
        if event == "connect":
            return await self.on_connect(*args)
        return await super().trigger_event(event, *args)

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Authenticate a socket and prepare its session.

        Raises:
            ConnectionRefusedError: The client may not connect; with the error as its data.
            TransientConnectError: A transient failure; the client shall try again.
        """
        try:
            identity = await self._authenticator.identify(self._token(environ, auth))
            await self._connect(sid, identity, auth)
            gauges.connects.labels(CONNECTED).inc()
        except ChatError as error:
            gauges.count(error)
            gauges.connects.labels(error.code).inc()
            if error.retryable:
                raise TransientConnectError(error.message) from error
            raise Refused(error.message, ERROR(error)) from error
        except Exception as error:
            log.exception("gateway.connect.failed")
            gauges.connects.labels(FAILED).inc()
            raise TransientConnectError("Something went wrong.") from error

    async def _connect(self, sid: str, identity: Identity, auth: Any) -> None:
        user_id = identity.person.id
        # Connecting reads, and one transport can enter and leave the namespace again and again.
        self._rates.count("reads", user_id)
        # Its cost is known, and owed, when it is done: of many at once each would find the bucket full.
        async with self._turns.setdefault(user_id, asyncio.Lock()):
            self._rates.count("rooms", user_id)
            async with self._connects.slot(user_id):
                await self._connect_in_turn(sid, identity, auth)

    async def _connect_in_turn(self, sid: str, identity: Identity, auth: Any) -> None:
        user_id = identity.person.id
        restored = await self._recovery.find(auth, user_id, self._protocols)
        # No await between the check and the registration: of many at once, each counts the others.
        if len(self._sessions.of_user(user_id)) >= self._max_sockets_of_user:
            raise Overloaded("You have as many sockets here as one user may have.")
        session = Session(sid, self.namespace, user_id)
        await self._prepare(session, identity, restored)
        if restored is not None:
            await self._recovery.rejoin(session, restored)
            self._audience_costs.charge_rejoins(user_id, restored.points)

    async def _prepare(self, session: Session, identity: Identity, restored: RestoredSession | None) -> None:
        protocols = restored.protocols if restored is not None else self._protocols
        self._snapshots.track(session)
        try:
            await self._connection_manager.connect(session, identity.person, protocols, identity.issued_at)
        except BaseException:
            self._rates.owe("rooms", session.user_id, FAILED_ROOMS)
            self._snapshots.untrack(session)
            raise
        # How many there are is not known before they were read: the next connect waits for them.
        self._rates.owe("rooms", session.user_id, len(self._session_rooms.rooms(session)))
        self._identities.add(session, identity)

    def private_id(self, sid: str) -> str | None:
        """Return the private id by which the client of a socket can recover it."""
        session = self._sessions.get(sid)
        return self._snapshots.private_id(session) if session is not None else None

    async def on_connected(self, sid: str) -> None:
        """Replay what a recovered client missed, then let the socket go live.

        It is called once the client knows that it is connected: events sent earlier would be dropped.
        """
        session = self._sessions.get(sid)
        if session is None or not self._sessions.transition(session, SessionState.REPLAYING):
            return
        try:
            await self._recovery.replay(session)
        except Exception as error:
            # The client reconnects with the same private id and offset, and is replayed to again.
            log.warning("gateway.recovery.replay_failed", error=repr(error))
            self.server.close_connection(sid, self.namespace)
            return
        if len(self._session_rooms.rooms(session)) > MANY_ROOMS:
            # Entering them takes milliseconds, for which the client would wait to know that it is connected.
            self.server.flush(sid, self.namespace)
        if self._connection_manager.go_live(session):
            self._broadcaster.emit_on_connect(session, self._dispatcher.introduction(session))

    async def on_disconnect(self, sid: str, reason: Any = None) -> None:
        """Handle that a socket has gone."""
        session = self._sessions.get(sid)
        if session is None:
            return
        gauges.disconnects.labels(reason if reason in REASONS else OTHER).inc()
        closing = self._sessions.state(session) is SessionState.CLOSING
        self._end(session, recoverable=reason in LOST and not closing)
        self._identities.remove(session)
        self._rates.forget("events", sid)
        self._rate_refusals.forget(sid)
        self._connection_manager.disconnect(session)

    def _end(self, session: Session, *, recoverable: bool) -> None:
        self._sessions.transition(session, SessionState.CLOSING)
        self._recovery.end(session, recoverable=recoverable)

    def handle_event(self, sid: str, event: Any, args: list[Any], size: int) -> Eventual[Any]:
        """Return the acknowledgement of a client's event, a `DeferredAck` or a `Refusal`."""
        session = self._sessions.get(sid)
        if session is None:
            return None
        match self._sessions.state(session):
            case SessionState.LIVE:
                return self._dispatch(session, event, args, size)
            case SessionState.CLOSING:
                return refusal(self._protocol(session), Unauthorized(CLOSING))
            case _:
                return refusal(self._protocol(session), Unavailable(REPLAYING))

    def _dispatch(self, session: Session, event: Any, args: list[Any], size: int) -> Eventual[Any]:
        try:
            cost = size_cost(size)
            self._rates.count("events", session.sid, cost)
            self._rates.count("requests", session.user_id, cost)
            answer = self._dispatcher.dispatch(session, event, args, size)
        except RateLimited as error:
            return self._refuse_by_rate(session, error)
        return self._dispatch_later(session, answer) if is_awaitable(answer) else answer

    async def _dispatch_later(self, session: Session, answer: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await answer
        except RateLimited as error:
            return self._refuse_by_rate(session, error)

    def _refuse_by_rate(self, session: Session, error: RateLimited) -> Refusal:
        if not self._rate_refusals.try_take(session.sid):
            log.info("gateway.rate.socket_closed", user=session.user_id)
            self._end(session, recoverable=False)
            self.server.close_connection(session.sid, self.namespace)
        return refusal(self._protocol(session), error)

    def _protocol(self, session: Session) -> ClientProtocol:
        """Return the protocol in which a session is refused."""
        return (self._session_rooms.protocols(session) or self._protocols)[0]

    def _token(self, environ: dict[str, Any], auth: Any) -> Any:
        """Return the token of the auth object, else of the Authorization header, else of the query."""
        if isinstance(auth, dict) and auth.get("token"):
            return auth["token"]
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return bearer.strip()
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return query.get("token", [None])[0] if self._token_in_query else None
