"""Cut a stream of bytes into pieces of equal size."""

from collections.abc import AsyncIterator


async def pieces(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the same bytes in pieces of `size`; the last may be shorter."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= size:
            piece = bytes(memoryview(held)[:size])
            del held[:size]
            yield piece
            # Release the memory before the next piece is gathered.
            del piece
    if held:
        yield bytes(held)
