"""The packets of one client that wait to be handled, one after the other."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Protocol

from engineio import packet as eio

from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport.packet_queue import packet_size

INBOX_PACKETS, INBOX_BYTES = 64, 1024 * 1024
"""Events of one client that wait to be handled, and their bytes; beyond that it is not read."""


class Handler(Protocol):
    """Handles a client's packets."""

    async def handle(self, packet: eio.Packet) -> None:
        """Handle a packet."""

    async def finish(self, handling: Coroutine[Any, Any, None]) -> None:
        """Await what is left of the handling of a packet."""

    def on_room(self) -> None:
        """Handle that a full inbox has room again."""

    def on_empty(self) -> None:
        """Handle that the last packet was handled: the inbox takes no more of them."""


class Inbox:
    """Handles packets in a task that ends with the last of them, so that an idle client has no task.

    The client is read on meanwhile: an event that waits for a database must not delay the pongs behind it.

    Args:
        handler: handles the packets.
        delay: records how long the first packet waits: that is the node's own delay, while a packet behind
            another one waits for what that one reads from the database.
        begun: the rest of the handling of a packet before the first one.
    """

    __slots__ = ("_bytes", "_delay", "_handler", "_packets", "_task", "_woken_at")

    def __init__(
        self, handler: Handler, delay: DelayGauge, begun: Coroutine[Any, Any, None] | None = None
    ) -> None:
        self._handler = handler
        self._delay = delay
        self._packets: list[eio.Packet] = []
        self._bytes = 0
        self._woken_at = monotonic()
        self._task = asyncio.create_task(self._run(begun))

    def is_full(self) -> bool:
        """Tell whether the client is not to be read now."""
        return len(self._packets) >= INBOX_PACKETS or self._bytes >= INBOX_BYTES

    def put(self, packet: eio.Packet) -> None:
        """Append a packet."""
        self._packets.append(packet)
        self._bytes += packet_size(packet)

    async def _run(self, begun: Coroutine[Any, Any, None] | None) -> None:
        self._delay.observe(monotonic() - self._woken_at)
        if begun is not None:
            await self._handler.finish(begun)
        while self._packets:
            await self._handler.handle(self._take())
        self._handler.on_empty()

    def _take(self) -> eio.Packet:
        was_full = self.is_full()
        packet = self._packets.pop(0)
        self._bytes -= packet_size(packet)
        if was_full and not self.is_full():
            self._handler.on_room()
        return packet
