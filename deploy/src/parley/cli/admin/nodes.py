"""Gateways and workers, asked side by side: one that does not answer holds up none of the others."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic, time
from typing import Any

import aiohttp

from parley.cli.admin.samples import Sample, Samples
from parley.cli.probes import Probe, ask

ANSWER_SECONDS = 1.0
"""A node that has not answered by then is shown as silent; its answer is still taken when it comes."""
LIMIT_SECONDS = 5.0
KNOWN_SECONDS = 6.0
"""How long the figures of a node's last answer count as those of now: three looks."""
KEPT_SECONDS = 300.0
"""How long a node is shown that answers no more and that no address names any more."""
SLOW_CLIENTS = 20

Fields = dict[str, Any]


class Node:
    """One gateway or worker, as it last answered.

    Attributes:
        url: Its address.
        is_gateway: Whether it is a gateway.
        probe: Its last answer; None before the first.
        error: Why it gave none this time; empty if it did.
        slow_clients: Its clients with unread bytes.
        samples: Its latest counters.
        is_named: Whether an address named it at the last look.
    """

    def __init__(self, url: str, *, is_gateway: bool) -> None:
        self.url = url
        self.is_gateway = is_gateway
        self.probe: Probe | None = None
        self.error = ""
        self.slow_clients: list[Fields] = []
        self.samples = Samples()
        self.is_named = True
        self._named_at = self._answered_at = self._asked_at = monotonic()
        self._asking: asyncio.Task[None] | None = None

    def name(self, *, is_named: bool) -> None:
        """Note whether an address names the node at this look."""
        self.is_named = is_named
        if is_named:
            self._named_at = monotonic()

    def begin(self, http: aiohttp.ClientSession, token: str) -> asyncio.Task[None]:
        """Ask the node, unless an earlier question waits for its answer."""
        if self._asking is None or self._asking.done():
            self._asked_at = monotonic()
            self._asking = asyncio.create_task(self._ask(http, token))
        return self._asking

    async def end(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    @property
    def is_silent(self) -> bool:
        """Whether a question has waited for its answer for too long."""
        is_asked = self._asking is not None and not self._asking.done()
        return is_asked and monotonic() - self._asked_at >= ANSWER_SECONDS

    @property
    def is_known(self) -> bool:
        """Whether the last answer still counts: a node that is silent for a moment goes on working."""
        return self.probe is not None and not self.error and monotonic() - self._answered_at < KNOWN_SECONDS

    @property
    def is_forgotten(self) -> bool:
        """Whether the node need not be shown any more."""
        return monotonic() - max(self._named_at, self._answered_at) > KEPT_SECONDS

    def shown(self) -> Fields:
        """Return what the page shows of every node."""
        # The figures of a node that has gone would be taken for those of now.
        metrics = self.probe.metrics if self.probe is not None and not self.error else None
        started = metrics.value("process_start_time_seconds") if metrics is not None else None
        return {
            "address": self.url.partition("://")[2],
            "state": self._state(),
            "problems": self._problems(),
            "silentSeconds": round(monotonic() - self._asked_at, 1) if self.is_silent else 0,
            "version": self.probe.version if self.probe is not None else None,
            "uptimeSeconds": round(time() - started) if started is not None else None,
            "memoryBytes": metrics.value("process_resident_memory_bytes") if metrics is not None else None,
            "rates": {n: round(rate, 2) for n, rate in self.samples.rates().items()} if metrics else {},
        }

    def _state(self) -> str:
        if self.is_silent:
            return "silent"
        if self.error:
            return "gone" if self.is_named else "left"
        if self.probe is None:
            return "asked"
        return "ready" if self.probe.ready else "notReady"

    def _problems(self) -> list[str]:
        if self.error and not self.is_silent:
            return [self.error]
        return list(self.probe.problems) if self.probe is not None else []

    async def _ask(self, http: aiohttp.ClientSession, token: str) -> None:
        clients = self._ask_slow_clients(http, token) if self.is_gateway else _nothing()
        probe, self.slow_clients = await asyncio.gather(ask(http, self.url), clients)
        self.error = probe.error
        if not probe.error:
            self.probe, self._answered_at = probe, monotonic()
            self.samples.add(Sample.of(probe.metrics, self._answered_at))

    async def _ask_slow_clients(self, http: aiohttp.ClientSession, token: str) -> list[Fields]:
        headers, params = {"Authorization": f"Bearer {token}"}, {"limit": SLOW_CLIENTS}
        try:
            async with http.get(f"{self.url}/admin/slow-clients", headers=headers, params=params) as answer:
                found: list[Fields] = (await answer.json()).get("clients", [])
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
            # Also of a version without this path: it has no slow clients, as far as is known.
            return []


class Nodes:
    """All gateways and workers.

    Args:
        http: Asks them.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._nodes: dict[str, Node] = {}

    async def look(self, gateways: Iterable[str], workers: Iterable[str], token: str) -> None:
        """Ask all nodes, and return when all have answered, or in a second.

        Args:
            gateways: The present URLs of the gateways.
            workers: Those of the workers.
            token: An administrator's, for what a gateway shows to these only.
        """
        named = {**dict.fromkeys(gateways, True), **dict.fromkeys(workers, False)}
        for url, is_gateway in named.items():
            if url not in self._nodes:
                self._nodes[url] = Node(url, is_gateway=is_gateway)
        for url, node in self._nodes.items():
            node.name(is_named=url in named)
        self._nodes = {url: node for url, node in self._nodes.items() if not node.is_forgotten}
        asked = [node.begin(self._http, token) for node in self._nodes.values()]
        if asked:
            await asyncio.wait(asked, timeout=ANSWER_SECONDS)

    async def close(self) -> None:
        """Stop asking."""
        await asyncio.gather(*(node.end() for node in self._nodes.values()))

    @property
    def gateways(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.is_gateway]

    @property
    def workers(self) -> list[Node]:
        return [node for node in self._nodes.values() if not node.is_gateway]


async def _nothing() -> list[Fields]:
    return []
