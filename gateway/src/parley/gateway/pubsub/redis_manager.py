"""python-socketio's client manager over Redis, with one channel per room.

The reasons for not using the stock `AsyncRedisManager` are in gateway/DECISIONS.md.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from socketio import packet

from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.channel_subscriptions import ChannelSubscriptions
from parley.gateway.state.small_sets import SmallSet, with_value, with_values, without_value
from parley.gateway.transport.draining import drain_connections
from parley.gateway.transport.packets import EncodedEvents, EncodedPacket
from parley.gateway.transport.socketio_adapter import ManagerHooks
from parley.shared import events, rooms
from parley.shared.events import RECONNECT, Control, Emit

NOBODY: Mapping[str, str] = {}


class PendingSockets(set[str]):
    """Sockets that connect or disconnect: python-socketio's list is searched at each event of any socket."""

    append = set.add


class RedisManager(ManagerHooks):
    """Rooms that span all nodes. Without a server it only emits, for processes that serve no socket."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._subscriptions = ChannelSubscriptions(bus)
        # python-socketio searches all rooms of the namespace when a socket disconnects.
        self._rooms_of: dict[tuple[str, str], SmallSet[str]] = {}

    # Local bookkeeping: python-socketio's synchronous half of each method.

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        self.pending_connect.setdefault(namespace, PendingSockets())
        sid: str | None = await super().pre_connect(eio_sid, namespace)
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> Any:
        self.pending_disconnect.setdefault(namespace, PendingSockets())
        return super().pre_disconnect(sid, namespace)

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        if room == sid:
            # `members` needs no entry to find a socket by its own id.
            return
        sockets = self.rooms.get(namespace, {}).get(None)
        if room is None or sockets is None or room in sockets:
            super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            # python-socketio makes a two-way mapping for each room, and needs that of the namespace only.
            self.rooms[namespace].setdefault(room, {})[sid] = eio_sid or sockets[sid]
        entered = self._rooms_of.get((namespace, sid), ())
        if room is not None and room not in entered:
            self._rooms_of[namespace, sid] = with_value(entered, room)
            self._subscriptions.retain(rooms.channel(room))

    def enter_all(
        self, sid: str, namespace: str, names: Collection[str], *, are_retained: bool = False
    ) -> None:
        """Enter a connected socket of this node into rooms, whose channels are subscribed to.

        Args:
            sid: The socket.
            namespace: The socket's namespace.
            names: The rooms.
            are_retained: Whether the rooms are new to the socket and were retained for it, so that its
                leaving them is what undoes `retain`.
        """
        all_rooms, eio_sid = self.rooms[namespace], self.rooms[namespace][None][sid]
        entered = self._rooms_of.get((namespace, sid), ())
        if not are_retained:
            self._subscriptions.retain_all([rooms.channel(room) for room in names if room not in entered])
        for room in names:
            all_rooms.setdefault(room, {})[sid] = eio_sid
        self._rooms_of[namespace, sid] = with_values(entered, names)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        super().basic_leave_room(sid, namespace, room)
        entered = self._rooms_of.get((namespace, sid), ())
        if room in entered:
            self._rooms_of[namespace, sid] = without_value(entered, room)
            self._subscriptions.release(rooms.channel(room))

    def basic_disconnect(self, sid: str, namespace: str, **_kwargs: Any) -> None:
        for room in self._rooms_of.pop((namespace, sid), ()):
            super().basic_leave_room(sid, namespace, room)
            self._subscriptions.release(rooms.channel(room))
        super().basic_leave_room(sid, namespace, None)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        for name in room if isinstance(room, list | tuple) else [room]:
            yield from list(self.members(namespace, name).items())

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return [sid, *self._rooms_of.get((namespace, sid), ())]

    # Rooms.

    async def subscribe(self, wanted: Iterable[str]) -> None:
        """Subscribe to the channels of rooms that a socket is about to enter.

        Raises:
            Unavailable: Redis did not confirm in time.
        """
        await self._subscriptions.subscribe(map(rooms.channel, wanted))

    def retain(self, room: str) -> None:
        """Keep a room's subscription for a socket that enters once it is connected."""
        self.retain_all([room])

    def retain_all(self, names: Iterable[str]) -> None:
        """Keep the subscriptions of rooms, as `retain` for each."""
        self._subscriptions.retain_all(map(rooms.channel, names))

    def release(self, room: str) -> None:
        """Undo `retain`, after the socket has entered the room or has gone."""
        self.release_all([room])

    def release_all(self, names: Iterable[str]) -> None:
        """Undo `retain_all`."""
        for room in names:
            self._subscriptions.release(rooms.channel(room))

    async def enter_room(self, sid: str, namespace: str, room: str, eio_sid: str | None = None) -> None:
        """Move a socket of any node into a room; for one of this node, Redis has confirmed on return.

        Raises:
            Unavailable: Redis did not confirm in time.
        """
        if not self._is_local(sid, namespace):
            await self._send_command("enter_room", sid, namespace, room)
            return
        await self.subscribe([room])
        self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: str) -> None:
        if self._is_local(sid, namespace):
            self.basic_leave_room(sid, namespace, room)
        else:
            await self._send_command("leave_room", sid, namespace, room)

    async def close_room(self, room: str, namespace: str) -> None:
        await self._publish(room, Control(method="close_room", namespace=namespace, room=room))

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Tell the server whether it is to disconnect the socket itself; another node's is sent a command."""
        if self._is_local(sid, namespace):
            return bool(self.is_connected(sid, namespace))
        await self._send_command("disconnect", sid, namespace, None)
        return False

    # Emitting.

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        ignore_queue: bool = False,
        **_kwargs: Any,
    ) -> None:
        """Emit to a room, to a list of rooms, to a socket of any node, or to all sockets of a namespace.

        Raises:
            Unavailable: Redis did not take it.
            ValueError: a callback was passed for more than one socket, or for another node's.
        """
        target = to or room
        args = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        skip = [skip_sid] if isinstance(skip_sid, str) else list(skip_sid or ())
        namespace = namespace or "/"
        if callback is not None:
            await self._emit_with_callback(event, args, namespace, target, callback)
        elif ignore_queue or self._is_local(target, namespace):
            self.deliver(namespace, target, [event, *args], skip)
        else:
            for one in target if isinstance(target, list | tuple) else [target]:
                emit = Emit(namespace=namespace, room=one, event=event, args=args, skip=tuple(skip))
                await self._publish(one, emit)

    async def _emit_with_callback(
        self, event: str, args: list[Any], namespace: str, target: Any, callback: Any
    ) -> None:
        if not self._is_local(target, namespace):
            raise ValueError("A callback needs one socket of this node as its target.")
        event_packet = self._packet(namespace, [event, *args])
        event_packet.id = self.register_callback(target, callback)
        await self.server.send_packet(self.eio_sid_from_sid(target, namespace), event_packet)

    def deliver(self, namespace: str, room: str | None, data: list[Any], skip: Collection[str] = ()) -> None:
        """Write an event of any data, its name first, to the sockets of a room on this node.

        Args:
            namespace: the namespace of the sockets.
            room: the room's name, or None for all connected sockets of the namespace.
            data: the event's name and its arguments.
            skip: Socket.IO ids of sockets that are passed over.
        """
        if room is None:
            # A client must not receive an event before the CONNECT packet that completes its connection.
            skip = [*skip, *self.pending_connect.get(namespace, ())]
        sockets = self.members(namespace, room)
        if sockets:
            self.write(sockets, EncodedPacket(self._packet(namespace, data)), skip)

    def write(
        self, sockets: Mapping[str, str], encoded: EncodedEvents | EncodedPacket, skip: Collection[str] = ()
    ) -> None:
        """Write what is encoded, in one piece, to sockets of this node: those of `members`."""
        session_of = self.server.eio.sockets.get
        frames = encoded.frames
        for sid, eio_sid in sockets.items():
            session = session_of(eio_sid)
            if session is None or session.closed or sid in skip:
                continue
            # The call of the session's method would be a tenth of the cost of a delivery.
            if session.writer is not None:
                session.writer.write(frames)
            else:
                session.write(encoded)

    def _packet(self, namespace: str, data: list[Any]) -> packet.Packet:
        return self.server.packet_class(packet.EVENT, namespace=namespace, data=data)

    # Messages from the bus.

    async def apply_remote_command(self, control: Control) -> None:
        """Carry out another node's command for a socket or a room of this node."""
        namespace, sid, room = control.namespace, control.sid, control.room
        if control.method == "close_room":
            super().basic_close_room(room, namespace)
        elif sid is None or not self._is_local(sid, namespace):
            return
        elif control.method == "disconnect":
            await self.server.disconnect(sid, namespace=namespace, ignore_queue=True)
        elif control.method == RECONNECT:
            await self._send_away(sid, namespace)
        elif control.method == "enter_room" and room is not None:
            await self.enter_room(sid, namespace, room)
        elif control.method == "leave_room":
            self.basic_leave_room(sid, namespace, room)

    async def _send_away(self, sid: str, namespace: str) -> None:
        """Close the connection of a socket once its client has its answers; the client connects again."""
        socket = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        if socket is not None:
            await drain_connections([socket], 0)

    def on_emit(self, emit: Emit) -> None:
        """Deliver an event that any process emitted."""
        self.deliver(emit.namespace, emit.room, [emit.event, *emit.args], emit.skip)

    # Inspection.

    def members(self, namespace: str, room: str | None) -> Mapping[str, str]:
        """Return the sockets of a room on this node, by Socket.IO id; an empty room has no entry."""
        of_namespace: Mapping[str | None, Mapping[str, str]] = self.rooms.get(namespace, {})
        found = of_namespace.get(room)
        if found is not None or room is None:
            return found or NOBODY
        # A socket's own id is a room of that socket.
        eio_sid = of_namespace.get(None, NOBODY).get(room)
        return {room: eio_sid} if eio_sid is not None else NOBODY

    def unread_ratio(self, sid: str, namespace: str) -> float:
        """Return a socket's unread bytes as a share of its limit; above 1 it is reset. 0 when it is gone."""
        socket = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        return socket.unread_ratio if socket is not None and not socket.closed else 0.0

    def close_connection(self, sid: str, namespace: str) -> None:
        """Close the connection of a socket of this node, if it is here."""
        socket = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        if socket is not None:
            socket.close_connection()

    def connections(self) -> set[str]:
        """Return the Engine.IO ids of the connections that are in a namespace, or about to enter one."""
        found: set[str] = set()
        for of_namespace in self.rooms.values():
            found.update(of_namespace.get(None, NOBODY).values())
        return found

    def has_joined(self, eio_sid: str) -> bool:
        """Return whether a connection is one of `connections`."""
        return any(self.sid_from_eio_sid(eio_sid, namespace) for namespace in self.rooms)

    def count_room_memberships(self) -> int:
        """Return the number of pairs of a socket and a room that it is in."""
        return sum(len(members) for namespace in self.rooms.values() for members in namespace.values())

    async def stop(self) -> None:
        """Cancel all timers."""
        self._subscriptions.stop()

    def _is_local(self, sid: Any, namespace: str) -> bool:
        return isinstance(sid, str) and sid in self.rooms.get(namespace, {}).get(None, {})

    async def _send_command(self, method: str, sid: str, namespace: str, room: str | None) -> None:
        await self._publish(sid, Control(method=method, namespace=namespace, sid=sid, room=room))

    async def _publish(self, room: str | None, event: events.Event) -> None:
        await self._bus.publish({self._channel(room): events.pack([event])})

    def _channel(self, room: str | None) -> str:
        """Return the channel of a room; a socket's is that of its node, whose name begins the socket's id."""
        if room is None:
            return rooms.channel(rooms.everyone())
        node, dot, _ = room.partition(".")
        return rooms.channel(rooms.node(node) if dot and ":" not in node else room)
