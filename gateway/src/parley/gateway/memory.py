"""Gives memory back to the operating system after many clients have left."""

import asyncio
import ctypes
import gc
from collections.abc import Callable

MANY = 500
"""Clients whose memory is worth a collection, which stalls the event loop for some milliseconds."""


def trim() -> None:
    """Return unused pages of the C library's heap, where it can: glibc keeps them for later use."""
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)


class MemoryTrimmer:
    """Collects garbage and trims the heap, each time that many clients have left.

    Args:
        count: returns the number of clients.
        trim: trims the heap; it is called in a thread, and must not need Python's lock.
    """

    def __init__(self, count: Callable[[], int], trim: Callable[[], None] = trim) -> None:
        self._count = count
        self._trim = trim
        self._most = self._last = 0

    async def check(self) -> None:
        """Trim if many have left since the last time, and none since the last check."""
        count, last = self._count(), self._last
        self._last = count
        self._most = max(self._most, count)
        if count < last or self._most - count < MANY:
            return
        self._most = count
        gc.collect()
        await asyncio.to_thread(self._trim)
