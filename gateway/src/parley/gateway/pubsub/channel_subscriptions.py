"""Reference counts of the Redis channels that this node's sockets use, with delayed unsubscription."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from parley.gateway.pubsub.bus import Bus

UNSUBSCRIBE_SECONDS = 15.0
"""How long an unused subscription is kept: a client that reconnects soon finds it again."""


class ChannelSubscriptions:
    """Subscribes before a room's first socket enters, unsubscribes some time after the last has left."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._users: dict[str, int] = defaultdict(int)
        self._expiring: dict[str, asyncio.TimerHandle] = {}

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
            for channel in wanted:
                self._start_expiry(channel)

    def retain(self, channel: str) -> None:
        """Count one more user of a channel."""
        self._users[channel] += 1

    def release(self, channel: str) -> None:
        """Count one user of a channel less; an unused one expires."""
        self._users[channel] -= 1
        if self._users[channel] == 0:
            self._start_expiry(channel)

    def stop(self) -> None:
        """Cancel all timers."""
        for timer in self._expiring.values():
            timer.cancel()

    def _cancel_expiry(self, channels: Iterable[str]) -> None:
        for channel in channels:
            timer = self._expiring.pop(channel, None)
            if timer is not None:
                timer.cancel()

    def _start_expiry(self, channel: str) -> None:
        if channel in self._expiring or self._users[channel]:
            return
        loop = asyncio.get_running_loop()
        self._expiring[channel] = loop.call_later(UNSUBSCRIBE_SECONDS, self._unsubscribe, channel)

    def _unsubscribe(self, channel: str) -> None:
        del self._expiring[channel]
        if self._users[channel]:
            return
        del self._users[channel]
        self._bus.drop([channel])
