"""The websocket transport: one task reads, and frames go to the connection without a writer task.

python-engineio runs a writer task per client and a task per received packet.
"""

import asyncio
from time import monotonic
from typing import Any

import structlog
from aiohttp import WSMsgType, hdrs, web
from engineio import packet as eio

from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport.engine_session import EngineSession
from parley.gateway.transport.frame_writer import FrameWriter
from parley.gateway.transport.packet_queue import packet_size
from parley.gateway.transport.packets import engine_packet

log = structlog.get_logger()

INBOX_PACKETS, INBOX_BYTES = 64, 1024 * 1024
"""Events of one client that wait to be handled, and their bytes; beyond that it is not read."""
UPGRADE_SECONDS = 10.0


class WebSocketTransport:
    """Serves one websocket of a session, either from its beginning or as an upgrade from polling."""

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._reason = session.server.reason.TRANSPORT_CLOSE

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a websocket request until either side closes it."""
        session = self._session
        # Compression would cost each socket 90 KiB, and a compressor run per client.
        ws = web.WebSocketResponse(
            max_msg_size=session.server.max_http_buffer_size, compress=False, protocols=_subprotocols(request)
        )
        await ws.prepare(request)
        if session.upgraded or session.upgrading:
            # Of two websockets only one would be closed with the session.
            await ws.close()
            return ws
        if session.connected and not await self._upgrade(ws):
            return ws
        session.connected = session.upgraded = True
        connection = request.transport
        if connection is not None:
            session.queue.use_writer(FrameWriter(connection, session.server.unread_limit))
            await self._read(ws, session.server.proxies.address_of(request))
        await session.close(abort=True, reason=self._reason)
        _break_reference_cycle(ws.exception())
        return ws

    async def _upgrade(self, ws: web.WebSocketResponse) -> bool:
        """Take over from polling (https://socket.io/docs/v4/engine-io-protocol/#upgrade)."""
        session = self._session
        session.upgrading = True
        try:
            if await self._receive_text(ws) != "2probe":
                return False
            await ws.send_str("3probe")
            session.queue.put_nowait(eio.Packet(eio.NOOP))
            return bool(await self._receive_text(ws) == "5" and not session.closed)
        except TimeoutError:
            return False
        finally:
            session.upgrading = False

    async def _receive_text(self, ws: web.WebSocketResponse) -> str | None:
        message = await ws.receive(timeout=UPGRADE_SECONDS)
        return message.data if message.type is WSMsgType.TEXT else None

    async def _read(self, ws: web.WebSocketResponse, address: str) -> None:
        """Read until the client disconnects, and handle everything that it sent until then.

        Events are handled one after the other in a task of their own: an event that waits for a
        database must not delay the pongs behind it.
        """
        server = self._session.server
        inbox = Inbox(server.inbox_delay)
        handling = asyncio.create_task(self._handle(inbox))
        try:
            async for message in ws:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                await server.inbound_rates.wait(self._session.sid, address, len(message.data))
                packet = engine_packet(message.data)
                if packet.packet_type in (eio.MESSAGE, eio.CLOSE):
                    self._session.queue.unanswered += 1
                    await inbox.put(packet)
                else:
                    await self._session.receive(packet)
        except asyncio.CancelledError:
            handling.cancel()
            raise
        except Exception as error:
            self._on_violation(error)
        await inbox.put(None)
        await handling

    async def _handle(self, inbox: "Inbox") -> None:
        violated = False
        while (packet := await inbox.next()) is not None:
            try:
                if not violated:
                    await self._session.receive(packet)
            except Exception as error:
                self._on_violation(error)
                self._session.close_connection()
                violated = True
            finally:
                self._session.queue.unanswered -= 1

    def _on_violation(self, error: Exception) -> None:
        log.info("gateway.socket.protocol_violation", error=type(error).__name__)
        self._reason = self._session.server.reason.TRANSPORT_ERROR


class Inbox(asyncio.Queue[eio.Packet | None]):
    """The packets of one client that wait to be handled.

    Args:
        delay: Records how long a packet waits that finds the handler idle: that is the node's own delay,
            while a packet behind another one waits for what that one reads from the database.
    """

    def __init__(self, delay: DelayGauge) -> None:
        super().__init__(INBOX_PACKETS)
        self._delay = delay
        self._is_idle = False
        self._woken_at = 0.0
        self._bytes = 0

    def full(self) -> bool:
        """Tell whether the client is not read now."""
        return super().full() or self._bytes >= INBOX_BYTES

    def put_nowait(self, item: eio.Packet | None) -> None:
        """Append a packet."""
        if self._is_idle:
            self._is_idle, self._woken_at = False, monotonic()
        super().put_nowait(item)

    def _put(self, item: eio.Packet | None) -> None:
        self._bytes += packet_size(item)
        super()._put(item)

    def _get(self) -> eio.Packet | None:
        item = super()._get()
        self._bytes -= packet_size(item)
        return item

    async def next(self) -> eio.Packet | None:
        """Wait for the next packet."""
        if not self.empty():
            return self.get_nowait()
        self._is_idle = True
        packet = await self.get()
        self._delay.observe(monotonic() - self._woken_at)
        return packet


def _subprotocols(request: web.Request) -> list[str]:
    """Return the first of the subprotocols that a client offers: browsers fail unless one is accepted."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    return [protocol.strip() for protocol in offered.split(",") if protocol.strip()][:1]


def _break_reference_cycle(error: Any) -> None:
    """Detach an error from its traceback, which holds the websocket that holds the error.

    The garbage collector runs rarely here, so that every closed socket would stay in memory.
    """
    if error is not None:
        error.__traceback__ = error.__context__ = None
