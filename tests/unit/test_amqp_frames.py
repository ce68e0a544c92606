"""The frame reader takes deliveries out of a connection's bytes, and leaves the driver all other frames."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.connection import FrameReceiver
from aiormq.exceptions import AMQPConnectionError
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from parley.shared import amqp_frames
from parley.shared.amqp_frames import Delivery, FrameReader

CHANNEL, OTHER = 3, 4
AT = 1_700_000_000
HEADERS = {"records": 2, "x-delivery-count": 1, "text": "é"}
RECORDS = commands.Basic.Properties(
    headers=HEADERS, delivery_mode=2, message_id="m", timestamp=datetime.fromtimestamp(AT, UTC)
)
BARE = commands.Basic.Properties()
FULL = commands.Basic.Properties(
    content_type="a/b",
    content_encoding="c",
    headers=HEADERS,
    delivery_mode=2,
    priority=1,
    correlation_id="d",
    reply_to="e",
    expiration="1",
    message_id="f",
    timestamp=datetime.fromtimestamp(AT, UTC),
    message_type="g",
    user_id="h",
    app_id="i",
)


def message(channel: int, tag: int, properties: commands.Basic.Properties, *parts: bytes) -> list[bytes]:
    deliver = commands.Basic.Deliver(
        consumer_tag="ctag", delivery_tag=tag, redelivered=tag % 2 == 0, exchange="x", routing_key="3"
    )
    header = ContentHeader(body_size=sum(map(len, parts)), properties=properties)
    frames = [deliver, header, *map(ContentBody, parts)]
    return [frame.marshal(each, channel) for each in frames]


def ack(channel: int, tag: int) -> bytes:
    return frame.marshal(commands.Basic.Ack(delivery_tag=tag), channel)


HEARTBEAT = Heartbeat().marshal()
MIXED = [
    HEARTBEAT,
    *message(CHANNEL, 1, RECORDS, b"one"),
    ack(CHANNEL, 7),
    *message(CHANNEL, 2, BARE),
    *message(OTHER, 9, RECORDS, b"of another channel"),
    *message(CHANNEL, 3, FULL, b"three ", b"in ", b"parts"),
    HEARTBEAT,
    ack(OTHER, 8),
]
DELIVERED = [
    Delivery(1, False, HEADERS, AT, b"one"),
    Delivery(2, True, {}, None, b""),
    Delivery(3, False, HEADERS, AT, b"three in parts"),
]


async def read(chunks: Sequence[bytes]) -> tuple[list[Delivery], list[tuple[int, str, Any]]]:
    """Return what a channel's consumer and the driver read of the bytes that arrive."""
    stream, delivered, frames = asyncio.StreamReader(), list[Delivery](), []
    reader: Any = FrameReader(stream)
    reader.consume(CHANNEL, delivered.append)

    async def arrive() -> None:
        for chunk in chunks:
            stream.feed_data(chunk)
            await asyncio.sleep(0)
        stream.feed_eof()

    arriving = asyncio.create_task(arrive())
    receiver = FrameReceiver(reader)
    try:
        while True:
            _size, channel, value = await receiver.get_frame()
            frames.append((channel, value.name, getattr(value, "delivery_tag", None)))
    except (StopAsyncIteration, AMQPConnectionError):
        await arriving
        return delivered, frames


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1_000_000])
async def test_frames_are_separated_however_they_arrive(size: int) -> None:
    received = b"".join(MIXED)
    delivered, frames = await read([received[at : at + size] for at in range(0, len(received), size)])

    assert delivered == DELIVERED
    assert frames == [
        (0, "Heartbeat", None),
        (CHANNEL, "Basic.Ack", 7),
        (OTHER, "Basic.Deliver", 9),
        (OTHER, "ContentHeader", None),
        (OTHER, "ContentBody", None),
        (0, "Heartbeat", None),
        (OTHER, "Basic.Ack", 8),
    ]


async def test_frames_of_other_channels_may_come_between_those_of_a_message() -> None:
    deliver, header, body = message(CHANNEL, 1, RECORDS, b"one")
    delivered, frames = await read([deliver, ack(OTHER, 5), header, ack(OTHER, 6), body])

    assert delivered == DELIVERED[:1]
    assert [tag for _, _, tag in frames] == [5, 6]


async def test_the_driver_sees_life_on_a_connection_that_only_delivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amqp_frames, "HEARTBEAT_SECONDS", -1.0)
    messages = [part for tag in (1, 3, 5) for part in message(CHANNEL, tag, RECORDS, b"x")]

    delivered, frames = await read([b"".join(messages)])

    assert [each.tag for each in delivered] == [1, 3, 5]
    assert {name for _, name, _ in frames} == {"Heartbeat"}


async def test_a_closed_channel_gives_its_number_free() -> None:
    reader = FrameReader(asyncio.StreamReader())
    first, second = list[Delivery](), list[Delivery]()
    take_first, take_second = first.append, second.append
    reader.consume(CHANNEL, take_first)
    reader.consume(CHANNEL, take_second)

    reader.end(CHANNEL, take_first)

    assert reader.consumes(CHANNEL)
    reader.end(CHANNEL, take_second)
    assert not reader.consumes(CHANNEL)
