"""The two directions of a Redis connection: packed commands, and all replies that one read has brought.

It is the one module that uses private names of redis-py; `tests/contract/test_reply_reader.py` tests them.
"""

from typing import Any

from redis._parsers.hiredis import NOT_ENOUGH_DATA


class ConnectionStreams:
    """Writes to and reads from a connection of `redis.asyncio`, without the client's calls and tasks."""

    def __init__(self, connection: Any) -> None:
        self._parser = connection._parser
        self._writer = connection._writer

    def write(self, data: bytes) -> None:
        """Write packed commands.

        Raises:
            RuntimeError: The connection is lost.
        """
        self._writer.write(data)

    async def read(self) -> list[Any]:
        """Wait for replies; return all that are here, errors of Redis among them.

        Raises:
            redis.exceptions.RedisError, OSError: The connection is lost.
        """
        while not (replies := self._buffered()):
            await self._parser.read_from_socket()
        return replies

    def _buffered(self) -> list[Any]:
        replies: list[Any] = []
        take = self._parser._reader.gets
        while (reply := take(False)) is not NOT_ENOUGH_DATA:
            replies.append(reply)
        return replies
