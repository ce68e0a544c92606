"""`parley who` and `parley disconnect`: a user's sockets, as Redis' leases of presence have them."""

import asyncio
import re
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Annotated, Any

import typer

from parley.cli import environment
from parley.cli.environment import Environment
from parley.cli.faults import named, open_redis
from parley.cli.output import Json, print_json, print_line, print_table
from parley.shared import events, mongo, rooms
from parley.shared.documents import MEMBERSHIPS, USERS
from parley.shared.events import Control
from parley.shared.presence import PresenceKeys, buckets, lease_name
from parley.shared.pubsub import publish

User = Annotated[str, typer.Argument(help="The user's id.")]

NAMESPACES = ("/chat", "/", "/messages")
"""The Socket.IO namespaces of all protocols: a lease does not name its socket's."""
SCANNED_AT_ONCE = 1_000
CLOSE_SECONDS = 5.0
LOOK_SECONDS = 0.2
CLOCK = "return redis.call('TIME')"
"""Run with a key: in a cluster the clock is that of the key's master."""


@dataclass(frozen=True)
class Lease:
    """The lease of one socket; it ends by itself in some seconds unless the gateway renews it."""

    socket: str
    gateway: str
    seconds_left: float


def show_user(context: typer.Context, user: User, as_json: Json = False) -> None:
    """Show whether a user is online, by which sockets of which gateways, and what is stored of the user."""
    found = asyncio.run(look_up(environment.of(context), user))
    if as_json:
        print_json(found)
        return
    name = f" ({found['name']})" if found["name"] else ""
    state = "online" if found["online"] else "offline"
    print_line(f"{user}{name} is {state}, and a member of {found['conversations']:,} conversation(s).")
    if found["sockets"]:
        rows = [(s["socket"], s["gateway"], f"{s['seconds_left']:.0f} s") for s in found["sockets"]]
        print_table(("socket", "gateway", "lease"), rows)


def disconnect(context: typer.Context, user: User, as_json: Json = False) -> None:
    """Close all sockets of a user now; exits with 1 if one is still open after 5 s.

    The user may connect again: to prevent that, revoke the tokens (POST /admin/revoke).
    """
    closed, left = asyncio.run(_disconnect(environment.of(context), user))
    if as_json:
        print_json({"closed": closed, "left": left})
    else:
        print_line(f"{closed} socket(s) closed{f', {left} still open' if left else ''}.")
    raise typer.Exit(1 if left else 0)


async def look_up(env: Environment, user: str) -> dict[str, Any]:
    """Return whether a user is online, by which sockets, and what is stored of the user.

    Raises:
        CommandError: Redis or MongoDB is away.
    """
    keys = buckets(env.settings.redis_url).of(user)
    async with open_redis(env.settings.redis_url) as client:
        leases = await _leases(client, keys, user)
        sockets = await client.hget(keys.sockets, user)
        leaving = await client.zscore(keys.leaving, user)
    with named("MongoDB", "MONGO_URL"):
        async with mongo.connect(env.settings.mongo_url) as database:
            stored = await database[USERS].find_one({"_id": user}) or {}
            member = {"userId": user, "leftAt": {"$exists": False}}
            conversations = await database[MEMBERSHIPS].count_documents(member)
    return {
        "user": user,
        "name": stored.get("name", ""),
        "online": bool(sockets or leaving),
        "conversations": conversations,
        "sockets": [asdict(lease) for lease in leases],
    }


async def _disconnect(env: Environment, user: str) -> tuple[int, int]:
    keys = buckets(env.settings.redis_url).of(user)
    async with open_redis(env.settings.redis_url) as client:
        leases = await _leases(client, keys, user)
        for lease in leases:
            channel = rooms.channel(rooms.node(lease.gateway))
            orders: list[events.Event] = [
                Control(method="disconnect", namespace=namespace, sid=lease.socket)
                for namespace in NAMESPACES
            ]
            await publish(client, channel, events.pack(orders))
        left = await _wait_until_closed(client, keys, user, {lease.socket for lease in leases})
    return len(leases) - left, left


async def _wait_until_closed(client: Any, keys: PresenceKeys, user: str, sockets: set[str]) -> int:
    """Wait until no lease of these sockets is left; return how many are after a while."""
    names = [lease_name(user, socket) for socket in sockets]
    deadline = monotonic() + CLOSE_SECONDS
    left = len(names)
    while names and monotonic() < deadline:
        scores = await client.zmscore(keys.leases, names)
        left = sum(score is not None for score in scores)
        if not left:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return left


async def _leases(client: Any, keys: PresenceKeys, user: str) -> list[Lease]:
    seconds, microseconds = await client.eval(CLOCK, 1, keys.leases)
    now = int(seconds) + int(microseconds) / 1e6
    prefix = lease_name(user, "")
    found = {}
    pattern = _escaped(prefix) + "*"
    async for name, score in client.zscan_iter(keys.leases, pattern, count=SCANNED_AT_ONCE):
        socket = name.decode().removeprefix(prefix)
        found[socket] = Lease(socket, socket.partition(".")[0], round(score / 1000 - now, 1))
    return [found[socket] for socket in sorted(found)]


def _escaped(text: str) -> str:
    """Return a pattern of Redis that matches this text."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
