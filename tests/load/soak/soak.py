"""`python -m load.soak`: users connect and vanish for minutes; afterwards no resource may be leaked."""

import asyncio
import contextlib
import itertools
import math
import random
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from clients.chat import NAMESPACE, eventually, token
from clients.socketio_lean import LeanSocket
from clients.workers import PartitionShares
from load.arguments import Arguments
from load.meters import Reader
from load.soak import resource_counts
from load.soak.resource_counts import Margins, ResourceCounts
from load.soak.scenarios import PROTOCOL_SCRIPTS, Participant, Scenarios
from parley.stack import Stack

GROUPS = 10
SHARE = 4
"""The number of partitions of each of two workers."""
AT_ONCE = 20
SLOW_AT_ONCE = 100
FOUND_OUT_SECONDS = 65.0
"""Seconds within which an unanswered ping is noticed."""
WARM_UP_SECONDS = 20.0
WARMING = Margins(memory=math.inf, descriptors=1_000, lapsing=100_000)
"""The resources that the warm-up does not wait for."""
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 240.0
"""A lost session is kept for two minutes for its recovery, so the last ones end after that."""


class Soak:
    """The users of some groups, one of each protocol in each group, and their leaked resources."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, *, slow: bool = True) -> None:
        self._stack, self._http = stack, http
        self._reader = Reader(stack, http)
        self.scenarios = Scenarios(stack.url, stack.jwt_secret, http)
        self._scenarios = self.scenarios.quick + (self.scenarios.slow if slow else ())
        self._slow_since: deque[float] = deque()
        self._participants: list[Participant] = []

    async def wait_until_balanced(self) -> None:
        """Wait until each worker owns its partitions, so that the counts are those at rest."""
        await PartitionShares(self._stack, self._http).wait_until(SHARE, SHARE)

    async def prepare(self) -> None:
        """Create the groups."""
        run = uuid.uuid4().hex[:8]
        for number in range(GROUPS):
            users = [f"soak-{run}-{number}-{n}" for n in range(len(PROTOCOL_SCRIPTS))]
            group = await self._create(users)
            self._participants += [
                Participant(user, group, script) for user, script in zip(users, PROTOCOL_SCRIPTS, strict=True)
            ]

    async def _create(self, users: list[str]) -> str:
        auth = {"token": token(self._stack.jwt_secret, users[0])}
        socket = await LeanSocket.connect(self._stack.url, NAMESPACE, auth, lambda event, payload: None)
        wish = {"type": "group", "name": "A soak", "participants": users[1:]}
        created: dict[str, Any] = await socket.call("createConversation", wish)
        await socket.close()
        return str(created["conversation"]["_id"])

    async def run(self, seconds: float) -> None:
        """Make concurrent visits, of each kind in turn."""
        end = time.monotonic() + seconds
        ways = itertools.cycle(self._scenarios)

        async def one_after_the_other() -> None:
            while time.monotonic() < end:
                way = next(ways)
                await asyncio.sleep(0)
                if way in self.scenarios.quick or self._may_be_slow():
                    await self.scenarios.run(way, random.choice(self._participants))

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))

    def _may_be_slow(self) -> bool:
        """Return whether one more may stay until its ping timeout; their number at once is limited."""
        now = time.monotonic()
        while self._slow_since and now - self._slow_since[0] > FOUND_OUT_SECONDS:
            self._slow_since.popleft()
        if len(self._slow_since) >= SLOW_AT_ONCE:
            return False
        self._slow_since.append(now)
        return True

    async def count(self) -> ResourceCounts:
        """Return the present counts."""
        held = await self._count_without_rabbitmq()
        return {**held, **await asyncio.to_thread(resource_counts.count_rabbitmq, self._stack)}

    async def settle(self, before: ResourceCounts, margins: Margins) -> ResourceCounts:
        """Wait until the counts are back, or a deadline; return them."""

        async def is_back() -> bool:
            await asyncio.sleep(LOOK_SECONDS)
            return not remains(before, await self._count_without_rabbitmq(), margins)

        with contextlib.suppress(AssertionError):
            await eventually(is_back, SETTLE_SECONDS)
        return await self.count()

    async def _count_without_rabbitmq(self) -> ResourceCounts:
        services = await resource_counts.count_services(self._reader)
        return {**services, **await resource_counts.count_redis(self._stack.redis_url)}


def remains(before: ResourceCounts, after: ResourceCounts, margins: Margins) -> list[str]:
    """Return the resources that have grown beyond their margins."""
    return [
        resource
        for resource in after
        if after[resource] > before.get(resource, 0) + margin(resource, margins)
    ]


def margin(resource: str, margins: Margins) -> float:
    """Return the growth that is allowed for a resource."""
    return {
        resource_counts.MEMORY: margins.memory,
        resource_counts.DESCRIPTORS: margins.descriptors,
        "tasks": margins.tasks,
        "keys that lapse": margins.lapsing,
        "buckets": margins.buckets,
    }.get(resource.partition(": ")[2], 0)


def table(before: ResourceCounts, after: ResourceCounts, margins: Margins) -> str:
    """Return a table of each resource: before, after and verdict."""
    left = remains(before, after, margins)
    width = max(map(len, after))
    lines = [f"{'resource'.ljust(width)}  {'before':>8}  {'after':>8}  {'margin':>6}"]
    for resource in sorted(after):
        numbers = f"{before.get(resource, 0):8.0f}  {after[resource]:8.0f}  {margin(resource, margins):6.0f}"
        lines.append(f"{resource.ljust(width)}  {numbers}  {'NOT BACK' if resource in left else ''}".rstrip())
    return "\n".join(lines)


async def run(stack: Stack, seconds: float) -> int:
    """Warm up, soak, and print the visits and the table; return 1 if a resource is leaked, else 0."""
    margins = Margins()
    async with aiohttp.ClientSession() as http:
        soak = Soak(stack, http)
        await soak.wait_until_balanced()
        fresh = await soak.count()
        await soak.prepare()
        await soak.run(WARM_UP_SECONDS)
        # Warm services keep some resources: code, connections, the allocator's arenas.
        warm = {**(await soak.settle(fresh, WARMING)), **_but_of_processes(fresh)}
        print(f"warm after {soak.scenarios.tally.total():,} visits and answers", flush=True)
        soak.scenarios.tally.clear()
        await soak.run(seconds)
        after = await soak.settle(warm, margins)
        soak.scenarios.close()
    for outcome, count in sorted(soak.scenarios.tally.items()):
        print(f"{count:8,} {outcome}")
    print(table(warm, after, margins))
    return 1 if remains(warm, after, margins) else 0


def _but_of_processes(fresh: ResourceCounts) -> Mapping[str, float]:
    """Return the counts that must fall back to those of a fresh stack."""
    kept = (resource_counts.MEMORY, resource_counts.DESCRIPTORS)
    return {resource: count for resource, count in fresh.items() if not resource.endswith(kept)}


def main() -> None:
    """Read the arguments, and run on an own stack."""
    parser = Arguments(prog="load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    args = parser.parse_args()
    if not 0 < args.minutes < math.inf:
        parser.error("it must last some minutes")
    with (
        tempfile.TemporaryDirectory(prefix="parley-soak-") as directory,
        Stack(Path(directory), gateways=2, workers=2) as stack,
    ):
        sys.exit(uvloop.run(run(stack, 60 * args.minutes)))
