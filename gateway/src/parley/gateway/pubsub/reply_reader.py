"""The replies of a subscriber's connection, all that one read brought at a time."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from hiredis import pack_command
from redis.exceptions import MovedError, NoPermissionError

from parley.shared.reply_streams import ConnectionStreams

log = structlog.get_logger()

MESSAGES = (b"message", b"smessage", b"pmessage")
SUBSCRIBED = (b"subscribe", b"ssubscribe")
TAKEN_AWAY = b"sunsubscribe"
"""The answer to SUNSUBSCRIBE, and what Redis sends when the slot of a channel has moved to another master."""
MOVED = b"moved"

Reply = list[Any]
"""The kind of the reply, the channel, and the body of a publication; a pattern stands before the channel.
`MOVED` is followed by the error, and the reply to a PING is its text alone."""


class SubscriberCommands(NamedTuple):
    """The commands of a subscriber: those of a Redis Cluster are others."""

    subscribe: str
    unsubscribe: str
    publish: str


PLAIN = SubscriberCommands("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH")
SHARDED = SubscriberCommands("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH")
"""https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub"""


class ReplyReader:
    """Reads the connection of a `redis.asyncio.client.PubSub` that is connected.

    `get_message` takes an await, a timeout and a dictionary for each publication, which were an eighth of a
    gateway's processor time; `subscribe` keeps each channel once more.
    """

    def __init__(self, pubsub: Any, commands: SubscriberCommands = PLAIN) -> None:
        self._streams = ConnectionStreams(pubsub.connection)
        self._commands = commands

    async def read(self) -> list[Reply]:
        """Wait for replies; return all that are here.

        Raises:
            redis.exceptions.RedisError, OSError: The connection is lost, or a command failed.
        """
        while not (replies := _successful(await self._streams.read())):
            pass
        return replies

    async def subscribe(self, groups: Iterable[Sequence[str]]) -> None:
        """Ask for the publications on channels, each of which is confirmed by a reply.

        Args:
            groups: The channels, of one command each; in a cluster they are of one slot.

        Raises:
            RuntimeError: The connection is lost.
        """
        self._streams.write(b"".join([_packed(self._commands.subscribe, *group) for group in groups]))

    async def unsubscribe(self, groups: Iterable[Sequence[str]]) -> None:
        """Ask for no more publications on channels. Raises `RuntimeError` when the connection is lost."""
        self._streams.write(b"".join([_packed(self._commands.unsubscribe, *group) for group in groups]))

    def ping(self, text: str) -> None:
        """Ask for a text, which comes behind all before it. Raises `RuntimeError` as `subscribe` does."""
        self._streams.write(_packed("PING", text))


def _packed(*words: str) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type]
    return packed


def _successful(replies: list[Any]) -> list[Reply]:
    """Return replies without the errors that may be; raises the others."""
    if not any(isinstance(reply, Exception) for reply in replies):
        return replies
    kept = []
    for reply in replies:
        if isinstance(reply, NoPermissionError):
            # Of a pattern that the access list of an earlier version does not name: the channels do.
            log.warning("gateway.bus.denied", error=str(reply))
        elif isinstance(reply, MovedError):
            kept.append([MOVED, reply])
        elif isinstance(reply, Exception):
            raise reply
        else:
            kept.append(reply)
    return kept
