"""The subscription of a new connection to all channels that are wanted, some hundreds at a time.

Redis cuts a subscriber off when the replies that it has not read exceed 32 MB (`client-output-buffer-limit`),
which are those of 385,000 channels: in one command they could never be subscribed to again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Container, Iterable
from typing import Any

AT_ONCE = 500
"""Channels of one command: others of this process wait in Redis for as long as it takes."""
UNCONFIRMED = 5_000
"""Channels that Redis has not confirmed yet, at most."""


class Resubscription:
    """Subscribes to channels, and notices when Redis has confirmed all of them.

    Args:
        channels: The channels, in the order in which they are subscribed to.
        wanted: Tells which of them are still wanted when their turn comes.
        on_done: Called once, when all are confirmed.
    """

    def __init__(self, channels: Iterable[str], wanted: Container[str], on_done: Callable[[], None]) -> None:
        self._unsent = deque(channels)
        self._wanted = wanted
        self._on_done = on_done
        self._unconfirmed: set[str] = set()
        self._confirmed = asyncio.Event()

    async def run(self, subscribe: Callable[..., Awaitable[Any]]) -> None:
        """Subscribe to all channels by this function, which takes them as arguments."""
        while self._unsent:
            taken = [self._unsent.popleft() for _ in range(min(AT_ONCE, len(self._unsent)))]
            batch = [channel for channel in taken if channel in self._wanted]
            self._unconfirmed.update(batch)
            if batch:
                await subscribe(*batch)
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

    def _check(self) -> None:
        if not self._unsent and not self._unconfirmed:
            done, self._on_done = self._on_done, _nothing
            done()


def _nothing() -> None:
    """Do nothing: it is done already."""
