"""`python -m load.overload`: throughput and delays from little load to overload; a table and a picture."""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from load import meters
from load.arguments import Arguments
from load.figures import percentile
from load.groups import GROUP, Counts, Delays, Groups
from load.overload_picture import draw
from parley.stack import Stack

SHARES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""The offered loads, as shares of the capacity."""
SETTLE_SECONDS = 1.0
"""Seconds at the beginning of each step that its rates leave out."""
LOOK_SECONDS = 1.0
QUIET_SECONDS = 8.0
"""After so many seconds without progress, missing deliveries count as lost."""
WINDOW = 4
REFUSED_WITHIN = 2.0
"""Seconds within which each send must be accepted or refused."""


@dataclass
class Step:
    """The measurements of one offered load; rates are per second."""

    load: float
    offered: float
    accepted: float
    stored: float
    delivered: float
    refused: Counter[str]
    seconds: float
    """The time over which the refusals were counted."""
    delays: Delays
    lost: int = 0
    """Deliveries of accepted messages that are missing."""
    unanswered: int = 0
    drain: float = 0.0
    gateway_mib: float = 0.0
    worker_mib: float = 0.0
    waiting: float = 0.0

    @property
    def refused_rate(self) -> float:
        return self.refused.total() / self.seconds

    @property
    def accepted_delays(self) -> list[float]:
        return self.delays.accepted

    @property
    def delivery_delays(self) -> list[float]:
        return self.delays.delivered

    @property
    def holds(self) -> bool:
        """Whether all accepted messages were delivered, and all others refused in time."""
        return self.lost <= 0 and not self.unanswered and self.slowest_answer < REFUSED_WITHIN

    @property
    def slowest_answer(self) -> float:
        return max([*self.delays.accepted, *self.delays.refused], default=0.0)


@dataclass
class Peak:
    """The highest values of a step."""

    gateway_mib: float = 0.0
    worker_mib: float = 0.0
    waiting: float = 0.0

    def update(self, now: meters.Meters) -> None:
        self.gateway_mib = max(self.gateway_mib, meters.memory(now, "gateway"))
        self.worker_mib = max(self.worker_mib, meters.memory(now, "worker"))
        self.waiting = max(self.waiting, meters.waiting(now))


@dataclass
class OverloadRun:
    """The load, and the meters of the loaded stack."""

    groups: Groups
    reader: meters.Reader
    seconds: float
    peak: Peak = field(default_factory=Peak)

    async def capacity(self) -> float:
        """Return the capacity: messages stored per second in a closed loop."""
        talking = asyncio.create_task(self.groups.run_closed_until_stored(self.seconds, WINDOW))
        counted, _ = await self._count(self.seconds)
        await talking
        await self._drain()
        return counted.stored

    async def step(self, share: float, rate: float) -> Step:
        """Offer `rate` messages per second, and wait until all accepted ones are delivered."""
        self.groups.reset()
        self.peak = Peak()
        speaking = asyncio.create_task(self.groups.run_open(self.seconds, rate))
        rates, refused = await self._count(self.seconds)
        await speaking
        drain = await self._drain()
        counts = self.groups.counts
        return Step(
            load=share,
            offered=rates.offered,
            accepted=rates.accepted,
            stored=rates.stored,
            delivered=rates.delivered,
            refused=refused,
            seconds=self.seconds - SETTLE_SECONDS,
            delays=self.groups.delays,
            lost=counts.accepted * GROUP - counts.delivered,
            unanswered=counts.unanswered,
            drain=drain,
            **vars(self.peak),
        )

    async def _count(self, seconds: float) -> tuple["Rates", Counter[str]]:
        await asyncio.sleep(SETTLE_SECONDS)
        first, began = self.groups.counts.copy(), time.perf_counter()
        end = began + seconds - SETTLE_SECONDS
        while (left := end - time.perf_counter()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            self.peak.update(await self.reader.read())
        last, passed = self.groups.counts, time.perf_counter() - began
        return Rates.between(first, last.copy(), passed), last.refused - first.refused

    async def _drain(self) -> float:
        began = news = time.perf_counter()
        before = -1
        while not self.groups.drained and time.perf_counter() - news < QUIET_SECONDS:
            counts = self.groups.counts
            if (progress := counts.delivered + counts.stored + counts.accepted) != before:
                before, news = progress, time.perf_counter()
            await asyncio.sleep(0.05)
        self.peak.update(await self.reader.read())
        return time.perf_counter() - began


@dataclass
class Rates:
    """Counts per second."""

    offered: float
    accepted: float
    stored: float
    delivered: float

    @classmethod
    def between(cls, first: Counts, last: Counts, seconds: float) -> "Rates":
        names = ("offered", "accepted", "stored", "delivered")
        return cls(**{name: (getattr(last, name) - getattr(first, name)) / seconds for name in names})


async def measure(stack: Stack, args: argparse.Namespace) -> tuple[float, list[Step]]:
    """Return the stack's capacity, and a step for each share of it that is offered."""
    async with (
        aiohttp.ClientSession() as http,
        Groups(stack.url, stack.jwt_secret, args.sockets) as groups,
    ):
        rig = OverloadRun(groups, meters.Reader(stack, http), args.seconds)
        await rig.capacity()  # Connections open, caches fill.
        groups.reset()
        capacity = await rig.capacity()
        print(f"carried when each waits to be stored: {capacity:,.0f} messages/s", flush=True)
        steps = []
        for share in args.shares:
            steps.append(await rig.step(share, share * capacity))
            print(row(steps[-1]), flush=True)
        return capacity, steps


HEADS = (
    ("load", 5), ("offered/s", 9), ("accepted/s", 10), ("stored/s", 8), ("delivered/s", 11), ("refused", 24),
    ("accepted p50", 12), ("p99", 6), ("delivered p50", 13), ("p99", 6), ("slowest", 7),
    ("waiting", 7), ("gateway MiB", 11), ("worker MiB", 10), ("drain s", 7), ("lost", 4),
)  # fmt: skip
"""The table's columns and their widths; delays are in ms."""


def row(step: Step) -> str:
    """Return a line of the table."""
    ms = [
        f"{1000 * percentile(delays, share):,.0f}"
        for delays in (step.delays.accepted, step.delays.delivered)
        for share in (0.5, 0.99)
    ]
    cells = (
        f"{step.load:g}x", f"{step.offered:,.0f}", f"{step.accepted:,.0f}", f"{step.stored:,.0f}",
        f"{step.delivered:,.0f}", ", ".join(f"{n} {code}" for code, n in step.refused.items()) or "0",
        *ms, f"{1000 * step.slowest_answer:,.0f}", f"{step.waiting:,.0f}", f"{step.gateway_mib:.0f}",
        f"{step.worker_mib:.0f}", f"{step.drain:.1f}", f"{step.lost + step.unanswered}",
    )  # fmt: skip
    return "  ".join(cell.rjust(width) for cell, (_, width) in zip(cells, HEADS, strict=True))


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.overload", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15, help="how long each load is offered")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="in parts of what is carried")
    parser.add_argument("--picture", type=Path, default=Path(__file__).with_name("overload.svg"))
    args = parser.parse_args()
    if args.sockets < GROUP or not SETTLE_SECONDS < args.seconds < math.inf or min(args.shares) <= 0:
        parser.error(f"there must be {GROUP} sockets, over {SETTLE_SECONDS:g} s, and shares above 0")
    with (
        tempfile.TemporaryDirectory(prefix="parley-overload-") as directory,
        Stack(Path(directory), gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as stack,
    ):
        print("  ".join(name.rjust(width) for name, width in HEADS))
        capacity, steps = uvloop.run(measure(stack, args))
    draw(args.picture, capacity, steps)
    print(f"the picture is {args.picture}")
    if broken := [step.load for step in steps if not step.holds]:
        sys.exit(f"Something was lost, or answered after more than {REFUSED_WITHIN:g} s, at {broken}.")


if __name__ == "__main__":
    main()
