"""The bus subscribes to all of its channels again, more than Redis confirms in one answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from clients.chat import eventually
from clients.redis_sentinel import RedisSentinel
from parley.gateway.pubsub.bus import Bus, Subscriber
from parley.shared import events
from parley.shared.events import Heartbeat
from parley.stack.ports import LOOPBACK

CHANNELS = [f"parley:test:{'x' * 60}:{number}" for number in range(20_000)]
AT_ONCE = 1_000
LIMIT = "pubsub 1mb 1mb 1"
"""The confirmations of all channels take twice as much."""


@pytest.fixture
async def redis(redis_sentinel: RedisSentinel) -> AsyncIterator["Redis"]:
    """A Redis that cuts off subscribers with more than one megabyte unread."""
    await asyncio.to_thread(redis_sentinel.repair)
    async with Redis(host=LOOPBACK, port=redis_sentinel.master.port) as redis:
        name = "client-output-buffer-limit"
        before = (await redis.config_get(name))[name]
        await redis.config_set(name, LIMIT)
        yield redis
        await redis.config_set(name, before)


class Node:
    """A bus, what it has received, and how often it has reconnected."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url, "many")
        self.received: list[str] = []
        self.reconnects = 0
        self.bus.start(Subscriber(on_message=self._receive, on_reconnect=self._reconnected))

    def _receive(self, channel: str, body: bytes) -> Iterator[None]:
        for event in events.unpack(body):
            if isinstance(event, Heartbeat):
                self.bus.heartbeat_received(event.count)
                self.received.append(channel)
        yield

    async def _reconnected(self) -> None:
        self.reconnects += 1


async def test_all_channels_are_subscribed_to_again_after_the_connection_was_lost(
    redis_sentinel: RedisSentinel, redis: "Redis"
) -> None:
    node = Node(f"redis://{LOOPBACK}:{redis_sentinel.master.port}")
    for start in range(0, len(CHANNELS), AT_ONCE):
        await eventually(lambda start=start: subscribed(node, CHANNELS[start : start + AT_ONCE]))

    await redis.client_kill_filter(_type="pubsub")

    await eventually(lambda: node.reconnects == 1, 20.0)
    body = events.pack([Heartbeat(count=0)])
    for channel in (CHANNELS[0], CHANNELS[-1]):
        assert await redis.publish(channel, body) == 1
    await eventually(lambda: {CHANNELS[0], CHANNELS[-1]} <= set(node.received))
    await node.bus.stop()


async def subscribed(node: Node, channels: list[str]) -> bool:
    await node.bus.subscribe(channels)
    return True
