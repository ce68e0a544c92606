"""Confirmations: callers wait until Redis has confirmed all channels that they subscribe to."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Waiter:
    """One caller, and the channels that are not confirmed yet."""

    missing: set[str]
    done: "asyncio.Future[None]"


class Confirmations:
    """The confirmed channels, and one future for each caller, however many channels it waits for."""

    def __init__(self) -> None:
        self._confirmed: set[str] = set()
        self._waiters: dict[str, tuple[_Waiter, ...]] = {}

    def __len__(self) -> int:
        return len(self._confirmed)

    def __contains__(self, channel: object) -> bool:
        return channel in self._confirmed

    def missing(self, channels: Iterable[str]) -> set[str]:
        """Return the channels that are not confirmed."""
        return set(channels) - self._confirmed

    def begin(self, channels: Collection[str]) -> _Waiter:
        """Return a waiter for the confirmations of channels; end it when it is not waited for any more."""
        waiter = _Waiter(set(channels), asyncio.get_running_loop().create_future())
        waiters, alone = self._waiters, (waiter,)
        for channel in channels:
            others = waiters.get(channel)
            waiters[channel] = alone if others is None else (*others, waiter)
        return waiter

    def end(self, waiter: _Waiter) -> None:
        """Forget a waiter."""
        for channel in waiter.missing:
            others = tuple(each for each in self._waiters.pop(channel, ()) if each is not waiter)
            if others:
                self._waiters[channel] = others

    def confirm(self, channels: Collection[str]) -> None:
        """Note that Redis has confirmed channels."""
        self._confirmed.update(channels)
        take = self._waiters.pop
        for channel in channels:
            for waiter in take(channel, ()):
                waiter.missing.discard(channel)
                if not waiter.missing and not waiter.done.done():
                    waiter.done.set_result(None)

    def drop(self, channels: Iterable[str]) -> None:
        """Forget that channels are confirmed."""
        self._confirmed.difference_update(channels)
