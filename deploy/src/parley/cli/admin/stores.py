"""Looks at MongoDB and Redis: the layout of the partitions, how much is stored, and who is online."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named, open_redis
from parley.cli.layout import initial
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MESSAGES
from parley.shared.layouts import Layout, Layouts, LayoutsUnavailable
from parley.shared.presence import buckets

SOME_USERS = 30

Fields = dict[str, Any]


class StoresLook:
    """Looks at MongoDB and Redis again and again, until it is closed.

    Attributes:
        stored: The last look at MongoDB: `conversations`, `messages`, or an `error`. Empty before the first.
        online: The last look at Redis: `users`, `some` of them, or an `error`. Empty before the first.
        layout: The layout of the partitions, as it was read last.
        has_looked: Set after the first look.
    """

    def __init__(self) -> None:
        self.stored: Fields = {}
        self.online: Fields = {}
        self.layout: Layout | None = None
        self.has_looked = asyncio.Event()
        self._opened = AsyncExitStack()
        self._database: Any = None
        self._redis: Any = None

    async def look(self, env: Environment) -> None:
        """Look once at both; a fault becomes the `error`."""
        if self._database is None:
            self._database = await self._opened.enter_async_context(mongo.connect(env.settings.mongo_url))
            self._redis = await self._opened.enter_async_context(open_redis(env.settings.redis_url))
        await asyncio.gather(self._look_at_stored(env), self._look_at_online(env))
        self.has_looked.set()

    async def close(self) -> None:
        """Close both connections."""
        self._database = self._redis = None
        await self._opened.aclose()

    async def _look_at_stored(self, env: Environment) -> None:
        try:
            with named("MongoDB", "MONGO_URL"):
                await self._read_layout(env)
                self.stored = {
                    "conversations": await self._database[CONVERSATIONS].estimated_document_count(),
                    "messages": await self._database[MESSAGES].estimated_document_count(),
                }
        except CommandError as error:
            self.stored = {"error": str(error)}

    async def _read_layout(self, env: Environment) -> None:
        try:
            stored = await Layouts(self._database).read()
        except LayoutsUnavailable as error:
            raise error.__cause__ or OSError(str(error)) from error
        self.layout = stored or await initial(env)

    async def _look_at_online(self, env: Environment) -> None:
        hashes = [keys.sockets for keys in buckets(env.settings.redis_url).all]
        some: list[bytes] = []
        try:
            with named("Redis", "REDIS_URL"):
                users = sum(await asyncio.gather(*map(self._redis.hlen, hashes)))
                for each in hashes:
                    some += (await self._redis.hscan(each, count=SOME_USERS))[1]
                    if len(some) >= SOME_USERS:
                        break
        except CommandError as error:
            self.online = {"error": str(error)}
            return
        names = sorted(name.decode(errors="replace") for name in some)[:SOME_USERS]
        self.online = {"users": users, "some": names}
