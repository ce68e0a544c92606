"""A form as it comes in, within bounds: of what it has besides its file, of lines, and of time."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import StreamReader

from parley.gateway.core.errors import ChatError, Invalid

BESIDE_BYTES = 64 * 1024
"""What a form may have besides its file, about: heads of parts, other fields, what stands around them."""
LINE_BYTES = 8 * 1024
LINE_COST = 32
"""A line counts as so many bytes at least: reading it takes as long."""
LINES_AT_ONCE = 256

T = TypeVar("T")


class TooSlow(ChatError):
    """The body came too slowly; what does not come at all holds a place of others."""

    code = "TOO_SLOW"
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How slowly a body may come.

    There is patience for `grace` seconds: waiting uses it up, and every byte that comes renews some of it,
    so that a steady `bytes_per_second` keeps it as it is.
    """

    grace: float = 10.0
    bytes_per_second: int = 16 * 1024


class FormBody:
    """What aiohttp's `MultipartReader` reads a form from, in place of a request's `content`.

    Every read raises `Invalid` when there is too much besides the file, and `TooSlow`.
    """

    def __init__(self, content: StreamReader, pace: Pace) -> None:
        self._content = content
        self._pace = pace
        self._patience = pace.grace
        self._seen = 0
        self._beside = 0
        self._lines = 0
        self.in_file = False
        """Whether what is read now is the file."""

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes."""
        self._check()
        data = await self._in_time(self._content.read(size))
        self._count(len(data))
        return data

    async def readline(self, *, max_line_length: int = LINE_BYTES) -> bytes:
        """A line, with its end."""
        self._check()
        self._lines += 1
        if self._lines % LINES_AT_ONCE == 0:
            # What is there already is read without waiting: others shall have their turn.
            await asyncio.sleep(0)
        longest = min(max_line_length, LINE_BYTES)
        line = await self._in_time(self._content.readline(max_line_length=longest))
        self._count(max(len(line), LINE_COST))
        return line

    def unread_data(self, data: bytes) -> None:
        """Give back what belongs to the next read."""
        self._count(-len(data))
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        """Whether all was read."""
        return self._content.at_eof()

    def _count(self, size: int) -> None:
        if not self.in_file:
            self._beside += size

    def _check(self) -> None:
        # Before a read, for one that went too far gives back what it did not need.
        if self._beside > BESIDE_BYTES:
            raise Invalid("The form has too much besides its file.")

    async def _in_time(self, reading: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._renew()
        try:
            async with asyncio.timeout(self._patience):
                return await reading
        except TimeoutError:
            raise TooSlow("The body came too slowly; try again.") from None
        finally:
            self._patience -= loop.time() - begun

    def _renew(self) -> None:
        came, self._seen = self._content.total_bytes - self._seen, self._content.total_bytes
        self._patience = min(self._pace.grace, self._patience + came / self._pace.bytes_per_second)
