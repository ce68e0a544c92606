"""Work on many values in turns of the event loop, between which other clients have theirs."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 250


async def in_turns(values: Iterable[T]) -> AsyncIterator[list[T]]:
    """Yield slices of values, and suspend between two of them."""
    rest = iter(values)
    some = list(islice(rest, AT_ONCE))
    while some:
        yield some
        some = list(islice(rest, AT_ONCE))
        if some:
            await asyncio.sleep(0)
