"""Opens websockets straight from the request that most clients send, without aiohttp's tasks and objects.

aiohttp's way takes 0.4 ms of processor time. Any other request, and one that is to be refused, is left to it.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import starmap
from typing import Any

from aiohttp import hdrs
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.upgrade import accept_key, can_upgrade, connect, new_connection
from parley.shared.http_server import LINE_BYTES

QUERY = "EIO=4&transport=websocket"
REQUEST = re.compile(
    rb"GET /socket\.io/?\?EIO=4&transport=websocket HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n"
)
"""RFC 9112, of headers of one line in ASCII."""
LEFT_TO_AIOHTTP = (
    hdrs.CONTENT_ENCODING,
    hdrs.CONTENT_LENGTH,
    hdrs.EXPECT,
    hdrs.SEC_WEBSOCKET_PROTOCOL,
    hdrs.TRANSFER_ENCODING,
)


class Opening:
    """A request to open a websocket, with what is read of an `aiohttp.web.Request`."""

    __slots__ = ("headers", "remote")

    method = hdrs.METH_GET
    query_string = QUERY
    query: Mapping[str, str] = {}
    """Without the parts of `QUERY`, which are known."""

    def __init__(self, headers: CIMultiDict[str], remote: str) -> None:
        self.headers = headers
        self.remote = remote


class WebsocketOpenings:
    """Takes the first data of connections.

    Args:
        server: opens the sessions.
        admits: tells whether the limits of connections allow one more, and counts it.
    """

    def __init__(self, server: EngineServer, admits: Callable[[Any], bool]) -> None:
        self._server = server
        self._admits = admits

    def take(self, transport: asyncio.Transport, data: bytes) -> bool:
        """Open a websocket, if the first data of a connection asks for one and nothing speaks against it."""
        found = REQUEST.match(data)
        if found is None or found.end() > LINE_BYTES or transport.is_closing():
            return False
        opening = _opening(found[1].decode("ascii"), transport)
        if opening is None or not self._is_allowed(opening):
            return False
        # A client that waits may send: that stays in the system's buffer.
        transport.pause_reading()
        self._server.pacing.call(partial(self._open, transport, opening, data[found.end() :]))
        return True

    def _open(self, transport: asyncio.Transport, opening: Opening, received: bytes) -> None:
        if transport.is_closing() or not self._server.can_open():
            transport.close()
            return
        transport.resume_reading()
        session = self._server.open_in_turn(opening)
        connection = new_connection(transport, session)
        connection.write(_switching(opening.headers[hdrs.SEC_WEBSOCKET_KEY]))
        connect(session, connection, received)

    def _is_allowed(self, opening: Any) -> bool:
        return (
            self._server.origins.allows(opening)
            and can_upgrade(opening)
            and self._server.can_open()
            and self._admits(opening)
        )


def _opening(lines: str, transport: asyncio.Transport) -> Opening | None:
    headers = CIMultiDict(starmap(_header, (line.split(":", 1) for line in lines.splitlines())))
    peer = transport.get_extra_info("peername")
    is_usual = (
        hdrs.HOST in headers
        and isinstance(peer, tuple)
        and len(set(map(str.lower, headers))) == len(headers)
        and not any(name in headers for name in LEFT_TO_AIOHTTP)
    )
    return Opening(headers, str(peer[0])) if is_usual else None


def _header(name: str, value: str) -> tuple[str, str]:
    return name, value.strip(" \t")


def _switching(key: str) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
    ).encode()
