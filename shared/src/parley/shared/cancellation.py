"""Cancellation and time limits that hold although drivers and Python sometimes break them.

Some drivers raise CancelledError from a waiting call when their connection is lost. `asyncio.wait_for` of
Python 3.11 loses a cancellation that arrives as its work completes, and waits for work that suppresses
its cancellation.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")

REPEAT_SECONDS = 2.5
"""The time that a cancelled task may need to clean up."""


def we_are_cancelled() -> bool:
    """Return whether the current task itself was cancelled, rather than a call in it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks, and repeat it until they have ended."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=REPEAT_SECONDS)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of coroutines that run at the same time; when one fails, the others are ended.

    Unlike `asyncio.TaskGroup` it raises the error itself, not a group of one.

    Raises:
        Exception: That of the first one that failed.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        await end(tasks)
        raise


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Return the result of an awaitable within a time limit.

    Raises:
        TimeoutError: The work has not ended in time; the text names the calls that it waits for. The work
            is cancelled, but not awaited.
        ConnectionError: The work was cancelled by a driver.
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
        raise ConnectionError("the call was cancelled by its driver")
    return task.result()


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """Retrieve a late exception, so that asyncio does not log it."""
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
