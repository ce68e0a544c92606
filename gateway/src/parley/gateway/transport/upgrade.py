"""From a request to a websocket: the opening handshake, and Engine.IO's upgrade from polling."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import hdrs, web
from engineio import packet as eio

from parley.gateway.transport.engine_session import EngineSession
from parley.gateway.transport.frame_writer import frame
from parley.gateway.transport.receiver import NOBODY
from parley.gateway.transport.websocket import NORMAL_CLOSURE, WebSocketConnection

UPGRADE_SECONDS = 10.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 4.2.2."""
VERSIONS = ("13", "8", "7")
"""Versions of the protocol whose frames are the same; aiohttp takes them, too."""
KEY_BYTES = 16


class SwitchingProtocols(web.StreamResponse):
    """The response to a valid websocket handshake, after which the connection is no longer aiohttp's."""

    def __init__(self, request: web.Request) -> None:
        headers = {
            hdrs.UPGRADE: "websocket",
            hdrs.CONNECTION: "upgrade",
            hdrs.SEC_WEBSOCKET_ACCEPT: accept_key(request.headers[hdrs.SEC_WEBSOCKET_KEY]),
            **_subprotocol(request),
        }
        super().__init__(status=101, headers=headers)

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing: the connection has another protocol."""


def accept_key(key: str) -> str:
    """Return the answer to a handshake's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def can_upgrade(request: web.Request) -> bool:
    """Return whether a request is a valid handshake (RFC 6455, section 4.2.1)."""
    headers = request.headers
    return (
        headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"
        and any("upgrade" in _tokens(each) for each in headers.getall(hdrs.CONNECTION, ()))
        and headers.get(hdrs.SEC_WEBSOCKET_VERSION) in VERSIONS
        and _is_key(headers.get(hdrs.SEC_WEBSOCKET_KEY, ""))
    )


def _tokens(value: str) -> list[str]:
    return [token.strip() for token in value.lower().split(",")]


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text)) == KEY_BYTES
    except ValueError:
        return False


def new_connection(transport: asyncio.Transport, session: EngineSession) -> WebSocketConnection:
    """Make the websocket of a session the protocol of a transport."""
    server = session.server
    connection = WebSocketConnection(
        transport,
        NOBODY,
        server.flushes,
        server.delayed_reads,
        message_limit=server.max_http_buffer_size,
        unread_limit=server.unread_limit,
    )
    transport.set_protocol(connection)
    return connection


def _hand_over(handler: web.RequestHandler, session: EngineSession) -> WebSocketConnection:
    """Give the connection of aiohttp's handler to a websocket, and end the handler."""
    assert handler.transport is not None
    connection = new_connection(handler.transport, session)
    # Bytes that the client sent behind its request are fed to the new parser.
    handler.set_parser(connection)  # type: ignore[arg-type]
    # Otherwise the handler would close the connection that it loses.
    handler.transport = None
    handler.connection_lost(None)
    return connection


def connect(session: EngineSession, connection: WebSocketConnection, received: bytes = b"") -> None:
    """Move a session to a websocket, and handle what the client has sent already."""
    connection.feed_data(received)
    _move(session, connection)
    connection.start_reading()


async def accept(request: web.Request, session: EngineSession) -> web.StreamResponse:
    """Answer a websocket handshake, and move the connection and its session to the websocket."""
    server = session.server
    response = SwitchingProtocols(request)
    with suppress(ConnectionError):
        await response.prepare(request)
    if request.transport is None:
        if not session.connected:
            await session.close(abort=True, reason=server.reason.TRANSPORT_CLOSE)
        return response
    connect(session, _hand_over(request.protocol, session))
    return response


def _move(session: EngineSession, connection: WebSocketConnection) -> None:
    if session.upgraded or session.candidate is not None:
        # Of two websockets only one would be closed with the session.
        connection.close(code=NORMAL_CLOSURE)
    elif session.connected:
        connection.receiver = Probe(session, connection)
    else:
        connection.receiver = session
        session.use_websocket(connection)


class Probe:
    """The receiver of a websocket until its session has moved to it.

    See https://socket.io/docs/v4/engine-io-protocol/#upgrade.

    Args:
        session: a session that is polling.
        connection: the websocket.
    """

    def __init__(self, session: EngineSession, connection: WebSocketConnection) -> None:
        self._session = session
        self._connection = connection
        self._step: Callable[[str | bytes], bool] = self._on_probe
        session.candidate = connection
        self._timer = asyncio.get_running_loop().call_later(UPGRADE_SECONDS, self._fail)

    def admit(self, size: int) -> Coroutine[Any, Any, None] | None:
        """Count the bytes of a frame as the session's: a client may send pings without end."""
        return self._session.admit(size)

    def on_message(self, data: str | bytes) -> bool:
        """Handle the next step of the upgrade."""
        self._timer.cancel()
        if not self._step(data):
            self._fail()
        return True

    def on_lost(self) -> None:
        """Let the session go on polling."""
        self._timer.cancel()
        self._session.candidate = None

    def _on_probe(self, data: str | bytes) -> bool:
        if data != "2probe":
            return False
        self._connection.write(frame("3probe"))
        # It ends the poll that waits.
        self._session.put_nowait(eio.Packet(eio.NOOP))
        self._step = self._on_upgrade
        self._timer = asyncio.get_running_loop().call_later(UPGRADE_SECONDS, self._fail)
        return True

    def _on_upgrade(self, data: str | bytes) -> bool:
        if data != "5" or self._session.closed:
            return False
        self._session.candidate = None
        self._connection.receiver = self._session
        self._session.use_websocket(self._connection)
        return True

    def _fail(self) -> None:
        self._connection.close(code=NORMAL_CLOSURE)


def _subprotocol(request: web.Request) -> dict[str, str]:
    """Return the first of the subprotocols that a client offers: browsers fail unless one is accepted."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    names = [name.strip() for name in offered.split(",") if name.strip()]
    return {hdrs.SEC_WEBSOCKET_PROTOCOL: names[0]} if names else {}
