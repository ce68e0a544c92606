"""A client's outgoing Engine.IO packets: queued while it polls, written at once on a websocket."""

import asyncio
from typing import Any

from engineio import packet as eio

from parley.gateway.transport.frame_writer import FrameWriter, frame


class PacketQueue(asyncio.Queue[eio.Packet]):
    """The queue that python-engineio puts a client's packets into.

    Args:
        limit: bytes that a polling client may leave unread.
    """

    def __init__(self, limit: int = 1 << 20) -> None:
        super().__init__()
        self.writer: FrameWriter | None = None
        self.unanswered = 0
        """Packets of the client that are not handled, or not acknowledged, yet."""
        self._limit = limit
        self._unread_bytes = 0

    @property
    def over_limit(self) -> bool:
        """Whether a polling client has left more unread than its limit."""
        return self._unread_bytes > self._limit

    @property
    def unread_ratio(self) -> float:
        """Unread bytes as a share of the limit, from 0 to 1 and above."""
        unread = self._unread_bytes if self.writer is None else self.writer.unread_bytes
        return unread / self._limit

    def put_nowait(self, item: eio.Packet) -> None:
        """Queue a packet for the next poll, or write it to the websocket."""
        if self.writer is None:
            super().put_nowait(item)
            return
        self.writer.write(frame(item.encode()))
        if item.packet_type == eio.CLOSE:
            self.writer.close()

    async def put(self, item: eio.Packet) -> None:
        """Put a packet without waiting: clients over their limit are closed instead."""
        self.put_nowait(item)

    def use_writer(self, writer: FrameWriter) -> None:
        """Write to a websocket from now on, beginning with the packets that were queued."""
        queued = []
        while not self.empty():
            queued.append(self.get_nowait())
        self.writer = writer
        for item in queued:
            # A NOOP only ends a poll that waits.
            if item.packet_type != eio.NOOP:
                self.put_nowait(item)

    def _put(self, item: eio.Packet) -> None:
        self._unread_bytes += packet_size(item)
        super()._put(item)

    def _get(self) -> eio.Packet:
        item = super()._get()
        self._unread_bytes -= packet_size(item)
        return item


def packet_size(item: Any) -> int:
    """Return the bytes of a packet's data; characters, if it is text."""
    data = getattr(item, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0
