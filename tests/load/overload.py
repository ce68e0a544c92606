"""`python -m load.overload`: throughput and delays from little load to overload; a table and a picture."""

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from load import meters
from load.arguments import Arguments
from load.groups import GROUP, Groups
from load.overload_picture import draw
from load.overload_step import HEADS, Peak, Rates, Step, problems, row
from load.slow_part import slowed
from parley.stack import Stack

SHARES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""The offered loads, as shares of the capacity."""
SETTLE_SECONDS = 1.0
"""Seconds at the beginning of each step that its rates leave out."""
LOOK_SECONDS = 1.0
QUIET_SECONDS = 8.0
"""After so many seconds without progress, missing deliveries count as lost."""
WINDOW = 4
SLOW_PARTS = ("mongodb", "rabbitmq", "redis", "gateway-1", "worker-1")
AUTOGROUP = Path("/proc/self/autogroup")
PRIORITY = -10
"""The measuring process goes before the measured ones, or its own lateness would be measured."""


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
            lost=counts.missing,
            unanswered=counts.unanswered,
            refused_deliveries=counts.refused_deliveries,
            drain=drain,
            **vars(self.peak),
        )

    async def _count(self, seconds: float) -> tuple[Rates, Counter[str]]:
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


@contextmanager
def raised_priority() -> Iterator[None]:
    """Raise the priority of this process and of its session inside of the context, where it is permitted."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        AUTOGROUP.write_text(str(PRIORITY))
    try:
        yield
    finally:
        with suppress(OSError):
            AUTOGROUP.write_text("0")


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.overload", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15, help="how long each load is offered")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="in parts of what is carried")
    parser.add_argument("--slow", choices=SLOW_PARTS, help="the part that is slowed down; draws no picture")
    parser.add_argument("--picture", type=Path, default=Path(__file__).with_name("overload.svg"))
    args = parser.parse_args()
    if args.sockets < GROUP or not SETTLE_SECONDS < args.seconds < math.inf or min(args.shares) <= 0:
        parser.error(f"there must be {GROUP} sockets, over {SETTLE_SECONDS:g} s, and shares above 0")
    with (
        tempfile.TemporaryDirectory(prefix="parley-overload-") as directory,
        Stack(Path(directory), gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as stack,
    ):
        print("  ".join(name.rjust(width) for name, width in HEADS))
        with raised_priority(), slowed(stack.pid(args.slow)) if args.slow else nullcontext():
            capacity, steps = uvloop.run(measure(stack, args))
    if not args.slow:
        draw(args.picture, capacity, steps)
        print(f"the picture is {args.picture}")
    if broken := problems(steps):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
