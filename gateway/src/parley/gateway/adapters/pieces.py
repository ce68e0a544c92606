"""A stream of bytes cut anew."""

from collections.abc import AsyncIterator


async def pieces(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `size`, of which only the last may be shorter; none when there are none."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= size:
            piece = bytes(memoryview(held)[:size])
            del held[:size]
            yield piece
            # Not to be kept while the next one gathers.
            del piece
    if held:
        yield bytes(held)
