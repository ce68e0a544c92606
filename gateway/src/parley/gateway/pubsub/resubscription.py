"""The subscription of a new connection to all channels that are wanted, some hundreds at a time.

Redis cuts a subscriber off when the replies that it has not read exceed 32 MB (`client-output-buffer-limit`),
which are those of 385,000 channels: in one command they could never be subscribed to again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from parley.gateway.pubsub.wanted_channels import AT_ONCE
from parley.shared.cancellation import end
from parley.shared.redis import FAULTS

UNCONFIRMED = 5_000
"""Channels that Redis has not confirmed yet, at most."""

Subscribe = Callable[[Sequence[Sequence[str]]], Awaitable[Any]]


class Resubscription:
    """Subscribes to channels, and notices when Redis has confirmed all of them.

    Args:
        groups: The channels, in the order in which they are subscribed to; those of one group go into one
            command, and are `AT_ONCE` at most.
        is_wanted: Tells whether a channel is still wanted when its turn comes.
        on_done: Called once, when all are confirmed.
    """

    def __init__(
        self,
        groups: Iterable[Sequence[str]],
        is_wanted: Callable[[str], bool],
        on_done: Callable[[], None],
    ) -> None:
        self._unsent = deque(groups)
        self._is_wanted = is_wanted
        self._on_done = on_done
        self._unconfirmed: set[str] = set()
        self._confirmed = asyncio.Event()

    async def run(self, subscribe: Subscribe) -> None:
        """Subscribe to all channels by this function, which takes some of the groups at a time."""
        while self._unsent:
            groups = self._take()
            for group in groups:
                self._unconfirmed.update(group)
            if groups:
                await subscribe(groups)
            while len(self._unconfirmed) > UNCONFIRMED - AT_ONCE:
                self._confirmed.clear()
                await self._confirmed.wait()
        self._check()

    def confirm(self, channel: str) -> None:
        """Note that Redis has confirmed a channel."""
        if channel in self._unconfirmed:
            self._unconfirmed.discard(channel)
            self._confirmed.set()
            self._check()

    def forget_unwanted(self) -> None:
        """Wait for no confirmation of channels that are not wanted any more: it may never come."""
        for channel in [each for each in self._unconfirmed if not self._is_wanted(each)]:
            self.confirm(channel)

    def _take(self) -> list[list[str]]:
        """Return the next groups, with `AT_ONCE` channels together at most."""
        groups: list[list[str]] = []
        room = AT_ONCE
        while self._unsent and len(self._unsent[0]) <= room:
            group = [channel for channel in self._unsent.popleft() if self._is_wanted(channel)]
            room -= len(group)
            if group:
                groups.append(group)
        return groups

    def _check(self) -> None:
        if not self._unsent and not self._unconfirmed:
            done, self._on_done = self._on_done, _nothing
            done()


class Resubscriptions:
    """The resubscriptions of one link that are under way.

    Args:
        is_wanted: As of `Resubscription`.
        on_done: Called when the last of them is done.
        on_failed: Called with a fault of the connection.
    """

    def __init__(
        self,
        is_wanted: Callable[[str], bool],
        on_done: Callable[[], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self._is_wanted = is_wanted
        self._on_done = on_done
        self._on_failed = on_failed
        self._running: dict[Resubscription, asyncio.Task[None]] = {}

    def begin(self, groups: Iterable[Sequence[str]], subscribe: Subscribe) -> None:
        """Subscribe to channels by this function."""
        new = Resubscription(groups, self._is_wanted, lambda: self._end(new))
        self._running[new] = asyncio.create_task(self._run(new, subscribe))

    def confirm(self, channels: Iterable[str]) -> None:
        """Tell each of them what `Resubscription.confirm` says, for each of some channels."""
        for each in list(self._running):
            for channel in channels:
                each.confirm(channel)

    def forget_unwanted(self) -> None:
        """Tell each of them what `Resubscription.forget_unwanted` says."""
        for each in list(self._running):
            each.forget_unwanted()

    async def clear(self) -> None:
        """End all of them without calling anything."""
        running, self._running = list(self._running.values()), {}
        await end(running)

    async def _run(self, new: Resubscription, subscribe: Subscribe) -> None:
        try:
            await new.run(subscribe)
        except FAULTS as error:
            self._on_failed(error)

    def _end(self, done: Resubscription) -> None:
        self._running.pop(done, None)
        if not self._running:
            self._on_done()


def _nothing() -> None:
    """Do nothing: it is done already."""
