"""A resubscription keeps the number of unconfirmed channels bounded, and tells once when it is done."""

import asyncio
from functools import partial

from clients.chat import eventually
from parley.gateway.pubsub.resubscription import AT_ONCE, UNCONFIRMED, Resubscription

CHANNELS = [str(number) for number in range(2 * UNCONFIRMED + 1)]


class Subscribed:
    """The channels that were subscribed to, in order."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self._known: set[str] = set()
        self.largest = 0
        self.done = 0

    async def subscribe(self, *channels: str) -> None:
        self.channels += channels
        self._known.update(channels)
        self.largest = max(self.largest, len(channels))

    def has(self, channel: str) -> bool:
        return channel in self._known

    def on_done(self) -> None:
        self.done += 1


async def test_channels_wait_until_earlier_ones_are_confirmed() -> None:
    subscribed = Subscribed()
    resubscription = Resubscription(CHANNELS, CHANNELS, subscribed.on_done)
    running = asyncio.create_task(resubscription.run(subscribed.subscribe))
    for confirmed, channel in enumerate(CHANNELS):
        await eventually(partial(subscribed.has, channel))
        assert len(subscribed.channels) - confirmed <= UNCONFIRMED
        assert subscribed.done == 0
        resubscription.confirm(channel)
    await running
    assert subscribed.channels == CHANNELS
    assert subscribed.largest == AT_ONCE
    assert subscribed.done == 1


async def test_a_channel_that_is_not_wanted_any_more_is_left_out() -> None:
    subscribed = Subscribed()
    resubscription = Resubscription(["a", "b", "c"], {"b"}, subscribed.on_done)
    await resubscription.run(subscribed.subscribe)
    assert subscribed.channels == ["b"]
    assert subscribed.done == 0
    for _ in range(2):
        resubscription.confirm("b")
    assert subscribed.done == 1


async def test_without_any_channel_it_is_done_at_once() -> None:
    subscribed = Subscribed()
    await Resubscription(["a"], set(), subscribed.on_done).run(subscribed.subscribe)
    assert subscribed.channels == []
    assert subscribed.done == 1
