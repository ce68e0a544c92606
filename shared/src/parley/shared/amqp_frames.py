"""Reads the frames of a connection to RabbitMQ: deliveries and confirms go straight to who waits for them.

The driver takes each frame by three reads, decodes all of its fields, and makes two tasks for each message:
that is a quarter of a worker's processor time. Here deliveries are decoded from the buffer that was received.
All other frames reach the driver unchanged (AMQP 0-9-1, sections 2.3.5 and 4.2).
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from msgspec import Struct
from pamqp import decode
from yarl import URL

FRAME = struct.Struct(">BHI")
"""Type, channel and size of the payload; a byte follows the payload."""
CONTENT = struct.Struct(">HHQH")
"""Class, weight, size of the body, and the flags of the properties that follow."""
TAG = struct.Struct(">QB")
SIZE = struct.Struct(">I")
METHOD, HEADER, BODY = 1, 2, 3
DELIVER, RETURN = b"\x00\x3c\x00\x3c", b"\x00\x3c\x00\x32"
ACK, NACK = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
HEARTBEAT_SECONDS = 1.0
READ_BYTES = 1 << 17
READS_OF_A_FRAME = 3
HEADERS, TIMESTAMP = 13, 6
ONE_BYTE = {12, 11}
"""Bits of the delivery mode and the priority; the other properties are short strings."""


class Delivery(Struct):
    """A message that the broker has delivered.

    `published_at` is Unix time, None if the publisher left it out.
    """

    tag: int
    redelivered: bool
    headers: Mapping[str, Any]
    published_at: int | None
    body: bytes


Consume = Callable[[Delivery], None]


class Confirms(Protocol):
    """Takes the confirms of a channel."""

    @property
    def is_closed(self) -> bool: ...

    def on_confirm(self, tag: int, *, multiple: bool, is_taken: bool) -> None: ...

    def on_return(self) -> None: ...


class _Partial(Struct):
    tag: int
    redelivered: bool
    headers: Mapping[str, Any] = {}
    published_at: int | None = None
    left: int = 0
    parts: list[bytes] = []


class FrameReader:
    """The stream that the driver reads, without deliveries to consumers and confirms to publishers."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._consumers: dict[int, Consume] = {}
        self._confirms: dict[int, Confirms] = {}
        self._reader = reader
        self._buffer = bytearray()
        self._at = 0
        self._reads = 0
        self._partial: dict[int, _Partial] = {}
        self._frame_at = monotonic()

    def consume(self, channel: int, consumer: Consume) -> None:
        """Give the deliveries of a channel to a consumer."""
        self._consumers[channel] = consumer
        self._confirms.pop(channel, None)
        self._partial.pop(channel, None)

    def take_confirms(self, channel: int, confirms: Confirms) -> None:
        """Give the confirms of a channel to a publisher, which is the only one that uses the channel."""
        self._consumers.pop(channel, None)
        self._confirms[channel] = confirms

    def consumes(self, channel: int) -> bool:
        """Return whether a channel has a consumer."""
        return channel in self._consumers

    def end(self, channel: int, consumer: Consume) -> None:
        """Give a closed channel's consumer nothing any more."""
        # The number may belong to another channel by now.
        if self._consumers.get(channel) is consumer:
            del self._consumers[channel]

    def at_eof(self) -> bool:
        """Return whether everything was read."""
        return self._at >= len(self._buffer) and self._reader.at_eof()

    async def read(self) -> bytes:
        """Return what has arrived; the driver asks for it to report a broken frame."""
        return self._take(len(self._buffer) - self._at)

    async def readexactly(self, size: int) -> bytes:
        """Return the next bytes of a frame: the driver reads its type, the rest of its head, its payload."""
        if self._reads % READS_OF_A_FRAME == 0:
            await self._deliver()
        await self._fill(size)
        self._reads += 1
        return self._take(size)

    async def _deliver(self) -> None:
        """Hand deliveries and confirms over until another frame is next."""
        while await self._skip_frame():
            # The driver gives up a connection without frames. A busy broker sends no heartbeats.
            if monotonic() - self._frame_at > HEARTBEAT_SECONDS:
                self._buffer[: self._at] = HEARTBEAT
                self._at = 0
                break
        self._frame_at = monotonic()

    async def _skip_frame(self) -> bool:
        """Take the next frame if it is one of a delivery or a confirm; return whether it was."""
        await self._fill(FRAME.size)
        kind, channel, size = FRAME.unpack_from(self._buffer, self._at)
        take = self._taker(channel)
        if take is None:
            return False
        await self._fill(FRAME.size + size + 1)
        if not take(kind, channel, self._at + FRAME.size, size):
            return False
        self._at += FRAME.size + size + 1
        return True

    def _taker(self, channel: int) -> Callable[[int, int, int, int], bool] | None:
        if channel in self._consumers:
            return self._take_frame
        confirms = self._confirms.get(channel)
        # The number of a closed channel may belong to another one.
        return self._take_confirm if confirms is not None and not confirms.is_closed else None

    def _take_frame(self, kind: int, channel: int, at: int, size: int) -> bool:
        """Take a frame if it is one of a delivery."""
        buffer = self._buffer
        if kind == METHOD and buffer[at : at + 4] == DELIVER:
            tag, redelivered = TAG.unpack_from(buffer, at + 5 + buffer[at + 4])
            self._partial[channel] = _Partial(tag, bool(redelivered & 1), parts=[])
            return True
        partial = self._partial.get(channel)
        if partial is None or kind not in (HEADER, BODY):
            return False
        if kind == HEADER:
            _class, _weight, partial.left, flags = CONTENT.unpack_from(buffer, at)
            partial.headers, partial.published_at = _properties(buffer, at + CONTENT.size, flags)
        else:
            partial.parts.append(bytes(buffer[at : at + size]))
            partial.left -= size
        if partial.left <= 0:
            del self._partial[channel]
            body = b"".join(partial.parts)
            delivery = Delivery(partial.tag, partial.redelivered, partial.headers, partial.published_at, body)
            self._consumers[channel](delivery)
        return True

    def _take_confirm(self, kind: int, channel: int, at: int, _size: int) -> bool:
        """Take a frame if it is a confirm, or one of a returned message."""
        method = bytes(self._buffer[at : at + 4])
        if kind != METHOD:
            return True  # The content of a returned message: nothing is delivered on this channel.
        if method == RETURN:
            self._confirms[channel].on_return()
        elif method in (ACK, NACK):
            tag, bits = TAG.unpack_from(self._buffer, at + 4)
            self._confirms[channel].on_confirm(tag, multiple=bool(bits & 1), is_taken=method == ACK)
        else:
            return False
        return True

    async def _fill(self, size: int) -> None:
        """Wait until so many bytes are in the buffer."""
        while len(self._buffer) - self._at < size:
            del self._buffer[: self._at]
            self._at = 0
            received = await self._reader.read(READ_BYTES)
            if not received:
                raise asyncio.IncompleteReadError(bytes(self._buffer), size)
            self._buffer += received

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[self._at : self._at + size])
        self._at += size
        return taken


class FrameReaders(TransportFactory):
    """Opens the transport of a connection; `reader` is set when it is open."""

    def __init__(self) -> None:
        self.reader: FrameReader | None = None

    async def create(self, url: URL, **options: Any) -> Any:
        """Open a transport as the driver does, and read it by a `FrameReader`."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **options)
        self.reader = FrameReader(reader)
        return self.reader, writer


def _properties(buffer: bytearray, at: int, flags: int) -> tuple[Mapping[str, Any], int | None]:
    """Return the headers and the timestamp of a message's properties."""
    headers: Mapping[str, Any] = {}
    for bit in range(15, TIMESTAMP - 1, -1):
        if not flags >> bit & 1:
            continue
        if bit == TIMESTAMP:
            return headers, int.from_bytes(buffer[at : at + 8], "big")
        if bit in ONE_BYTE:
            at += 1
        elif bit == HEADERS:
            end = at + SIZE.size + SIZE.unpack_from(buffer, at)[0]
            headers, at = _table(bytes(buffer[at:end])), end
        else:
            at += 1 + buffer[at]
    return headers, None


@lru_cache(1_000)
def _table(encoded: bytes) -> Mapping[str, Any]:
    """Decode headers; few differ."""
    return decode.field_table(encoded)[1]
