"""A lean Socket.IO client over one websocket, for load: each received event costs it a few microseconds."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

OnEvent = Callable[[str, Any], None]
"""Called at once with each event's name and its first argument (None when it has none)."""

OPEN, CLOSE, PING = b"0"[0], b"1"[0], b"2"[0]
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR = b"01234"
MESSAGE = b"4"[0]
OPENING_TIMEOUT = 15.0


class Refused(Exception):
    """The namespace refused the connect; `data` is the payload of its error."""

    def __init__(self, data: Any) -> None:
        super().__init__(str(data.get("message", data)) if isinstance(data, dict) else str(data))
        self.data = data


class Disconnected(ConnectionError):
    """The socket closed before the acknowledgement came."""


class LeanSocket(WSListener):
    """One client of one namespace; it neither reconnects nor buffers, so that a load test sees every loss."""

    def __init__(self, namespace: str, auth: Any, on_event: OnEvent) -> None:
        self.engine_sid = ""
        """The Engine.IO session id; starts with the name of the gateway that holds the socket."""
        self.closed = asyncio.Event()
        self._on_event = on_event
        self._auth = orjson.dumps(auth)
        self._prefix = b"" if namespace == "/" else namespace.encode() + b","
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._call_ids = itertools.count()
        self._fragments = b""
        self._transport: WSTransport | None = None

    @classmethod
    async def connect(
        cls, url: str, namespace: str, auth: Any, on_event: OnEvent, source: str | None = None
    ) -> "LeanSocket":
        """Connect to `url` (http://host:port), from the local address `source` when there is one.

        Raises:
            Refused: The namespace refuses the connect.
            OSError, WSError: There is no such server.
        """
        address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        local: dict[str, Any] = {} if source is None else {"local_addr": (source, 0)}
        _, socket = await ws_connect(
            lambda: cls(namespace, auth, on_event),
            address,
            websocket_handshake_timeout=OPENING_TIMEOUT,
            **local,
        )
        assert isinstance(socket, cls)
        await asyncio.wait_for(socket._opened, OPENING_TIMEOUT)
        return socket

    def emit(self, event: str, *args: Any) -> None:
        """Emit an event without asking for an acknowledgement."""
        self._send(b"42" + self._prefix + orjson.dumps([event, *args]))

    async def call(self, event: str, *args: Any, within: float = 10.0) -> Any:
        """Emit an event; return its acknowledgement's first argument.

        Raises:
            TimeoutError: No acknowledgement came `within` seconds.
            Disconnected: The socket closed.
        """
        async with asyncio.timeout(within):
            return await self.request(event, *args)

    def request(self, event: str, *args: Any) -> "asyncio.Future[Any]":
        """Emit an event; the future gets its acknowledgement's first argument, or Disconnected."""
        number = next(self._call_ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._send(b"42%b%d%b" % (self._prefix, number, orjson.dumps([event, *args])))
        self._calls[number] = answer
        answer.add_done_callback(lambda _: self._calls.pop(number, None))
        return answer

    async def close(self) -> None:
        """Leave the namespace and wait until the socket is closed."""
        if self._transport is not None and not self.closed.is_set():
            self._send(b"41" + self._prefix)
            self._transport.send_close()
            self._transport.disconnect()
            await self.closed.wait()

    def abort(self) -> None:
        """Close the connection without notice."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()
        gone = Disconnected("the server closed the socket")
        for waiting in (self._opened, *self._calls.values()):
            if not waiting.done():
                waiting.set_exception(gone)
        # The exception of an unawaited future would be logged as never retrieved.
        if not self._opened.cancelled():
            self._opened.exception()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        packet = frame.get_payload_as_bytes()
        if not frame.fin or self._fragments:
            self._fragments += packet
            if not frame.fin:
                return
            packet, self._fragments = self._fragments, b""
        self._read(packet)

    def _read(self, packet: bytes) -> None:
        kind = packet[0]
        if kind == MESSAGE:
            self._read_message(packet)
        elif kind == PING:
            self._send(b"3" + packet[1:])
        elif kind == OPEN:
            self.engine_sid = orjson.loads(packet[1:])["sid"]
            self._send(b"40" + self._prefix + self._auth)
        elif kind == CLOSE and self._transport is not None:
            self._transport.disconnect()

    def _read_message(self, packet: bytes) -> None:
        kind, body = packet[1], packet[2 + len(self._prefix) :]
        if kind == EVENT:
            event, *args = orjson.loads(body[body.index(b"[") :])
            self._on_event(event, args[0] if args else None)
        elif kind == ACK:
            self._acknowledge(body)
        elif kind == CONNECT and not self._opened.done():
            self._opened.set_result(None)
        elif kind == CONNECT_ERROR and not self._opened.done():
            self._opened.set_exception(Refused(orjson.loads(body)))
        elif kind == DISCONNECT and self._transport is not None:
            self._transport.disconnect()

    def _acknowledge(self, body: bytes) -> None:
        start = body.index(b"[")
        answer = self._calls.get(int(body[:start]))
        if answer is not None and not answer.done():
            args = orjson.loads(body[start:])
            answer.set_result(args[0] if args else None)

    def _send(self, packet: bytes) -> None:
        if self._transport is None or self.closed.is_set():
            raise Disconnected("the socket is closed")
        self._transport.send(WSMsgType.TEXT, packet)
