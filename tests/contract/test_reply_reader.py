"""The reply reader takes all that a read of redis-py's connection brought, on a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from parley.gateway.pubsub.reply_reader import ReplyReader
from parley.shared.redis import connect
from parley.stack import Stack

READ_SECONDS = 5


@pytest.fixture
async def redis(stack: Stack) -> AsyncIterator["Redis"]:
    client = connect(stack.redis_url, retries=0)
    yield client
    await client.aclose()


@pytest.fixture
async def pubsub(redis: "Redis") -> AsyncIterator[Any]:
    async with redis.pubsub() as pubsub:
        yield pubsub


async def read(reader: ReplyReader, count: int) -> list[list[Any]]:
    """Read until there are so many replies."""
    replies: list[list[Any]] = []
    async with asyncio.timeout(READ_SECONDS):
        while len(replies) < count:
            replies += await reader.read()
    return replies


async def test_publications_that_arrived_together_are_read_together(redis: "Redis", pubsub: Any) -> None:
    channel = f"test:{uuid.uuid4()}".encode()
    await pubsub.subscribe(channel)
    reader = ReplyReader(pubsub)
    assert await read(reader, 1) == [[b"subscribe", channel, 1]]
    bodies = [b"\x00\xff", b"", b"x" * 100_000, *(b"%d" % n for n in range(1000))]
    pipeline = redis.pipeline(transaction=False)
    for body in bodies:
        pipeline.publish(channel, body)

    await pipeline.execute()
    async with asyncio.timeout(READ_SECONDS):
        reads = [await reader.read()]
        while sum(map(len, reads)) < len(bodies):
            reads.append(await reader.read())

    assert [reply for replies in reads for reply in replies] == [[b"message", channel, b] for b in bodies]
    assert len(reads) < len(bodies) / 10


async def test_channels_are_subscribed_to_and_unsubscribed_from_later(redis: "Redis", pubsub: Any) -> None:
    kept, dropped, added = (f"test:{uuid.uuid4()}-ü" for _ in range(3))
    await pubsub.subscribe(kept)
    reader = ReplyReader(pubsub)
    await reader.subscribe([[dropped], [added]])
    await reader.unsubscribe([[dropped]])
    replies = [[kind, channel.decode(), count] for kind, channel, count in await read(reader, 4)]
    assert replies == [
        [b"subscribe", kept, 1],
        [b"subscribe", dropped, 2],
        [b"subscribe", added, 3],
        [b"unsubscribe", dropped, 2],
    ]

    for channel in (dropped, added, kept):
        await redis.publish(channel, b"body")
    bodies = [[kind, channel.decode()] for kind, channel, _ in await read(reader, 2)]
    assert bodies == [[b"message", added], [b"message", kept]]


async def test_a_lost_connection_ends_the_read(redis: "Redis", pubsub: Any) -> None:
    await pubsub.subscribe(f"test:{uuid.uuid4()}")
    reader = ReplyReader(pubsub)
    await read(reader, 1)
    (client_id,) = [
        c["id"] for c in await redis.client_list() if c["cmd"] == "subscribe" and is_of(c, pubsub)
    ]

    await redis.client_kill_filter(_id=client_id)

    with pytest.raises((RedisConnectionError, OSError)):
        await read(reader, 1)


def is_of(client: dict[str, str], pubsub: Any) -> bool:
    host, port = pubsub.connection._writer.get_extra_info("sockname")[:2]
    return client["addr"] == f"{host}:{port}"


async def test_an_error_reply_is_raised(pubsub: Any) -> None:
    await pubsub.subscribe(f"test:{uuid.uuid4()}")
    reader = ReplyReader(pubsub)
    await read(reader, 1)

    await pubsub.execute_command("NO_SUCH_COMMAND")

    with pytest.raises(Exception, match="unknown command"):
        await read(reader, 1)
