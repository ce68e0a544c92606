"""Whether the database can be reached from here: a worker for whom it is away leaves the work to others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

ASK_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""Without an answer; about as long as a replica set takes to choose another primary."""


class DatabaseProbe:
    """Asks for a sign of life, again and again."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._answered = monotonic()

    def lasts(self) -> bool:
        """Whether it has answered lately."""
        return monotonic() - self._answered < PATIENCE_SECONDS

    async def watch(self) -> None:
        """Ask until cancelled."""
        while True:
            # Whatever came instead, it was no answer.
            with suppress(Exception):
                await self._ask()
                self._answered = monotonic()
            await asyncio.sleep(ASK_SECONDS)
