"""A bulkhead: bounds how much of one kind of work runs at a time, so that others get their share.

When thousands of clients return at once, each turn of the event loop would otherwise do a part of the work of
all of them, and everybody else's messages would wait for its end. The work that waits here costs nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Bulkhead:
    """Lets a number of users in at a time; the others wait, in their order.

    A user is in once at a time, so that many sockets of one user cannot take the slots of others.

    Args:
        most: Users that are in at a time.
        wait_seconds: How long a user waits, once it is the user's turn to wait.
        refusal: Makes the error for one who has waited in vain.
        together: Waiting users that are let in together: their reads share round trips.
    """

    def __init__(
        self, most: int, wait_seconds: float, refusal: Callable[[], Exception], together: int = 1
    ) -> None:
        self._free = most
        self._together = together
        self._wait_seconds = wait_seconds
        self._refusal = refusal
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        """Return how many users wait."""
        return sum(not turn.done() for turn in self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next user has to wait."""
        return not self._free or bool(self._waiting)

    @asynccontextmanager
    async def slot(self, user_id: str) -> AsyncIterator[None]:
        """Hold a slot while the block runs. Raises the refusal if none is free in time."""
        async with self._turns.setdefault(user_id, asyncio.Lock()):
            await self._enter()
            try:
                yield
            finally:
                self._leave()

    def turn_away(self) -> None:
        """Refuse all users that wait, because those that are in do not get on."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(self._refusal())

    async def _enter(self) -> None:
        if not self.is_full:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The slot was given in the moment in which the wait ended.
                self._leave()
            if isinstance(error, TimeoutError):
                raise self._refusal() from error
            raise

    def _leave(self) -> None:
        self._free += 1
        # All slots are free some time, so that nobody waits for ever.
        if self._free >= self._together:
            while self._waiting and self._free:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    self._free -= 1
