"""A resubscription keeps the number of unconfirmed channels bounded, and tells once when it is done."""

import asyncio
from collections.abc import Sequence
from functools import partial

from clients.chat import eventually
from parley.gateway.pubsub.resubscription import UNCONFIRMED, Resubscription, Resubscriptions
from parley.gateway.pubsub.wanted_channels import AT_ONCE

CHANNELS = [str(number) for number in range(2 * UNCONFIRMED + 1)]
SLOT = 7
GROUPS = [CHANNELS[start : start + SLOT] for start in range(0, len(CHANNELS), SLOT)]


class Subscribed:
    """The channels that were subscribed to, in order."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self._known: set[str] = set()
        self.largest = 0
        self.done = 0

    async def subscribe(self, groups: Sequence[Sequence[str]]) -> None:
        channels = [channel for group in groups for channel in group]
        self.channels += channels
        self._known.update(channels)
        self.largest = max(self.largest, len(channels))

    def has(self, channel: str) -> bool:
        return channel in self._known

    def on_done(self) -> None:
        self.done += 1


async def test_channels_wait_until_earlier_ones_are_confirmed() -> None:
    subscribed = Subscribed()
    resubscription = Resubscription(GROUPS, set(CHANNELS).__contains__, subscribed.on_done)
    running = asyncio.create_task(resubscription.run(subscribed.subscribe))
    for confirmed, channel in enumerate(CHANNELS):
        await eventually(partial(subscribed.has, channel))
        assert len(subscribed.channels) - confirmed <= UNCONFIRMED
        assert subscribed.done == 0
        resubscription.confirm(channel)
    await running
    assert subscribed.channels == CHANNELS
    assert AT_ONCE - SLOT < subscribed.largest <= AT_ONCE
    assert subscribed.done == 1


async def test_a_channel_that_is_not_wanted_any_more_is_left_out() -> None:
    subscribed = Subscribed()
    resubscription = Resubscription([["a", "b"], ["c"]], {"b"}.__contains__, subscribed.on_done)
    await resubscription.run(subscribed.subscribe)
    assert subscribed.channels == ["b"]
    assert subscribed.done == 0
    for _ in range(2):
        resubscription.confirm("b")
    assert subscribed.done == 1


async def test_without_any_channel_it_is_done_at_once() -> None:
    subscribed = Subscribed()
    await Resubscription([["a"]], set().__contains__, subscribed.on_done).run(subscribed.subscribe)
    assert subscribed.channels == []
    assert subscribed.done == 1


async def test_a_channel_that_is_unwanted_before_its_confirmation_is_not_waited_for() -> None:
    subscribed, wanted = Subscribed(), {"a", "b"}
    resubscription = Resubscription([["a", "b"]], wanted.__contains__, subscribed.on_done)
    await resubscription.run(subscribed.subscribe)
    wanted.remove("a")
    resubscription.forget_unwanted()
    assert subscribed.done == 0
    resubscription.confirm("b")
    assert subscribed.done == 1


async def test_several_resubscriptions_are_done_with_the_last_of_them() -> None:
    subscribed = Subscribed()
    resubscriptions = Resubscriptions({"a", "b"}.__contains__, subscribed.on_done, lambda _fault: None)
    for channel in ("a", "b"):
        resubscriptions.begin([[channel]], subscribed.subscribe)
    await eventually(lambda: subscribed.channels == ["a", "b"])
    resubscriptions.confirm(["b"])
    assert subscribed.done == 0
    resubscriptions.confirm(["a"])
    assert subscribed.done == 1


async def test_a_resubscription_that_was_cleared_is_never_done() -> None:
    subscribed = Subscribed()
    resubscriptions = Resubscriptions({"a"}.__contains__, subscribed.on_done, lambda _fault: None)
    resubscriptions.begin([["a"]], subscribed.subscribe)
    await eventually(partial(subscribed.has, "a"))
    await resubscriptions.clear()
    resubscriptions.confirm(["a"])
    assert subscribed.done == 0
