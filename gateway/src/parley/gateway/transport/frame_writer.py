"""The wire to one client: frames, gathered and bounded; and the queue that becomes one."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from engineio import packet as eio

SMALL, MEDIUM = 126, 65536
CLOSE_SECONDS = 2.0


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


class FrameWriter:
    """Gathers one client's frames and writes them at the end of the loop's tick.

    A client that leaves more than `limit` bytes unread is cut off.
    """

    def __init__(self, transport: asyncio.Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit
        self._frames: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._frames))

    def write(self, data: bytes) -> None:
        """Write a frame before the next tick is over."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(data)

    def pause(self) -> None:
        """Take nothing more from the client."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

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
        self.wire: FrameWriter | None = None
        self.owed = 0
        """What the client has said that is not handled, or not answered, yet."""
        self._limit = limit
        self._unread = 0

    @property
    def overflown(self) -> bool:
        """Whether a polling client has left more unread than it may."""
        return self._unread > self._limit

    @property
    def backlog(self) -> float:
        """How much the client has not taken yet, of what it may leave: from 0 to 1, and past that."""
        return (self._unread if self.wire is None else self.wire.backlog) / self._limit

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

    def attach(self, wire: FrameWriter) -> None:
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
