"""The budget of answers: bytes that are being read for clients, or that clients have not taken yet."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.gateway.core.errors import Overloaded

USER_BYTES = 8 * 1024 * 1024
"""Bytes of one user's answers at the same time; one that is larger has the user's budget alone."""
TOTAL_BYTES = 256 * 1024 * 1024
"""Bytes of the answers of all users of a gateway."""
WAIT_SECONDS = 2.0
"""How long an answer waits for its bytes."""


class AnswerBudget:
    """Makes reads wait while too much that was read before is still in memory."""

    def __init__(self, user_bytes: int = USER_BYTES, total_bytes: int = TOTAL_BYTES) -> None:
        self._user_bytes = user_bytes
        self._total_bytes = total_bytes
        self._held: Counter[str] = Counter()
        self._total = 0
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    def __len__(self) -> int:
        """Return the bytes that are held."""
        return self._total

    @asynccontextmanager
    async def hold(self, user_id: str, size: int) -> AsyncIterator[None]:
        """Hold bytes while the block runs. Raises `Overloaded` if there are none in time."""
        await self.take(user_id, size)
        try:
            yield
        finally:
            self.give_back(user_id, size)

    async def take(self, user_id: str, size: int) -> None:
        """Take bytes, to be given back by the caller.

        Raises:
            Overloaded: There are none in time.
        """
        if self._fits(user_id, size):
            self._add(user_id, size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = user_id, size, turn
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except BaseException as error:
            self._withdraw(entry)
            if isinstance(error, TimeoutError):
                raise Overloaded("Too much is being read for you. Retry later.", retry_after=1.0) from error
            raise

    def give_back(self, user_id: str, size: int) -> None:
        """Give bytes back, and let those continue that wait for them."""
        self._total -= size
        self._held[user_id] -= size
        if not self._held[user_id]:
            del self._held[user_id]
        self._admit_waiting()

    def _withdraw(self, entry: tuple[str, int, "asyncio.Future[None]"]) -> None:
        user_id, size, turn = entry
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif turn.done() and not turn.cancelled():
            # The bytes were given in the moment in which the wait ended.
            self.give_back(user_id, size)

    def _admit_waiting(self) -> None:
        # A user who waits for their own budget does not hold up the users behind.
        for entry in list(self._waiting):
            user_id, size, turn = entry
            if turn.done():
                continue
            if self._fits(user_id, size):
                self._waiting.remove(entry)
                self._add(user_id, size)
                turn.set_result(None)

    def _fits(self, user_id: str, size: int) -> bool:
        held = self._held.get(user_id, 0)
        return self._total + size <= self._total_bytes and (not held or held + size <= self._user_bytes)

    def _add(self, user_id: str, size: int) -> None:
        self._total += size
        self._held[user_id] += size
