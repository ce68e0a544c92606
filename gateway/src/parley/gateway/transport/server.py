"""python-socketio's server, with acknowledgements that may come later and a welcome after connecting."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import socketio
import structlog
from engineio import packet as eio
from socketio import packet

from parley.gateway.core.errors import ChatError, Unavailable
from parley.gateway.state.rates import Buckets, Rate

log = structlog.get_logger()

CONNECTS = Rate(1, 20)
"""How often one connection may enter namespaces, which costs more than anything else that it may do."""
NO_NAMESPACE = {
    "message": "There is no such namespace.",
    "data": {"code": "NOT_FOUND", "message": "There is no such namespace.", "retryable": False},
}


@dataclass(frozen=True, slots=True)
class DeferredAck:
    """An acknowledgement that is known when a future is done."""

    confirmed: "asyncio.Future[None]"
    answer: Callable[[], Any]
    refuse: Callable[[ChatError], Any]


class TransientConnectError(Exception):
    """A client cannot be let in at the moment, but may be soon."""


class EventHandler(Protocol):
    """What becomes of a client's events."""

    async def handle_event(self, sid: str, event: Any, args: list[Any]) -> Any:
        """The acknowledgement of an event, or `Later`."""

    async def on_connected(self, sid: str) -> None:
        """A socket's connection is complete."""

    def private_id(self, sid: str) -> str | None:
        """By what the client of a socket finds it again when it is lost."""


class ChatServer(socketio.AsyncServer):  # type: ignore[misc]
    """Handles one client's events in their order, without waiting for what one of them waits for."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._connects = Buckets(CONNECTS)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        if not self._connects.try_take(eio_sid):
            raise ValueError("a connection that enters namespaces again and again")
        namespace = namespace or "/"
        if namespace not in self.namespace_handlers:
            # python-socketio itself would let anyone into "/".
            refused = self.packet_class(packet.CONNECT_ERROR, namespace=namespace, data=NO_NAMESPACE)
            await self._send_packet(eio_sid, refused)
            return
        try:
            await super()._handle_connect(eio_sid, namespace, data)
        except TransientConnectError as reason:
            await self._put_off(eio_sid, namespace, str(reason))
            return
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closing or socket.closed:
            # It went while it was let in, when python-socketio takes no notice of that.
            await self._handle_disconnect(eio_sid, namespace)
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is not None and self.manager.is_connected(sid, namespace):
            await self.namespace_handlers[namespace].on_connected(sid)

    async def _put_off(self, eio_sid: str, namespace: str, reason: str) -> None:
        """Close the connection: a client that is told CONNECT_ERROR does not come back by itself."""
        log.info("putting a socket off", reason=reason)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is not None:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            _hang_up(socket)
            # Who else talks over this connection may have what was kept of them.
            await socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_CLOSE)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        if pkt.packet_type == packet.CONNECT:
            pkt.data["pid"] = self.namespace_handlers[pkt.namespace].private_id(pkt.data["sid"])
        await super()._send_packet(eio_sid, pkt)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        # A client that goes for good says so within its namespace; what it closes below, it may have lost.
        lost = reason == self.reason.CLIENT_DISCONNECT
        await super()._handle_eio_disconnect(eio_sid, self.reason.TRANSPORT_CLOSE if lost else reason)
        # The event whose attachments have not come; python-socketio would keep it for ever.
        self._binary_packet.pop(eio_sid, None)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            # A poll that waits would otherwise wait for as long as a ping may take; and a websocket
            # whose client has stopped to answer would stay, for python-engineio sends it no CLOSE.
            socket.queue.put_nowait(None)
            if socket.queue.wire is not None:
                asyncio.get_running_loop().call_soon(socket.queue.wire.close)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if eio_sid not in self.environ:
            # What came behind what has closed the connection: a seat taken now, nobody would give back.
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except ValueError as error:
            # Whoever breaks the protocol is not talked to any more.
            log.info("closing a socket that breaks the protocol", error=type(error).__name__)
            socket = self.eio.sockets.get(eio_sid)
            if socket is not None:
                await socket.close(wait=False, reason=self.reason.TRANSPORT_ERROR)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: Any) -> None:
        if not isinstance(data, list) or not data:
            raise ValueError("an event without a name")
        await super()._handle_event(eio_sid, namespace, id, data)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, id: int | None
    ) -> None:
        handler: EventHandler = self.namespace_handlers[namespace]
        answer = await handler.handle_event(sid, data[0], data[1:])
        if id is None:
            return
        if isinstance(answer, DeferredAck):
            self._acknowledge_later(eio_sid, namespace, id, answer)
        else:
            self._acknowledge(eio_sid, namespace, id, answer)

    def _acknowledge_later(self, eio_sid: str, namespace: str, id: int, later: DeferredAck) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        queue = socket.queue

        def settle(done: "asyncio.Future[None]") -> None:
            queue.owed -= 1
            self._acknowledge(eio_sid, namespace, id, _settled(later, done))

        queue.owed += 1
        later.confirmed.add_done_callback(settle)

    def close_connection(self, sid: str, namespace: str) -> None:
        """Close the connection of a socket, at once."""
        socket = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, namespace))
        if socket is not None:
            _hang_up(socket)

    def _acknowledge(self, eio_sid: str, namespace: str, id: int, answer: Any) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.closed:
            encoded = self.packet_class(packet.ACK, namespace=namespace, id=id, data=[answer]).encode()
            socket.queue.put_nowait(eio.Packet(eio.MESSAGE, encoded))


def _hang_up(socket: Any) -> None:
    if socket.queue.wire is not None:
        socket.queue.wire.close()
    else:
        socket.queue.put_nowait(eio.Packet(eio.CLOSE))


def _settled(later: DeferredAck, done: "asyncio.Future[None]") -> Any:
    if done.cancelled():
        return later.refuse(Unavailable("The gateway is stopping; try again."))
    error = done.exception()
    if error is None:
        return later.answer()
    return later.refuse(error if isinstance(error, ChatError) else ChatError("Something went wrong."))
