"""Counts the resources that a stack's services and servers hold, for a later comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from redis.asyncio import Redis

from load.meters import MIB, Meters, Reader
from parley.stack import Stack

HELD = "parley_held"
MEMORY = "resident memory, MiB"
DESCRIPTORS = "open descriptors"
LISTS = {
    "rabbit_amqqueue:list()": "queues",
    "rabbit_networking:connections()": "connections",
    "rabbit_channel:list()": "channels",
    'rabbit_amqqueue:consumers_all(<<"/">>)': "consumers",
}
"""The queries for one run of rabbitmqctl, which takes a second to start."""


@dataclass(frozen=True)
class Margins:
    """The growth that is allowed."""

    memory: float = 24.0
    """MiB of one service: bounded caches fill up, such as that of the last 20,000 messages.

    A leak of one socket's memory at each visit would be three times as much after three minutes.
    """
    descriptors: int = 48
    """Of one service: idle connections, in its pools to MongoDB and Redis and in nginx's to the service.

    A pool keeps as many as were busy at once. A leak of one at each visit would be thousands.
    """
    tasks: int = 4
    """The requests of one service at that moment, this one among them."""
    lapsing: int = 0
    """Keys of Redis that expire within minutes."""
    buckets: int = 50_000
    """Of each rate limit: a node keeps the buckets of so many recent users, sockets and addresses."""


ResourceCounts = Mapping[str, float]
"""Counts by resource."""


async def count_services(reader: Reader) -> ResourceCounts:
    """Return the counts that gateways and workers report in their metrics."""
    meters = await reader.read()
    return {
        f"{name}: {resource}": count
        for name in meters
        for resource, count in _of_service(meters, name).items()
    }


def _of_service(meters: Meters, name: str) -> dict[str, float]:
    of = meters[name]
    held = {sample.partition('"')[2].rstrip('"}'): n for sample, n in of.items() if sample.startswith(HELD)}
    return {
        MEMORY: of["process_resident_memory_bytes"] / MIB,
        DESCRIPTORS: of["process_open_fds"],
        "tasks": of["parley_tasks"],
        **held,
    }


async def count_redis(url: str) -> ResourceCounts:
    """Return the counts of keys and of channels with subscribers."""
    async with Redis.from_url(url) as redis:
        keys = await redis.keys()
        lapsing = [await redis.ttl(key) >= 0 for key in keys]
        channels = await redis.pubsub_channels()
        patterns = await redis.pubsub_numpat()
    return {
        "redis: keys that stay": len(keys) - sum(lapsing),
        "redis: keys that lapse": sum(lapsing),
        "redis: channels": len(channels),
        "redis: patterns": patterns,
    }


def count_rabbitmq(stack: Stack) -> ResourceCounts:
    """Return the counts of queues and connections."""
    counts = orjson.loads(stack.rabbitmqctl("-q", "eval", f"[length(List) || List <- [{','.join(LISTS)}]]."))
    return {f"rabbitmq: {thing}": count for thing, count in zip(LISTS.values(), counts, strict=True)}
