"""`parley rebalance`: move clients from gateways with more than their fair share, as after a scale-out."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from time import monotonic
from typing import Annotated, Any

import typer

from parley.cli import environment
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import open_redis
from parley.cli.output import Json, print_json, print_line, print_table, progress
from parley.cli.presence import NAMESPACES
from parley.shared import events, rooms
from parley.shared.events import RECONNECT, Control
from parley.shared.presence import PresenceBuckets, buckets
from parley.shared.pubsub import publish_command, subscribed_channels

PerSecond = Annotated[
    float, typer.Option("--per-second", min=1, max=10_000, help="Sockets that are closed in a second.")
]
Within = Annotated[
    float, typer.Option(min=1, max=100, help="Percent above the fair share that a gateway may have.")
]

ROUNDS = 10
"""Clients choose no gateway, nginx does: each round moves about half of the excess."""
TURN_SECONDS = 0.2
BACK_SECONDS = 10.0
"""Clients connect again within 5 s, which is the longest delay of Socket.IO's clients."""
LOOK_SECONDS = 0.5
SCANNED_AT_ONCE = 1_000

Sockets = Mapping[str, Sequence[str]]
"""The ids of the sockets of each gateway."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The number of sockets of each gateway before and after, and how many were closed."""

    before: dict[str, int]
    after: dict[str, int]
    closed: int
    is_balanced: bool


def rebalance(
    context: typer.Context, per_second: PerSecond = 50, within: Within = 10, as_json: Json = False
) -> None:
    """Close sockets of gateways that hold more than their fair share, until nginx has spread them evenly.

    Clients connect again by themselves, and are replayed what they missed. Exits with 1 if some gateway still
    holds too many. Ctrl-C stops it at any time.
    """
    outcome = asyncio.run(_rebalance(environment.of(context), per_second, within / 100))
    if as_json:
        print_json({"ok": outcome.is_balanced, **vars(outcome)})
    else:
        rows = [(name, count, outcome.after.get(name)) for name, count in outcome.before.items()]
        print_table(("gateway", "sockets before", "now"), rows)
        print_line(f"{outcome.closed:,} sockets were closed, and their clients have connected again.")
    raise typer.Exit(0 if outcome.is_balanced else 1)


async def _rebalance(env: Environment, per_second: float, within: float) -> Outcome:
    closed = 0
    presence = buckets(env.settings.redis_url)
    async with open_redis(env.settings.redis_url) as client:
        sockets = await _sockets(client, presence)
        if not sockets:
            raise CommandError("No gateway is connected to Redis: start one, or correct REDIS_URL.")
        before = _counts(sockets)
        first = frozenset(chain.from_iterable(sockets.values()))
        for _ in range(ROUNDS):
            chosen = choose(sockets, within, first)
            if not chosen:
                break
            await _send_away(client, chosen, per_second)
            closed += len(chosen)
            sockets = await _wait_until_back(client, presence, set(chosen), sum(before.values()))
        return Outcome(
            before=before,
            after=_counts(sockets),
            closed=closed,
            is_balanced=not choose(sockets, within),
        )


def choose(sockets: Sockets, within: float, first: Collection[str] = ()) -> list[str]:
    """Return sockets to close, at random and of all gateways in turn.

    Args:
        sockets: The sockets of each gateway.
        within: The part of the fair share by which a gateway may exceed it; one socket is never too many.
        first: Sockets that are closed before others. An nginx that has reloaded its configuration counts the
            connections since then only: in place of such a one it opens another to the same gateway.
    """
    share = sum(map(len, sockets.values())) / len(sockets)
    chosen = [
        socket
        for held in sockets.values()
        if len(held) > share + max(1, within * share)
        for socket in _sample(held, int(len(held) - share), first)
    ]
    random.shuffle(chosen)
    return chosen


def _sample(held: Sequence[str], count: int, first: Collection[str]) -> list[str]:
    in_any_order = random.sample(held, len(held))
    return sorted(in_any_order, key=lambda socket: socket not in first)[:count]


async def _send_away(client: Any, chosen: Sequence[str], per_second: float) -> None:
    at_once = max(1, round(per_second * TURN_SECONDS))
    with progress() as bar:
        task = bar.add_task("moving", total=len(chosen))
        for start in range(0, len(chosen), at_once):
            some = chosen[start : start + at_once]
            async with client.pipeline(transaction=False) as pipeline:
                for socket in some:
                    pipeline.execute_command(publish_command(client), *_order(socket))
                await pipeline.execute()
            bar.advance(task, len(some))
            await asyncio.sleep(len(some) / per_second)


def _order(socket: str) -> tuple[str, bytes]:
    """Return the channel of a socket's gateway, and the order to close it; its namespace is not known."""
    orders: list[events.Event] = [
        Control(method=RECONNECT, namespace=namespace, sid=socket) for namespace in NAMESPACES
    ]
    return rooms.channel(rooms.node(_gateway(socket))), events.pack(orders)


async def _wait_until_back(client: Any, presence: PresenceBuckets, chosen: set[str], total: int) -> Sockets:
    """Wait until the chosen sockets are closed, and as many others are there.

    Raises:
        CommandError: A gateway has not closed its sockets.
    """
    deadline = monotonic() + BACK_SECONDS
    while True:
        sockets = await _sockets(client, presence)
        left = {name for name, held in sockets.items() if not chosen.isdisjoint(held)}
        if not left and sum(map(len, sockets.values())) >= total:
            return sockets
        if monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    if left:
        raise CommandError(
            f"Gateways do not close their sockets ({', '.join(sorted(left))}): they are busy, or of version "
            "0.5.0 or older, which knows no rebalancing."
        )
    return sockets


async def _sockets(client: Any, presence: PresenceBuckets) -> Sockets:
    """Return the sockets of each gateway that is connected to Redis, by their leases of presence."""
    prefix = rooms.channel(rooms.node(""))
    channels = await subscribed_channels(client, f"{prefix}*")
    found: dict[str, list[str]] = {name.removeprefix(prefix): [] for name in channels}
    for keys in presence.all:
        async for lease, _ in client.zscan_iter(keys.leases, count=SCANNED_AT_ONCE):
            socket = lease.decode().rpartition("\0")[2]
            if _gateway(socket) in found:
                found[_gateway(socket)].append(socket)
    # A scan may find a lease twice while others come and go.
    return {name: list(dict.fromkeys(held)) for name, held in found.items()}


def _gateway(socket: str) -> str:
    return socket.partition(".")[0]


def _counts(sockets: Sockets) -> dict[str, int]:
    return {name: len(held) for name, held in sockets.items()}
