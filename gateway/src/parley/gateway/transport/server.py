"""The Socket.IO server: python-socketio's, with deferred acknowledgements and transient connect errors."""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import structlog
from socketio import packet
from socketio.exceptions import ConnectionRefusedError

from parley.gateway.core.eventual import Eventual, is_awaitable
from parley.gateway.state.rates import Buckets, Rate
from parley.gateway.transport import json
from parley.gateway.transport.answer_writer import AnswerWriter
from parley.gateway.transport.answers import ClientEvent
from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.engine_session import EngineSession
from parley.gateway.transport.packets import (
    ClientPacket,
    PlainEvent,
    plain_event,
)
from parley.gateway.transport.socketio_adapter import SocketHooks
from parley.shared.causes import cause_of

log = structlog.get_logger()

CONNECTS = Rate(1, 20)
"""Namespace connects of one connection: nothing else that it may do costs as much."""

INVALID_NAMESPACE = {
    "message": "Invalid namespace",
    "data": {"code": "NOT_FOUND", "message": "There is no such namespace.", "retryable": False},
}


class TransientConnectError(Exception):
    """A client cannot connect to a namespace at the moment; its message is logged, not sent."""


class EventHandler(Protocol):
    """A namespace as `ChatServer` calls it, besides python-socketio's `on_connect` and `on_disconnect`."""

    def handle_event(self, sid: str, event: Any, args: list[Any], size: int) -> Eventual[Any]:
        """Handle a client's event.

        Args:
            sid: The socket.
            event: The event's name, of any type.
            args: The event's arguments.
            size: About how many bytes it had.

        Returns:
            The acknowledgement's argument, a tuple of several, a `DeferredAck` or a `Refusal`.
        """

    async def on_connected(self, sid: str) -> None:
        """Handle a completed connect, of which the client knows by now."""

    def private_id(self, sid: str) -> str | None:
        """Return the id by which a reconnecting client restores this socket's session, if it can."""


class ChatServer(SocketHooks):
    """Handles each client's events in order, without waiting for deferred acknowledgements.

    Args:
        packet_class: decodes and encodes packets.
        options: as `socketio.AsyncServer` and `EngineServer` take them.
    """

    engine_class = EngineServer
    eio: EngineServer
    manager_initialized: bool

    invalid_namespace: Mapping[str, Any] = INVALID_NAMESPACE
    """Data of the CONNECT_ERROR for a namespace that does not exist."""

    def __init__(self, *, packet_class: type[packet.Packet] = ClientPacket, **options: Any) -> None:
        super().__init__(serializer=packet_class, json=json, async_handlers=False, **options)
        self._connects = Buckets(CONNECTS)
        self._answers = AnswerWriter(packet_class)
        self.eio.begin_message = self.begin_message
        self.eio.on_open = self._on_open

    def _on_open(self, eio_sid: str, environ: Mapping[str, str]) -> None:
        """Do the same as python-socketio's handler of new connections."""
        if not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        self.environ[eio_sid] = environ

    async def connect_namespace(self, eio_sid: str, namespace: str, data: Any) -> None:
        """Connect a client to a namespace.

        Raises:
            ValueError: the connection connects to namespaces too often.
        """
        if not self._connects.try_take(eio_sid):
            raise ValueError("too many namespace connects")
        if namespace not in self.namespace_handlers:
            # python-socketio itself would admit everybody to "/".
            await self._refuse_connect(eio_sid, namespace, self.invalid_namespace)
            return
        if self.manager.sid_from_eio_sid(eio_sid, namespace) is not None:
            # A client that calls `connect()` twice, or `disconnect()` and `connect()` before the answer,
            # sends CONNECT twice. A refusal of the second would end the socket that the first has opened.
            return
        try:
            await self._connect(eio_sid, namespace, data)
        except TransientConnectError as error:
            await self._close_after_failed_connect(eio_sid, namespace, error)
            return
        session = self._session(eio_sid)
        if session is None or session.closing:
            # A connection may be lost while its client connects.
            await self.disconnect_namespace(eio_sid, namespace)
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is not None and self.manager.is_connected(sid, namespace):
            await self.namespace_handlers[namespace].on_connected(sid)

    async def _connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        """Do the same as python-socketio's `_handle_connect`, whose layers take a tenth of a connect."""
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            await self._refuse_connect(eio_sid, namespace, "Unable to connect")
            return
        try:
            handler = self.namespace_handlers[namespace]
            await handler.trigger_event("connect", sid, self.environ[eio_sid], data or None)
        except ConnectionRefusedError as refused:
            await self._refuse_connect(eio_sid, namespace, refused.error_args)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
            return
        connected = self.packet_class(packet.CONNECT, {"sid": sid}, namespace=namespace)
        await self.send_packet(eio_sid, connected)
        await self.manager.connect(sid, namespace)

    async def _refuse_connect(self, eio_sid: str, namespace: str, reason: Any) -> None:
        refusal = self.packet_class(packet.CONNECT_ERROR, data=reason, namespace=namespace)
        await self.send_packet(eio_sid, refusal)

    async def _close_after_failed_connect(self, eio_sid: str, namespace: str, error: Exception) -> None:
        """Close the connection: clients reconnect after a close, not after CONNECT_ERROR."""
        log.info("gateway.socket.connect_failed", reason=str(error), cause=cause_of(error))
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is not None:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
        session = self._session(eio_sid)
        if session is not None:
            session.close_connection()
            # The connection's sockets in other namespaces lose it too, and may restore their sessions.
            await session.close(abort=True, reason=self.reason.TRANSPORT_CLOSE)

    async def send_packet(self, eio_sid: str, pkt: packet.Packet) -> None:
        """Send a packet; CONNECT gets the private id of connection state recovery."""
        if pkt.packet_type == packet.CONNECT:
            private_id = self.namespace_handlers[pkt.namespace].private_id(pkt.data["sid"])
            if private_id is not None:
                pkt.data["pid"] = private_id
        await super().send_packet(eio_sid, pkt)

    async def on_engine_disconnect(self, eio_sid: str, reason: str) -> None:
        """Disconnect a lost connection from its namespaces."""
        # A client that leaves on purpose disconnects from its namespace first. An Engine.IO CLOSE
        # without that may come from a client that has lost its network.
        is_lost = reason == self.reason.CLIENT_DISCONNECT
        await super().on_engine_disconnect(eio_sid, self.reason.TRANSPORT_CLOSE if is_lost else reason)
        self.discard_partial_packet(eio_sid)
        self._connects.forget(eio_sid)

    def begin_message(self, eio_sid: str, data: str | bytes) -> Coroutine[Any, Any, None] | None:
        """Handle a client's packet at once, as far as nothing has to be awaited; return what is left."""
        session = self._session(eio_sid)
        if session is None or eio_sid not in self.environ:
            return None
        session.received_bytes += len(data)
        if isinstance(data, bytes) or self.has_partial_packet(eio_sid):
            return self.eio.handle_message(eio_sid, data)
        event = plain_event(data)
        if event is None:
            return self.eio.handle_message(eio_sid, data)
        try:
            return self._begin_event(session, event)
        except ValueError as error:
            return self._close_violator(session, error)
        except Exception:
            log.exception("gateway.socket.message_failed")
            return None

    async def on_engine_message(self, eio_sid: str, data: Any) -> None:
        """Handle a packet that is no plain event; one that breaks the protocol closes the session."""
        if eio_sid not in self.environ:
            # The session has closed: joining a room now would leak its subscription.
            return
        try:
            await super().on_engine_message(eio_sid, data)
        except ValueError as error:
            session = self._session(eio_sid)
            if session is not None:
                await self._close_violator(session, error)

    async def on_client_event(self, eio_sid: str, namespace: str, id: int | None, data: Any) -> None:
        """Handle an event that is not plain, with its attachments.

        Raises:
            ValueError: the event has no name.
        """
        session = self._session(eio_sid)
        if session is not None:
            waiting = self._begin_event(session, PlainEvent(namespace, id, data))
            if waiting is not None:
                await waiting

    def _begin_event(self, session: EngineSession, plain: PlainEvent) -> Coroutine[Any, Any, None] | None:
        """Handle an event; send its acknowledgement if the client has asked for one, or the `exception`.

        Raises:
            ValueError: the event has no name.
        """
        namespace, number, data = plain.namespace or "/", plain.id, plain.data
        if not isinstance(data, list) or not data:
            raise ValueError("an event without a name")
        sid = self.manager.sid_from_eio_sid(session.sid, namespace)
        if not self.manager.is_connected(sid, namespace):
            return None
        handler: EventHandler = self.namespace_handlers[namespace]
        event = ClientEvent(session, namespace, number, data[0], data[1:])
        size, session.received_bytes = session.received_bytes, 0
        answer = handler.handle_event(sid, event.name, event.args, size)
        if is_awaitable(answer):
            return self._answer_when_handled(event, answer)
        self._answers.answer(event, answer)
        return None

    async def _answer_when_handled(self, event: ClientEvent, handling: Coroutine[Any, Any, Any]) -> None:
        try:
            self._answers.answer(event, await handling)
        except Exception:
            log.exception("gateway.socket.message_failed")

    async def _close_violator(self, session: EngineSession, error: Exception) -> None:
        log.info("gateway.socket.protocol_violation", error=type(error).__name__)
        await session.close(reason=self.reason.TRANSPORT_ERROR)

    def close_connection(self, sid: str, namespace: str) -> None:
        """Close the connection of a socket of this node, at once."""
        session = self._session(self.manager.eio_sid_from_sid(sid, namespace))
        if session is not None:
            session.close_connection()

    def flush(self, sid: str, namespace: str) -> None:
        """Write to a socket of this node at once what was sent to it in this iteration of the event loop."""
        session = self._session(self.manager.eio_sid_from_sid(sid, namespace))
        if session is not None:
            session.flush()

    def _session(self, eio_sid: str | None) -> EngineSession | None:
        return self.eio.sockets.get(eio_sid) if eio_sid is not None else None
