"""An Engine.IO session: one client, over polling, a websocket, or first the one and then the other."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from engineio import packet as eio
from engineio.exceptions import EngineIOError, QueueEmpty, SocketIsClosedError

from parley.gateway.transport.frame_writer import frame, text_frame
from parley.gateway.transport.inbound_packets import InboundPackets
from parley.gateway.transport.packet_queue import PacketQueue
from parley.gateway.transport.packets import EncodedEvents, EncodedPacket

if TYPE_CHECKING:
    from parley.gateway.transport.engine_server import EngineServer
    from parley.gateway.transport.websocket import WebSocketConnection


class EngineSession(InboundPackets):
    """A session as python-engineio's server uses it, in place of its `AsyncSocket`.

    An idle websocket has no task, no queue and no timer of its own: with them it took 30 KiB.

    Args:
        server: the server that holds the session.
        sid: its id.
        address: the client's address, for the limits.
    """

    __slots__ = (
        "_is_polling",
        "_polled",
        "awaits_pong",
        "candidate",
        "closed",
        "connected",
        "session",
        "tick",
        "upgraded",
    )

    def __init__(self, server: "EngineServer", sid: str, address: str = "") -> None:
        super().__init__(server, sid, address)
        self.session: dict[str, Any] | None = None
        self.connected = self.upgraded = self.closing = self.closed = False
        self.candidate: WebSocketConnection | None = None
        """The websocket that a polling client may move to."""
        self.tick = 0
        self.awaits_pong = False
        self._polled: PacketQueue | None = None
        self._is_polling = False

    # Outbound.

    @property
    def over_limit(self) -> bool:
        """Whether a polling client has left more unread than its limit."""
        return self._polled is not None and self._polled.unread_bytes > self.server.unread_limit

    @property
    def unread_bytes(self) -> int:
        """Bytes that the client has not read yet, as far as this process knows."""
        if self.writer is not None:
            return self.writer.unread_bytes
        return self._polled.unread_bytes if self._polled is not None else 0

    @property
    def unread_ratio(self) -> float:
        """Unread bytes as a share of the limit, from 0 to 1 and above."""
        return self.unread_bytes / self.server.unread_limit

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

    def write_message(self, message: bytes) -> None:
        """Queue the text of an encoded Engine.IO message for the next poll, or write it to the websocket."""
        if self.writer is not None:
            self.writer.write(text_frame(message))
        else:
            self.write(EncodedEvents(message))

    def flush(self) -> None:
        """Write to the websocket at once what was to be written in this iteration of the event loop."""
        if self.writer is not None:
            self.writer.flush()

    def delay_reading(self) -> None:
        """Read a client by its websocket again only after a while."""
        if self.writer is not None:
            self.writer.delay_reading()

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

    # The end.

    def close_later(self, reason: str) -> None:
        """Close the session in the background."""
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

    def on_pong(self) -> None:
        """Ping again later."""
        self.server.heartbeats.schedule_ping(self)

    def miss_pong(self) -> None:
        """Close: the client has not answered a ping in time."""
        self.close_later(self.server.reason.PING_TIMEOUT)
