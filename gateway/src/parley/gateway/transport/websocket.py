"""A websocket connection (RFC 6455) after its handshake: frames in and out, and the closing handshake."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from parley.gateway.transport.delayed_reads import LARGE_READ, DelayedReads
from parley.gateway.transport.frame_parser import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameError,
    FrameParser,
)
from parley.gateway.transport.frame_writer import Flushes, control_frame, reset
from parley.gateway.transport.receiver import NOBODY, Receiver

NORMAL_CLOSURE = 1000
CLOSE_SECONDS = 2.0
"""How long a closing client may take to read what is buffered, and to answer a close frame."""


class WebSocketConnection(asyncio.Protocol):
    """The protocol of a transport that aiohttp has handed over.

    Nothing stays of aiohttp's handler, its task, its parser and its reader.

    Args:
        transport: the connection.
        receiver: handles the messages.
        flushes: flushes the connections of this event loop.
        delayed_reads: reads the delayed connections of this event loop.
        message_limit: bytes that a message of the client must stay below.
        unread_limit: bytes that the client may leave unread; beyond that its connection is reset.
    """

    __slots__ = (
        "_delayed_reads",
        "_flushes",
        "_frames",
        "_held",
        "_is_closing",
        "_is_delayed",
        "_is_paused",
        "_is_refused",
        "_is_stopped",
        "_parser",
        "_unread_limit",
        "receiver",
        "transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        receiver: Receiver,
        flushes: Flushes,
        delayed_reads: DelayedReads,
        *,
        message_limit: int,
        unread_limit: int,
    ) -> None:
        self.transport = transport
        self.receiver = receiver
        self._flushes = flushes
        self._delayed_reads = delayed_reads
        self._unread_limit = unread_limit
        self._parser: FrameParser | None = FrameParser(message_limit)
        self._frames: list[bytes] | None = None
        self._held: asyncio.Task[None] | None = None
        self._is_paused = self._is_stopped = self._is_closing = False
        self._is_refused = self._is_delayed = False

    # Inbound.

    def data_received(self, data: bytes) -> None:
        """Handle the frames in what has arrived."""
        if self._parser is not None:
            self._parser.feed(data)
            self._read()
            if self._is_refused:
                self._is_refused = False
                if len(data) < LARGE_READ:
                    self._delay()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Keep what aiohttp's handler has received behind the handshake, for `start_reading`."""
        if self._parser is not None:
            self._parser.feed(data)
        return False, b""

    def feed_eof(self) -> None:
        """Do nothing: aiohttp's handler has ended."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle that the connection has ended."""
        self._is_closing = True
        self._end()

    def start_reading(self) -> None:
        """Handle what has arrived before the connection had a receiver."""
        self._read()

    def stop_reading(self) -> None:
        """Read nothing more from the client but the end."""
        self._is_stopped = True
        self._pause()

    def read_on(self) -> None:
        """Read from the client again, beginning with what has arrived before."""
        if not self._is_paused or self._is_stopped:
            return
        self._is_paused = False
        self._read()
        if not self._is_paused and not self._is_delayed:
            self._resume()

    def delay_reading(self) -> None:
        """Read the client again only after a while: its events are being refused."""
        self._is_refused = True

    def end_delay(self) -> None:
        """Read on, unless the client is not to be read for another reason."""
        self._is_delayed = False
        if not self._is_paused:
            self._resume()

    def _delay(self) -> None:
        if not self._is_paused and not self._is_delayed and not self.transport.is_closing():
            self._is_delayed = True
            self.transport.pause_reading()
            self._delayed_reads.add(self)

    def _pause(self) -> None:
        if not self._is_paused and not self._is_delayed and not self.transport.is_closing():
            self.transport.pause_reading()
        self._is_paused = True

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _read(self) -> None:
        while not self._is_paused and self._parser is not None:
            try:
                received = self._parser.next()
            except FrameError as error:
                self._fail(error.code)
                return
            if received is None:
                return
            self._receive(received)

    def _receive(self, received: Frame) -> None:
        opcode, payload = received
        waiting = self.receiver.admit(len(payload)) if opcode != CLOSE else None
        if waiting is not None:
            self._pause()
            self._held = asyncio.create_task(self._handle_later(waiting, received))
        elif not self._handle(opcode, payload):
            self._pause()

    async def _handle_later(self, waiting: Coroutine[Any, Any, None], received: Frame) -> None:
        await waiting
        self._held = None
        if self._handle(*received):
            self.read_on()

    def _handle(self, opcode: int, payload: str | bytes) -> bool:
        """Handle a message or a control frame; returns whether the client is to be read on."""
        if opcode in (TEXT, BINARY):
            return self.receiver.on_message(payload)
        if opcode == PING and isinstance(payload, bytes):
            self.write(control_frame(PONG, payload))
        elif opcode == CLOSE and isinstance(payload, bytes):
            self._on_close_frame(payload)
        return True

    # Outbound.

    @property
    def unread_bytes(self) -> int:
        """Bytes that the client has not read yet, as far as this process knows."""
        return self.transport.get_write_buffer_size() + sum(map(len, self._frames or ()))

    def write(self, frames: bytes) -> None:
        """Write encoded frames before the loop's next iteration ends."""
        if self._frames is not None:
            self._frames.append(frames)
        elif not self._is_closing:
            self._frames = [frames]
            self._flushes.add(self)

    def flush(self) -> None:
        """Write the frames that have gathered, and reset a client that does not read."""
        frames, self._frames = self._frames, None
        if not frames or self.transport.is_closing():
            return
        self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self.transport.get_write_buffer_size() > self._unread_limit:
            reset(self.transport)

    # The end.

    def close(self, *, code: int | None = None) -> None:
        """Close the connection when everything is written, or after `CLOSE_SECONDS`.

        Args:
            code: status for a close frame (RFC 6455, section 7.4.1), whose answer is waited for; without it
                none is sent.
        """
        if self._is_closing:
            return
        if code is None:
            self._close_transport()
            return
        self._send_close(code.to_bytes(2, "big"))
        self._end()
        if self._is_paused:
            # The client's answer is behind what was not read.
            self._is_stopped = False
            self.read_on()

    def _on_close_frame(self, payload: bytes) -> None:
        if not self._is_closing:
            self._send_close(payload[:2])
            self._end()
        self.transport.close()

    def _fail(self, code: int) -> None:
        """Close for a frame that breaks the protocol; the bytes behind it cannot be parsed."""
        self._parser = None
        self.close(code=code)

    def _send_close(self, payload: bytes) -> None:
        self.write(control_frame(CLOSE, payload))
        self.flush()
        self._is_closing = True
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.transport.abort)

    def _close_transport(self) -> None:
        self.flush()
        self._is_closing = True
        self.transport.close()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.transport.abort)

    def _end(self) -> None:
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_lost()
