"""Background tasks: referenced while they run, logged when they fail, cancelled with their owner."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from parley.gateway.core.errors import Unavailable
from parley.shared.cancellation import end
from parley.shared.causes import cause_of

log = structlog.get_logger()


class Background:
    """Tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def repeat(self, seconds: float, step: Callable[[], Awaitable[None] | None]) -> None:
        """Run a step every `seconds`; one that fails is logged and run again."""
        self.spawn(self._repeat(seconds, step))

    async def stop(self) -> None:
        """Cancel what still runs, and wait for it."""
        await end(self._tasks)

    async def _repeat(self, seconds: float, step: Callable[[], Awaitable[None] | None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                pending = step()
                if pending is not None:
                    await pending
            except Unavailable as error:
                log.warning(
                    "gateway.background.deferred",
                    step=step.__qualname__,
                    error=str(error),
                    cause=cause_of(error),
                )
            except Exception:
                log.exception("gateway.background.step_failed", step=step.__qualname__)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("gateway.background.task_failed", exc_info=task.exception())
