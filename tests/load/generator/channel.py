"""A channel of Python objects between the fleet and a client process."""

import asyncio
import pickle
import socket
from typing import Any

LENGTH_BYTES = 4


class Channel:
    """One end of a socket pair; both ends are processes of the same program."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """Return a channel over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end))

    def send(self, value: Any) -> None:
        """Send an object; one for an end that is closed is dropped."""
        if not self._writer.is_closing():
            body = pickle.dumps(value)
            self._writer.write(len(body).to_bytes(LENGTH_BYTES) + body)

    async def receive(self) -> Any:
        """Return the next object.

        Raises:
            EOFError: the other end is closed.
        """
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES))
            return pickle.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
