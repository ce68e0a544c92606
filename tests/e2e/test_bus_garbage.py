"""Whoever reaches Redis can publish anything: it is counted, it runs nothing, and clients are served."""

import asyncio
import pickle
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
import redis.asyncio
from redis.asyncio import Redis

from clients.chat import Town, eventually
from clients.steady import Steady
from parley.shared import rooms
from parley.shared.events import Heartbeat, TypingChanged, pack
from parley.shared.model import Person, now
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

FLOOD = 20_000
AT_ONCE = 2_000
LOG_BYTES = 50_000
"""Of a flood a log tells, but does not repeat it."""
HEARD = [rooms.channel(rooms.everyone()), rooms.channel(rooms.node("g1"))]
UNHEARD = ["parley:", "parley:nobody", "parley:conversation:none", "parley:user:nobody", "parley:node:g99"]


class Trap:
    """What is unpickled makes a noise."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, ("this",))


def extended(**fields: object) -> bytes:
    (event,) = msgspec.msgpack.decode(pack([Heartbeat(count=1)]))
    return msgspec.msgpack.encode([{**event, **fields}])


def typing_of(**fields: object) -> bytes:
    event = TypingChanged(conversation_id="c", user=Person(id="u"), typing=True, at=now())
    (told,) = msgspec.msgpack.decode(pack([event]))
    return msgspec.msgpack.encode([{**told, "user": {**told["user"], **fields}}])


GARBAGE = {
    "nothing": b"",
    "text": b"hello",
    "no MessagePack": b"\xc1",
    "a pickle": pickle.dumps(Trap()),
    "a pickle of python-socketio": pickle.dumps({"method": "emit", "event": "x", "data": 1, "room": None}),
    "JSON of python-socketio": b'{"method":"emit","event":"x","data":1,"namespace":"/chat","room":null}',
    "no list": msgspec.msgpack.encode({"type": "heartbeat", "count": 1}),
    "no type": msgspec.msgpack.encode([{"count": 1}]),
    "an unknown type": msgspec.msgpack.encode([{"type": "eval", "code": "1"}]),
    "an unknown field": extended(colour="red"),
    "an unknown field within": typing_of(admin=True),
    "another kind of value": extended(count="1"),
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


async def dropped(stack: Stack) -> list[int]:
    """How much each gateway could not read."""
    counts = []
    async with aiohttp.ClientSession() as http:
        for url in stack.gateway_urls:
            text = await (await http.get(f"{url}/metrics")).text()
            counts.append(int(float(text.partition('{operation="decode"} ')[2].split("\n")[0] or 0)))
    return counts


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_cannot_be_read_is_counted_and_dropped(
    body: bytes, stack: Stack, bus: "Redis", steady: Steady
) -> None:
    before = await dropped(stack)

    await bus.publish(rooms.channel(rooms.everyone()), body)

    async def counted() -> bool:
        return await dropped(stack) == [count + 1 for count in before]

    await eventually(counted)
    await steady.is_served()


async def test_it_says_nothing_to_clients(stack: Stack, bus: "Redis", town: Town) -> None:
    alice, bob = await town.sockets("alice", "bob")
    group = await town.group(alice, "bob")
    await bob.do("joinRoom", {"conversationId": group})
    for body in GARBAGE.values():
        if len(body) < 200_000:
            await bus.publish(rooms.channel(rooms.conversation(group)), body)

    await alice.say(group, "the first")

    assert await bob.inbound("newMessage", conversationId=group)
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
        (HEARD, b"garbage" * 10),
        (HEARD, extended(colour="red")),
        (HEARD[:1], typing_of()),
        (UNHEARD, b"garbage" * 100),
    ],
    ids=["garbage", "almost", "events of nobody", "where nobody listens"],
)
async def test_a_flood_takes_no_gateway_down(
    channels: list[str], body: bytes, stack: Stack, bus: "Redis", town: Town
) -> None:
    alice, bob = await town.sockets("alice", "bob")
    group = await town.group(alice, "bob")
    await bob.do("joinRoom", {"conversationId": group})
    steady = await Steady(town).set()
    log = stack.log("gateway-1").stat().st_size
    said: list[str] = []

    flooding = asyncio.create_task(flood(bus, channels, body))
    while not flooding.done() or len(said) < 10:
        await steady.is_served()
        said.append(str(len(said)))
        await alice.say(group, said[-1])
    await flooding

    await eventually(lambda: len(bob.messages(group)) == len(said))
    assert [m["content"] for m in bob.messages(group)] == said
    assert await ready(stack)
    assert stack.log("gateway-1").stat().st_size - log < LOG_BYTES


async def ready(stack: Stack) -> bool:
    async with aiohttp.ClientSession() as http:
        return all([(await http.get(f"{url}/readyz")).status == 200 for url in stack.gateway_urls])
