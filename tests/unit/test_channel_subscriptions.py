"""Unused channels are unsubscribed from together, a bounded number in each turn."""

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any, cast

import pytest

from clients.chat import eventually
from parley.gateway.pubsub import channel_subscriptions
from parley.gateway.pubsub.channel_subscriptions import EXPIRED_AT_ONCE, ChannelSubscriptions


class Bus:
    def __init__(self) -> None:
        self.dropped: list[Collection[str]] = []

    async def subscribe(self, channels: Iterable[str]) -> None: ...

    def drop(self, channels: Collection[str]) -> None:
        self.dropped.append(channels)


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def subscriptions(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChannelSubscriptions]:
    monkeypatch.setattr(channel_subscriptions, "UNSUBSCRIBE_SECONDS", 0.02)
    subscriptions = ChannelSubscriptions(cast(Any, bus))
    yield subscriptions
    subscriptions.stop()


async def test_the_channels_of_a_user_who_has_gone_are_dropped_in_a_few_turns(
    subscriptions: ChannelSubscriptions, bus: Bus
) -> None:
    channels = [f"channel-{number}" for number in range(3 * EXPIRED_AT_ONCE)]
    await subscriptions.subscribe(channels)
    for channel in channels:
        subscriptions.retain(channel)
    for channel in channels:
        subscriptions.release(channel)

    await eventually(lambda: sum(map(len, bus.dropped)) == len(channels))

    assert max(map(len, bus.dropped)) <= EXPIRED_AT_ONCE
    assert len(bus.dropped) <= 10


async def test_a_channel_that_is_used_again_stays(subscriptions: ChannelSubscriptions, bus: Bus) -> None:
    await subscriptions.subscribe(["kept", "unused"])
    subscriptions.retain("kept")

    await eventually(lambda: bus.dropped)

    assert bus.dropped == [["unused"]]
    assert "kept" in subscriptions


async def test_a_channel_expires_anew_after_it_was_used(
    subscriptions: ChannelSubscriptions, bus: Bus
) -> None:
    await subscriptions.subscribe(["channel"])
    subscriptions.retain("channel")
    subscriptions.release("channel")

    await eventually(lambda: bus.dropped)

    assert bus.dropped == [["channel"]]
    assert "channel" not in subscriptions
