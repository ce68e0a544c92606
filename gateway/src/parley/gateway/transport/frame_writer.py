"""Websocket frames, gathered and written once per client and event loop iteration."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from time import monotonic
from typing import Protocol

from parley.gateway.state.hop_delays import DelayGauge

SMALL, MEDIUM = 126, 65536
PREPARED = 2048
"""Sizes whose headers are made once: a message in its frame takes half as long with one."""


class Flushed(Protocol):
    """A connection that gathers frames."""

    def flush(self) -> None:
        """Write the frames that have gathered."""


class Flushes:
    """Flushes all connections that were written to in an iteration of the event loop by one callback.

    Args:
        delay: records how long the first one waits.
    """

    def __init__(self, delay: DelayGauge) -> None:
        self._delay = delay
        self._added_at = 0.0
        self._connections: list[Flushed] = []

    def add(self, connection: Flushed) -> None:
        """Flush a connection before the loop's next iteration ends."""
        if not self._connections:
            asyncio.get_running_loop().call_soon(self._flush)
            self._added_at = monotonic()
        self._connections.append(connection)

    def _flush(self) -> None:
        self._delay.observe(monotonic() - self._added_at)
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.flush()


def frame(payload: str | bytes) -> bytes:
    """Encode text or bytes as an unmasked, final websocket frame (RFC 6455, section 5.2)."""
    if isinstance(payload, str):
        return text_frame(payload.encode())
    return _header(b"\x82", len(payload)) + payload


def text_frame(body: bytes) -> bytes:
    """Encode UTF-8 as the frame of a text."""
    size = len(body)
    return (TEXT_HEADERS[size] if size < PREPARED else _header(b"\x81", size)) + body


def _header(first: bytes, size: int) -> bytes:
    if size < SMALL:
        return first + size.to_bytes(1, "big")
    if size < MEDIUM:
        return first + b"\x7e" + size.to_bytes(2, "big")
    return first + b"\x7f" + size.to_bytes(8, "big")


TEXT_HEADERS = tuple(_header(b"\x81", size) for size in range(PREPARED))


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a control frame, whose payload has at most 125 bytes (RFC 6455, section 5.5)."""
    return bytes((0x80 | opcode, len(payload))) + payload


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection: after a mere close the kernel would keep the unread bytes for minutes."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
