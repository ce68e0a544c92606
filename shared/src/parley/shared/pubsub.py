"""Publications for those who publish and subscribe rarely, by one Redis or a cluster of them.

In a cluster they are sharded (https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub): a channel belongs
to a hash slot, and so to a master. A gateway's own way is its `pubsub` package.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import RedisCluster

from parley.shared.pipelined_connection import Command

CONFIRM_SECONDS = 1.0
POLL_SECONDS = 0.02
"""Time for which each master of a cluster is listened to in turn."""
SUBSCRIBED = ("subscribe", "ssubscribe", "psubscribe")
PUBLISHED = ("message", "smessage", "pmessage")


class Publication(NamedTuple):
    """A body that was published on a channel."""

    channel: str
    body: bytes


def is_cluster(client: Any) -> bool:
    """Return whether a client is one of a cluster."""
    return isinstance(client, RedisCluster)


def count_command(channel: str, *, sharded: bool) -> Command:
    """Return the command that counts the subscribers of a channel."""
    return ("PUBSUB", "SHARDNUMSUB" if sharded else "NUMSUB", channel)


async def count_subscribers(client: Any, channel: str) -> int:
    """Return the number of subscribers of a channel."""
    if not is_cluster(client):
        return sum(number for _, number in await client.pubsub_numsub(channel))
    await client.initialize()
    master = client.get_node_from_key(channel)
    return sum(number for _, number in await client.pubsub_shardnumsub(channel, target_nodes=master))


async def subscribed_channels(client: Any, pattern: str) -> list[str]:
    """Return the channels that match a pattern and have subscribers."""
    if is_cluster(client):
        found = await client.pubsub_shardchannels(pattern, target_nodes=RedisCluster.PRIMARIES)
    else:
        found = await client.pubsub_channels(pattern)
    return sorted({name.decode() for name in found})


def publish_command(client: Any) -> str:
    """Return the command that publishes on a channel."""
    return "SPUBLISH" if is_cluster(client) else "PUBLISH"


async def publish(client: Any, channel: str, body: bytes) -> None:
    """Publish on a channel."""
    await client.execute_command(publish_command(client), channel, body)


class Subscription:
    """A subscription to channels."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._is_cluster = is_cluster(client)
        self._pubsub = client.pubsub()
        self._early: list[Publication] = []

    async def add(self, channels: Sequence[str]) -> None:
        """Subscribe to channels, and wait until Redis has confirmed them."""
        if self._is_cluster:
            # A subscription does not ask for the slots' masters, as commands do.
            await self._client.initialize()
            await self._pubsub.ssubscribe(*channels)
        else:
            await self._pubsub.subscribe(*channels)
        await self._confirmed(len(channels))

    async def add_pattern(self, pattern: str) -> None:
        """Subscribe to all channels that match a pattern, which a cluster cannot."""
        await self._pubsub.psubscribe(pattern)
        await self._confirmed(1)

    async def next(self, seconds: float) -> Publication | None:
        """Return the next publication, or None if there is none within this time."""
        if self._early:
            return self._early.pop(0)
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            message = await self._message(left)
            if message is not None and message["type"] in PUBLISHED:
                return Publication(message["channel"].decode(), message["data"])
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._pubsub.aclose()

    async def _confirmed(self, count: int) -> None:
        deadline = monotonic() + CONFIRM_SECONDS
        while count and (left := deadline - monotonic()) > 0:
            message = await self._message(left)
            if message is not None and message["type"] in SUBSCRIBED:
                count -= 1
            elif message is not None and message["type"] in PUBLISHED:
                self._early.append(Publication(message["channel"].decode(), message["data"]))

    async def _message(self, seconds: float) -> Any:
        if self._is_cluster:
            return await self._pubsub.get_sharded_message(timeout=min(seconds, POLL_SECONDS))
        return await self._pubsub.get_message(timeout=seconds)


@asynccontextmanager
async def subscription(client: Any, *channels: str) -> AsyncIterator[Subscription]:
    """Subscribe to channels until the end of a block."""
    found = Subscription(client)
    try:
        if channels:
            await found.add(channels)
        yield found
    finally:
        await found.close()
