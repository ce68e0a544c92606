"""The publisher's frames are those of the protocol, and each message gets its own confirm."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiormq.connection import FrameReceiver
from aiormq.exceptions import AMQPConnectionError
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from parley.shared.amqp_frames import FrameReader
from parley.shared.amqp_publisher import NotConfirmed, Publisher, Unroutable

NUMBER, FRAME_MAX, AT = 5, 4096, 1_700_000_000


class Broker:
    """The other end of a publisher's channel."""

    def __init__(self, queued: int = 0) -> None:
        tune = SimpleNamespace(frame_max=FRAME_MAX)
        self.sent: asyncio.Queue[Any] = asyncio.Queue(queued)
        self.channel = SimpleNamespace(
            number=NUMBER,
            connection=SimpleNamespace(connection_tune=tune),
            write_queue=self.sent,
            create_future=asyncio.get_running_loop().create_future,
            is_closed=False,
        )
        self.stream = asyncio.StreamReader()
        reader: Any = FrameReader(self.stream)
        self.publisher = Publisher(self.channel, reader, "exchange", "3")
        self._receiver = FrameReceiver(reader)

    def publish(self, body: bytes, seconds: float = 5.0) -> "asyncio.Task[None]":
        return asyncio.create_task(self.publisher.publish(body, 2, AT, seconds=seconds))

    async def answers(self, *values: Any) -> None:
        """Let frames arrive; the driver must see none of them."""
        for value in values:
            self.stream.feed_data(frame.marshal(value, NUMBER))
        self.stream.feed_eof()
        with pytest.raises(AMQPConnectionError):
            await self._receiver.get_frame()


@pytest.fixture
async def broker() -> Broker:
    return Broker()


@pytest.mark.parametrize("size", [0, 1, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX])
async def test_a_message_is_published_in_the_frames_of_the_protocol(broker: Broker, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    publishing = broker.publish(body)
    payload = (await broker.sent.get()).payload
    values: list[Any] = []
    while payload:
        used, number, value = frame.unmarshal(payload)
        assert number == NUMBER
        assert used <= FRAME_MAX
        values.append(value)
        payload = payload[used:]

    publish, header, *parts = values
    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key) == ("exchange", "3")
    assert (publish.mandatory, publish.immediate) == (True, False)
    assert isinstance(header, ContentHeader)
    assert header.body_size == size
    assert header.properties == commands.Basic.Properties(
        headers={"records": 2}, delivery_mode=2, timestamp=datetime.fromtimestamp(AT, UTC)
    )
    assert all(isinstance(part, ContentBody) for part in parts)
    assert b"".join(part.value for part in parts) == body
    await broker.answers(commands.Basic.Ack(delivery_tag=1))
    await publishing


async def test_each_message_gets_its_own_confirm(broker: Broker) -> None:
    taken, refused = broker.publish(b"a"), broker.publish(b"b")
    await broker.sent.get()
    await broker.sent.get()

    await broker.answers(commands.Basic.Nack(delivery_tag=2), commands.Basic.Ack(delivery_tag=1))

    await taken
    with pytest.raises(NotConfirmed):
        await refused


async def test_one_confirm_may_be_of_several_messages(broker: Broker) -> None:
    publishing = [broker.publish(b"x") for _ in range(3)]
    for _ in publishing:
        await broker.sent.get()

    await broker.answers(commands.Basic.Ack(delivery_tag=2, multiple=True))

    await asyncio.gather(*publishing[:2])
    assert not publishing[2].done()
    publishing[2].cancel()


async def test_a_returned_message_is_unroutable(broker: Broker) -> None:
    publishing = broker.publish(b"x")
    await broker.sent.get()

    await broker.answers(
        commands.Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="exchange", routing_key="3"),
        ContentHeader(body_size=1),
        ContentBody(b"x"),
        commands.Basic.Ack(delivery_tag=1),
    )

    with pytest.raises(Unroutable):
        await publishing


async def test_a_message_that_was_never_sent_is_not_counted() -> None:
    broker = Broker(queued=1)
    first = broker.publish(b"first")
    blocked = broker.publish(b"blocked", seconds=0.01)
    with pytest.raises(TimeoutError):
        await blocked
    await broker.sent.get()
    second = broker.publish(b"second")
    await broker.sent.get()

    await broker.answers(commands.Basic.Ack(delivery_tag=1), commands.Basic.Nack(delivery_tag=2))

    await first
    with pytest.raises(NotConfirmed):
        await second


async def test_a_confirm_that_has_arrived_but_was_not_read_in_time_is_taken(broker: Broker) -> None:
    publishing = broker.publish(b"x", seconds=0)
    await broker.sent.get()
    await broker.answers(commands.Basic.Ack(delivery_tag=1))
    await publishing


async def test_a_late_confirm_is_ignored(broker: Broker) -> None:
    late = broker.publish(b"late", seconds=0.01)
    with pytest.raises(TimeoutError):
        await late
    publishing = broker.publish(b"next")
    await broker.sent.get()
    await broker.sent.get()

    await broker.answers(commands.Basic.Ack(delivery_tag=1), commands.Basic.Ack(delivery_tag=2))

    await publishing
