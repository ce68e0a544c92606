"""Batches of calls: callers at the same time share a round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from parley.gateway.core.errors import Unavailable

CALLS_AT_ONCE = 100

Spawn = Callable[[Coroutine[Any, Any, None]], None]
T = TypeVar("T")
R = TypeVar("R")


class CallBatches(Generic[T, R]):
    """Runs calls in batches: one batch at a time, of all calls that have gathered meanwhile.

    Args:
        run: Runs a batch; returns a result for each call.
        spawn: Runs a coroutine in the background.

    Attributes:
        linger: Returns the seconds that a batch waits for more calls.
    """

    def __init__(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], spawn: Spawn) -> None:
        self._run = run
        self._spawn = spawn
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._is_running = False
        self.linger: Callable[[], float] = lambda: 0.0

    async def call(self, value: T) -> R:
        """Return the result of one call. Raises the error of its batch."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((value, result))
        if not self._is_running:
            self._is_running = True
            self._spawn(self._run_batches())
        return await result

    async def _run_batches(self) -> None:
        try:
            while self._waiting:
                if seconds := self.linger():
                    await asyncio.sleep(seconds)
                batch = self._waiting[:CALLS_AT_ONCE]
                del self._waiting[:CALLS_AT_ONCE]
                await self._run_batch([(value, result) for value, result in batch if not result.done()])
        finally:
            self._is_running = False

    async def _run_batch(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            found = await self._run([value for value, _ in batch])
        except BaseException as error:
            # The cancellation of a batch must not pass for that of its callers.
            reason = error if isinstance(error, Exception) else Unavailable("The gateway is stopping.")
            for _, result in batch:
                if not result.done():
                    result.set_exception(reason)
            if reason is not error:
                raise
            return
        for (_, result), answer in zip(batch, found, strict=True):
            if not result.done():
                result.set_result(answer)
