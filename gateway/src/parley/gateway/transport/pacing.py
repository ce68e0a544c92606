"""Pacing of new sessions: thousands that connect at once must not delay the clients that are connected."""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE, ROUND_SECONDS = 5, 0.002
"""Sessions that begin in a round, and how long it lasts at least; a busy event loop makes it longer."""


class Pacing:
    """Lets callers pass in order, some in each round. The first ones pass at once.

    Attributes:
        is_busy: Tells whether clients that have passed wait already. Opening more would take the processor
            from those, and would let nobody in any sooner.
    """

    def __init__(self) -> None:
        self.is_busy: Callable[[], bool] = lambda: False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in its turn, which may be now."""
        if self.pass_at_once():
            function()
        else:
            self._enqueue().add_done_callback(lambda _: function())

    def pass_at_once(self) -> bool:
        """Take a place in the present round, if there is one."""
        if self._timer is None:
            self._start_round()
        if self._waiting or self._passed >= AT_ONCE or self.is_busy():
            return False
        self._passed += 1
        return True

    async def wait(self) -> None:
        """Wait for a place in a round."""
        if not self.pass_at_once():
            await self._enqueue()

    def _enqueue(self) -> "asyncio.Future[None]":
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def _start_round(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < AT_ONCE and not self.is_busy():
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._passed += 1
        self._timer = asyncio.get_running_loop().call_later(ROUND_SECONDS, self._end_round)

    def _end_round(self) -> None:
        self._timer = None
        if self._waiting:
            self._start_round()
