"""Coroutines in the background, some of them at once and the others in order."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()

Start = Callable[[], Coroutine[Any, Any, None]]


class BoundedTasks:
    """Runs coroutines that are many at times.

    Args:
        most: tasks that run at once. One that waits for a server takes 5 KiB and more: those of thousands of
            sockets that are lost in the same moment would take more memory than the sockets did.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Start] = deque()

    def run(self, start: Start) -> None:
        """Run a coroutine as soon as fewer than `most` others do."""
        self._waiting.append(start)
        if len(self._tasks) < self._most:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def wait(self, seconds: float) -> None:
        """Wait until all have ended, or for some time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _work(self) -> None:
        while self._waiting:
            try:
                await self._waiting.popleft()()
            except Exception:
                log.exception("gateway.socket.close_failed")
