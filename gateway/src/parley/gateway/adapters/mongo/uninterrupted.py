"""Calls that are waited for to their end, even by who is cancelled meanwhile."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def uninterrupted(call: Awaitable[T]) -> T:
    """The result of a call; being cancelled shows only when it is over.

    So what is done about it afterwards, like removing what the call has written, does come afterwards.
    """
    calling = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait([calling])
        raise
