"""Websocket frames, gathered and written once per client and event loop iteration."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from time import monotonic
from typing import Protocol

from parley.gateway.state.hop_delays import DelayGauge

SMALL, MEDIUM = 126, 65536


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


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a control frame, whose payload has at most 125 bytes (RFC 6455, section 5.5)."""
    return bytes((0x80 | opcode, len(payload))) + payload


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection: after a mere close the kernel would keep the unread bytes for minutes."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
