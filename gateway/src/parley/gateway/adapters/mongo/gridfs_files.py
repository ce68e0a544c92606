"""Files in MongoDB in the layout of GridFS: a document for each, and its bytes in numbered chunks.

The driver's own bucket is not used: it buffers 48 MB before it writes, and its cursor on the chunks times out
while a slow client reads.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

from bson import Binary

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.uninterrupted import uninterrupted
from parley.gateway.adapters.pieces import pieces
from parley.gateway.core.errors import NotFound, Unavailable
from parley.gateway.services.attachments import NO_ATTACHMENT
from parley.shared.documents import FILE_CHUNKS, FILES
from parley.shared.model import now

CHUNK_BYTES = 255 * 1024
"""The default of GridFS."""


class GridFiles:
    """`Files`."""

    def __init__(self, database: Any) -> None:
        self._files = database[FILES]
        self._chunks = database[FILE_CHUNKS]

    async def write(self, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        try:
            return await self._write(file_id, chunks)
        except BaseException:
            with suppress(Unavailable):
                await asyncio.shield(self.delete(file_id))
            raise

    async def _write(self, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        number = length = 0
        async for data in pieces(chunks, CHUNK_BYTES):
            with translate_errors():
                document = {"files_id": file_id, "n": number, "data": Binary(data)}
                await uninterrupted(self._chunks.insert_one(document))
            number, length = number + 1, length + len(data)
        document = {"_id": file_id, "length": length, "chunkSize": CHUNK_BYTES, "uploadDate": now()}
        with translate_errors():
            await uninterrupted(self._files.insert_one(document))
        return length

    async def read(self, file_id: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        with translate_errors():
            document = await self._files.find_one({"_id": file_id})
        if document is None:
            raise NotFound(NO_ATTACHMENT)
        size = document["chunkSize"]
        # One query a chunk: a cursor would time out while a slow client reads.
        for number in range(start // size, -(-stop // size)):
            data = await self._chunk(file_id, number)
            yield data[max(0, start - number * size) : stop - number * size]

    async def _chunk(self, file_id: str, number: int) -> bytes:
        with translate_errors():
            found = await self._chunks.find_one({"files_id": file_id, "n": number})
        if found is None:
            raise Unavailable("A part of the file is missing. Upload it again.")
        return bytes(found["data"])

    async def delete(self, file_id: str) -> None:
        with translate_errors():
            await self._files.delete_one({"_id": file_id})
            await self._chunks.delete_many({"files_id": file_id})
