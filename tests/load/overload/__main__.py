"""`python -m load.overload`: throughput and delays from little load to overload; a table and a picture."""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from load import meters, processors
from load.arguments import Arguments
from load.generator.fleet import Fleet
from load.generator.groups import GroupKind
from load.generator.ledger import Tally
from load.overload.picture import draw
from load.overload.slow_part import slowed
from load.overload.step import CLIENTS, HEADS, Peak, Rates, Step, problems, row
from load.priority import raised_priority
from load.processor_time import Groups, processor_seconds, spent, stack_groups
from parley.stack import Stack

SHARES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""The offered loads, as shares of the capacity."""
SETTLE_SECONDS = 1.0
"""Seconds at the beginning of each step that its rates leave out."""
LOOK_SECONDS = 1.0
WINDOW = 4
GROUP_SIZE = 10
CONNECTS_PER_SECOND = 200.0
PICTURE = Path(__file__).parents[1] / "overload.svg"
SLOW_PARTS = ("mongodb", "rabbitmq", "redis", "gateway-1", "worker-1")


@dataclass
class OverloadRun:
    """The load, and the meters of the loaded stack."""

    fleet: Fleet
    reader: meters.Reader
    groups: Groups
    seconds: float
    peak: Peak = field(default_factory=Peak)
    processors: Counter[str] = field(default_factory=Counter)
    """The processors that each kind of process has used in the last step, the load client's too."""

    async def capacity(self) -> float:
        """Return the capacity: messages stored per second in a closed loop."""
        await self.fleet.reset()
        talking = asyncio.create_task(self.fleet.run_closed(WINDOW, self.seconds))
        counted, _ = await self._count(self.seconds)
        await talking
        await self.fleet.drain()
        return counted.stored

    async def step(self, share: float, rate: float) -> Step:
        """Offer `rate` messages per second, and wait until all accepted ones are delivered."""
        await self.fleet.reset()
        self.peak = Peak()
        sending = asyncio.create_task(self.fleet.run_open(rate, self.seconds))
        rates, refused = await self._count(self.seconds)
        await sending
        drained = await self.fleet.drain()
        self.peak.update(await self.reader.read())
        return Step(
            load=share,
            offered=rates.sent,
            accepted=rates.accepted,
            stored=rates.stored,
            delivered=rates.delivered,
            refused=refused,
            seconds=self.seconds - SETTLE_SECONDS,
            tally=self.fleet.tally,
            lost=drained.balance.missing,
            unanswered=drained.balance.unanswered,
            drain=drained.seconds,
            processors=self.processors,
            **vars(self.peak),
        )

    async def _count(self, seconds: float) -> tuple[Rates, Counter[str]]:
        await asyncio.sleep(SETTLE_SECONDS)
        first, began, used = await self._tally(), time.perf_counter(), self._used()
        end = began + seconds - SETTLE_SECONDS
        while (left := end - time.perf_counter()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            self.peak.update(await self.reader.read())
        last, passed = await self._tally(), time.perf_counter() - began
        self.processors = Counter({kind: each / passed for kind, each in spent(used, self._used()).items()})
        return Rates.between(first, last, passed), last.refused - first.refused

    def _used(self) -> dict[str, float]:
        """Return the processor seconds that each kind of process has used so far."""
        return {**processor_seconds(self.groups), CLIENTS: sum(self.fleet.processor_seconds.values())}

    async def _tally(self) -> Tally:
        await self.fleet.flush()
        now = Tally()
        now.add(self.fleet.tally)
        return now


async def measure(stack: Stack, args: argparse.Namespace) -> tuple[float, list[Step]]:
    """Return the stack's capacity, and a step for each share of it that is offered."""
    kinds = [GroupKind(args.sockets // GROUP_SIZE, GROUP_SIZE)]
    async with aiohttp.ClientSession() as http, Fleet([stack.url], stack.jwt_secret, kinds) as fleet:
        await fleet.connect(CONNECTS_PER_SECOND)
        rig = OverloadRun(fleet, meters.Reader(stack, http), stack_groups(stack), args.seconds)
        await rig.capacity()  # Connections open, caches fill.
        capacity = await rig.capacity()
        print(f"carried when each waits to be stored: {capacity:,.0f} messages/s", flush=True)
        steps = []
        for share in args.shares:
            steps.append(await rig.step(share, share * capacity))
            print(row(steps[-1]), flush=True)
        await fleet.leave()
        return capacity, steps


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.overload", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15, help="how long each load is offered")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="in parts of what is carried")
    parser.add_argument("--slow", choices=SLOW_PARTS, help="the part that is slowed down; draws no picture")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    if args.sockets < 2 * GROUP_SIZE or not SETTLE_SECONDS < args.seconds < math.inf or min(args.shares) <= 0:
        parser.error(f"there must be {2 * GROUP_SIZE} sockets, over {SETTLE_SECONDS:g} s, and shares above 0")
    for_client, for_servers = processors.halves()
    with (
        processors.bound_to(for_servers),
        tempfile.TemporaryDirectory(prefix="parley-overload-") as directory,
        Stack(Path(directory), gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as stack,
    ):
        print("  ".join(name.rjust(width) for name, width in HEADS))
        slow = slowed(stack.pid(args.slow)) if args.slow else nullcontext()
        with processors.bound_to(for_client), raised_priority(), slow:
            capacity, steps = uvloop.run(measure(stack, args))
    if not args.slow:
        draw(args.picture, capacity, steps)
        print(f"the picture is {args.picture}")
    if broken := problems(steps):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
