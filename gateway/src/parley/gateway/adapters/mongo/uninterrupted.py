"""Wait for a call to its end, even when the waiting task is cancelled."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def uninterrupted(call: Awaitable[T]) -> T:
    """Return the result of a call; raise a cancellation only when the call has ended.

    A clean-up after the cancellation, such as deleting the bytes that the call writes, then runs after it.
    """
    calling = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait([calling])
        raise
