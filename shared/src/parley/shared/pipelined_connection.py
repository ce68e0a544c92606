"""A connection to Redis on which all callers write and read together.

A pipeline of redis-py takes a connection from its pool, two tasks and a Python call for each argument: 250 us
of a gateway's processor time, where this takes 80.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as TimedOut

from parley.shared.reply_streams import ConnectionStreams

SECONDS = 2.0
"""As long as a command of the client may take."""

Command = tuple[str | int | bytes, ...]


@dataclass(slots=True, eq=False)
class _Asked:
    """Commands that were written together, and the replies that have come."""

    count: int
    done: "asyncio.Future[list[Any]]"
    replies: list[Any] = field(default_factory=list)


class PipelinedConnection:
    """A connection of a client's pool, which is opened when it is needed, and again after an error."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._pool: Any = redis.connection_pool
        self._opening: asyncio.Task[_Link] | None = None
        self._link: _Link | None = None

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; return their replies, errors of single commands among them.

        A lost connection is tried once more: after a restart of Redis the one that is here is stale.

        Raises:
            RedisError, OSError, RuntimeError: Redis is away.
        """
        if not commands:
            return []
        data = b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type]
        try:
            return await (await self._open()).ask(data, len(commands))
        except (ConnectionLost, OSError):
            return await (await self._open()).ask(data, len(commands))

    async def close(self) -> None:
        """Close the connection, and the client that it is of."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._link is not None:
            await self._link.close()
        await self._redis.aclose()

    async def _open(self) -> "_Link":
        if self._link is not None and not self._link.is_closed:
            return self._link
        # A Redis that hangs takes seconds for each connection: all callers wait for one, and fail with it.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect())
        return await asyncio.shield(self._opening)

    async def _connect(self) -> "_Link":
        self._link = _Link(self._pool, await self._pool.get_connection())
        return self._link


def raise_first(replies: Sequence[Any]) -> None:
    """Raise the first error among replies."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


class _Link:
    """One connection until its end."""

    def __init__(self, pool: Any, connection: Any) -> None:
        self._pool = pool
        self._connection = connection
        self._streams = ConnectionStreams(connection)
        self._asked: deque[_Asked] = deque()
        self._loop = asyncio.get_running_loop()
        self.is_closed = False
        self._reading = self._loop.create_task(self._read())

    async def ask(self, data: bytes, count: int) -> list[Any]:
        """Write packed commands; return their replies. Raises `RedisError` when the connection is lost."""
        await self._check()
        asked = _Asked(count, self._loop.create_future())
        self._asked.append(asked)
        try:
            self._streams.write(data)
        except RuntimeError as error:
            # The connection was reset, and its reader does not know yet.
            self._end(ConnectionLost(str(error)))
        timer = self._loop.call_later(SECONDS, self._end, TimedOut("Redis does not answer"))
        try:
            return await asked.done
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Close the connection."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _check(self) -> None:
        """Check that the connection is still one to the master: a demoted one takes what reaches nobody."""
        try:
            await self._connection.check_health()
        except ConnectionLost as error:
            self._end(error)
        if self.is_closed:
            raise ConnectionLost("the connection was closed")

    async def _read(self) -> None:
        try:
            while True:
                for reply in await self._streams.read():
                    self._take(reply)
        except (RedisError, OSError, RuntimeError) as error:
            self._end(ConnectionLost(str(error)))
        finally:
            self._end(ConnectionLost("the connection was closed"))
            await self._connection.disconnect()
            await self._pool.release(self._connection)

    def _take(self, reply: Any) -> None:
        if isinstance(reply, ReadOnlyError):
            self._end(ConnectionLost("the master is a replica now"))
        if not self._asked:
            return
        asked = self._asked[0]
        asked.replies.append(reply)
        if len(asked.replies) == asked.count:
            self._asked.popleft()
            if not asked.done.done():
                asked.done.set_result(asked.replies)

    def _end(self, error: RedisError) -> None:
        self.is_closed = True
        while self._asked:
            done = self._asked.popleft().done
            if not done.done():
                done.set_exception(error)
        if self._reading is not asyncio.current_task():
            self._reading.cancel()
