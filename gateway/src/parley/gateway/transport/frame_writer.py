"""Websocket frames, gathered and written once per client and event loop iteration."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET

SMALL, MEDIUM = 126, 65536
CLOSE_SECONDS = 2.0
"""How long a closing client may take to read what is buffered."""


def frame(payload: str | bytes) -> bytes:
    """Encode text or bytes as an unmasked, final websocket frame (RFC 6455, section 5.2)."""
    if isinstance(payload, str):
        return text_frame(payload.encode())
    return _frame(b"\x82", payload)


def text_frame(body: bytes) -> bytes:
    """Encode UTF-8 as the frame of a text."""
    return _frame(b"\x81", body)


def _frame(first: bytes, body: bytes) -> bytes:
    size = len(body)
    if size < SMALL:
        return first + size.to_bytes(1, "big") + body
    if size < MEDIUM:
        return first + b"\x7e" + size.to_bytes(2, "big") + body
    return first + b"\x7f" + size.to_bytes(8, "big") + body


class FrameWriter:
    """Gathers one client's frames and writes them together; resets a client that does not read.

    Args:
        transport: the connection below the websocket.
        limit: bytes that the client may leave unread; beyond that its connection is reset.
    """

    def __init__(self, transport: asyncio.Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit
        self._frames: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    @property
    def unread_bytes(self) -> int:
        """Bytes that the client has not read yet, as far as this process knows."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._frames))

    def write(self, data: bytes) -> None:
        """Write encoded frames before the loop's next iteration ends."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(data)

    def pause_reading(self) -> None:
        """Stop reading from the client."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self, *, code: int | None = None) -> None:
        """Close the connection when everything is written, or after `CLOSE_SECONDS`.

        Args:
            code: status for a close frame (RFC 6455, section 7.4.1); without it none is sent.
        """
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
    """Reset a connection: after a mere close the kernel would keep the unread bytes for minutes."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
