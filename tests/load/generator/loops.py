"""The loops that send: an open one, whose rate does not depend on the servers, and a closed one."""

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from time import perf_counter

from load.generator.client import Client
from load.generator.ledger import Ledger

PAUSE_SECONDS = 0.05
"""The pause after a refusal in a closed loop."""


class OpenLoop:
    """Sends `rate` messages a second to groups in turn, by their members in turn.

    The rate rises from 0 in the first `rise` seconds.
    """

    def __init__(self, groups: Sequence[Sequence[Client]], rate: float, rise: float, ledger: Ledger) -> None:
        self._rate, self._rise = rate, rise
        self._ledger = ledger
        longest = max(map(len, groups))
        turns = (group[turn % len(group)] for turn in range(longest) for group in groups)
        self._senders = itertools.cycle(turns)

    async def run(self, begin: float, seconds: float) -> None:
        """Send from `begin` on, by `perf_counter`; a delay counts from when a message was due."""
        for number in itertools.count():
            due = due_after(number, self._rate, self._rise)
            if due >= seconds:
                break
            wait = begin + due - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self._ledger.tally.late = max(self._ledger.tally.late, perf_counter() - begin - due)
            next(self._senders).send(begin + due)
        await asyncio.sleep(max(0.0, begin + seconds - perf_counter()))


def due_after(number: int, rate: float, rise: float) -> float:
    """Return the seconds after which a message is due, by its number from 0; the rate rises at first."""
    if number < rate * rise / 2:
        return math.sqrt(2 * rise * number / rate)
    return rise / 2 + number / rate


class ClosedLoop:
    """Keeps `window` messages of each client on their way, until they are stored."""

    def __init__(self, clients: Sequence[Client], window: int) -> None:
        self._clients, self._window = clients, window
        self._end = 0.0

    async def run(self, seconds: float) -> None:
        """Send for some seconds."""
        self._end = perf_counter() + seconds
        for client in self._clients:
            client.when_stored = self._continue
        for client in [*self._clients] * self._window:
            self._send(client)
        await asyncio.sleep(seconds)
        for client in self._clients:
            client.when_stored = None

    def _continue(self, client: Client, stored: bool) -> None:
        if stored:
            self._send(client)
        else:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._send, client)

    def _send(self, client: Client) -> None:
        now = perf_counter()
        if now < self._end:
            client.send(now)


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Act again and again; a late turn does not shift the next ones."""
    due = perf_counter()
    while True:
        due += seconds
        await asyncio.sleep(due - perf_counter())
        act()
