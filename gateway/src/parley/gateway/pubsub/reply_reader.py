"""The replies of a Redis subscriber, all that one read brought at a time.

It is the one module that uses private names of redis-py; `tests/contract/test_reply_reader.py` tests them.
"""

from typing import Any

import structlog
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.exceptions import NoPermissionError

log = structlog.get_logger()

MESSAGES = (b"message", b"pmessage")
SUBSCRIBED, UNSUBSCRIBED = b"subscribe", b"unsubscribe"

Reply = list[Any]
"""The kind of the reply, the channel, and the body of a publication; a pattern stands before the channel."""


class ReplyReader:
    """Reads the connection of a `redis.asyncio.client.PubSub` that has subscribed.

    `get_message` takes an await, a timeout and a dictionary for each publication, which were an eighth of a
    gateway's processor time.
    """

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub
        self._parser = pubsub.connection._parser

    async def read(self) -> list[Reply]:
        """Wait for replies; return all that are here.

        Raises:
            redis.exceptions.RedisError, OSError: The connection is lost, or a command failed.
        """
        while not (replies := self._buffered()):
            await self._parser.read_from_socket()
        return replies

    async def confirm(self, reply: Reply) -> None:
        """Let the client library note that a channel is not subscribed to any more."""
        await self._pubsub.handle_message(reply)

    def _buffered(self) -> list[Reply]:
        replies: list[Reply] = []
        take = self._parser._reader.gets
        while (reply := take(False)) is not NOT_ENOUGH_DATA:
            if isinstance(reply, NoPermissionError):
                # Of a pattern that the access list of an earlier version does not name: the channels do.
                log.warning("gateway.bus.denied", error=str(reply))
            elif isinstance(reply, Exception):
                raise reply
            else:
                replies.append(reply)
        return replies
