"""Probes the database: a worker that cannot reach it leaves its partitions to others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

PROBE_SECONDS = 1.0
GRACE_SECONDS = 10.0
"""Time without an answer after which the database counts as away: about an election of a replica set."""


class DatabaseProbe:
    """Pings the database every second and remembers its last answer."""

    def __init__(self, answers: Callable[[], Awaitable[bool]]) -> None:
        self._answers = answers
        self._answered = monotonic()

    def is_reachable(self) -> bool:
        """Return whether the database has answered within the last ten seconds."""
        return monotonic() - self._answered < GRACE_SECONDS

    async def watch(self) -> None:
        """Probe until cancelled."""
        while True:
            # An exception of any kind is no answer, and must not end the probing.
            with suppress(Exception):
                if await self._answers():
                    self._answered = monotonic()
            await asyncio.sleep(PROBE_SECONDS)
