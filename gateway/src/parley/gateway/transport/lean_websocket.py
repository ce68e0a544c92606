"""The lean websocket: frames go straight to the transport, once per client and loop tick.

python-engineio runs a writer task and a queue per client, and a task per received packet. Here a
client's queue writes itself to the websocket as soon as there is one, and one loop reads.
"""

import asyncio
from functools import partial
from typing import Any

import structlog
from aiohttp import WSMsgType, web
from engineio import packet as eio
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket

from parley.gateway.transport import polling
from parley.gateway.transport.frame_writer import FrameWriter, PacketQueue

log = structlog.get_logger()

GOING_AWAY = 1001
INBOX_PACKETS = 64
"""Events of one client that wait to be handled; past that it is not read."""
UPGRADE_SECONDS = 10.0
CLIENTS_FAULTS = {
    f"bad-{what}" for what in ("origin", "transport", "version", "jsonp-index", "upgrade", "sid")
} | {"not-connected", "unexpected-http"}
"""What python-engineio logs as an error the first time."""
DRAIN_AT_ONCE = 20
ANSWER_SECONDS, ANSWER_LOOKS = 0.02, 100
"""How long, and how often, it is waited for the answers that a client is owed."""


class LeanWebSocket:
    """The websocket driver that python-engineio is given instead of its own."""

    backlog_limit = 1 << 20

    def __init__(self, handler: Any, server: Any) -> None:
        self._socket: AsyncSocket = handler.__self__
        self._server = server
        self._reason = server.reason.TRANSPORT_CLOSE

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve a websocket request until either side ends it."""
        request: web.Request = environ["aiohttp.request"]
        if self._socket.upgrading:
            # Of two connections only the one that came last would end with the session.
            raise web.HTTPBadRequest
        # Compression would cost each socket 90 KiB, and a compressor run per client.
        ws = web.WebSocketResponse(max_msg_size=self._server.max_http_buffer_size, compress=False)
        await ws.prepare(request)
        if self._socket.connected and not await self._upgrade(ws):
            return ws
        self._socket.connected = self._socket.upgraded = True
        transport = request.transport
        if transport is not None:
            self._socket.queue.attach(FrameWriter(transport, self.backlog_limit))
            await self._read(ws)
        await self._socket.close(wait=False, abort=True, reason=self._reason)
        _forget_frames(ws.exception())
        return ws

    async def _upgrade(self, ws: web.WebSocketResponse) -> bool:
        """Take over from polling (https://socket.io/docs/v4/engine-io-protocol/#upgrade)."""
        self._socket.upgrading = True
        try:
            if await self._expect(ws) != "2probe":
                return False
            await ws.send_str("3probe")
            self._socket.queue.put_nowait(eio.Packet(eio.NOOP))
            return bool(await self._expect(ws) == "5" and not self._socket.closed)
        except TimeoutError:
            return False
        finally:
            self._socket.upgrading = False

    async def _expect(self, ws: web.WebSocketResponse) -> Any:
        message = await ws.receive(timeout=UPGRADE_SECONDS)
        return message.data if message.type is WSMsgType.TEXT else None

    async def _read(self, ws: web.WebSocketResponse) -> None:
        """Read until the client goes; what it said before is still heard then.

        Its events are handled one after the other, beside the reading: an event that waits for a
        database must not hide the pongs behind it.
        """
        inbox: asyncio.Queue[eio.Packet | None] = asyncio.Queue(INBOX_PACKETS)
        handling = asyncio.create_task(self._handle(inbox))
        try:
            async for message in ws:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                packet = eio.Packet(encoded_packet=message.data)
                if packet.packet_type in (eio.MESSAGE, eio.CLOSE):
                    self._socket.queue.owed += 1
                    await inbox.put(packet)
                else:
                    await self._socket.receive(packet)
        except asyncio.CancelledError:
            handling.cancel()
            raise
        except Exception as error:
            # Whoever breaks the protocol is not talked to any more.
            log.info("closing a socket that breaks the protocol", error=type(error).__name__)
            self._reason = self._server.reason.TRANSPORT_ERROR
        await inbox.put(None)
        await handling

    async def _handle(self, inbox: "asyncio.Queue[eio.Packet | None]") -> None:
        broken = False
        while (packet := await inbox.get()) is not None:
            try:
                if not broken:
                    await self._socket.receive(packet)
            except Exception as error:
                log.info("closing a socket that breaks the protocol", error=type(error).__name__)
                self._reason = self._server.reason.TRANSPORT_ERROR
                self._socket.queue.wire.close()
                broken = True
            finally:
                self._socket.queue.owed -= 1


def _forget_frames(error: BaseException | None) -> None:
    """Have an error not hold, by its traceback, the websocket that holds the error.

    Such a circle waits for the garbage collector, which comes rarely here; every socket would leave one.
    """
    if error is not None:
        error.__traceback__ = error.__context__ = None


async def drain(engine: Any, seconds: float) -> None:
    """Send all clients elsewhere, spread over `seconds`: closed transports make them reconnect."""
    sockets = list(engine.sockets.values())
    going: list[asyncio.Task[None]] = []
    for number, socket in enumerate(sockets):
        going.append(asyncio.create_task(_see_off(socket.queue)))
        if number % DRAIN_AT_ONCE == DRAIN_AT_ONCE - 1:
            await asyncio.sleep(seconds * DRAIN_AT_ONCE / len(sockets))
    await asyncio.gather(*going)


async def _see_off(queue: PacketQueue) -> None:
    """Close a client's connection as soon as it has the answers to what it said, or anyway after a moment."""
    if queue.wire is not None:
        queue.wire.pause()
    for _ in range(ANSWER_LOOKS):
        if not queue.owed:
            break
        await asyncio.sleep(ANSWER_SECONDS)
    if queue.wire is not None:
        queue.wire.close(code=GOING_AWAY)
    else:
        queue.put_nowait(eio.Packet(eio.CLOSE))


def install(engine: Any, backlog_limit: int) -> None:
    """Give a python-engineio server this driver and these queues."""
    websocket = type("BoundedWebSocket", (LeanWebSocket,), {"backlog_limit": backlog_limit})
    engine._async = {**driver._async, "websocket": websocket, "translate_request": polling.translate_request}
    polling.guard(engine)
    engine.create_queue = partial(PacketQueue, backlog_limit)
    engine.log_message_keys |= CLIENTS_FAULTS
