"""Delays the next read of a client whose event was refused, so that one read brings several events.

Most events of an overload are refused, each at about the cost of the system calls around it: a read and a
write here, and as many in the proxy and at the client. Events that arrive together share them.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import Protocol

DELAY_SECONDS = 0.1
"""For how long a connection is not read. Event loops that lag by more than this read many events anyway."""
TICK_SECONDS = 0.01
LARGE_READ = 16 * 1024
"""A read of so many bytes has brought several events; the next one is not delayed."""


class Delayed(Protocol):
    """A connection that is not read for a while."""

    def end_delay(self) -> None:
        """Read on."""


class DelayedReads:
    """Reads connections again after a while; one timer serves all of them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Delayed]] = deque()

    def add(self, connection: Delayed) -> None:
        """Read a connection again after the delay."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(DELAY_SECONDS, self._on_timer)
        self._waiting.append((monotonic() + DELAY_SECONDS, connection))

    def _on_timer(self) -> None:
        due = monotonic() + TICK_SECONDS / 2
        while self._waiting and self._waiting[0][0] <= due:
            self._waiting.popleft()[1].end_delay()
        if self._waiting:
            wait = max(TICK_SECONDS, self._waiting[0][0] - due)
            asyncio.get_running_loop().call_later(wait, self._on_timer)
