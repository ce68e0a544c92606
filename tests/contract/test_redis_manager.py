"""The Redis manager gives python-socketio's rooms over several nodes, on a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import socketio
from aiohttp import web

from clients.chat import eventually
from model.node import NoSnapshots
from parley.gateway.core.errors import Unavailable
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.transport import json
from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.packets import ClientPacket
from parley.gateway.transport.socketio_adapter import SocketHooks
from parley.shared import events, rooms
from parley.shared.pubsub import count_subscribers
from parley.shared.redis import connect

NAMESPACE = "/test"


class Server(SocketHooks):
    """python-socketio's own behaviour on Parley's Engine.IO server."""

    engine_class = EngineServer


@dataclass
class Node:
    """A Socket.IO server of its own, and its clients."""

    name: str
    redis: Any
    bus: Bus
    manager: RedisManager
    server: socketio.AsyncServer
    runner: web.AppRunner
    url: str = ""
    clients: list[socketio.AsyncClient] = field(default_factory=list)
    tasks: list[asyncio.Future[None]] = field(default_factory=list)

    async def client(self) -> tuple[str, list[Any]]:
        """Connect a client; return its sid and the list of the events that it receives."""
        received: list[Any] = []
        client = socketio.AsyncClient(reconnection=False)
        client.on("*", lambda event, *args: received.append((event, *args)), namespace=NAMESPACE)
        await client.connect(self.url, namespaces=[NAMESPACE], transports=["websocket"])
        self.clients.append(client)
        return client.get_sid(NAMESPACE), received

    async def stop(self) -> None:
        for client in self.clients:
            await client.disconnect()
        await self.manager.stop()
        await self.bus.stop()
        await self.runner.cleanup()
        await self.redis.aclose()


MakeNode = Callable[[], Coroutine[Any, Any, Node]]


@pytest.fixture
async def make_node(redis_url: str) -> AsyncIterator[MakeNode]:
    nodes: list[Node] = []

    async def make() -> Node:
        name = f"n{uuid.uuid4().hex[:8]}"
        redis = connect(redis_url)
        bus = Bus(redis_url, name)
        manager = RedisManager(bus)
        server = Server(
            client_manager=manager, serializer=ClientPacket, json=json, namespaces="*", node_name=name
        )
        bus.start(
            Subscriber(
                on_message=lambda _channel, body: apply(node, body),
                on_reconnect=reconnected,
            )
        )
        app = web.Application()
        server.attach(app)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        node = Node(name, redis, bus, manager, server, runner)
        node.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        await node.stop()


async def reconnected() -> None:
    """Do nothing: these nodes have no streams to backfill after a reconnect."""


def apply(node: Node, body: bytes) -> Iterator[None]:
    for event in events.unpack(body):
        yield
        if isinstance(event, events.Emit):
            node.manager.on_emit(event)
        elif isinstance(event, events.Heartbeat):
            node.bus.heartbeat_received(event.count)
        elif isinstance(event, events.Control):
            node.tasks.append(asyncio.ensure_future(node.manager.apply_remote_command(event)))


def room_name() -> str:
    return f"room:{uuid.uuid4()}"


async def test_an_emit_to_a_room_reaches_its_sockets_on_every_node_once(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    room = room_name()
    (first, received_first), (second, received_second) = await one.client(), await two.client()
    _, received_outside = await two.client()
    await one.server.enter_room(first, room, namespace=NAMESPACE)
    await two.server.enter_room(second, room, namespace=NAMESPACE)

    await one.server.emit("news", {"n": 1}, room=room, namespace=NAMESPACE)
    await two.server.emit("news", {"n": 2}, room=room, namespace=NAMESPACE)

    for received in (received_first, received_second):
        await eventually(lambda received=received: len(received) == 2)
        assert sorted(p["n"] for _, p in received) == [1, 2]
    assert received_outside == []


async def test_a_process_that_serves_no_socket_can_emit(make_node: MakeNode, redis_url: str) -> None:
    node = await make_node()
    room = room_name()
    sid, received = await node.client()
    await node.server.enter_room(sid, room, namespace=NAMESPACE)
    bus = Bus(redis_url, "emitter")
    emitter = RedisManager(bus)
    await emitter.emit("news", ("a", {"b": 1}), namespace=NAMESPACE, room=room)
    await emitter.emit("private", b"\x00\xff", namespace=NAMESPACE, room=sid)
    await bus.stop()
    await eventually(lambda: received == [("news", "a", {"b": 1}), ("private", b"\x00\xff")])


async def test_a_socket_misses_no_event_after_entering_a_room(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    for _ in range(20):
        room = room_name()
        sid, received = await one.client()
        await one.server.enter_room(sid, room, namespace=NAMESPACE)
        await two.server.emit("news", room, room=room, namespace=NAMESPACE)
        await eventually(lambda received=received, room=room: received == [("news", room)])


async def test_a_node_without_a_socket_in_a_room_is_not_subscribed(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.gateway.pubsub.channel_subscriptions.UNSUBSCRIBE_SECONDS", 0.2)
    one, two = await make_node(), await make_node()
    room = room_name()
    channel = rooms.channel(room)
    sid, _ = await one.client()
    await one.server.enter_room(sid, room, namespace=NAMESPACE)

    assert await subscribers(two, channel) == 1
    await one.server.leave_room(sid, room, namespace=NAMESPACE)
    await eventually(lambda: is_unsubscribed(two, channel))


async def test_a_room_stays_subscribed_while_its_socket_connects(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay for a reconnecting client may take longer than an unused subscription is kept."""
    monkeypatch.setattr("parley.gateway.pubsub.channel_subscriptions.UNSUBSCRIBE_SECONDS", 0.1)
    node = await make_node()
    sessions, session_rooms = Sessions(), SessionRooms()
    room_membership = RoomMembership(node.manager, sessions, session_rooms, NoSnapshots())
    here = replace(GROUPS, namespace=NAMESPACE)
    left_room, kept_room, unused = room_name(), room_name(), room_name()
    (first, _), (second, _) = await node.client(), await node.client()
    leaving, remaining = [Session(sid, NAMESPACE, sid) for sid in (first, second)]
    for session, room in ((leaving, left_room), (remaining, kept_room)):
        sessions.add(session)
        session_rooms.add(session, (here,))
        await room_membership.subscribe_and_enter(session, [room])
    await room_membership.subscribe([unused])
    await eventually(lambda: is_unsubscribed(node, rooms.channel(unused)))

    assert (
        await subscribers(node, rooms.channel(left_room))
        == await subscribers(node, rooms.channel(kept_room))
        == 1
    )
    sessions.remove(leaving)
    room_membership.release(leaving)
    room_membership.activate(remaining)
    await eventually(lambda: is_unsubscribed(node, rooms.channel(left_room)))
    assert await subscribers(node, rooms.channel(kept_room)) == 1
    await node.clients[1].disconnect()
    await eventually(lambda: is_unsubscribed(node, rooms.channel(kept_room)))


async def subscribers(node: Node, channel: str) -> int:
    return await count_subscribers(node.redis, channel)


async def is_unsubscribed(node: Node, channel: str) -> bool:
    return await subscribers(node, channel) == 0


async def test_a_socket_that_left_or_is_skipped_receives_nothing(make_node: MakeNode) -> None:
    node = await make_node()
    room = room_name()
    clients = [await node.client() for _ in range(3)]
    for sid, _ in clients:
        await node.server.enter_room(sid, room, namespace=NAMESPACE)
    await node.server.leave_room(clients[0][0], room, namespace=NAMESPACE)

    await node.server.emit("news", 1, room=room, skip_sid=clients[1][0], namespace=NAMESPACE)

    await eventually(lambda: clients[2][1] == [("news", 1)])
    assert clients[0][1] == clients[1][1] == []


async def test_a_list_of_rooms_and_everyone_can_be_emitted_to(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    (first, received_first), (second, received_second) = await one.client(), await two.client()
    rooms_ = room_name(), room_name()
    await one.server.enter_room(first, rooms_[0], namespace=NAMESPACE)
    await two.server.enter_room(second, rooms_[1], namespace=NAMESPACE)

    await one.server.emit("news", 1, room=list(rooms_), namespace=NAMESPACE)
    for received in (received_first, received_second):
        await eventually(lambda received=received: received == [("news", 1)])

    await two.server.emit("all", 2, namespace=NAMESPACE)
    for received in (received_first, received_second):
        await eventually(lambda received=received: received[-1] == ("all", 2))


async def test_a_closed_room_is_empty_everywhere(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    room = room_name()
    sid, received = await one.client()
    await one.server.enter_room(sid, room, namespace=NAMESPACE)

    await two.server.close_room(room, namespace=NAMESPACE)

    await eventually(lambda: one.manager.get_rooms(sid, NAMESPACE) == [sid])
    await two.server.emit("news", 1, room=room, namespace=NAMESPACE)
    await two.server.emit("mark", 2, room=sid, namespace=NAMESPACE)
    await eventually(lambda: received == [("mark", 2)])


async def test_a_socket_of_another_node_can_be_moved_and_disconnected(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    room = room_name()
    sid, received = await one.client()

    await two.server.enter_room(sid, room, namespace=NAMESPACE)
    await eventually(lambda: room in one.manager.get_rooms(sid, NAMESPACE))
    await two.server.emit("news", 1, room=room, namespace=NAMESPACE)
    await eventually(lambda: received == [("news", 1)])

    await two.server.disconnect(sid, namespace=NAMESPACE)
    await eventually(lambda: not one.clients[0].connected)
    await eventually(lambda: not one.manager.members(NAMESPACE, room))


async def test_a_callback_needs_a_socket_of_this_node(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    sid, _ = await one.client()
    one.clients[0].on("question", lambda n: n + 1, namespace=NAMESPACE)

    assert await one.server.call("question", 41, to=sid, namespace=NAMESPACE, timeout=5) == 42
    with pytest.raises(ValueError, match="this node"):
        await two.server.call("question", 41, to=sid, namespace=NAMESPACE)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_an_emit_raises_while_redis_is_away(scheme: str) -> None:
    bus = Bus(f"{scheme}://127.0.0.1:1", "alone")
    with pytest.raises(Unavailable):
        await RedisManager(bus).emit("news", 1, room="room:x", namespace=NAMESPACE)
    await bus.stop()


async def test_a_disconnected_socket_leaves_every_room_and_no_state(make_node: MakeNode) -> None:
    node = await make_node()
    sids = [(await node.client())[0] for _ in range(3)]
    for sid in sids:
        for number in range(5):
            await node.server.enter_room(sid, f"room:{node.name}-{number}", namespace=NAMESPACE)
    for client in node.clients:
        await client.disconnect()
    await eventually(lambda: not node.manager._rooms_of)
    await eventually(lambda: not node.manager.rooms.get(NAMESPACE))
    assert not any(node.manager._subscriptions._users.values())
