"""A websocket of Engine.IO and Socket.IO that costs a load client as little as possible."""

import asyncio
from time import perf_counter
from typing import Any, Protocol, cast

import orjson

CLOSE, PING, PONG, TEXT = 0x88, 0x89, 0x8A, 0x81
NAMESPACE = b"/chat,"
PATH = "/socket.io/?EIO=4&transport=websocket"
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZC1nZW5lcmF0b3ItMQ==\r\n\r\n"
)
OPENING_SECONDS = 60.0


class ConnectError(ConnectionError):
    """The server refused a connect or closed the connection before the namespace was entered."""


class Receiver(Protocol):
    """Takes the packets of a connection."""

    def on_packet(self, packet: bytes, now: float) -> None:
        """Take a Socket.IO packet of the namespace, beginning with its type: an event or an answer."""

    def on_closed(self) -> None:
        """Learn that the connection was closed, by whichever side."""


class Connection(asyncio.Protocol):
    """One namespace over one websocket; it masks with zeros, and knows no fragments and no extensions."""

    __slots__ = ("_auth", "_opened", "_receiver", "_rest", "_transport", "_upgraded", "sid")

    def __init__(self, receiver: Receiver, auth: bytes) -> None:
        self.sid = ""
        """The Engine.IO session id; starts with the name of the gateway that holds the socket."""
        self._receiver = receiver
        self._auth = auth
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, url: str, source: str | None, receiver: Receiver, auth: bytes) -> "Connection":
        """Connect to `url` (http://host:port) and enter the namespace.

        Args:
            url: the server.
            source: the local address, or None for any.
            receiver: takes what arrives.
            auth: the JSON of the connect packet.

        Raises:
            OSError: there is no server, or it refuses (ConnectError).
            TimeoutError: it does not answer.
        """
        host, _, port = url.rpartition("//")[2].partition(":")
        loop = asyncio.get_running_loop()
        local = None if source is None else (source, 0)
        _, connection = await loop.create_connection(
            lambda: cls(receiver, auth), host, int(port), local_addr=local
        )
        connection.write(REQUEST.format(path=PATH, host=f"{host}:{port}").encode())
        try:
            await asyncio.wait_for(connection._opened, OPENING_SECONDS)
        except BaseException:
            connection.abort()
            raise
        return connection

    def send(self, packet: bytes) -> None:
        """Send an Engine.IO packet; one for a closed connection is dropped."""
        self.write(frame(packet))

    def write(self, frames: bytes) -> None:
        """Write frames."""
        if self._transport is not None:
            self._transport.write(frames)

    def abort(self) -> None:
        """Close the connection without notice."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Leave the namespace and close the websocket as a client does that will not return."""
        self.write(frame(b"41" + NAMESPACE) + frame(b"1") + b"\x88\x80\0\0\0\0")
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transport of uvloop is a Transport by its methods only.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._opened.done() and not self._opened.cancelled() and self._opened.exception() is None:
            self._receiver.on_closed()
        else:
            step = "the namespace was entered" if self._upgraded else "a websocket was open"
            self._fail(f"closed before {step}: {error or 'without an error'}")

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if self._rest:
            data = self._rest + data
        start = 0
        if not self._upgraded:
            start = self._upgrade(data)
            if not self._upgraded:
                self._rest = data
                return
        size = len(data)
        while size - start >= 2:
            length, body = data[start + 1], start + 2
            if length >= 126:
                body += 2 if length == 126 else 8
                length = int.from_bytes(data[start + 2 : body]) if size >= body else size
            end = body + length
            if end > size:
                break
            self._read(data[start], data[body:end], now)
            start = end
        self._rest = data[start:]

    def _upgrade(self, data: bytes) -> int:
        """Return where the frames begin, if the answer is whole and the server agrees."""
        end = data.find(b"\r\n\r\n") + 4
        if end >= 4 and data.startswith(b"HTTP/1.1 101"):
            self._upgraded = True
        elif end >= 4:
            self._fail(data.partition(b"\r\n")[0].decode(errors="replace"))
            self.abort()
        return end

    def _read(self, kind: int, packet: bytes, now: float) -> None:
        if kind == TEXT:
            if packet.startswith((b"42/chat,", b"43/chat,")):
                self._receiver.on_packet(packet, now)
            else:
                self._control(packet)
        elif kind == CLOSE:
            self.abort()
        elif kind == PING:
            self.write(bytes((PONG, 0x80 | len(packet), 0, 0, 0, 0)) + packet)

    def _control(self, packet: bytes) -> None:
        kind = packet[:2]
        if kind[:1] == b"2":
            self.send(b"3" + packet[1:])
        elif kind[:1] == b"0":
            self.sid = orjson.loads(packet[1:])["sid"]
            self.send(b"40" + NAMESPACE + self._auth)
        elif kind == b"40" and not self._opened.done():
            self._opened.set_result(None)
        elif kind == b"44":
            self._fail(packet.decode(errors="replace"))
            self.abort()
        else:
            self.abort()

    def _fail(self, reason: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectError(reason))
            # The exception of a future that nobody awaits any more would be logged as never retrieved.
            self._opened.exception()


def frame(packet: bytes) -> bytes:
    """Return a packet as a masked text frame whose mask is zero."""
    size = len(packet)
    if size < 126:
        return bytes((TEXT, 0x80 | size, 0, 0, 0, 0)) + packet
    if size < 1 << 16:
        return bytes((TEXT, 0xFE, size >> 8, size & 255, 0, 0, 0, 0)) + packet
    return bytes((TEXT, 0xFF)) + size.to_bytes(8) + b"\0\0\0\0" + packet


def event(name: str, payload: Any, number: int | None = None) -> bytes:
    """Return the packet of an event; `number` asks for an answer."""
    wanted = b"" if number is None else b"%d" % number
    return b"42" + NAMESPACE + wanted + orjson.dumps([name, payload])
