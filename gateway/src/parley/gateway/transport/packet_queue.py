"""The Engine.IO packets that wait for a polling client's next request."""

import asyncio
from typing import Any

from engineio import packet as eio


class PacketQueue:
    """Packets in order; at most one poll waits for them."""

    __slots__ = ("_packets", "_waiter", "unread_bytes")

    def __init__(self) -> None:
        self._packets: list[eio.Packet] = []
        self._waiter: asyncio.Future[None] | None = None
        self.unread_bytes = 0
        """Bytes of the packets; characters, where they are text."""

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: eio.Packet) -> None:
        """Append a packet."""
        self._packets.append(packet)
        self.unread_bytes += packet_size(packet)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> list[eio.Packet]:
        """Remove all packets and return them."""
        packets, self._packets, self.unread_bytes = self._packets, [], 0
        return packets

    async def wait(self) -> list[eio.Packet]:
        """Wait for packets and take them."""
        if not self._packets:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        # A websocket may have taken them since the future was done.
        return self.take() or [eio.Packet(eio.NOOP)]


def packet_size(packet: Any) -> int:
    """Return the bytes of a packet's data; characters, if it is text."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0
