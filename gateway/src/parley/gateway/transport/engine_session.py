"""An Engine.IO session: one client, over polling, a websocket, or first the one and then the other."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from engineio import packet as eio
from engineio.exceptions import EngineIOError, QueueEmpty, SocketIsClosedError, UnknownPacketError

from parley.gateway.transport.frame_writer import frame
from parley.gateway.transport.inbox import Inbox
from parley.gateway.transport.packet_queue import PacketQueue
from parley.gateway.transport.packets import EncodedEvents, EncodedPacket, engine_packet

if TYPE_CHECKING:
    from parley.gateway.transport.engine_server import EngineServer
    from parley.gateway.transport.websocket import WebSocketConnection

log = structlog.get_logger()


class EngineSession:
    """A session as python-engineio's server uses it, in place of its `AsyncSocket`.

    An idle websocket has no task, no queue and no timer of its own: with them it took 30 KiB.

    Args:
        server: the server that holds the session.
        sid: its id.
        address: the client's address, for the limits.
    """

    __slots__ = (
        "_inbox",
        "_is_polling",
        "_is_violated",
        "_lost_reason",
        "_polled",
        "address",
        "awaits_pong",
        "candidate",
        "closed",
        "closing",
        "connected",
        "received_bytes",
        "server",
        "session",
        "sid",
        "tick",
        "unanswered",
        "upgraded",
        "writer",
    )

    def __init__(self, server: "EngineServer", sid: str, address: str = "") -> None:
        self.server = server
        self.sid = sid
        self.address = address
        self.session: dict[str, Any] | None = None
        self.connected = self.upgraded = self.closing = self.closed = False
        self.received_bytes = 0
        """Bytes of messages that no event has been charged for."""
        self.unanswered = 0
        """Packets of the client that are not handled, or not acknowledged, yet."""
        self.writer: WebSocketConnection | None = None
        self.candidate: WebSocketConnection | None = None
        """The websocket that a polling client may move to."""
        self.tick = 0
        self.awaits_pong = False
        self._polled: PacketQueue | None = None
        self._is_polling = self._is_violated = False
        self._inbox: Inbox | None = None
        self._lost_reason: str | None = None

    # Outbound.

    @property
    def over_limit(self) -> bool:
        """Whether a polling client has left more unread than its limit."""
        return self._polled is not None and self._polled.unread_bytes > self.server.unread_limit

    @property
    def unread_ratio(self) -> float:
        """Unread bytes as a share of the limit, from 0 to 1 and above."""
        if self.writer is not None:
            return self.writer.unread_bytes / self.server.unread_limit
        return self._polled.unread_bytes / self.server.unread_limit if self._polled is not None else 0.0

    def put_nowait(self, packet: eio.Packet) -> None:
        """Queue a packet for the next poll, or write it to the websocket."""
        if self.writer is None:
            self._queue().put(packet)
            return
        self.writer.write(frame(packet.encode()))
        if packet.packet_type == eio.CLOSE:
            self.writer.close()

    def write(self, encoded: EncodedEvents | EncodedPacket) -> None:
        """Queue what is encoded for the next poll, or write it to the websocket."""
        if self.writer is not None:
            self.writer.write(encoded.frames)
        else:
            for packet in encoded.packets():
                self._queue().put(packet)

    async def send(self, packet: eio.Packet) -> None:
        """Send a packet.

        Raises:
            SocketIsClosedError: the session is closed.
        """
        if self.closed:
            raise SocketIsClosedError
        self.put_nowait(packet)

    def use_websocket(self, writer: "WebSocketConnection") -> None:
        """Write to a websocket from now on, beginning with the packets that were queued."""
        self.connected = self.upgraded = True
        self.writer, polled, self._polled = writer, self._polled, None
        for packet in polled.take() if polled is not None else ():
            # A NOOP only ends a poll that waits.
            if packet.packet_type != eio.NOOP:
                self.put_nowait(packet)

    async def poll(self) -> list[eio.Packet]:
        """Wait for packets to answer a poll with.

        Of two polls at once neither client nor server could say which one takes the next packet,
        so the protocol closes the session.

        Raises:
            EngineIOError: the session closes, for a second poll.
        """
        if self.candidate is not None:
            return [eio.Packet(eio.NOOP)]
        if self._is_polling:
            await self.close(reason=self.server.reason.TRANSPORT_ERROR)
            raise EngineIOError("The session has another poll that waits.")
        self._is_polling = True
        try:
            async with asyncio.timeout(self.server.ping_interval + self.server.ping_timeout):
                return await self._queue().wait()
        except TimeoutError as error:
            raise QueueEmpty from error
        finally:
            self._is_polling = False

    def _queue(self) -> PacketQueue:
        if self._polled is None:
            self._polled = PacketQueue()
        return self._polled

    # Inbound.

    async def receive(self, packet: eio.Packet) -> None:
        """Handle a packet.

        Raises:
            UnknownPacketError: clients send no such packets.
        """
        server = self.server
        if packet.packet_type == eio.MESSAGE:
            await server.handle_message(self.sid, packet.data)
        elif packet.packet_type == eio.CLOSE:
            await self.close(abort=True, reason=server.reason.CLIENT_DISCONNECT)
        else:
            self._answer(packet)

    def _answer(self, packet: eio.Packet) -> None:
        """Handle a packet of the engine's own."""
        if packet.packet_type == eio.PONG:
            self.server.heartbeats.schedule_ping(self)
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

    def _put(self, packet: eio.Packet) -> bool:
        self.unanswered += 1
        if self._inbox is None:
            self._inbox = Inbox(self, self.server.inbox_delay)
        self._inbox.put(packet)
        return not self._inbox.is_full()

    async def handle(self, packet: eio.Packet) -> None:
        """Handle a packet of the inbox, unless one before it has broken the protocol."""
        try:
            if not self._is_violated:
                await self.receive(packet)
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

    # The end.

    def _end(self, reason: str) -> None:
        """Close the session when the inbox is empty."""
        self._lost_reason = self._lost_reason or reason
        if self._inbox is None and not self.closing:
            self._close_later(self._lost_reason)

    def _close_later(self, reason: str) -> None:
        self.server.closing_tasks.run(partial(self.close, abort=True, reason=reason))

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close the session, then its connection: a waiting poll is answered, a websocket closed.

        Args:
            wait: ignored; python-engineio would wait for a client that may never poll again.
            abort: send no CLOSE packet.
            reason: one of `engineio.AsyncServer.reason`, for the handlers of the disconnect event.
        """
        if self.closed or self.closing:
            return
        self.closing = True
        server = self.server
        server.heartbeats.stop(self)
        await server.trigger_event(
            "disconnect", self.sid, reason or server.reason.SERVER_DISCONNECT, run_async=False
        )
        if not abort:
            self.put_nowait(eio.Packet(eio.CLOSE))
        self.closed = True
        server.sockets.pop(self.sid, None)
        server.inbound_rates.forget(self.sid)
        if self.writer is not None:
            asyncio.get_running_loop().call_soon(self.writer.close)
        elif not self._queue():
            self.put_nowait(eio.Packet(eio.NOOP))

    async def terminate(self) -> None:
        """Close the session and its websocket, even if an earlier close still waits for its handlers."""
        await self.close(abort=True, reason=self.server.reason.SERVER_DISCONNECT)
        if self.writer is not None:
            self.writer.close()

    def close_connection(self, code: int | None = None) -> None:
        """Close the connection only, so that the client takes it for lost and reconnects.

        Args:
            code: status for a websocket's close frame; a polling client gets a CLOSE packet.
        """
        if self.writer is not None:
            self.writer.close(code=code)
        else:
            self.put_nowait(eio.Packet(eio.CLOSE))

    # Heartbeats.

    def ping(self) -> None:
        """Send a ping."""
        self.put_nowait(eio.Packet(eio.PING))

    def miss_pong(self) -> None:
        """Close: the client has not answered a ping in time."""
        self._close_later(self.server.reason.PING_TIMEOUT)
