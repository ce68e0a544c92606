"""`python -m load.throughput`: messages and deliveries per second of groups that all send at once."""

import argparse
import contextlib
import math
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop

from clients.chat import eventually
from load import figures, meters
from load.arguments import Arguments
from load.groups import GROUP, Groups
from parley.stack import Stack

DRAIN_SECONDS = 60.0
CPU = "process_cpu_seconds_total"


async def measure(stack: Stack, args: argparse.Namespace) -> None:
    """Send for some seconds, wait until all is delivered, and print the figures."""
    async with (
        aiohttp.ClientSession() as http,
        Groups(stack.url, stack.jwt_secret, args.sockets) as groups,
    ):
        reader = meters.Reader(stack, http)
        before, began = await reader.read(), time.perf_counter()
        await groups.run_closed(args.seconds, args.window)
        sending = time.perf_counter() - began
        with contextlib.suppress(AssertionError):
            await eventually(lambda: groups.drained, DRAIN_SECONDS)
        print(report(groups, sending, time.perf_counter() - began))
        print(costs(before, await reader.read(), groups.counts.delivered))


def report(groups: Groups, sending: float, total: float) -> str:
    """Return the figures; the seconds are those of sending, and those until all was delivered."""
    counts, delays = groups.counts, groups.delays
    expected = counts.accepted * GROUP
    return "\n".join(
        (
            f"{counts.accepted:,} messages accepted in {sending:.1f} s: {counts.accepted / sending:,.0f}/s; "
            f"refused: {dict(counts.refused) or 'none'}",
            f"{counts.delivered:,} of {expected:,} deliveries in {total:.1f} s: "
            f"{counts.delivered / total:,.0f}/s",
            figures.latency("from send to accepted", delays.accepted),
            figures.latency("from send to received", delays.delivered),
        )
    )


def costs(before: meters.Meters, after: meters.Meters, deliveries: int) -> str:
    """Return the processor time that the services used meanwhile."""
    spent = {
        kind: meters.total(after, kind, CPU) - meters.total(before, kind, CPU)
        for kind in ("gateway", "worker")
    }
    share = 1e6 * spent["gateway"] / max(deliveries, 1)
    return (
        f"processor: gateways {spent['gateway']:.1f} s, workers {spent['worker']:.1f} s; "
        f"{share:.1f} µs of a gateway for each delivery"
    )


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.throughput", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--window", type=int, default=4, help="unanswered sends of each socket at a time")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    if args.sockets < GROUP or args.window < 1 or not 0 < args.seconds < math.inf:
        parser.error(f"there must be {GROUP} sockets, a window of 1 and some seconds, at least")
    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as directory,
        Stack(Path(directory), settings={"RATE_LIMITS": "off"}) as stack,
    ):
        uvloop.run(measure(stack, args))


if __name__ == "__main__":
    main()
