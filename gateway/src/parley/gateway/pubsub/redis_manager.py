"""The Redis manager: python-socketio's client manager with one channel per room.

Stock `AsyncRedisManager` sends every emit to every node through one channel and hides failures.
Here a node hears only the channels of rooms that have a socket on it, `enter_room` returns when
Redis has confirmed the subscription, and what cannot be published raises.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from engineio import packet as eio
from socketio import packet
from socketio.async_manager import AsyncManager

from parley.gateway.pubsub.bus import Bus
from parley.gateway.transport.frame_writer import PacketQueue, frame
from parley.shared import events, rooms
from parley.shared.events import Control, Emit

LINGER_SECONDS = 15.0


class RedisManager(AsyncManager):  # type: ignore[misc]
    """Rooms over Redis. Without a server it only emits, for processes that serve no socket."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._rooms_of: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._channels: dict[str, int] = defaultdict(int)
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self.on_forgotten: Callable[[str], None] = lambda _channel: None

    # Local bookkeeping: an index from socket to rooms, and sockets counted by channel.

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if room is not None and room != sid and room not in self._rooms_of[namespace, sid]:
            self._rooms_of[namespace, sid].add(room)
            self._channels[rooms.channel(room)] += 1

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        super().basic_leave_room(sid, namespace, room)
        if room in self._rooms_of.get((namespace, sid), ()):
            self._rooms_of[namespace, sid].discard(room)
            self._release(rooms.channel(room))

    def basic_disconnect(self, sid: str, namespace: str, **_kwargs: Any) -> None:
        for room in self._rooms_of.pop((namespace, sid), set()):
            super().basic_leave_room(sid, namespace, room)
            self._release(rooms.channel(room))
        super().basic_leave_room(sid, namespace, sid)
        super().basic_leave_room(sid, namespace, None)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return [sid, *self._rooms_of.get((namespace, sid), ())]

    # Rooms.

    async def prepare(self, wanted: Iterable[str]) -> None:
        """Subscribe to the channels of rooms that a socket is about to enter.

        Raises:
            Unavailable: Redis did not confirm in time.
        """
        channels = {rooms.channel(room) for room in wanted}
        self._hold(channels)
        try:
            await self._bus.subscribe(channels)
        finally:
            self._hold(channels)
            for channel in channels:
                self._linger(channel)

    def reserve(self, room: str) -> None:
        """Let a room's subscription not lapse, for a socket that enters it when it is connected."""
        self._channels[rooms.channel(room)] += 1

    def give_back(self, room: str) -> None:
        """It has entered the room, or never will."""
        self._release(rooms.channel(room))

    async def enter_room(self, sid: str, namespace: str, room: str, eio_sid: str | None = None) -> None:
        if not self._is_here(sid, namespace):
            await self._control("enter_room", sid, namespace, room)
            return
        await self.prepare([room])
        self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: str) -> None:
        if self._is_here(sid, namespace):
            self.basic_leave_room(sid, namespace, room)
        else:
            await self._control("leave_room", sid, namespace, room)

    async def close_room(self, room: str, namespace: str) -> None:
        await self._publish(room, Control(method="close_room", namespace=namespace, room=room))

    # Disconnecting.

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        if self._is_here(sid, namespace):
            return bool(self.is_connected(sid, namespace))
        await self._control("disconnect", sid, namespace, None)
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
        """Emit to a room, to a list of rooms, to a socket of any node, or to everyone.

        Raises:
            Unavailable: Redis did not take it.
            ValueError: a callback is wanted from more than one socket, or from another node's.
        """
        target = to or room
        args = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        skip = [skip_sid] if isinstance(skip_sid, str) else list(skip_sid or ())
        namespace = namespace or "/"
        if callback is not None:
            await self._emit_with_callback(event, args, namespace, target, callback)
        elif ignore_queue or self._is_here(target, namespace):
            self.deliver(namespace, target, [event, *args], skip)
        else:
            for one in target if isinstance(target, list | tuple) else [target]:
                told = Emit(namespace=namespace, room=one, event=event, args=args, skip=tuple(skip))
                await self._publish(one, told)

    async def _emit_with_callback(
        self, event: str, args: list[Any], namespace: str, target: Any, callback: Any
    ) -> None:
        if not self._is_here(target, namespace):
            raise ValueError("A callback can only be had from a socket of this node.")
        ack = self._generate_ack_id(target, callback)
        encoded = packet.Packet(packet.EVENT, namespace=namespace, data=[event, *args], id=ack)
        await self.server._send_packet(self.eio_sid_from_sid(target, namespace), encoded)

    def deliver(
        self,
        namespace: str,
        room: str | None,
        data: list[Any],
        skip: Collection[str] = (),
        then: list[Any] | None = None,
    ) -> int:
        """Write an event, and `then` another, to the sockets of a room on this node; how many they were.

        It is encoded once, as one websocket frame.
        """
        members = self.rooms.get(namespace, {}).get(room)
        if not members:
            return 0
        if room is None:
            # Whoever is still being let in has not been told that it is connected.
            skip = [*skip, *self.pending_connect.get(namespace, ())]
        told = [data] if then is None else [data, then]
        packets = [p for event in told for p in self._packets(namespace, event)]
        written = b"".join(frame(p.encode()) for p in packets)
        sockets = self.server.eio.sockets
        count = 0
        for sid, eio_sid in members.items():
            socket = sockets.get(eio_sid)
            if sid in skip or socket is None or socket.closed:
                continue
            count += 1
            queue: PacketQueue = socket.queue
            if queue.wire is not None:
                queue.wire.write(written)
            else:
                for p in packets:
                    queue.put_nowait(p)
        return count

    def _packets(self, namespace: str, data: list[Any]) -> list[eio.Packet]:
        encoded = self.server.packet_class(packet.EVENT, namespace=namespace, data=data).encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        return [eio.Packet(eio.MESSAGE, part) for part in parts]

    # What comes from the bus.

    async def obey(self, control: Control) -> None:
        """Do what another node asked of a socket or a room here."""
        namespace, sid, room = control.namespace, control.sid, control.room
        if control.method == "close_room":
            super().basic_close_room(room, namespace)
        elif sid is None or not self._is_here(sid, namespace):
            return
        elif control.method == "disconnect":
            await self.server.disconnect(sid, namespace=namespace, ignore_queue=True)
        elif control.method == "enter_room" and room is not None:
            await self.enter_room(sid, namespace, room)
        elif control.method == "leave_room":
            self.basic_leave_room(sid, namespace, room)

    def hear(self, emit: Emit) -> None:
        """Deliver what some process emitted."""
        self.deliver(emit.namespace, emit.room, [emit.event, *emit.args], emit.skip)

    def sockets_in(self, namespace: str, room: str) -> list[str]:
        """The Socket.IO ids of a room's sockets on this node."""
        return list(self.rooms.get(namespace, {}).get(room, ()))

    def backlog(self, sid: str, namespace: str) -> float:
        """How much a socket has not taken yet: it is cut off past 1, and 0 when it is gone."""
        socket = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        return socket.queue.backlog if socket is not None and not socket.closed else 0.0

    def is_empty(self, namespace: str, room: str) -> bool:
        """Whether no socket of this node is in a room."""
        return not self.rooms.get(namespace, {}).get(room)

    def count_seats(self) -> int:
        """Sockets in rooms, each room of each."""
        return sum(len(members) for of in self.rooms.values() for members in of.values())

    async def stop(self) -> None:
        """Cancel what lingers."""
        for handle in self._lingering.values():
            handle.cancel()

    def _is_here(self, sid: Any, namespace: str) -> bool:
        return isinstance(sid, str) and sid in self.rooms.get(namespace, {}).get(None, {})

    async def _control(self, method: str, sid: str, namespace: str, room: str | None) -> None:
        told = Control(method=method, namespace=namespace, sid=sid, room=room)
        await self._publish(sid, told)

    async def _publish(self, room: str | None, event: events.Event) -> None:
        await self._bus.publish({self._channel(room): events.pack([event])})

    def _channel(self, room: str | None) -> str:
        """A socket is reached through its node, whose name its id begins with."""
        if room is None:
            return rooms.channel(rooms.everyone())
        node, dot, _ = room.partition(".")
        return rooms.channel(rooms.node(node) if dot and ":" not in node else room)

    def _release(self, channel: str) -> None:
        self._channels[channel] -= 1
        if self._channels[channel] == 0:
            self._linger(channel)

    def _hold(self, channels: Iterable[str]) -> None:
        """Let no subscription lapse while somebody counts on it."""
        for channel in channels:
            lingering = self._lingering.pop(channel, None)
            if lingering is not None:
                lingering.cancel()

    def _linger(self, channel: str) -> None:
        """Drop a subscription when nobody has used it for a moment."""
        if channel in self._lingering or self._channels[channel]:
            return
        loop = asyncio.get_running_loop()
        self._lingering[channel] = loop.call_later(LINGER_SECONDS, self._forget, channel)

    def _forget(self, channel: str) -> None:
        del self._lingering[channel]
        if self._channels[channel]:
            return
        del self._channels[channel]
        self._bus.drop([channel])
        self.on_forgotten(channel)
