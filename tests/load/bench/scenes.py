"""The scenes of the comparison; each returns figures by name."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from pymongo import AsyncMongoClient

from load.bench.targets import Target
from load.generator.fleet import Drained, Fleet
from load.generator.groups import GroupKind
from load.generator.histogram import percentile
from load.generator.ledger import Tally
from load.processor_time import processor_seconds, spent

Figures = dict[str, float]
"""Figures by name; names that begin with `us ` mean microseconds of processor time."""

FAST = 2_000.0
"""Connects per second that no system reaches, so that each connects as fast as it can."""
MILLI, MICRO = 1e3, 1e6
TALKERS = "talkers"
SETTLE_SECONDS = 2.0
GROUP_SIZE = 10
LARGE_GROUP, LARGE_RATE = 1_000, 20.0
WARMING_SOCKETS, WARMING_RATE = 100, 20.0
CONNECTS, CONNECTS_PER_SECOND = 500, 100.0


@dataclass(frozen=True)
class Options:
    """The sizes of the scenes."""

    sockets: int
    window: int
    seconds: float
    idle_sockets: int
    idle_seconds: float
    """Seconds after which the memory of sockets that went is read."""


class Bench:
    """A target with its fleets, which stay connected between the rounds."""

    def __init__(self, target: Target, options: Options) -> None:
        self.target, self.options = target, options
        self._fleets: dict[str, Fleet] = {}

    async def fleet(self, name: str, kind: GroupKind) -> Fleet:
        """Return the connected fleet of a name; its first use connects it and warms the servers up."""
        if name not in self._fleets:
            fleet = await self.new_fleet(kind).__aenter__()
            self._fleets[name] = fleet
            await fleet.connect(FAST)
            await fleet.run_open(WARMING_RATE, SETTLE_SECONDS)
            await fleet.drain()
        return self._fleets[name]

    def new_fleet(self, kind: GroupKind) -> Fleet:
        """Return a fleet that is not connected yet."""
        target = self.target
        return Fleet(target.urls, target.secret, [kind], confirms=target.confirms)

    async def close(self) -> None:
        """Close all sockets."""
        for fleet in self._fleets.values():
            await fleet.leave()
            await fleet.__aexit__()

    async def count(self, fleet: Fleet, load: Awaitable[None]) -> "Count":
        """Run a load, wait until all is delivered, and return what it took."""
        # A scene begins at rest: after a high rate batches are large for a moment.
        await asyncio.sleep(SETTLE_SECONDS)
        await fleet.reset()
        before, seconds = processor_seconds(self.target.groups), self.options.seconds
        await load
        await fleet.flush()
        stored, delivered = fleet.tally.stored, fleet.tally.delivered
        drained = await fleet.drain()
        used = spent(before, processor_seconds(self.target.groups))
        return Count(fleet.tally, drained, used, stored / seconds, delivered / seconds)


@dataclass(frozen=True)
class Count:
    """Counts, rates and processor time of a load."""

    tally: Tally
    drained: Drained
    used: Mapping[str, float]
    """Seconds of processor time by the kind of the part."""
    stored_rate: float
    delivered_rate: float

    def figures(self) -> Figures:
        """Return rates, delays, and processor time per message."""
        stored = max(self.tally.stored, 1)
        delays = self.tally.delivered_delays
        return {
            "messages/s": self.stored_rate,
            "deliveries/s": self.delivered_rate,
            "p50 ms": MILLI * percentile(delays, 0.5),
            "p99 ms": MILLI * percentile(delays, 0.99),
            "us a message": MICRO * sum(self.used.values()) / stored,
            **{f"us {kind}": MICRO * seconds / stored for kind, seconds in self.used.items()},
            **self.complaints(),
        }

    def complaints(self) -> Figures:
        """Return counts that must be 0."""
        balance, tally = self.drained.balance, self.tally
        return {
            "missing": balance.missing + balance.unanswered + balance.unstored,
            "refused": tally.refused.total(),
            "wrong": tally.doubled + tally.unexpected,
        }


async def closed(bench: Bench) -> Figures:
    """Have each of the sockets send the next message when one is stored."""
    fleet = await bench.fleet(TALKERS, _tens(bench.options.sockets))
    # The programs of Node and of MongoDB are faster once they have run for a while.
    await fleet.run_closed(bench.options.window, SETTLE_SECONDS)
    await fleet.drain()
    count = await bench.count(fleet, fleet.run_closed(bench.options.window, bench.options.seconds))
    return count.figures()


def open_at(rate: float) -> "Scene":
    """Return the scene that offers a rate."""

    async def offered(bench: Bench) -> Figures:
        fleet = await bench.fleet(TALKERS, _tens(bench.options.sockets))
        count = await bench.count(fleet, fleet.run_open(rate, bench.options.seconds))
        return count.figures()

    return offered


async def large_group(bench: Bench) -> Figures:
    """Send to one group of a thousand members that are all online."""
    fleet = await bench.fleet("group", GroupKind(1, LARGE_GROUP))
    count = await bench.count(fleet, fleet.run_open(LARGE_RATE, bench.options.seconds))
    deliveries = max(count.tally.delivered, 1)
    holders = count.used.get("gateways", count.used.get("node", 0.0))
    return {
        **{name: value for name, value in count.figures().items() if not name.startswith("us ")},
        "us a delivery": MICRO * sum(count.used.values()) / deliveries,
        "us a delivery, gateways": MICRO * holders / deliveries,
    }


async def connect(bench: Bench) -> Figures:
    """Connect members of groups of ten, who have been connected before."""
    async with bench.new_fleet(_tens(CONNECTS)) as fleet:
        await fleet.connect(FAST)
        await fleet.leave()
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _usage(bench.target, asyncio.sleep(SETTLE_SECONDS))
        await fleet.reset()
        used = await _usage(bench.target, _connect_and_settle(fleet))
        connects = max(fleet.tally.connects, 1)
        await fleet.leave()
    net = {name: used[name] - idle[name] * used["seconds"] / idle["seconds"] for name in used}
    calls = net.pop("mongodb calls")
    del net["seconds"]
    return {
        "us a connect": MICRO * sum(net.values()) / connects,
        **{f"us {kind}": MICRO * seconds / connects for kind, seconds in net.items()},
        "mongodb calls": calls / connects,
    }


async def _connect_and_settle(fleet: Fleet) -> None:
    await fleet.connect(CONNECTS_PER_SECOND, groups=False)
    await asyncio.sleep(SETTLE_SECONDS)
    await fleet.flush()


async def _usage(target: Target, meanwhile: Awaitable[None]) -> Figures:
    """Return processor seconds by kind, seconds, and calls of MongoDB, while something happens."""
    before, calls, began = processor_seconds(target.groups), await _calls(target), perf_counter()
    await meanwhile
    used = spent(before, processor_seconds(target.groups))
    return {
        **used,
        "seconds": perf_counter() - began,
        "mongodb calls": await _calls(target) - calls,
    }


async def _calls(target: Target) -> float:
    async with AsyncMongoClient(target.mongo_url) as client:
        counters = (await client.admin.command("serverStatus"))["opcounters"]
    return float(
        sum(counters[name] for name in ("insert", "query", "update", "delete", "getmore", "command"))
    )


async def idle(bench: Bench) -> Figures:
    """Connect many sockets that do nothing, and close them; the target must be freshly started."""
    target, options = bench.target, bench.options
    await _warm_up(bench)
    async with bench.new_fleet(_tens(options.idle_sockets)) as fleet:
        before = await _resident(target)
        await fleet.connect(FAST, groups=False)
        held = await _resident(target) - before
        await fleet.leave()
        await asyncio.sleep(options.idle_seconds)
        left = await _resident(target) - before
    return {
        "KiB a socket": held / options.idle_sockets / 1024,
        "KiB left of each": left / options.idle_sockets / 1024,
    }


async def _warm_up(bench: Bench) -> None:
    """Have some clients talk and leave, so that what a process loads at its first socket is not counted."""
    async with bench.new_fleet(_tens(WARMING_SOCKETS)) as fleet:
        await fleet.connect(FAST)
        await fleet.run_open(WARMING_RATE, SETTLE_SECONDS)
        await fleet.drain()
        await fleet.leave()


async def _resident(target: Target) -> int:
    await asyncio.sleep(SETTLE_SECONDS)
    target.collect()
    await asyncio.sleep(SETTLE_SECONDS)
    return target.resident_bytes()


def _tens(sockets: int) -> GroupKind:
    return GroupKind(sockets // GROUP_SIZE, GROUP_SIZE)


Scene = Callable[[Bench], Awaitable[Figures]]

IDLE = "idle"
SCENES: Mapping[str, tuple[str, Scene]] = {
    "100": ("100 messages/s", open_at(100)),
    "500": ("500 messages/s", open_at(500)),
    "1000": ("1,000 messages/s", open_at(1000)),
    "group": (f"a group of {LARGE_GROUP:,}, {LARGE_RATE:g} messages/s", large_group),
    "connect": ("connecting", connect),
    "closed": ("closed loop until stored", closed),
    IDLE: ("idle sockets", idle),
}
"""Titles and scenes by name. The highest rate comes last, because it leaves work for the search index."""
