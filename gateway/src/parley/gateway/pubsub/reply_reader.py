"""The replies of a Redis connection, all that one read brought at a time.

It is the one module that uses private names of redis-py; `tests/contract/test_reply_reader.py` tests them.
"""

from typing import Any

import structlog
from hiredis import pack_command
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.exceptions import NoPermissionError

log = structlog.get_logger()

MESSAGES = (b"message", b"pmessage")
SUBSCRIBED = b"subscribe"

Reply = list[Any]
"""The kind of the reply, the channel, and the body of a publication; a pattern stands before the channel."""


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


class ReplyReader:
    """Reads the connection of a `redis.asyncio.client.PubSub` that has subscribed.

    `get_message` takes an await, a timeout and a dictionary for each publication, which were an eighth of a
    gateway's processor time; `subscribe` keeps each channel once more.
    """

    def __init__(self, pubsub: Any) -> None:
        self._streams = ConnectionStreams(pubsub.connection)

    async def read(self) -> list[Reply]:
        """Wait for replies; return all that are here.

        Raises:
            redis.exceptions.RedisError, OSError: The connection is lost, or a command failed.
        """
        while not (replies := _successful(await self._streams.read())):
            pass
        return replies

    async def subscribe(self, *channels: str) -> None:
        """Ask for the publications on channels, each of which is confirmed by a reply.

        Raises:
            RuntimeError: The connection is lost.
        """
        self._streams.write(_packed("SUBSCRIBE", *channels))

    async def unsubscribe(self, *channels: str) -> None:
        """Ask for no more publications on channels. Raises `RuntimeError` when the connection is lost."""
        self._streams.write(_packed("UNSUBSCRIBE", *channels))


def _packed(*words: str) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type]
    return packed


def _successful(replies: list[Any]) -> list[Reply]:
    """Return replies without the errors that may be; raises the others."""
    if not any(isinstance(reply, Exception) for reply in replies):
        return replies
    for reply in replies:
        if isinstance(reply, NoPermissionError):
            # Of a pattern that the access list of an earlier version does not name: the channels do.
            log.warning("gateway.bus.denied", error=str(reply))
        elif isinstance(reply, Exception):
            raise reply
    return [reply for reply in replies if not isinstance(reply, Exception)]
