"""The packets that a client sends: those of a websocket are handled one after the other, in order."""

from abc import abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog
from engineio import packet as eio
from engineio.exceptions import UnknownPacketError

from parley.gateway.transport.inbox import Inbox
from parley.gateway.transport.packets import engine_packet

if TYPE_CHECKING:
    from parley.gateway.transport.engine_server import EngineServer
    from parley.gateway.transport.websocket import WebSocketConnection

MESSAGE = str(eio.MESSAGE)

log = structlog.get_logger()


class InboundPackets:
    """The inbound half of a session, and the receiver of its websocket."""

    __slots__ = (
        "_inbox",
        "_is_violated",
        "_lost_reason",
        "address",
        "closing",
        "received_bytes",
        "server",
        "sid",
        "unanswered",
        "writer",
    )

    def __init__(self, server: "EngineServer", sid: str, address: str) -> None:
        self.server = server
        self.sid = sid
        self.address = address
        self.closing = False
        self.received_bytes = 0
        """Bytes of messages that no event has been charged for."""
        self.unanswered = 0
        """Packets of the client that are not handled, or not acknowledged, yet."""
        self.writer: WebSocketConnection | None = None
        self._inbox: Inbox | None = None
        self._is_violated = False
        self._lost_reason: str | None = None

    @abstractmethod
    def put_nowait(self, packet: eio.Packet) -> None:
        """Send a packet."""

    @abstractmethod
    def on_pong(self) -> None:
        """Handle the answer to a ping."""

    @abstractmethod
    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close the session."""

    @abstractmethod
    def close_later(self, reason: str) -> None:
        """Close the session in the background."""

    @abstractmethod
    def close_connection(self, code: int | None = None) -> None:
        """Close the connection only."""

    async def receive(self, packet: eio.Packet) -> None:
        """Handle a packet.

        Raises:
            UnknownPacketError: clients send no such packets.
        """
        server = self.server
        if packet.packet_type == eio.MESSAGE:
            waiting = server.begin_message(self.sid, packet.data)
            if waiting is not None:
                await waiting
        elif packet.packet_type == eio.CLOSE:
            await self.close(abort=True, reason=server.reason.CLIENT_DISCONNECT)
        else:
            self._answer(packet)

    def _answer(self, packet: eio.Packet) -> None:
        """Handle a packet of the engine's own."""
        if packet.packet_type == eio.PONG:
            self.on_pong()
        elif packet.packet_type == eio.UPGRADE:
            self.put_nowait(eio.Packet(eio.NOOP))
        else:
            raise UnknownPacketError

    def admit(self, size: int) -> Coroutine[Any, Any, None] | None:
        """Count the bytes of a frame of the websocket; returns None, or what has to be awaited before."""
        return self.server.inbound_rates.admit(self.sid, self.address, size)

    def on_message(self, data: str | bytes) -> bool:
        """Handle a message of the websocket; returns whether the client is to be read on."""
        try:
            if self._inbox is None and isinstance(data, str) and data.startswith(MESSAGE):
                self._begin(data[1:])
                return True
            packet = engine_packet(data)
            if packet.packet_type in (eio.MESSAGE, eio.CLOSE):
                return self._put(packet)
            self._answer(packet)
        except Exception as error:
            self._violate(error)
            self._end(self.server.reason.TRANSPORT_ERROR)
            return False
        return True

    def on_lost(self) -> None:
        """Handle that nothing more comes from the websocket; earlier packets are handled first."""
        self._end(self.server.reason.TRANSPORT_CLOSE)

    def _begin(self, message: str) -> None:
        """Handle a message at once, as far as nothing has to be awaited; the inbox awaits the rest."""
        if self._is_violated:
            return
        waiting = self.server.begin_message(self.sid, message)
        if waiting is not None:
            self.unanswered += 1
            self._inbox = Inbox(self, self.server.inbox_delay, waiting)

    def _put(self, packet: eio.Packet) -> bool:
        self.unanswered += 1
        if self._inbox is None:
            self._inbox = Inbox(self, self.server.inbox_delay)
        self._inbox.put(packet)
        return not self._inbox.is_full()

    async def handle(self, packet: eio.Packet) -> None:
        """Handle a packet of the inbox, unless one before it has broken the protocol."""
        if self._is_violated:
            self.unanswered -= 1
        else:
            await self.finish(self.receive(packet))

    async def finish(self, handling: Coroutine[Any, Any, None]) -> None:
        """Await what is left of the handling of a packet."""
        try:
            await handling
        except Exception as error:
            self._violate(error)
            self._is_violated = True
            self._lost_reason = self.server.reason.TRANSPORT_ERROR
            self.close_connection()
        finally:
            self.unanswered -= 1

    def on_room(self) -> None:
        """Read on: the inbox has room again."""
        if self.writer is not None and self._lost_reason is None:
            self.writer.read_on()

    def on_empty(self) -> None:
        """Forget the inbox; close the session, if nothing more comes."""
        self._inbox = None
        if self._lost_reason is not None:
            self._end(self._lost_reason)

    def _violate(self, error: Exception) -> None:
        log.info("gateway.socket.protocol_violation", error=type(error).__name__)

    def _end(self, reason: str) -> None:
        """Close the session when the inbox is empty."""
        self._lost_reason = self._lost_reason or reason
        if self._inbox is None and not self.closing:
            self.close_later(self._lost_reason)
