"""The lean websocket: frames go straight to the transport, once per client and loop tick.

python-engineio runs a writer task and a queue per client, and a task per received packet. Here a
client's queue writes itself to the websocket as soon as there is one, and one loop reads.
"""

import asyncio
import struct
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from aiohttp import WSMsgType, web
from engineio import packet as eio
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket

from gateway.sockets.polling import translate_request

SMALL, MEDIUM = 126, 65536
GOING_AWAY = 1001
CLOSE_SECONDS = 2.0
INBOX_PACKETS = 64
"""Events of one client that wait to be handled; past that it is not read."""
UPGRADE_SECONDS = 10.0
CLIENTS_FAULTS = {
    f"bad-{what}" for what in ("origin", "transport", "version", "jsonp-index", "upgrade", "sid")
} | {"not-connected", "unexpected-http"}
"""What python-engineio logs as an error the first time."""
DRAIN_AT_ONCE = 20


def frame(payload: str | bytes) -> bytes:
    """An unmasked, final websocket frame of text or bytes (RFC 6455, section 5.2)."""
    first = b"\x81" if isinstance(payload, str) else b"\x82"
    body = payload.encode() if isinstance(payload, str) else payload
    size = len(body)
    if size < SMALL:
        return first + size.to_bytes(1, "big") + body
    if size < MEDIUM:
        return first + b"\x7e" + size.to_bytes(2, "big") + body
    return first + b"\x7f" + size.to_bytes(8, "big") + body


class Wire:
    """Gathers one client's frames and writes them at the end of the loop's tick.

    A client that leaves more than `limit` bytes unread is cut off.
    """

    def __init__(self, transport: asyncio.Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit
        self._frames: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Write a frame before the next tick is over."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(data)

    def close(self, *, code: int | None = None) -> None:
        """Close once everything is written, or anyway after a moment; `code` as in RFC 6455, 7.4.1."""
        if code is not None:
            self._frames.append(b"\x88\x02" + code.to_bytes(2, "big"))
        self._flush()
        self._transport.close()
        self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        if not self._frames or self._transport.is_closing():
            self._frames.clear()
            return
        self._transport.write(b"".join(self._frames))
        self._frames.clear()
        if self._transport.get_write_buffer_size() > self._limit:
            _reset(self._transport)


def _reset(transport: asyncio.Transport) -> None:
    """Drop a connection and what is unread, which the kernel would otherwise keep for minutes."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class PacketQueue(asyncio.Queue[Any]):
    """What python-engineio puts a client's packets into: a queue while polling, then a wire."""

    def __init__(self, limit: int = 1 << 20) -> None:
        super().__init__()
        self.wire: Wire | None = None
        self._limit = limit
        self._unread = 0

    @property
    def overflown(self) -> bool:
        """Whether a polling client has left more unread than it may."""
        return self._unread > self._limit

    def put_nowait(self, item: Any) -> None:
        """Queue a packet, or write it; None ends a polling client's waiting."""
        if self.wire is None or item is None:
            super().put_nowait(item)
            return
        self.wire.write(frame(item.encode()))
        if item.packet_type == eio.CLOSE:
            self.wire.close()

    async def put(self, item: Any) -> None:
        """As `put_nowait`: there is no bound to wait at, for the wire has its own."""
        self.put_nowait(item)

    async def join(self) -> None:
        """Whoever closes does not wait for a client that may never poll again."""

    def _put(self, item: Any) -> None:
        self._unread += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._unread -= _size(item)
        return item

    def attach(self, wire: Wire) -> None:
        """Write from now on, beginning with what has gathered."""
        gathered = []
        while not self.empty():
            gathered.append(self.get_nowait())
            self.task_done()
        self.wire = wire
        for item in gathered:
            if item is not None and item.packet_type != eio.NOOP:
                self.put_nowait(item)


def _size(item: Any) -> int:
    return len(item.data) if item is not None and isinstance(item.data, str | bytes) else 0


class LeanWebSocket:
    """The websocket driver that python-engineio is given instead of its own."""

    backlog_limit = 1 << 20

    def __init__(self, handler: Any, server: Any) -> None:
        self._socket: AsyncSocket = handler.__self__
        self._server = server

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve a websocket request until either side ends it."""
        request: web.Request = environ["aiohttp.request"]
        # Compression would cost each socket 90 KiB, and a compressor run per client.
        ws = web.WebSocketResponse(max_msg_size=self._server.max_http_buffer_size, compress=False)
        await ws.prepare(request)
        if self._socket.connected and not await self._upgrade(ws):
            return ws
        self._socket.connected = self._socket.upgraded = True
        transport = request.transport
        if transport is not None:
            self._socket.queue.attach(Wire(transport, self.backlog_limit))
            await self._read(ws)
        await self._socket.close(wait=False, abort=True, reason=self._server.reason.TRANSPORT_CLOSE)
        return ws

    async def _upgrade(self, ws: web.WebSocketResponse) -> bool:
        """Take over from polling (https://socket.io/docs/v4/engine-io-protocol/#upgrade)."""
        self._socket.upgrading = True
        try:
            if await self._expect(ws) != "2probe":
                return False
            await ws.send_str("3probe")
            self._socket.queue.put_nowait(eio.Packet(eio.NOOP))
            return bool(await self._expect(ws) == "5")
        except TimeoutError:
            return False
        finally:
            self._socket.upgrading = False

    async def _expect(self, ws: web.WebSocketResponse) -> Any:
        message = await ws.receive(timeout=UPGRADE_SECONDS)
        return message.data if message.type is WSMsgType.TEXT else None

    async def _read(self, ws: web.WebSocketResponse) -> None:
        """Read until the client goes; what it said before is still heard then.

        Its events are handled one after the other, beside the reading: an event that waits for a
        database must not hide the pongs behind it.
        """
        inbox: asyncio.Queue[eio.Packet | None] = asyncio.Queue(INBOX_PACKETS)
        handling = asyncio.create_task(self._handle(inbox))
        try:
            async for message in ws:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                packet = eio.Packet(encoded_packet=message.data)
                await (
                    inbox.put(packet) if packet.packet_type == eio.MESSAGE else self._socket.receive(packet)
                )
        except asyncio.CancelledError:
            handling.cancel()
            raise
        except Exception as error:
            # Whoever breaks the protocol is not talked to any more.
            self._server.logger.info("closing %s: %r", self._socket.sid, error)
        await inbox.put(None)
        await handling

    async def _handle(self, inbox: "asyncio.Queue[eio.Packet | None]") -> None:
        broken = False
        while (packet := await inbox.get()) is not None:
            try:
                if not broken:
                    await self._socket.receive(packet)
            except Exception as error:
                self._server.logger.info("closing %s: %r", self._socket.sid, error)
                self._socket.queue.wire.close()
                broken = True


async def drain(engine: Any, seconds: float) -> None:
    """Send all clients elsewhere, spread over `seconds`: closed transports make them reconnect."""
    sockets = list(engine.sockets.values())
    for number, socket in enumerate(sockets):
        queue: PacketQueue = socket.queue
        if queue.wire is not None:
            queue.wire.close(code=GOING_AWAY)
        else:
            queue.put_nowait(None)
        if number % DRAIN_AT_ONCE == DRAIN_AT_ONCE - 1:
            await asyncio.sleep(seconds * DRAIN_AT_ONCE / len(sockets))


def install(engine: Any, backlog_limit: int) -> None:
    """Give a python-engineio server this driver and these queues."""
    websocket = type("BoundedWebSocket", (LeanWebSocket,), {"backlog_limit": backlog_limit})
    engine._async = {**driver._async, "websocket": websocket, "translate_request": translate_request}
    engine.create_queue = partial(PacketQueue, backlog_limit)
    engine.log_message_keys |= CLIENTS_FAULTS
