"""Garbage on Redis is counted and skipped, it executes nothing, and clients are served."""

import asyncio
import pickle
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
import redis.asyncio
from redis.asyncio import Redis

from clients.chat import ChatUsers, eventually
from clients.healthy_user import HealthyUser
from clients.newer import grow, items_of, seal_newer
from parley.shared import rooms
from parley.shared.envelope import SCHEMA, WRITER
from parley.shared.events import Heartbeat, TypingChanged, pack
from parley.shared.model import Person, now
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

FLOOD = 20_000
AT_ONCE = 2_000
LOG_BYTES = 50_000
"""Growth of the log during a flood: the log mentions it, but not each message."""
UNREADABLE, UNKNOWN = 'operation="decode"', 'what="event"'
RECEIVED = [rooms.channel(rooms.everyone()), rooms.channel(rooms.node("g1"))]
UNRECEIVED = ["parley:", "parley:nobody", "parley:conversation:none", "parley:user:nobody", "parley:node:g99"]


class Recorder:
    """Unpickling it would import a module that prints."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, ("this",))


def sealed(*items: object) -> bytes:
    return msgspec.msgpack.encode([SCHEMA, WRITER, items])


def heartbeat(**fields: object) -> bytes:
    (event,) = items_of(pack([Heartbeat(count=1)]))
    return sealed({**event, **fields})


def typing_in(conversation_id: str, user_id: str = "u") -> TypingChanged:
    return TypingChanged(conversation_id=conversation_id, user=Person(id=user_id), typing=True, at=now())


GARBAGE = {
    "nothing": b"",
    "text": b"hello",
    "no MessagePack": b"\xc1",
    "a pickle": pickle.dumps(Recorder()),
    "a pickle of python-socketio": pickle.dumps({"method": "emit", "event": "x", "data": 1, "room": None}),
    "JSON of python-socketio": b'{"method":"emit","event":"x","data":1,"namespace":"/chat","room":null}',
    "no list": msgspec.msgpack.encode({"type": "heartbeat", "count": 1}),
    "no type": msgspec.msgpack.encode([{"count": 1}]),
    "a value of another type": heartbeat(count="1"),
    "a value of another type in 0.1.0's form": msgspec.msgpack.encode([{"type": "heartbeat", "count": "1"}]),
    "a missing field": sealed({"type": "typing", "conversation_id": "c"}),
    "a kind that is no text": sealed({"type": 7, "count": 1}),
    "an envelope without items": msgspec.msgpack.encode([SCHEMA, WRITER]),
    "an envelope whose schema is text": msgspec.msgpack.encode(["1", WRITER, []]),
    "an envelope whose items are a map": msgspec.msgpack.encode([SCHEMA, WRITER, {}]),
    "too much said of its length": b"\xdd\xff\xff\xff\xff",
    "bytes that are no text": b"\x91\x82\xa4type\xa9heartbeat\xa1\xff\x01",
    "what is nested deep": b"\x91" * 100_000,
    "arguments that are nested deep": (
        b"\x91\x85\xa4type\xa4emit\xa9namespace\xa5/chat\xa4room\xc0\xa5event\xa1x\xa4args"
        + b"\x91" * 99_000
        + b"\xc0"
    ),
    "eight MiB": b"x" * (8 << 20),
}


@pytest.fixture
async def bus(stack: Stack) -> AsyncIterator["Redis"]:
    async with redis.asyncio.from_url(stack.redis_url) as connection:
        yield connection


async def counted(stack: Stack, label: str) -> list[int]:
    """Return the value of each gateway's metric that has this label."""
    counts = []
    async with aiohttp.ClientSession() as http:
        for url in stack.gateway_urls:
            text = await (await http.get(f"{url}/metrics")).text()
            counts.append(int(float(text.partition(f"{{{label}}} ")[2].split("\n")[0] or 0)))
    return counts


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_counted_and_skipped(
    body: bytes, stack: Stack, bus: "Redis", healthy_user: HealthyUser
) -> None:
    before = await counted(stack, UNREADABLE)

    await bus.publish(rooms.channel(rooms.everyone()), body)

    async def is_counted() -> bool:
        return await counted(stack, UNREADABLE) == [count + 1 for count in before]

    await eventually(is_counted)
    await healthy_user.assert_served()


async def test_events_of_a_newer_version_are_read_and_unknown_kinds_skipped_and_counted(
    stack: Stack, bus: "Redis", users: ChatUsers
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    unreadable, unknown = await counted(stack, UNREADABLE), await counted(stack, UNKNOWN)
    (typing,) = items_of(pack([typing_in(group, users.user("alice").id)]))
    body = seal_newer([{"type": "eval", "code": "1"}, grow(typing), {"type": "reaction"}])

    for node in ("g1", "g2"):
        await bus.publish(rooms.channel(rooms.node(node)), body)

    async def is_counted() -> bool:
        return await counted(stack, UNKNOWN) == [count + 2 for count in unknown]

    await eventually(is_counted)
    assert await bob.wait_for("userTyping", conversationId=group)
    assert await counted(stack, UNREADABLE) == unreadable


async def test_events_in_the_form_of_0_1_0_are_read(bus: "Redis", users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})

    bare = msgspec.msgpack.encode(items_of(pack([typing_in(group, users.user("alice").id)])))
    await bus.publish(rooms.channel(rooms.conversation(group)), bare)

    assert await bob.wait_for("userTyping", conversationId=group)


async def test_an_unreadable_event_does_not_affect_its_neighbours(bus: "Redis", users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})

    (typing,) = items_of(pack([typing_in(group, users.user("alice").id)]))
    body = sealed({"type": "heartbeat"}, typing, 7)
    await bus.publish(rooms.channel(rooms.conversation(group)), body)

    assert await bob.wait_for("userTyping", conversationId=group)


async def test_garbage_sends_nothing_to_clients(stack: Stack, bus: "Redis", users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    for body in GARBAGE.values():
        if len(body) < 200_000:
            await bus.publish(rooms.channel(rooms.conversation(group)), body)

    await alice.send(group, "the first")

    assert await bob.wait_for("newMessage", conversationId=group)
    assert [m["content"] for m in bob.messages(group)] == ["the first"]


async def flood(bus: "Redis", channels: list[str], body: bytes) -> None:
    for start in range(0, FLOOD, AT_ONCE):
        pipeline = bus.pipeline(transaction=False)
        for number in range(start, start + AT_ONCE):
            pipeline.publish(channels[number % len(channels)], body)
        await pipeline.execute()


@pytest.mark.parametrize(
    ("channels", "body"),
    [
        (RECEIVED, b"garbage" * 10),
        (RECEIVED, heartbeat(count="1")),
        (RECEIVED[:1], pack([typing_in("c")])),
        (UNRECEIVED, b"garbage" * 100),
    ],
    ids=["garbage", "almost", "events of nobody", "where nobody listens"],
)
async def test_a_flood_takes_no_gateway_down(
    channels: list[str], body: bytes, stack: Stack, bus: "Redis", users: ChatUsers
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    healthy_user = await HealthyUser(users).connect()
    log = stack.log("gateway-1").stat().st_size
    sent: list[str] = []

    flooding = asyncio.create_task(flood(bus, channels, body))
    while not flooding.done() or len(sent) < 10:
        await healthy_user.assert_served()
        sent.append(str(len(sent)))
        await alice.send(group, sent[-1])
    await flooding

    await eventually(lambda: len(bob.messages(group)) == len(sent))
    assert [m["content"] for m in bob.messages(group)] == sent
    assert await ready(stack)
    assert stack.log("gateway-1").stat().st_size - log < LOG_BYTES


async def ready(stack: Stack) -> bool:
    async with aiohttp.ClientSession() as http:
        return all([(await http.get(f"{url}/readyz")).status == 200 for url in stack.gateway_urls])
