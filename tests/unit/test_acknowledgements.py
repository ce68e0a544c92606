"""Stored deliveries are acknowledged together: after a while, when they are many, and when asked to."""

from typing import Any

import pytest

from parley.persistence_worker import acknowledgements
from parley.persistence_worker.acknowledgements import Acknowledgements
from parley.shared.amqp_frames import Delivery


class Channel:
    """Notes what is acknowledged."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.is_closed = False

    async def basic_ack(self, tag: int, *, multiple: bool, wait: bool) -> None:
        assert multiple
        assert not wait
        self.acked.append(tag)


def deliveries(*tags: int) -> list[Delivery]:
    return [Delivery(tag, False, {}, None, b"") for tag in tags]


@pytest.fixture
def channel() -> Any:
    return Channel()


async def test_a_few_deliveries_wait_for_others(channel: Any) -> None:
    acks = Acknowledgements(channel, prefetch=100)
    await acks.add(deliveries(1, 2))
    await acks.add(deliveries(3))
    assert (channel.acked, acks.pending) == ([], 3)

    await acks.flush()
    await acks.flush()

    assert (channel.acked, acks.pending) == ([3], 0)


async def test_many_deliveries_are_acknowledged_at_once(channel: Any) -> None:
    acks = Acknowledgements(channel, prefetch=8)
    await acks.add(deliveries(1))
    await acks.add(deliveries(2, 3))
    assert (channel.acked, acks.pending) == ([3], 0)


async def test_deliveries_that_have_waited_are_acknowledged_with_the_next(
    channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    acks = Acknowledgements(channel, prefetch=100)
    await acks.add(deliveries(1))
    monkeypatch.setattr(acknowledgements, "ACK_SECONDS", 0.0)

    await acks.add(deliveries(2))

    assert (channel.acked, acks.pending) == ([2], 0)


async def test_nothing_is_acknowledged_on_a_closed_channel(channel: Any) -> None:
    acks = Acknowledgements(channel, prefetch=100)
    await acks.add(deliveries(1))
    channel.is_closed = True

    await acks.flush()

    assert (channel.acked, acks.pending) == ([], 0)
