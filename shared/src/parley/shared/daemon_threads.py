"""Blocking calls in threads that the end of the process does not wait for.

A server that hangs can keep a call of a driver for long; threads of an executor would be waited for.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def run(call: Callable[[], T], discard: Callable[[T], object] = lambda _late: None) -> T:
    """Return the result of a blocking call.

    Args:
        call: The call, which runs in a thread of its own.
        discard: Takes the result if nobody waits for it any more.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def succeed(result: T) -> None:
        if done.done():
            discard(result)
        else:
            done.set_result(result)

    def fail(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    def work() -> None:
        # The event loop may have ended before the call.
        with suppress(RuntimeError):
            try:
                result = call()
            except Exception as error:
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, result)

    Thread(target=work, daemon=True).start()
    return await done
