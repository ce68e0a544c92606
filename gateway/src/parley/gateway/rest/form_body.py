"""A request body with limits on its rate, its lines and its bytes outside of the file."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import StreamReader

from parley.gateway.core.errors import ChatError, Invalid

OUTSIDE_BYTES = 64 * 1024
"""About how many bytes a form may have outside of its file: part headers, other fields, boundaries."""
LINE_BYTES = 8 * 1024
LINE_COST = 32
"""A line counts as at least this many bytes, because a short one takes as long to read."""
LINES_PER_TURN = 256
"""Lines read between two returns to the event loop."""

T = TypeVar("T")


class BodyTooSlow(ChatError):
    """The body arrives too slowly; a stalled upload would hold one of the user's upload slots."""

    code = "TOO_SLOW"
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MinDataRate:
    """The slowest acceptable body: a token bucket of seconds.

    Waiting for the client spends it, every byte received refills it, and an empty bucket ends the request.

    Attributes:
        grace_seconds: The bucket's size, full at the start.
        bytes_per_second: The steady rate at which a body spends as much as it refills.
    """

    grace_seconds: float = 10.0
    bytes_per_second: int = 16 * 1024


class FormBody:
    """Stands in for a request's `content` where aiohttp's `MultipartReader` reads.

    Every read raises `Invalid` after too many bytes outside of the file, and `BodyTooSlow`.
    """

    def __init__(self, content: StreamReader, min_data_rate: MinDataRate) -> None:
        self._content = content
        self._min_data_rate = min_data_rate
        self._seconds_left = min_data_rate.grace_seconds
        self._seen = 0
        self._outside = 0
        self._lines = 0
        self.in_file = False
        """Whether the current reads are of the file."""

    async def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        self._check()
        data = await self._in_time(self._content.read(size))
        self._count(len(data))
        return data

    async def readline(self, *, max_line_length: int = LINE_BYTES) -> bytes:
        """Read a line, including its end."""
        self._check()
        self._lines += 1
        if self._lines % LINES_PER_TURN == 0:
            # Buffered lines are read without suspending; a form of many lines would block the event loop.
            await asyncio.sleep(0)
        longest = min(max_line_length, LINE_BYTES)
        line = await self._in_time(self._content.readline(max_line_length=longest))
        self._count(max(len(line), LINE_COST))
        return line

    def unread_data(self, data: bytes) -> None:
        """Return bytes to the buffer for the next read."""
        self._count(-len(data))
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        """Tell whether the body was read to its end."""
        return self._content.at_eof()

    def _count(self, size: int) -> None:
        if not self.in_file:
            self._outside += size

    def _check(self) -> None:
        # Checked before a read, not after: a read may go too far and return the surplus by `unread_data`.
        if self._outside > OUTSIDE_BYTES:
            raise Invalid(f"The form has more than {OUTSIDE_BYTES} bytes besides its file.")

    async def _in_time(self, reading: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._refill()
        try:
            async with asyncio.timeout(self._seconds_left):
                return await reading
        except TimeoutError:
            raise BodyTooSlow("The request body arrives too slowly; try again.") from None
        finally:
            self._seconds_left -= loop.time() - started

    def _refill(self) -> None:
        received, self._seen = self._content.total_bytes - self._seen, self._content.total_bytes
        refill = received / self._min_data_rate.bytes_per_second
        self._seconds_left = min(self._min_data_rate.grace_seconds, self._seconds_left + refill)
