"""Publishes to one queue over a channel of its own, and waits for the broker's confirms.

The driver encodes each field of three frames by itself, and reads confirms by a task and a queue. Here the
fields that never change are encoded once, and the frame reader hands confirms over.
"""

import asyncio
import struct
from functools import lru_cache
from typing import Any

from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError
from pamqp import encode

from parley.shared.amqp_frames import BODY, FRAME, HEADER, METHOD, FrameReader

PUBLISH = struct.Struct(">HHH")
"""Class, method, and a field that is not used."""
CONTENT = struct.Struct(">HHQH")
MANDATORY = b"\x01"
BASIC, BASIC_PUBLISH = 60, 40
HEADERS_MODE_TIMESTAMP = 1 << 13 | 1 << 12 | 1 << 6
PERSISTENT = b"\x02"
TIMESTAMP = struct.Struct(">Q")
FRAME_END = b"\xce"
UNREAD_SECONDS = 0.05
"""Time to read a confirm that has arrived, after the time for it is over."""
FRAME_BYTES = FRAME.size + len(FRAME_END)


class NotConfirmed(AMQPError):
    """The broker does not take the message: its queue is full, or has no leader."""


class Unroutable(AMQPError):
    """The broker has returned the message: there is no such queue."""


class Publisher:
    """Publishes persistent messages with one routing key, one at a time.

    Args:
        channel: The driver's channel, with publisher confirms, which nothing else uses.
        frames: The reader of the connection's frames.
        exchange: The exchange.
        routing_key: The routing key.
    """

    def __init__(self, channel: Any, frames: FrameReader, exchange: str, routing_key: str) -> None:
        self._channel = channel
        self._number: int = channel.number
        self._most_body: int = channel.connection.connection_tune.frame_max - FRAME_BYTES
        names = b"".join(bytes([len(name)]) + name for name in (exchange.encode(), routing_key.encode()))
        self._publish = self._frame(METHOD, PUBLISH.pack(BASIC, BASIC_PUBLISH, 0) + names + MANDATORY)
        self._tag = 0
        self.has_confirmed = False
        """Whether the broker has confirmed anything on this channel."""
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        frames.take_confirms(self._number, self)

    @property
    def is_closed(self) -> bool:
        """Whether the channel is closed."""
        return bool(self._channel.is_closed)

    async def publish(self, body: bytes, records: int, at: int, *, seconds: float) -> None:
        """Publish a message, and return when the broker has confirmed it.

        Args:
            body: The message's body.
            records: The number of records in it.
            at: The present Unix time.
            seconds: How long to wait.

        Raises:
            TimeoutError: No confirm came in time; the broker may have the message.
            NotConfirmed: The broker does not take the message.
            Unroutable: There is no queue for it.
            AMQPError: The channel was lost.
        """
        # A future of the channel fails when the channel is closed.
        confirmed: asyncio.Future[None] = self._channel.create_future()
        frames = ChannelFrame(self._encode(body, records, at), should_close=False)
        tag = self._tag = self._tag + 1
        self._unconfirmed[tag] = confirmed
        timer = asyncio.get_running_loop().call_later(seconds, self._on_timeout, confirmed)
        is_sent = False
        try:
            await self._send(frames, seconds)
            is_sent = True
            await confirmed
        finally:
            timer.cancel()
            del self._unconfirmed[tag]
            if not is_sent:
                # The broker counts the messages that it gets, and names the next one by this number.
                self._tag -= 1

    async def _send(self, frames: ChannelFrame, seconds: float) -> None:
        queue = self._channel.write_queue
        if not queue.full():
            queue.put_nowait(frames)
            return
        async with asyncio.timeout(seconds):
            await queue.put(frames)

    def _on_timeout(self, confirmed: "asyncio.Future[None]") -> None:
        # A process that had no time has not read the confirm yet, which may have arrived long before.
        asyncio.get_running_loop().call_later(UNREAD_SECONDS, _fail, confirmed)

    def on_confirm(self, tag: int, *, multiple: bool, is_taken: bool) -> None:
        """Set the outcome of one message, or of all up to it."""
        for each in [t for t in self._unconfirmed if t <= tag] if multiple else [tag]:
            confirmed = self._unconfirmed.get(each)
            if confirmed is None or confirmed.done():
                continue
            if is_taken:
                self.has_confirmed = True
                confirmed.set_result(None)
            else:
                confirmed.set_exception(NotConfirmed("the broker does not take the message"))

    def on_return(self) -> None:
        """Fail what is not confirmed: messages of one routing key are returned alike."""
        for confirmed in self._unconfirmed.values():
            if not confirmed.done():
                confirmed.set_exception(Unroutable("the broker has no queue for the message"))

    def _encode(self, body: bytes, records: int, at: int) -> bytes:
        head = CONTENT.pack(BASIC, 0, len(body), HEADERS_MODE_TIMESTAMP)
        header = head + _headers(records) + PERSISTENT + TIMESTAMP.pack(at)
        parts = [body[i : i + self._most_body] for i in range(0, len(body), self._most_body)]
        bodies = [self._frame(BODY, part) for part in parts]
        return b"".join((self._publish, self._frame(HEADER, header), *bodies))

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return FRAME.pack(kind, self._number, len(payload)) + payload + FRAME_END


def _fail(confirmed: "asyncio.Future[None]") -> None:
    if not confirmed.done():
        confirmed.set_exception(TimeoutError("the broker has not confirmed the message in time"))


@lru_cache(1_000)
def _headers(records: int) -> bytes:
    return encode.field_table({"records": records})
