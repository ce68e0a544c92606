"""Ending what runs: drivers and Python itself do not always heed a cancellation, or mean one.

Some drivers fail a waiting call with CancelledError when their connection is lost. `asyncio.wait_for`
of Python 3.11 loses a cancellation that comes as its work is done, and waits for work that does not
let itself be cancelled.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")

INSIST_SECONDS = 2.5
"""The time that a cancelled task may need to clean up."""


def we_are_cancelled() -> bool:
    """Whether somebody asked the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks, again and again until they have ended."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=INSIST_SECONDS)


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Return the result of an awaitable within a time limit.

    Raises:
        TimeoutError: it has not ended; says what it waits for. It is cancelled, and not waited for.
        ConnectionError: it was cancelled from within.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError(_where(task))
    finally:
        task.cancel()
    if task.cancelled():
        raise ConnectionError("it was cancelled from within")
    return task.result()


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """A failure that comes too late is not an accident."""
    if not task.cancelled():
        task.exception()


def _where(task: "asyncio.Future[Any]") -> str:
    """Return the chain of coroutines that a task waits for, outermost first."""
    at: Any = task.get_coro() if isinstance(task, asyncio.Task) else None
    places = []
    while isinstance(at, CoroutineType):
        places.append(f"{at.cr_code.co_qualname}:{at.cr_frame.f_lineno if at.cr_frame else 0}")
        at = at.cr_await
    return " > ".join(places)
