"""The HTTP side of Engine.IO 4: handshakes, polls, posts and websockets.

The protocol: https://socket.io/docs/v4/engine-io-protocol/.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from math import ceil
from typing import Any

import structlog
from aiohttp import hdrs, web
from engineio import packet as eio
from engineio.exceptions import EngineIOError, SocketIsClosedError
from engineio.payload import Payload

from parley.gateway import gauges
from parley.gateway.core.errors import RateLimited
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.state.rates import Rates
from parley.gateway.transport.bounded_tasks import BoundedTasks
from parley.gateway.transport.delayed_reads import DelayedReads
from parley.gateway.transport.engine_session import EngineSession
from parley.gateway.transport.frame_writer import Flushes
from parley.gateway.transport.heartbeats import Heartbeats
from parley.gateway.transport.inbound_rates import InboundRates
from parley.gateway.transport.origins import AllowedOrigins
from parley.gateway.transport.pacing import Pacing
from parley.gateway.transport.polling import read_packets
from parley.gateway.transport.request_refusals import (
    BAD_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SESSION,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    RequestRefused,
)
from parley.gateway.transport.socketio_adapter import EngineHooks
from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.gateway.transport.upgrade import accept, can_upgrade
from parley.gateway.transport.websocket import CLOSE_SECONDS
from parley.shared.http_server import add_route
from parley.shared.tracing import TRACEPARENT, parse

log = structlog.get_logger()

POLLING, WEBSOCKET = "polling", "websocket"
CLOSING_AT_ONCE = 256
"""Lost sessions whose ends are handled at once."""
PACKETS_PER_TURN = 50
"""Packets of a body that are handled between two returns to the event loop."""
NO_CREDENTIALS: Mapping[str, str] = {}
HANDSHAKE_CONTEXT = "HTTP_TRACEPARENT"
"""The name of the handshake's `traceparent` in what is kept of the request."""
BeginMessage = Callable[[str, str | bytes], Coroutine[Any, Any, None] | None]
OnOpen = Callable[[str, Mapping[str, str]], None]
METHODS = (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_OPTIONS)


class EngineServer(EngineHooks):
    """An Engine.IO server on aiohttp.

    Args:
        allowed_origins: origins of pages that may open sessions, besides the server's own.
        proxies: tell where requests come from.
        rates: limit the bytes that clients send.
        unread_limit: bytes that a client may leave unread.
        inbox_delay: records how long clients' events wait to be handled, and answers to be written.
        node_name: the first part of session ids, by which a proxy finds the node of a polling client.
        options: as `engineio.AsyncServer` takes them; times are in seconds.
    """

    sockets: dict[str, EngineSession]

    def __init__(
        self,
        *,
        allowed_origins: Collection[str] = (),
        proxies: TrustedProxies | None = None,
        rates: Rates | None = None,
        unread_limit: int = 1 << 20,
        inbox_delay: DelayGauge | None = None,
        node_name: str = "",
        **options: Any,
    ) -> None:
        super().__init__(async_mode="aiohttp", **options)
        self.unread_limit = unread_limit
        self.inbox_delay = inbox_delay or DelayGauge()
        self.proxies = proxies or TrustedProxies()
        self.inbound_rates = InboundRates(Rates({}) if rates is None else rates)
        self.origins = AllowedOrigins(allowed_origins, self.proxies)
        self._node_name = node_name
        self.heartbeats = Heartbeats(self.ping_interval, self.ping_timeout)
        self.flushes = Flushes(self.inbox_delay)
        self.delayed_reads = DelayedReads()
        self.closing_tasks = BoundedTasks(CLOSING_AT_ONCE)
        self.pacing = Pacing()
        self._is_stopping = False
        self.begin_message: BeginMessage = self.handle_message
        """Handles a message of a session, by id; returns None, or what is left to be awaited."""
        self.on_open: OnOpen | None = None
        """Handles a new session like the handler of `connect`, which could have to be awaited."""

    def count_sessions(self) -> int:
        """Return the number of sessions, and of clients that wait for one."""
        return len(self.sockets) + len(self.pacing)

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve a path of an application, with and without a slash at its end."""
        add_route(app, hdrs.METH_ANY, f"/{engineio_path.strip('/')}", self.handle_request)
        app.on_shutdown.append(self._close_websockets)

    async def handle_message(self, sid: str, data: str | bytes) -> None:
        """Call the handler of messages; its errors end with the message."""
        if self.async_handlers:
            await self.trigger_event("message", sid, data, run_async=True)
            return
        try:
            # python-engineio looks at each call whether the handler is a coroutine function, for 2 us.
            await self.handlers["message"](sid, data)
        except Exception:
            log.exception("gateway.socket.message_failed")

    async def _close_websockets(self, _app: web.Application) -> None:
        """Close what is left of the connections that aiohttp, which is stopping, no longer knows."""
        self._is_stopping = True
        for session in list(self.sockets.values()):
            for connection in (session.writer, session.candidate):
                if connection is not None:
                    connection.close()
        # Each closes its session by a task, which begins when the event loop reports the loss.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.closing_tasks.wait(CLOSE_SECONDS)

    def generate_id(self) -> str:
        """Make an id of 120 random bits behind the node's name."""
        random = base64.urlsafe_b64encode(secrets.token_bytes(15)).decode()
        return f"{self._node_name}.{random}" if self._node_name else random

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of any transport."""
        try:
            response = await self._respond(request)
        except RequestRefused as refused:
            response = web.json_response(refused.body, status=400)
        except RateLimited as error:
            response = web.json_response(REFUSAL(gauges.count(error)), status=429)
            response.headers[hdrs.RETRY_AFTER] = str(ceil(error.retry_after or 1))
        if not response.prepared:
            response.headers.extend(self.origins.response_headers(request))
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        transport, sid = request.query.get("transport"), request.query.get("sid")
        self._check(request, transport, sid)
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(text="ok")
        session = self._session(sid) if sid else await self._open(request, transport)
        try:
            if transport == WEBSOCKET:
                return await accept(request, session)
            return await self._exchange(session, request)
        finally:
            if session.closed:
                self.sockets.pop(session.sid, None)

    def _check(self, request: web.Request, transport: str | None, sid: str | None) -> None:
        if not self.origins.allows(request):
            raise RequestRefused(*FORBIDDEN)
        if transport not in self.transports:
            raise RequestRefused(*UNKNOWN_TRANSPORT)
        if not sid and request.query.getall("EIO", []) != ["4"]:
            raise RequestRefused(*UNSUPPORTED_VERSION)
        if request.method not in METHODS or (not sid and request.method == hdrs.METH_POST):
            raise RequestRefused(*BAD_METHOD)
        if transport == WEBSOCKET and request.method != hdrs.METH_OPTIONS and not can_upgrade(request):
            raise RequestRefused(*BAD_REQUEST)

    def _session(self, sid: str) -> EngineSession:
        session = self.sockets.get(sid)
        if session is None or session.closed or not session.connected:
            raise RequestRefused(*UNKNOWN_SESSION)
        return session

    async def _open(self, request: web.Request, transport: str | None) -> EngineSession:
        """Open a session, whose first packet tells the client its id and limits."""
        await self.pacing.wait()
        if request.transport is None:
            # The client has not waited; of its response nothing is sent.
            raise RequestRefused(*BAD_REQUEST)
        session = self._new_session(request, transport)
        on_connect = self.handlers.get("connect")
        if on_connect is not None:
            await on_connect(session.sid, _environ(request))
        self.heartbeats.schedule_ping(session)
        session.connected = transport == POLLING
        return session

    def can_open(self) -> bool:
        """Return whether `open_in_turn` can be called now."""
        return self.on_open is not None and not self._is_stopping

    def open_in_turn(self, request: Any) -> EngineSession:
        """Open a session for a websocket, whose turn it is by `pacing`."""
        assert self.on_open is not None
        session = self._new_session(request, WEBSOCKET)
        self.on_open(session.sid, _environ(request))
        self.heartbeats.schedule_ping(session)
        return session

    def _new_session(self, request: Any, transport: str | None) -> EngineSession:
        session = EngineSession(self, self.generate_id(), self.proxies.address_of(request))
        self.sockets[session.sid] = session
        session.put_nowait(eio.Packet(eio.OPEN, self._handshake(session.sid, transport)))
        return session

    def _handshake(self, sid: str, transport: str | None) -> dict[str, Any]:
        can_upgrade = transport == POLLING and self.allow_upgrades and WEBSOCKET in self.transports
        return {
            "sid": sid,
            "upgrades": [WEBSOCKET] if can_upgrade else [],
            "pingInterval": round((self.ping_interval + self.ping_interval_grace_period) * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }

    async def _exchange(self, session: EngineSession, request: web.Request) -> web.Response:
        """Answer a poll with the packets for the client, or receive the packets of a POST."""
        if session.upgraded:
            raise RequestRefused(*BAD_REQUEST)
        try:
            if request.method == hdrs.METH_GET:
                return self._payload(await session.poll())
            await self._handle(session, await self._read(session, request))
            return web.Response(text="ok")
        except RateLimited:
            await session.close(reason=self.reason.SERVER_DISCONNECT)
            raise
        except EngineIOError as error:
            await session.close(reason=self.reason.SERVER_DISCONNECT)
            raise RequestRefused(*BAD_REQUEST) from error

    async def _read(self, session: EngineSession, request: web.Request) -> list[eio.Packet]:
        address = self.proxies.address_of(request)
        count = partial(self.inbound_rates.count, session.sid, address)
        return await read_packets(request, self.max_http_buffer_size, count)

    async def _handle(self, session: EngineSession, packets: list[eio.Packet]) -> None:
        if session.closed:
            raise SocketIsClosedError
        for number, packet in enumerate(packets, start=1):
            await session.receive(packet)
            if number % PACKETS_PER_TURN == 0:
                # Most packets are handled without suspending: a body of many would block the event loop.
                await asyncio.sleep(0)

    def _payload(self, packets: list[eio.Packet]) -> web.Response:
        body = Payload(packets=packets).encode().encode()
        response = web.Response(body=body, content_type="text/plain", charset="utf-8")
        if self.http_compression and len(body) >= self.compression_threshold:
            response.enable_compression()
        return response


def _environ(request: web.Request) -> Mapping[str, str]:
    """Return what a namespace may need of the request: python-engineio's would keep the whole of it."""
    environ = NO_CREDENTIALS
    if hdrs.AUTHORIZATION in request.headers or "token" in request.query:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        environ = {"HTTP_AUTHORIZATION": authorization, "QUERY_STRING": request.query_string}
    context = request.headers.get(TRACEPARENT)
    # One of another form could be long, and is kept as long as the connection.
    return environ if not context or parse(context) is None else {**environ, HANDSHAKE_CONTEXT: context}
