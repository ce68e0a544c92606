"""Looks at everything every two seconds while somebody has the page open, and at nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

import aiohttp
import structlog

from parley.cli.admin.broker import BrokerLook
from parley.cli.admin.history import History, point
from parley.cli.admin.latest_environment import LatestEnvironment
from parley.cli.admin.nodes import LIMIT_SECONDS, Nodes
from parley.cli.admin.overview import overview
from parley.cli.admin.stores import StoresLook
from parley.cli.environment import Environment

log = structlog.get_logger()

LOOK_SECONDS = 2.0
IDLE_SECONDS = 15.0
"""The connections are closed so long after the last request of a page."""
FIRST_SECONDS = 1.5
"""How long the first request waits for the first looks."""

Fields = dict[str, Any]


class Watch:
    """The looks of all open pages: any number of them costs as much as one.

    Args:
        environment: The servers and the present addresses of gateways and workers.
        look_seconds: Time between two looks.
    """

    def __init__(self, environment: LatestEnvironment, look_seconds: float = LOOK_SECONDS) -> None:
        self._environment = environment
        self._look_seconds = look_seconds
        self._history = History()
        self._nodes: Nodes
        self._broker = BrokerLook()
        self._stores = StoresLook()
        self._token = ""
        self._wanted_at = 0.0
        self._running: asyncio.Task[None] | None = None
        self._first_looks: set[str] = set()
        self._has_looked = asyncio.Event()

    async def overview(self, token: str, since: float) -> Fields:
        """Return the last looks, and begin to look if nobody did.

        Args:
            token: An administrator's, which gateways are shown.
            since: Points of the history after this time are returned, in Unix time.
        """
        self._token, self._wanted_at = token, monotonic()
        if self._running is None or self._running.done():
            self._begin()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._has_looked.wait(), FIRST_SECONDS)
        found = overview(self._nodes.gateways, self._nodes.workers, self._broker, self._stores)
        return {**found, "lookSeconds": self._look_seconds, "history": self._history.since(since)}

    async def close(self) -> None:
        """Stop looking."""
        # A driver may swallow the cancellation: then the looks end by themselves.
        self._wanted_at = float("-inf")
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    def _begin(self) -> None:
        self._broker, self._stores = BrokerLook(), StoresLook()
        self._first_looks.clear()
        self._has_looked.clear()
        http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_SECONDS))
        self._nodes = Nodes(http)
        self._running = asyncio.create_task(self._run(http))

    async def _run(self, http: aiohttp.ClientSession) -> None:
        async with AsyncExitStack() as opened:
            opened.push_async_callback(http.close)
            opened.push_async_callback(self._nodes.close)
            opened.push_async_callback(self._broker.close)
            opened.push_async_callback(self._stores.close)
            async with asyncio.TaskGroup() as looks:
                looks.create_task(self._repeat("nodes", self._look_at_nodes))
                looks.create_task(self._repeat("broker", self._look_at_broker))
                looks.create_task(self._repeat("stores", self._look_at_stores))

    async def _repeat(self, name: str, look: Callable[[Environment], Awaitable[None]]) -> None:
        while monotonic() - self._wanted_at < IDLE_SECONDS:
            began = monotonic()
            try:
                await look(await self._environment.get())
            except Exception:
                # The other looks go on, and so does the next of this kind.
                log.exception("admin.look.failed", look=name)
            self._first_looks.add(name)
            if len(self._first_looks) == 3:
                self._has_looked.set()
            await asyncio.sleep(max(0.1, self._look_seconds - (monotonic() - began)))

    async def _look_at_nodes(self, env: Environment) -> None:
        await self._nodes.look(env.gateways, env.workers, self._token)
        self._history.add(point(self._nodes.gateways, self._nodes.workers, self._broker.found))

    async def _look_at_broker(self, env: Environment) -> None:
        with suppress(TimeoutError):
            # The first look needs the layout.
            await asyncio.wait_for(self._stores.has_looked.wait(), FIRST_SECONDS)
        await self._broker.look(env, self._stores.layout)

    async def _look_at_stores(self, env: Environment) -> None:
        await self._stores.look(env)
