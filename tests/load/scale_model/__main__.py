"""`make scale-model`: measures unit costs, and calculates what 10,000 to 1,000,000 users cost in each part.

The model is checked by a run with some thousands of sockets, whose figures stand beside the model's.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict, fields
from pathlib import Path

import aiohttp
import orjson
import uvloop
from redis.asyncio import Redis

from clients.database import open_database
from load.arguments import Arguments
from load.generator.fleet import Fleet
from load.generator.groups import GroupKind
from load.priority import raised_priority
from load.scale_model import table
from load.scale_model.counters import PARTS, Counters, difference
from load.scale_model.measure import Scenes, UnitCosts
from load.scale_model.model import Capacity, Workload, gateway_bytes, processor
from parley.stack import Stack

OUT = Path(__file__).parents[3] / ".run" / "scale-model"
USERS, GATEWAYS = (10_000, 100_000, 1_000_000), (1, 10, 100)
MIB = 1 << 20


async def check(stack: Stack, counters: Counters, costs: UnitCosts, args: argparse.Namespace) -> list[str]:
    """Run a load, and return its figures beside those of the model."""
    load = Workload(
        users=args.check_sockets,
        gateways=2,
        conversations=1,
        size=10,
        messages=args.check_rate / args.check_sockets,
        session=args.check_sockets / args.check_churn,
    )
    async with Fleet([stack.url], stack.jwt_secret, [GroupKind(load.users // 10, 10)]) as fleet:
        await fleet.connect(1_000)
        await asyncio.sleep(5)
        memory = await counters.memory()
        await fleet.reset()
        before = await counters.read()
        await fleet.background(typing=0, churn=args.check_churn, slow=0, pause=1)
        await fleet.run_open(args.check_rate, args.check_seconds)
        after = await counters.read()
        drained = await fleet.drain()
        await fleet.leave()
    used = difference(before, after, {})
    seconds = after["seconds"] - before["seconds"]
    names = [*(f"{part}, cores" for part in PARTS), "gateway, MiB"]
    predicted = [*(processor(costs, load, part) for part in PARTS), gateway_bytes(costs, load) / MIB]
    measured = [*(used[part] / seconds for part in PARTS), memory["gateways"] / 2 / MIB]
    title = (
        f"{load.users:,} sockets, {args.check_rate:g} messages/s, {args.check_churn:g} reconnects/s: "
        f"{fleet.tally.stored:,} stored, {drained.balance.missing} deliveries missing"
    )
    return [
        title,
        *table.check_lines(dict(zip(names, predicted, strict=True)), dict(zip(names, measured, strict=True))),
    ]


async def run(stack: Stack, args: argparse.Namespace) -> tuple[UnitCosts, list[str]]:
    """Measure, and check the model."""
    async with (
        aiohttp.ClientSession() as http,
        open_database(stack.mongo_url) as database,
        Redis.from_url(stack.redis_url) as redis,
    ):
        counters = Counters(stack, database, redis)
        scenes = Scenes(
            stack,
            counters,
            http,
            database,
            lambda line: print(line, file=sys.stderr, flush=True),
            seconds=args.seconds,
            rate=args.rate,
            sockets=args.sockets,
        )
        costs = await scenes.run()
        return costs, await check(stack, counters, costs, args) if args.check_sockets else []


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = Arguments(prog="load.scale_model", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=6, help="how long each load lasts")
    add("--rate", type=float, default=300, help="messages per second, while their costs are measured")
    add("--sockets", type=int, default=2_000, help="idle sockets that are measured")
    add("--check-sockets", type=int, default=3_000, help="sockets of the run that checks the model; 0: none")
    add("--check-rate", type=float, default=150, help="its messages per second")
    add("--check-churn", type=float, default=5, help="its reconnects per second")
    add("--check-seconds", type=float, default=20)
    add("--conversations", type=float, default=10, help="conversations of a user")
    add("--size", type=int, default=10, help="members of a conversation")
    add("--messages", type=float, default=0.02, help="messages of a user per second")
    add("--session", type=float, default=600, help="seconds until a user disconnects")
    for each in fields(Capacity):
        add(f"--{each.name.replace('_', '-')}", type=float, default=each.default, help="of one of the part")
    add("--costs", type=Path, help="a scale-model.json of before, instead of measuring")
    add("--out", type=Path, default=OUT, help="the folder of scale-model.json and scale-model.html")
    return parser.parse_args()


def measure(args: argparse.Namespace) -> tuple[UnitCosts, list[str]]:
    """Return the unit costs, and the lines of the check."""
    if args.costs:
        return UnitCosts(**orjson.loads(args.costs.read_bytes())["costs"]), []
    with (
        tempfile.TemporaryDirectory(prefix="parley-model-") as directory,
        Stack(Path(directory), gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as stack,
        raised_priority(),
    ):
        return uvloop.run(run(stack, args))


def main() -> None:
    """Measure, calculate, and write the tables."""
    args = arguments()
    costs, checked = measure(args)
    capacity = Capacity(**{each.name: getattr(args, each.name) for each in fields(Capacity)})
    loads = [
        Workload(
            users=users,
            gateways=gateways,
            conversations=args.conversations,
            size=args.size,
            messages=args.messages,
            session=args.session,
        )
        for users in USERS
        for gateways in GATEWAYS
    ]
    text = "\n".join([*table.unit_lines(costs), "", *checked, "", *table.lines(costs, loads, capacity)])
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    figures = {"costs": asdict(costs), "capacity": asdict(capacity), "text": text.splitlines()}
    (args.out / "scale-model.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    (args.out / "scale-model.html").write_text(table.page(text, costs, loads, capacity), encoding="utf-8")


if __name__ == "__main__":
    main()
