"""Delays the next read of a client whose event was refused, so that one read brings several events.

Most events of an overload are refused, each at about the cost of the system calls around it: a read and a
write here, and as many in the proxy and at the client. Events that arrive together share them.
"""

import asyncio
from typing import Protocol

DELAY_SECONDS = 0.05
"""A read is delayed by this at least, and by twice this at most."""
LARGE_READ = 16 * 1024
"""A read of so many bytes has brought several events; the next one is not delayed."""


class Delayed(Protocol):
    """A connection that is not read for a while."""

    def end_delay(self) -> None:
        """Read on."""


class DelayedReads:
    """Reads connections again after a while; one timer serves all of them."""

    def __init__(self) -> None:
        self._due: list[Delayed] = []
        self._new: list[Delayed] = []

    def add(self, connection: Delayed) -> None:
        """Read a connection again after the delay."""
        if not self._due and not self._new:
            self._start_timer()
        self._new.append(connection)

    def _start_timer(self) -> None:
        asyncio.get_running_loop().call_later(DELAY_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        due, self._due, self._new = self._due, self._new, []
        if self._due:
            self._start_timer()
        for connection in due:
            connection.end_delay()
