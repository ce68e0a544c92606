"""Reference counts of the Redis channels that this node's sockets use, with delayed unsubscription."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Set
from itertools import islice, takewhile

from parley.gateway.pubsub.bus import Bus

UNSUBSCRIBE_SECONDS = 15.0
"""How long an unused subscription is kept: a client that reconnects soon finds it again."""
EXPIRED_AT_ONCE, TURN_SECONDS = 500, 0.01
"""Channels that are unsubscribed from in one turn, and the time between two turns."""


class ChannelSubscriptions:
    """Subscribes before a room's first socket enters, unsubscribes some time after the last has left."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._users: dict[str, int] = defaultdict(int)
        self._expiring: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, channel: object) -> bool:
        return self._users.get(str(channel), 0) > 0

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Subscribe to channels; they expire unless they are retained within `UNSUBSCRIBE_SECONDS`.

        Raises:
            Unavailable: Redis did not confirm in time.
        """
        wanted = set(channels)
        self._cancel_expiry(wanted)
        try:
            await self._bus.subscribe(wanted)
        finally:
            # Another caller may have let one of them expire meanwhile: the time counts from the confirmation.
            self._cancel_expiry(wanted)
            self._start_expiry(wanted)

    def retain(self, channel: str) -> None:
        """Count one more user of a channel."""
        self._users[channel] += 1

    def retain_all(self, channels: Iterable[str]) -> None:
        """Count one more user of each channel."""
        users = self._users
        for channel in channels:
            users[channel] += 1

    def release(self, channel: str) -> None:
        """Count one user of a channel less; an unused one expires."""
        self._users[channel] -= 1
        if self._users[channel] == 0:
            self._start_expiry([channel])

    def stop(self) -> None:
        """Cancel the timer."""
        self._expiring.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _cancel_expiry(self, channels: Set[str]) -> None:
        for channel in self._expiring.keys() & channels:
            del self._expiring[channel]

    def _start_expiry(self, channels: Iterable[str]) -> None:
        expiring, users = self._expiring, self._users
        at = asyncio.get_running_loop().time() + UNSUBSCRIBE_SECONDS
        for channel in channels:
            if channel not in expiring and not users.get(channel):
                expiring[channel] = at
        if self._timer is None and expiring:
            self._await_first()

    def _await_first(self) -> None:
        """Wait for the channel that expires first: the order of insertion is that of the times."""
        self._timer = None
        if self._expiring:
            loop = asyncio.get_running_loop()
            at = max(next(iter(self._expiring.values())), loop.time() + TURN_SECONDS)
            self._timer = loop.call_at(at, self._expire)

    def _expire(self) -> None:
        # One socket of a user with thousands of conversations leaves as many channels at once.
        now = asyncio.get_running_loop().time()
        due = takewhile(lambda channel: self._expiring[channel] <= now, self._expiring)
        unused = []
        for channel in list(islice(due, EXPIRED_AT_ONCE)):
            del self._expiring[channel]
            if not self._users.get(channel):
                self._users.pop(channel, None)
                unused.append(channel)
        if unused:
            self._bus.drop(unused)
        self._await_first()
